#include "directory/scram.h"
#include "directory/scram_priv.h"
#include <stdlib.h>

#define SERVER_NONCE 18 /* octets of chance: 24 characters */

enum binding { BINDING_NONE, BINDING_EXPORTER, BINDING_UNIQUE, BINDING_END_POINT, BINDING_COUNT };

static const char *const binding_names[BINDING_COUNT] = {
    [BINDING_EXPORTER] = "tls-exporter", [BINDING_UNIQUE] = "tls-unique", [BINDING_END_POINT] = "tls-server-end-point",
};

struct scram {
    bool plus;
    enum binding binding;        /* that the client chose */
    struct buf bindings[BINDING_COUNT];
    struct scram_verifier verifier;
    struct buf gs2;              /* gs2-header: "p=tls-exporter,," */
    struct buf nonce;            /* the client's, then with ours behind it */
    struct buf auth;             /* AuthMessage: client-first-message-bare "," server-first-message "," ... */
};

struct scram *scram_begin(bool plus, const struct scram_bindings *bindings)
{
    struct scram *scram = calloc(1, sizeof *scram);
    if (!scram)
        return NULL;
    *scram = (struct scram){ .plus = plus, .gs2 = BUF_EMPTY(SCRAM_MESSAGE_MAX), .nonce = BUF_EMPTY(SCRAM_NONCE_MAX + 64),
                             .auth = BUF_EMPTY(3 * SCRAM_MESSAGE_MAX) };
    const struct span given[BINDING_COUNT] = { SPAN_NONE, bindings->exporter, bindings->unique, bindings->end_point };
    bool good = true;
    for (size_t i = 0; i < BINDING_COUNT; i++) {
        scram->bindings[i] = BUF_EMPTY(SCRAM_BINDING_MAX);
        good = buf_add(&scram->bindings[i], given[i]) == STATUS_OK && good;
    }
    if (good)
        return scram;
    scram_free(scram);
    return NULL;
}

void scram_free(struct scram *scram)
{
    if (!scram)
        return;
    for (size_t i = 0; i < BINDING_COUNT; i++)
        buf_wipe(&scram->bindings[i]);
    buf_done(&scram->gs2);
    buf_done(&scram->nonce);
    buf_done(&scram->auth);
    explicit_bzero(scram, sizeof *scram);
    free(scram);
}

/* Takes "x=value" up to the next comma (or the end) off the front. */
static bool take_attribute(struct span *message, char name, struct span *ret)
{
    struct span attribute;
    if (!span_cut(message, ',', &attribute) || attribute.n < 2 || attribute.p[0] != name || attribute.p[1] != '=')
        return false;
    *ret = span_from(attribute, 2);
    return true;
}

/* saslname (RFC 5802 section 7): "=2C" is a comma, "=3D" an equals sign. */
static bool add_name(struct span text, struct buf *ret)
{
    if (!text.n || !span_is_utf8(text) || span_find(text, '\0') < text.n)
        return false;
    while (text.n) {
        size_t plain = span_find(text, '=');
        buf_add(ret, span_head(text, plain));
        text = span_from(text, plain);
        if (!text.n)
            break;
        bool comma = span_starts(text, SPAN("=2C")), equals = span_starts(text, SPAN("=3D"));
        if (!comma && !equals)
            return false;
        buf_add_char(ret, comma ? ',' : '=');
        text = span_from(text, 3);
    }
    return !ret->failed;
}

static bool is_nonce(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x21 || text.p[i] > 0x7e || text.p[i] == ',')
            return false;
    return text.n > 0;
}

/* gs2-cbind-flag: what the client says about binding. */
static enum scram_result take_flag(struct scram *scram, struct span flag)
{
    bool can_bind = scram->bindings[BINDING_EXPORTER].n || scram->bindings[BINDING_UNIQUE].n;
    if (!scram->plus && span_eq(flag, SPAN("n")))
        return SCRAM_GOOD;
    if (!scram->plus && span_eq(flag, SPAN("y"))) /* RFC 5802 section 6 */
        return can_bind ? SCRAM_DOWNGRADED : SCRAM_GOOD;
    if (!scram->plus || !span_starts(flag, SPAN("p=")))
        return SCRAM_BROKEN;
    for (unsigned i = BINDING_EXPORTER; i < BINDING_COUNT; i++)
        if (span_eq(span_from(flag, 2), span_str(binding_names[i])) && scram->bindings[i].n) {
            scram->binding = (enum binding)i;
            return SCRAM_GOOD;
        }
    return SCRAM_NO_SUCH_BINDING;
}

/* gs2-header: flag "," [ "a=" authzid ] "," ; `ret_behalf` is empty where nobody is named. */
static enum scram_result take_header(struct scram *scram, struct span *message, struct buf *ret_behalf)
{
    struct span whole = *message, flag, behalf;
    if (!span_cut(message, ',', &flag) || !span_cut(message, ',', &behalf))
        return SCRAM_BROKEN;
    if (span_eq(behalf, SPAN("a="))) /* against the grammar; clients with an empty setting say it */
        behalf = SPAN_NONE;
    if (behalf.n && (!span_starts(behalf, SPAN("a=")) || !add_name(span_from(behalf, 2), ret_behalf)))
        return SCRAM_BROKEN;
    if (buf_add(&scram->gs2, span_head(whole, whole.n - message->n)) != STATUS_OK)
        return SCRAM_BROKEN;
    return take_flag(scram, flag);
}

