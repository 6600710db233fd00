/* net/tls_key.c -- private keys that sign for another process. */
#include "net/tls_key.h"
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct tls_key {
    unsigned refs;
    EVP_PKEY *key;
    bool quick;
    unsigned char id[TLS_KEY_ID];
};

/* -- keys -- */

bool tls_key_id_of(const EVP_PKEY *key, unsigned char ret[TLS_KEY_ID])
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    bool good = n > 0 && EVP_Digest(der, (size_t)n, ret, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return good;
}

static bool has_group(const EVP_PKEY *key, const char *const *names, size_t count)
{
    char name[64];
    size_t n;
    if (EVP_PKEY_get_group_name(key, name, sizeof(name), &n) != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool tls_key_is_usable(const EVP_PKEY *key)
{
    static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1" };
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return EVP_PKEY_get_size(key) <= TLS_SIGNATURE_MAX;
    case EVP_PKEY_EC: return has_group(key, curves, ARRAY_LEN(curves));
    case EVP_PKEY_ED25519: return true;
    default: return false;
    }
}

static bool is_quick(const EVP_PKEY *key)
{
    static const char *const quick[] = { "prime256v1" };
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ||
           (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && has_group(key, quick, ARRAY_LEN(quick)));
}

enum status tls_key_new(struct span pem, char error[TLS_ERROR_SIZE], struct tls_key **ret)
{
    struct tls_key *key = calloc(1, sizeof(*key));
    if (!key)
        return STATUS_MEMORY;
    *key = (struct tls_key){ .refs = 1 };
    enum status status = tls_private_key_load(pem, error, &key->key);
    if (status == STATUS_OK && !tls_key_id_of(key->key, key->id))
        status = STATUS_MEMORY;
    ERR_clear_error();
    if (status != STATUS_OK) {
        tls_key_unref(key);
        return status;
    }
    key->quick = is_quick(key->key);
    *ret = key;
    return STATUS_OK;
}

struct tls_key *tls_key_ref(struct tls_key *key)
{
    key->refs++;
    return key;
}

void tls_key_unref(struct tls_key *key)
{
    if (!key || --key->refs)
        return;
    EVP_PKEY_free(key->key);
    free(key);
}

const unsigned char *tls_key_id(const struct tls_key *key) { return key->id; }
bool tls_key_is_quick(const struct tls_key *key) { return key->quick; }

/* -- what is signed -- */

#define SPACES "                                                                " /* 64 of them */
#define TLS13_PREFIX SPACES "TLS 1.3, server CertificateVerify\0"
#define TLS12_RANDOMS 64 /* octets of both */

static bool is_tls13(struct span content)
{
    struct span prefix = SPAN(TLS13_PREFIX);
    size_t digest = content.n - prefix.n; /* SHA-256 or SHA-384: those of our ciphers */
    return span_starts(content, prefix) && (digest == 32 || digest == 48);
}

/* client_random, server_random, then ECParameters of a named curve and the public point. */
static bool is_tls12(struct span content)
{
    static const struct { unsigned group, octets; } groups[] = { { 0x1d, 32 }, { 0x17, 65 }, { 0x18, 97 } };
    struct span downgrade = SPAN("DOWNGRD\x01"), params = span_from(content, TLS12_RANDOMS);
    const unsigned char *p = (const unsigned char *)params.p;
    if (params.n < 4 || !span_eq(span_of(params.p - downgrade.n, downgrade.n), downgrade) || p[0] != 3 || p[1] != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (p[2] == groups[i].group)
            return p[3] == groups[i].octets && params.n == 4 + groups[i].octets;
    return false;
}

enum status tls_content_check(struct span content, bool only_tls13)
{
    return is_tls13(content) || (!only_tls13 && is_tls12(content)) ? STATUS_OK : STATUS_SYNTAX;
}

/* -- signing -- */

static const struct tls_scheme {
    uint16_t code;
    int kind;
    const char *digest; /* NULL: the algorithm's own */
    bool pss, only_tls12;
} schemes[] = {
    { 0x0403, EVP_PKEY_EC, "SHA256", false, false },      { 0x0503, EVP_PKEY_EC, "SHA384", false, false },
    { 0x0603, EVP_PKEY_EC, "SHA512", false, false },      { 0x0807, EVP_PKEY_ED25519, NULL, false, false },
    { 0x0804, EVP_PKEY_RSA, "SHA256", true, false },      { 0x0805, EVP_PKEY_RSA, "SHA384", true, false },
    { 0x0806, EVP_PKEY_RSA, "SHA512", true, false },      { 0x0401, EVP_PKEY_RSA, "SHA256", false, true },
    { 0x0501, EVP_PKEY_RSA, "SHA384", false, true },      { 0x0601, EVP_PKEY_RSA, "SHA512", false, true },
};

uint16_t tls_scheme_code(int kind, const char *digest, bool pss)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        const struct tls_scheme *scheme = &schemes[i];
        if (scheme->kind == kind && scheme->pss == pss && (!scheme->digest || strcmp(scheme->digest, digest) == 0))
            return scheme->code;
    }
    return 0;
}

static const struct tls_scheme *scheme_of(const struct tls_key *key, uint16_t code, struct span content)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (schemes[i].code == code)
            return schemes[i].kind == EVP_PKEY_get_base_id(key->key) && !(schemes[i].only_tls12 && is_tls13(content))
                       ? &schemes[i]
                       : NULL;
    return NULL;
}

static bool sign(const struct tls_key *key, const struct tls_scheme *scheme, struct span content,
                 unsigned char ret[TLS_SIGNATURE_MAX], size_t *ret_n)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *details;
    size_t n = TLS_SIGNATURE_MAX;
    bool good = context &&
                EVP_DigestSignInit_ex(context, &details, scheme->digest, NULL, NULL, key->key, NULL) == 1 &&
                (!scheme->pss || (EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) == 1 &&
                                  EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
                EVP_DigestSign(context, ret, &n, (const unsigned char *)content.p, content.n) == 1;
    EVP_MD_CTX_free(context);
    if (good)
        *ret_n = n;
    else
        ERR_clear_error();
    return good;
}

enum status tls_key_sign(const struct tls_key *key, uint16_t code, struct span content, bool only_tls13,
                         unsigned char ret[TLS_SIGNATURE_MAX], size_t *ret_n)
{
    enum status status = tls_content_check(content, only_tls13);
    if (status != STATUS_OK)
        return status;
    const struct tls_scheme *scheme = scheme_of(key, code, content);
    if (!scheme)
        return STATUS_DENIED;
    return sign(key, scheme, content, ret, ret_n) ? STATUS_OK : STATUS_MEMORY;
}
