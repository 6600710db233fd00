/* Keys that directory keeps for smtpd, and what it signs with them. */
#include "directory/keys.h"
#include "directory/service.h"
#include "test.h"
#include "wire/smtpd_directory.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define CONTENT                                                          \
    "                                                                "   \
    "TLS 1.3, server CertificateVerify\0" "0123456789abcdef0123456789abcdef"

enum { EC, OTHER_EC, RSA2048, KINDS };
static struct buf pems[KINDS];
static unsigned char ids[KINDS][TLS_KEY_ID];

static struct loop *loop;
static struct log log_nowhere;
static struct directory_service *service;
static struct directory_peer *peer;
static unsigned answers;
static struct tell_signature last;

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    if (kind == TELL_COUNT)
        return;
    if (kind != TELL_SIGNATURE)
        return;
    assert_true(tell_signature_get(body, &last));
    assert_true((last.result == SIGN_OK) == (last.signature.n > 0));
    last.signature.p = NULL; /* gone with this call */
    answers++;
}

static int make_pems(void **state)
{
    EVP_PKEY *made[KINDS] = { EVP_EC_gen("P-256"), EVP_EC_gen("P-256"), EVP_RSA_gen(2048) };
    for (unsigned i = 0; i < KINDS; i++) {
        char *p, error[TLS_ERROR_SIZE];
        struct tls_key *key;
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_PrivateKey(bio, made[i], NULL, NULL, 0, NULL, NULL) != 1)
            return 1;
        pems[i] = BUF_EMPTY(10000);
        long n = BIO_get_mem_data(bio, &p);
        buf_add(&pems[i], span_of(p, (size_t)n));
        BIO_free(bio);
        EVP_PKEY_free(made[i]);
        if (tls_key_new(buf_span(&pems[i]), error, &key) != STATUS_OK)
            return 1;
        memcpy(ids[i], tls_key_id(key), TLS_KEY_ID);
        tls_key_unref(key);
    }
    return 0;
}

static int free_pems(void **state)
{
    for (unsigned i = 0; i < KINDS; i++)
        buf_done(&pems[i]);
    return 0;
}

/* What the settings of a server with these keys would become. */
static struct key_set *set_of(const unsigned *kinds, size_t n, enum conf_tls_version minimum)
{
    static const struct span names[KINDS] = { SPAN("ec.pem"), SPAN("other.pem"), SPAN("rsa.pem") };
    AUTO(buf_done) struct buf why = BUF_EMPTY(1000);
    struct conf_certificate rows[KINDS];
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    for (size_t i = 0; i < n; i++) {
        rows[i] = i % 2 ? (struct conf_certificate){ .certificate = SPAN("crt"), .key = names[kinds[i]] }
                        : (struct conf_certificate){ .certificate = names[kinds[i]] }; /* in one file */
        settings->blobs[settings->blob_count++] = (struct supervisor_blob){ names[kinds[i]], buf_span(&pems[kinds[i]]) };
    }
    struct conf_tls tls = { .certificates = { .items = rows, .n = n }, .minimum = minimum };
    struct key_set *set = key_set_new(settings, &tls, &why);
    free(settings);
    assert_non_null(set);
    assert_int_equal(set->n, n);
    return set;
}

static void hold(const unsigned *kinds, size_t n, enum conf_tls_version minimum)
{
    struct key_set *set = set_of(kinds, n, minimum);
    assert_int_equal(directory_service_set_keys(service, set), STATUS_OK);
    key_set_free(set);
}
#define HOLD(minimum, ...) hold((const unsigned[]){ __VA_ARGS__ }, sizeof((unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned), minimum)

static int setup(void **state)
{
    loop = loop_new();
    log_init(&log_nowhere, -1, "directory", LOG_ERROR);
    struct directory_limits limits = { .threads = 1, .waiting = 1, .remember_ms = 1000, .signers = 2 };
    service = directory_service_new(loop, &log_nowhere, "/nonexistent/accounts.db", &limits);
    peer = service ? directory_peer_new(service, on_answer, NULL) : NULL;
    answers = 0;
    return peer ? 0 : 1;
}

static int teardown(void **state)
{
    directory_peer_free(peer);
    directory_service_free(service);
    log_done(&log_nowhere);
    loop_free(loop);
    return 0;
}

static void ask(uint64_t token, unsigned kind, uint16_t scheme, struct span content)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1000);
    ask_sign_put(&body, &(struct ask_sign){ token, span_of(ids[kind], TLS_KEY_ID), scheme, content });
    assert_int_equal(directory_peer_feed(peer, ASK_SIGN, buf_span(&body)), STATUS_OK);
}

static void wait_answers(unsigned count)
{
    while (answers < count)
        loop_turn(loop, -1);
}

static enum sign_result result_of(unsigned kind, uint16_t scheme, struct span content)
{
    answers = 0;
    ask(9, kind, scheme, content);
    wait_answers(1);
    assert_int_equal(last.token, 9);
    return (enum sign_result)last.result;
}

