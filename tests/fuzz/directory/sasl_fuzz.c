/* A login's messages: credentials come only of what the mechanism allows, and they are exactly what the client sent. SCRAM
 * lets nobody in by messages of chance; who plays his part is let in, and only on his own connection. */
#include "directory/sasl.h"
#include "directory/scram_priv.h"
#include "directory/secret.h"
#include "fuzz.h"
#include <sodium.h>

static const struct scram_bindings bindings[3] = { { { 0 } },
                                                   { SPAN("the exporter's octets, 32 of them"), SPAN_NONE, SPAN("certificate") },
                                                   { SPAN_NONE, SPAN("finished"), SPAN("certificate") } };
static struct scram_verifier verifier = { .iterations = SCRAM_ITERATIONS_LEAST, .salt_n = SCRAM_SALT };
static unsigned char client_key[SCRAM_HASH];

/* Keys of no password: nothing slow is done here. */
static void make_verifier(void)
{
    static const unsigned char key[SCRAM_HASH] = "the client's key";
    memcpy(client_key, key, sizeof key);
    crypto_hash_sha256(verifier.stored, client_key, SCRAM_HASH);
}

static void check_plain(const struct sasl *sasl, struct span message)
{
    AUTO(buf_done) struct buf tail = BUF_EMPTY((size_t)1 << 16);
    buf_add_char(&tail, '\0');
    buf_add(&tail, buf_span(&sasl->login));
    buf_add_char(&tail, '\0');
    buf_add(&tail, buf_span(&sasl->password));
    require(tail.n <= message.n && span_eq(span_from(message, message.n - tail.n), buf_span(&tail)));
    struct span behalf = span_head(message, message.n - tail.n);
    require(behalf.n == 0 || span_eq_case(behalf, buf_span(&sasl->login)));
}

/* What SCRAM gives is words on one line. */
static void check_words(struct span words)
{
    require(words.n > 2 && words.n < SCRAM_MESSAGE_MAX && span_is_ascii(words));
    for (size_t i = 0; i < words.n; i++)
        require(words.p[i] > ' ');
}

static enum sasl_step feed(struct sasl *sasl, bool has_message, struct span message)
{
    enum sasl_step step = sasl_feed(sasl, has_message, message);
    require(step != SASL_CHALLENGE || sasl->challenge.n <= 16);
    if (step == SASL_LOGIN) {
        require(sasl->login.n && span_is_utf8(buf_span(&sasl->login)));
        step = sasl_verifier(sasl, &verifier);
        if (step == SASL_CHALLENGE)
            check_words(sasl->challenge);
    }
    require(step != SASL_PROOF || !sasl->proof_fits); /* by chance */
    require(step != SASL_DONE);
    return step;
}

static void play(struct sasl *sasl, bool is_plain, struct choices *choices)
{
    struct span messages[8] = { SPAN_NONE };
    unsigned n = 0;
    enum sasl_step step = SASL_CHALLENGE;
    for (unsigned turn = 0; turn < 8 && step == SASL_CHALLENGE; turn++) {
        bool has_message = turn > 0 || (choose(choices) & 1);
        struct span message = has_message ? fuzz_exact(choose_text(choices, 255)) : SPAN_NONE;
        step = feed(sasl, has_message, message);
        if (has_message)
            messages[n++] = message;
    }
    if (step == SASL_CREDENTIALS) {
        require(sasl->login.n && sasl->password.n && n > 0);
        require(span_find(buf_span(&sasl->login), '\0') == sasl->login.n);
        require(span_find(buf_span(&sasl->password), '\0') == sasl->password.n);
        if (is_plain)
            check_plain(sasl, messages[n - 1]);
        else
            require(n >= 2 && span_eq(messages[n - 2], buf_span(&sasl->login)) &&
                    span_eq(messages[n - 1], buf_span(&sasl->password)));
    }
    for (unsigned i = 0; i < n; i++)
        free((void *)(uintptr_t)messages[i].p);
}