enum scram_result scram_first(struct scram *scram, struct span message, struct buf *ret_login)
{
    AUTO(buf_done) struct buf behalf = BUF_EMPTY(SCRAM_MESSAGE_MAX);
    struct span name, nonce;
    if (message.n > SCRAM_MESSAGE_MAX || scram->gs2.n)
        return SCRAM_BROKEN;
    enum scram_result result = take_header(scram, &message, &behalf);
    struct span bare = message;
    if (result == SCRAM_BROKEN)
        return result;
    /* "m=" in front of the name would be an extension that we must understand (RFC 5802 section 5.1): it is no "n=". */
    if (!take_attribute(&message, 'n', &name) || !take_attribute(&message, 'r', &nonce) || nonce.n > SCRAM_NONCE_MAX ||
        !is_nonce(nonce) || !add_name(name, ret_login) || buf_add(&scram->nonce, nonce) != STATUS_OK ||
        buf_add(&scram->auth, bare) != STATUS_OK)
        return SCRAM_BROKEN;
    if (result == SCRAM_GOOD && behalf.n && !span_eq_case(buf_span(&behalf), buf_span(ret_login)))
        return SCRAM_OTHER;
    return result;
}

enum status scram_challenge(struct scram *scram, const struct scram_verifier *verifier, struct buf *ret)
{
    unsigned char chance[SERVER_NONCE];
    size_t start = ret->n;
    scram->verifier = *verifier;
    scram_random(chance, sizeof chance);
    scram_base64_add(chance, sizeof chance, &scram->nonce);
    buf_add_str(ret, "r=");
    buf_add(ret, buf_span(&scram->nonce));
    buf_add_str(ret, ",s=");
    scram_base64_add(verifier->salt, verifier->salt_n, ret);
    buf_printf(ret, ",i=%u", verifier->iterations);
    buf_add_char(&scram->auth, ',');
    buf_add(&scram->auth, span_from(buf_span(ret), start));
    return ret->failed || scram->auth.failed || scram->nonce.failed ? STATUS_MEMORY : STATUS_OK;
}

bool scram_is_of(const struct scram *scram, const struct scram_verifier *verifier)
{
    return verifier->iterations == scram->verifier.iterations && verifier->salt_n == scram->verifier.salt_n &&
           memcmp(verifier->salt, scram->verifier.salt, verifier->salt_n) == 0 &&
           memcmp(verifier->stored, scram->verifier.stored, SCRAM_HASH) == 0;
}

/* "c=": the gs2-header once more, with the binding behind it. */
static enum scram_result check_binding(const struct scram *scram, struct span text)
{
    AUTO(buf_done) struct buf said = BUF_EMPTY(SCRAM_MESSAGE_MAX);
    if (!scram_base64_take(text, SCRAM_MESSAGE_MAX, &said))
        return SCRAM_BROKEN;
    struct span binding = span_from(buf_span(&said), scram->gs2.n);
    if (!span_starts(buf_span(&said), buf_span(&scram->gs2)))
        return SCRAM_UNBOUND;
    return span_eq(binding, buf_span(&scram->bindings[scram->binding])) ? SCRAM_GOOD : SCRAM_UNBOUND;
}

enum scram_result scram_final(struct scram *scram, struct span message)
{
    AUTO(buf_wipe) struct buf proof = BUF_EMPTY(SCRAM_HASH);
    struct span whole = message, binding, nonce, last;
    size_t proof_at = span_rfind(message, ',');
    if (message.n > SCRAM_MESSAGE_MAX || proof_at == message.n)
        return SCRAM_BROKEN;
    last = span_from(message, proof_at + 1);
    message.n = proof_at; /* what stands between is extensions, which we need not know */
    if (!take_attribute(&message, 'c', &binding) || !take_attribute(&message, 'r', &nonce) || !span_starts(last, SPAN("p=")) ||
        !scram_base64_take(span_from(last, 2), SCRAM_HASH, &proof) || proof.n != SCRAM_HASH)
        return SCRAM_BROKEN;
    enum scram_result result = check_binding(scram, binding);
    if (result != SCRAM_GOOD)
        return result;
    if (!span_eq(nonce, buf_span(&scram->nonce))) /* somebody's older login, said again */
        return SCRAM_WRONG;
    buf_add_char(&scram->auth, ',');
    if (buf_add(&scram->auth, span_head(whole, proof_at)) != STATUS_OK)
        return SCRAM_BROKEN;
    return scram_proof_fits(&scram->verifier, buf_span(&scram->auth), proof.p) ? SCRAM_GOOD : SCRAM_WRONG;
}

enum status scram_signature(const struct scram *scram, struct buf *ret)
{
    unsigned char signature[SCRAM_HASH];
    scram_server_signature(&scram->verifier, buf_span(&scram->auth), signature);
    buf_add_str(ret, "v=");
    scram_base64_add(signature, sizeof signature, ret);
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}