static void test_signs_handshakes_only(void **state)
{
    struct span content = SPAN(CONTENT);
    assert_int_equal(result_of(EC, 0x0403, content), SIGN_UNKNOWN_KEY);
    HOLD(CONF_TLS_1_2, EC, RSA2048);
    assert_int_equal(result_of(EC, 0x0403, content), SIGN_OK);
    assert_int_equal(result_of(RSA2048, 0x0804, content), SIGN_OK);
    assert_int_equal(last.signature.n, 256);
    assert_int_equal(result_of(OTHER_EC, 0x0403, content), SIGN_UNKNOWN_KEY);
    assert_int_equal(result_of(EC, 0x0804, content), SIGN_REFUSED);
    assert_int_equal(result_of(RSA2048, 0x0401, content), SIGN_REFUSED);
    assert_int_equal(result_of(EC, 0x0403, span_from(content, 1)), SIGN_REFUSED);
    assert_int_equal(result_of(RSA2048, 0x0804, SPAN("a contract")), SIGN_REFUSED);
    assert_int_equal(result_of(EC, 0x0403, SPAN_NONE), SIGN_REFUSED);
}

static void test_settings_bind(void **state)
{
    struct span tls12 = SPAN("rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrssssssssssssssssssssssssDOWNGRD\x01\x03\x00\x1d\x20"
                             "0123456789abcdef0123456789abcdef");
    HOLD(CONF_TLS_1_2, EC);
    assert_int_equal(result_of(EC, 0x0403, tls12), SIGN_OK);
    HOLD(CONF_TLS_1_3, EC);
    assert_int_equal(result_of(EC, 0x0403, tls12), SIGN_REFUSED);
}

/* Handshakes that began before a reload still find their key. */
static void test_reload(void **state)
{
    HOLD(CONF_TLS_1_2, EC);
    HOLD(CONF_TLS_1_2, OTHER_EC, RSA2048);
    assert_int_equal(result_of(EC, 0x0403, SPAN(CONTENT)), SIGN_OK);
    assert_int_equal(result_of(OTHER_EC, 0x0403, SPAN(CONTENT)), SIGN_OK);
    HOLD(CONF_TLS_1_2, OTHER_EC);
    HOLD(CONF_TLS_1_2, OTHER_EC);
    assert_int_equal(result_of(RSA2048, 0x0804, SPAN(CONTENT)), SIGN_OK);
}

static void test_old_keys_go(void **state)
{
    struct keys keys;
    static const unsigned first[] = { EC, RSA2048 }, second[] = { RSA2048 };
    keys_init(&keys, loop);
    keys.kept_ms = 1;
    struct key_set *set = set_of(first, 2, CONF_TLS_1_2);
    assert_int_equal(keys_replace(&keys, set), STATUS_OK);
    key_set_free(set);
    set = set_of(second, 1, CONF_TLS_1_2);
    assert_int_equal(keys_replace(&keys, set), STATUS_OK);
    key_set_free(set);
    assert_non_null(keys_find(&keys, span_of(ids[EC], TLS_KEY_ID)));
    while (keys_find(&keys, span_of(ids[EC], TLS_KEY_ID)))
        loop_turn(loop, -1);
    assert_non_null(keys_find(&keys, span_of(ids[RSA2048], TLS_KEY_ID)));
    assert_false(loop_timer_runs(&keys.clean));
    keys_done(&keys);
}

/* Signatures of many handshakes at once do not hold up the logins. */
static void test_crowd(void **state)
{
    HOLD(CONF_TLS_1_2, EC);
    for (unsigned turn = 0; turn < 2; turn++) {
        answers = 0;
        for (uint64_t i = 0; i < 30; i++)
            ask(i, EC, 0x0403, SPAN(CONTENT));
        assert_int_equal(answers, 8);
        wait_answers(30);
        assert_int_equal(last.result, SIGN_OK);
        loop_turn(loop, 0);
    }
}

/* A smtpd that dies, and a service that ends, while threads sign. */
static void test_gone_meanwhile(void **state)
{
    HOLD(CONF_TLS_1_2, RSA2048);
    for (uint64_t i = 0; i < 20; i++)
        ask(i, RSA2048, 0x0804, SPAN(CONTENT));
    assert_int_equal(answers, 0);
    directory_peer_free(peer);
    peer = directory_peer_new(service, on_answer, NULL);
    assert_int_equal(result_of(RSA2048, 0x0804, SPAN(CONTENT)), SIGN_OK); /* the first that anybody hears of */
    for (uint64_t i = 0; i < 20; i++)
        ask(i, RSA2048, 0x0804, SPAN(CONTENT));
}

static void test_bad_settings(void **state)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(1000);
    struct conf_certificate row = { .certificate = SPAN("no-such.pem") };
    struct conf_tls tls = { .certificates = { .items = &row, .n = 1 } };
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    assert_null(key_set_new(settings, &tls, &why));
    assert_true(span_starts(buf_span(&why), SPAN("tls: no-such.pem: no private key")));
    free(settings);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_signs_handshakes_only), CASE(test_settings_bind), CASE(test_reload),
                                        CASE(test_old_keys_go), CASE(test_crowd), CASE(test_gone_meanwhile), CASE(test_bad_settings) };
    return cmocka_run_group_tests(tests, make_pems, free_pems);
}