/* An honest last message to that challenge, with `header` bound. */
static void add_proof(struct span bare, struct span challenge, struct span header, struct buf *ret)
{
    AUTO(buf_done) struct buf auth = BUF_EMPTY(8192);
    unsigned char proof[SCRAM_HASH];
    buf_add_str(ret, "c=");
    scram_base64_add((const unsigned char *)header.p, header.n, ret);
    buf_add_char(ret, ',');
    buf_add(ret, span_head(challenge, span_find(challenge, ',')));
    buf_add(&auth, bare);
    buf_add_char(&auth, ',');
    buf_add(&auth, challenge);
    buf_add_char(&auth, ',');
    buf_add(&auth, buf_span(ret));
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, verifier.stored, SCRAM_HASH);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)auth.p, auth.n);
    crypto_auth_hmacsha256_final(&state, proof);
    for (size_t i = 0; i < SCRAM_HASH; i++)
        proof[i] ^= client_key[i];
    buf_add_str(ret, ",p=");
    scram_base64_add(proof, SCRAM_HASH, ret);
    require(!ret->failed && !auth.failed);
}

/* Somebody who knows the key. He binds what he chooses to; what he says of it and what is true decides. */
static void play_honest(struct choices *choices)
{
    static const char *const flags[] = { "n", "y", "p=tls-exporter", "p=tls-unique", "p=tls-server-end-point" };
    uint8_t place = choose_below(choices, 3), kind = choose_below(choices, 5);
    const struct scram_bindings *own = &bindings[place], *his = &bindings[choose_below(choices, 3)];
    const struct span data[] = { SPAN_NONE, SPAN_NONE, his->exporter, his->unique, his->end_point },
                      true_data[] = { SPAN_NONE, SPAN_NONE, own->exporter, own->unique, own->end_point };
    AUTO(buf_done) struct buf header = BUF_EMPTY(1024), first = BUF_EMPTY(1024), final = BUF_EMPTY(8192);
    struct span bare = SPAN("n=anna,r=fyko+d2lbbFgONRv9qkxdawL");
    buf_printf(&header, "%s,,", flags[kind]);
    buf_add(&first, buf_span(&header));
    buf_add(&first, bare);
    buf_add(&header, data[kind]);
    bool may = kind < 2 ? kind == 0 || place == 0 : true_data[kind].n && span_eq(data[kind], true_data[kind]);

    struct sasl sasl;
    require(sasl_begin(kind < 2 ? SPAN("SCRAM-SHA-256") : SPAN("SCRAM-SHA-256-PLUS"), own, &sasl) == STATUS_OK);
    enum sasl_step step = sasl_feed(&sasl, true, buf_span(&first));
    if (step == SASL_LOGIN)
        step = sasl_verifier(&sasl, &verifier);
    if (step == SASL_CHALLENGE) {
        add_proof(bare, sasl.challenge, buf_span(&header), &final);
        step = sasl_feed(&sasl, true, buf_span(&final));
    }
    require(may == (step == SASL_PROOF && sasl.proof_fits));
    if (may)
        require(sasl_accept(&sasl) == SASL_CHALLENGE && sasl_feed(&sasl, true, SPAN("")) == SASL_DONE);
    sasl_done(&sasl);
}

static void play_stored(struct choices *choices)
{
    struct scram_verifier one, two;
    AUTO(buf_done) struct buf text = BUF_EMPTY(SECRET_STORED_MAX);
    struct span stored = fuzz_exact(choose_text(choices, 255));
    (void)secret_for_password(stored);
    (void)secret_for_scram(stored);
    if (scram_verifier_parse(stored, &one) == STATUS_OK)
        require(scram_verifier_print(&one, &text) == STATUS_OK && scram_verifier_parse(buf_span(&text), &two) == STATUS_OK &&
                memcmp(&one, &two, sizeof one) == 0);
    free((void *)(uintptr_t)stored.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "PLAIN", "LOGIN", NULL, "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };
    struct choices choices = choices_of(data, size);
    uint8_t which = choose_below(&choices, 7);
    make_verifier();
    if (which >= 5) {
        (which == 5 ? play_honest : play_stored)(&choices);
        return 0;
    }
    struct span name = names[which] ? span_str(names[which]) : choose_text(&choices, 30);
    struct sasl sasl;
    if (sasl_begin(name, &bindings[which < 3 ? 0 : choose_below(&choices, 3)], &sasl) != STATUS_OK) {
        require(which == 2);
        return 0;
    }
    play(&sasl, span_eq_case(name, SPAN("PLAIN")), &choices);
    sasl_done(&sasl);
    require(sasl.login.p == NULL && sasl.password.p == NULL && sasl.scram == NULL);
    return 0;
}
