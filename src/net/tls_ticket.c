/* net/tls_ticket.c -- the keys that seal session tickets (RFC 5077, RFC 8446 section 4.6.1). */
#include "base/time.h"
#include "net/tls_priv.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define PERIOD_MS (12 * TIME_HOUR_MS)

static bool derive_part(const struct tls_server *server, int64_t period, char part, unsigned char *ret, size_t n)
{
    unsigned char label[24] = "goniec ticket ";
    unsigned char digest[32];
    unsigned digest_n = sizeof(digest);
    label[14] = (unsigned char)part;
    for (unsigned i = 0; i < 8; i++)
        label[15 + i] = (unsigned char)((uint64_t)period >> (8 * i));
    if (!HMAC(EVP_sha256(), server->secret, sizeof(server->secret), label, 23, digest, &digest_n))
        return false;
    memcpy(ret, digest, n);
    OPENSSL_cleanse(digest, sizeof(digest));
    return true;
}

/* The key of a half day, kept where the one with the same parity was. NULL: OpenSSL refused. */
static const struct tls_ticket_key *key_of(struct tls_server *server, int64_t period)
{
    struct tls_ticket_key *key = &server->keys[period & 1];
    if (key->period == period)
        return key;
    key->period = -1;
    if (!derive_part(server, period, 'n', key->name, sizeof(key->name)) ||
        !derive_part(server, period, 'c', key->cipher, sizeof(key->cipher)) ||
        !derive_part(server, period, 'm', key->mac, sizeof(key->mac)))
        return NULL;
    key->period = period;
    return key;
}

static bool use(const struct tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    unsigned char secret[32];
    memcpy(secret, key->mac, sizeof(secret));
    char digest[] = "sha256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool good = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypt) == 1 &&
                EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return good;
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int64_t now = time_wall_ms() / PERIOD_MS;
    if (encrypt) {
        const struct tls_ticket_key *key = key_of(server, now);
        if (!key || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        memcpy(name, key->name, sizeof(key->name));
        return use(key, iv, cipher, mac, 1) ? 1 : -1;
    }
    for (int64_t period = now; period >= now - 1; period--) {
        const struct tls_ticket_key *key = key_of(server, period);
        if (!key || memcmp(name, key->name, sizeof(key->name)) != 0)
            continue;
        if (!use(key, iv, cipher, mac, 0))
            return -1;
        SSL_set_num_tickets(ssl, 1); /* it does use them: the next one for the one it spends */
        return period == now && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2; /* 2: and give out a new one */
    }
    return 0; /* unknown: a full handshake */
}
