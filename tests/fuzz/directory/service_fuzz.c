/* A hostile smtpd: any questions in any order. Frames in the sample: kind (1 octet), length (2, little-endian), body.
 *
 * Passwords are stored in a form that no password fits and that costs nothing, and SCRAM's keys are of chance, so whoever gets in
 * has found a hole. So has
 * who gets a signature of what is no TLS handshake: every question for one names a key that exists.
 */
#include "directory/accounts.h"
#include "directory/keys.h"
#include "directory/scram.h"
#include "directory/service.h"
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct accounts *accounts;
static struct loop *loop;
static struct log log_nowhere;
static struct directory_service *service;
static unsigned char key_id[TLS_KEY_ID];
static bool is_handshake; /* what was last wanted signed */
static char path[] = "/tmp/goniec-fuzz-XXXXXX";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void hold_key(void)
{
    static struct supervisor_settings settings;
    static const struct conf_tls tls;
    struct buf certificate = BUF_EMPTY(10000), key = BUF_EMPTY(10000), why = BUF_EMPTY(1000);
    require(tls_self_signed("mail.example", 1, &certificate, &key) == STATUS_OK);
    settings.blobs[settings.blob_count++] = (struct supervisor_blob){ SPAN(CONF_SELF_SIGNED_KEY), buf_span(&key) };
    struct key_set *set = key_set_new(&settings, &tls, &why);
    require(set);
    memcpy(key_id, tls_key_id(set->keys[0]), TLS_KEY_ID);
    require(directory_service_set_keys(service, set) == STATUS_OK);
    key_set_free(set);
    buf_done(&certificate);
    buf_done(&key);
}

/* Token and length stand before the key. */
static void name_key(uint8_t *body, size_t n)
{
    struct ask_sign ask;
    if (n >= 12 + TLS_KEY_ID)
        memcpy(body + 12, key_id, TLS_KEY_ID);
    is_handshake = ask_sign_get(span_of(body, n), &ask) && tls_content_check(ask.content, false) == STATUS_OK;
}

static void tidy(void)
{
    directory_service_free(service);
    accounts_close(accounts);
    loop_free(loop);
    char name[64];
    static const char *const ends[] = { "", "-wal", "-shm", "-salts", "-counts-a", "-counts-b", "-known", "-known-wal", "-known-shm" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static void begin(void)
{
    int fd = mkstemp(path);
    require(fd >= 0 && secret_init() == STATUS_OK);
    close(fd);
    require(accounts_open_to_change(path, -1, -1, &accounts) == STATUS_OK);
    struct scram_verifier verifier;
    static const unsigned char secret[SCRAM_HASH];
    struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    scram_verifier_fake(secret, SPAN("anna@example.org"), SCRAM_ITERATIONS_LEAST, SCRAM_SALT, &verifier);
    buf_add_str(&stored, "x\n");
    require(scram_verifier_print(&verifier, &stored) == STATUS_OK);
    require(accounts_add(accounts, SPAN("anna@example.org"), buf_span(&stored), SPAN(""), 0) == STATUS_OK);
    buf_done(&stored);
    require(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("*@shop.example"), 0) == STATUS_OK);
    loop = loop_new();
    log_init(&log_nowhere, -1, "directory", LOG_ERROR);
    struct directory_limits limits = { .threads = 1, .waiting = 8, .remember_ms = 1000, .signers = 1 };
    service = directory_service_new(loop, &log_nowhere, path, &limits);
    require(loop && service);
    directory_service_scram(service, DIRECTORY_SCRAM_YES, SCRAM_ITERATIONS_LEAST);
    const struct span rules[] = { SPAN("messages 3/1min each sender"), SPAN("recipients 5/1min each sender"),
                                         SPAN("bytes 10KiB/1min each sender"), SPAN("new-recipients 4/1min each sender") };
    directory_service_limits(service, &(struct conf_texts){ rules, ARRAY_LEN(rules) }, 3600000, 0);
    hold_key();
    atexit(tidy);
}

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    struct tell_auth auth;
    struct tell_challenge challenge;
    struct tell_verdict verdict;
    struct tell_mechanisms mechanisms;
    struct tell_signature signature;
    struct tell_count count;
    struct tell_counted counted;
    switch (kind) {
    case TELL_AUTH: require(tell_auth_get(body, &auth) && auth.result != AUTH_OK && span_is_ascii(auth.text)); break;
    case TELL_CHALLENGE: require(tell_challenge_get(body, &challenge) && !span_starts(challenge.challenge, SPAN("v="))); break;
    case TELL_VERDICT:
        require(tell_verdict_get(body, &verdict) && span_is_ascii(verdict.text));
        require(span_find(verdict.text, '\n') == verdict.text.n && span_find(verdict.text, '\r') == verdict.text.n);
        break;
    case TELL_SIGNATURE:
        require(tell_signature_get(body, &signature) && (signature.result == SIGN_OK) == (signature.signature.n > 0));
        require(signature.result != SIGN_OK || is_handshake);
        break;
    case TELL_COUNT: require(tell_count_get(body, &count)); break;
    case TELL_COUNTED:
        require(tell_counted_get(body, &counted) && span_is_ascii(counted.text) && (counted.result == COUNTED_YES || counted.text.n));
        require(span_find(counted.text, '\n') == counted.text.n && span_find(counted.text, '\r') == counted.text.n);
        break;
    default: require(kind == TELL_MECHANISMS && tell_mechanisms_get(body, &mechanisms));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!service)
        begin();
    struct directory_peer *peer = directory_peer_new(service, on_answer, NULL);
    require(peer);
    while (size >= 3) {
        uint16_t kind = data[0];
        size_t length = MIN((size_t)data[1] | (size_t)data[2] << 8, size - 3);
        uint8_t *exact = malloc(length ? length : 1); /* so that the sanitizer sees one octet too far */
        require(exact);
        memcpy(exact, data + 3, length);
        if (kind == ASK_SIGN)
            name_key(exact, length);
        enum status status = directory_peer_feed(peer, kind, span_of(exact, length));
        free(exact);
        if (status != STATUS_OK)
            break; /* where a real one is cut off */
        data += 3 + length;
        size -= 3 + length;
        loop_turn(loop, 0);
    }
    directory_peer_free(peer);
    loop_turn(loop, 0);
    return 0;
}
