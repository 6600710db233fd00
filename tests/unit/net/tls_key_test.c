/* What a key that is kept for another process signs, and what it refuses. */
#include "made_key.h"
#include <openssl/rsa.h>

#define SPACES64 "                                                                "
#define PREFIX13 SPACES64 "TLS 1.3, server CertificateVerify\0"
#define HASH32 "0123456789abcdef0123456789abcdef"
#define RANDOM32 "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
#define OURS32 "ssssssssssssssssssssssssDOWNGRD\x01"
#define X25519 "\x03\x00\x1d\x20" HASH32
#define POINT65 "\x04" HASH32 HASH32

static void only_handshakes_are_signed(void **state)
{
    static const struct {
        struct span content;
        enum status any, only13;
    } rows[] = {
        { SPAN(PREFIX13 HASH32), STATUS_OK, STATUS_OK },
        { SPAN(PREFIX13 HASH32 "0123456789abcdef"), STATUS_OK, STATUS_OK }, /* SHA-384 */
        { SPAN(PREFIX13 HASH32 "0"), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(PREFIX13), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(PREFIX13 HASH32 HASH32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(SPACES64 "TLS 1.3, client CertificateVerify\0" HASH32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(" " PREFIX13 HASH32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 X25519), STATUS_OK, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 "\x03\x00\x17\x41" POINT65), STATUS_OK, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 "\x03\x00\x18\x61" POINT65 HASH32), STATUS_OK, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 "\x03\x00\x17\x20" HASH32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 "\x03\x00\x1d\x21" HASH32 "x"), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 "\x01\x00\x1d\x20" HASH32), STATUS_SYNTAX, STATUS_SYNTAX }, /* a curve of one's own */
        { SPAN(RANDOM32 OURS32 "\x03\x00\x1e\x20" HASH32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32 OURS32 X25519 "x"), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32 RANDOM32 X25519), STATUS_SYNTAX, STATUS_SYNTAX }, /* usable against who speaks TLS 1.3 */
        { SPAN(RANDOM32 OURS32 "\x03\x00\x1d"), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN(RANDOM32), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN("a contract"), STATUS_SYNTAX, STATUS_SYNTAX },
        { SPAN_NONE, STATUS_SYNTAX, STATUS_SYNTAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(tls_content_check(rows[i].content, false), rows[i].any);
        assert_int_equal(tls_content_check(rows[i].content, true), rows[i].only13);
    }
}

/* Does what was signed verify with the public key? */
static bool verifies(EVP_PKEY *key, const char *digest, bool pss, struct span content, const unsigned char *p, size_t n)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *details;
    assert_int_equal(EVP_DigestVerifyInit_ex(context, &details, digest, NULL, NULL, key, NULL), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    bool good = EVP_DigestVerify(context, p, n, (const unsigned char *)content.p, content.n) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static void each_kind_signs_its_schemes(void **state)
{
    enum { P256, P384, RSA2048, ED25519, KINDS };
    EVP_PKEY *made[KINDS] = { EVP_EC_gen("P-256"), EVP_EC_gen("P-384"), EVP_RSA_gen(2048), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
    static const bool quick[KINDS] = { [P256] = true, [ED25519] = true };
    static const struct {
        unsigned kind;
        uint16_t scheme;
        const char *digest;
        bool pss;
        enum status in_13, in_12;
    } rows[] = {
        { P256, 0x0403, "SHA256", false, STATUS_OK, STATUS_OK },
        { P256, 0x0503, "SHA384", false, STATUS_OK, STATUS_OK },
        { P384, 0x0503, "SHA384", false, STATUS_OK, STATUS_OK },
        { ED25519, 0x0807, NULL, false, STATUS_OK, STATUS_OK },
        { RSA2048, 0x0804, "SHA256", true, STATUS_OK, STATUS_OK },
        { RSA2048, 0x0806, "SHA512", true, STATUS_OK, STATUS_OK },
        { RSA2048, 0x0401, "SHA256", false, STATUS_DENIED, STATUS_OK },
        { RSA2048, 0x0501, "SHA384", false, STATUS_DENIED, STATUS_OK },
        { RSA2048, 0x0403, NULL, false, STATUS_DENIED, STATUS_DENIED },
        { P256, 0x0804, NULL, false, STATUS_DENIED, STATUS_DENIED },
        { P256, 0x0203, NULL, false, STATUS_DENIED, STATUS_DENIED }, /* SHA-1 */
        { ED25519, 0, NULL, false, STATUS_DENIED, STATUS_DENIED },
    };
    struct tls_key *keys[KINDS];
    for (unsigned i = 0; i < KINDS; i++) {
        keys[i] = key_of(made[i]);
        assert_int_equal(tls_key_is_quick(keys[i]), quick[i]);
    }
    struct span contents[] = { SPAN(PREFIX13 HASH32), SPAN(RANDOM32 OURS32 X25519) };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned version = 0; version < 2; version++) {
            unsigned char signature[TLS_SIGNATURE_MAX];
            size_t n = 0;
            enum status wanted = version ? rows[i].in_12 : rows[i].in_13;
            enum status got = tls_key_sign(keys[rows[i].kind], rows[i].scheme, contents[version], false, signature, &n);
            assert_int_equal(got, wanted);
            if (got == STATUS_OK)
                assert_true(verifies(made[rows[i].kind], rows[i].digest, rows[i].pss, contents[version], signature, n));
        }
    unsigned char signature[TLS_SIGNATURE_MAX];
    size_t n = 0;
    assert_int_equal(tls_key_sign(keys[P256], 0x0403, SPAN("a contract"), false, signature, &n), STATUS_SYNTAX);
    assert_int_equal(tls_key_sign(keys[P256], 0x0403, contents[1], true, signature, &n), STATUS_SYNTAX);
    for (unsigned i = 0; i < KINDS; i++) {
        tls_key_unref(tls_key_ref(keys[i]));
        tls_key_unref(keys[i]);
        EVP_PKEY_free(made[i]);
    }
}

static void what_is_no_key(void **state)
{
    char error[TLS_ERROR_SIZE];
    struct tls_key *key;
    assert_int_equal(tls_key_new(SPAN_NONE, error, &key), STATUS_SYNTAX);
    assert_non_null(strstr(error, "private key"));
    assert_int_equal(tls_key_new(SPAN("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"), error, &key), STATUS_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_handshakes_are_signed),
                                        cmocka_unit_test(each_kind_signs_its_schemes), cmocka_unit_test(what_is_no_key) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
