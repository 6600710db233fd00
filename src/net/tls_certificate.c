/* net/tls_certificate.c -- certificates and keys that belong together: reading, checking. */
#include "base/time.h"
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* The leaf, then every further certificate of the text. */
static enum status load_chain(struct span pem, char error[TLS_ERROR_SIZE], struct tls_identity *ret)
{
    BIO *bio = tls_pem_open(pem);
    if (bio)
        ret->leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_pem_no_passphrase, NULL);
    if (!ret->leaf) {
        BIO_free(bio);
        tls_error_set(error, "no certificate (PEM) found");
        return STATUS_SYNTAX;
    }
    ret->chain = sk_X509_new_null();
    X509 *next;
    while (ret->chain && (next = PEM_read_bio_X509(bio, NULL, tls_pem_no_passphrase, NULL)) != NULL) {
        if (!sk_X509_push(ret->chain, next))
            X509_free(next);
    }
    ERR_clear_error(); /* the end of the text counts as an error there */
    BIO_free(bio);
    return ret->chain ? STATUS_OK : STATUS_MEMORY;
}

static enum status load_key(struct span pem, char error[TLS_ERROR_SIZE], struct tls_identity *ret)
{
    enum status status = tls_private_key_load(pem, error, &ret->key);
    if (status != STATUS_OK)
        return status;
    if (X509_check_private_key(ret->leaf, ret->key) != 1) {
        tls_error_set(error, "the key is not the certificate's");
        return STATUS_DENIED;
    }
    if (tls_key_is_usable(ret->key))
        return STATUS_OK;
    snprintf(error, TLS_ERROR_SIZE, "a key of this kind is not supported; use ECDSA with P-256, RSA or Ed25519");
    return STATUS_DENIED;
}

static enum status find_key_elsewhere(char error[TLS_ERROR_SIZE], struct tls_identity *ret)
{
    ret->key = tls_key_elsewhere(X509_get0_pubkey(ret->leaf));
    if (ret->key)
        return STATUS_OK;
    tls_error_set(error, "the certificate's public key cannot be used");
    return STATUS_DENIED;
}

enum status tls_identity_load(const struct tls_pair *pair, bool elsewhere, char error[TLS_ERROR_SIZE], struct tls_identity *ret)
{
    struct tls_identity identity = { 0 };
    ERR_clear_error();
    enum status status = load_chain(pair->certificate, error, &identity);
    if (status == STATUS_OK)
        status = elsewhere ? find_key_elsewhere(error, &identity)
                           : load_key(pair->key.n ? pair->key : pair->certificate, error, &identity);
    if (status == STATUS_OK)
        *ret = identity;
    else
        tls_identity_done(&identity);
    return status;
}

void tls_identity_done(struct tls_identity *identity)
{
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct tls_identity){ 0 };
}

static bool copy_name(const ASN1_STRING *from, char *ret, size_t room)
{
    int n = ASN1_STRING_length(from);
    const void *p = ASN1_STRING_get0_data(from);
    if (n <= 0 || (size_t)n >= room || memchr(p, '\0', (size_t)n))
        return false;
    memcpy(ret, p, (size_t)n);
    ret[n] = '\0';
    return true;
}

void tls_identity_name(X509 *leaf, char *ret, size_t room)
{
    bool found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        found = name->type == GEN_DNS && copy_name(name->d.dNSName, ret, room);
    }
    GENERAL_NAMES_free(names);
    X509_NAME *subject = X509_get_subject_name(leaf);
    int at = found ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        found = copy_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), ret, room);
    if (!found)
        ret[0] = '\0';
    ERR_clear_error();
}

enum status tls_pair_check(const struct tls_pair *pair, char error[TLS_ERROR_SIZE], int64_t *ret_until_wall_ms)
{
    struct tls_identity identity;
    enum status status = tls_identity_load(pair, false, error, &identity);
    if (status != STATUS_OK)
        return status;
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(identity.leaf)) == 1) {
        *ret_until_wall_ms = time_wall_ms() + days * TIME_DAY_MS + seconds * TIME_SECOND_MS;
    } else {
        snprintf(error, TLS_ERROR_SIZE, "the certificate's last day cannot be read");
        status = STATUS_SYNTAX;
    }
    tls_identity_done(&identity);
    return status;
}

enum status tls_only_certificates(struct span pem, struct buf *ret)
{
    char error[TLS_ERROR_SIZE];
    struct tls_identity found = { 0 };
    ERR_clear_error();
    enum status status = load_chain(pem, error, &found);
    BIO *bio = status == STATUS_OK ? BIO_new(BIO_s_mem()) : NULL;
    bool good = bio && PEM_write_bio_X509(bio, found.leaf) == 1;
    for (int i = 0; good && i < sk_X509_num(found.chain); i++)
        good = PEM_write_bio_X509(bio, sk_X509_value(found.chain, i)) == 1;
    if (status == STATUS_OK)
        status = good ? tls_pem_copy(bio, ret) : STATUS_MEMORY;
    BIO_free(bio);
    tls_identity_done(&found);
    return status;
}

enum status tls_trust_system(struct buf *ret)
{
    static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                          "/etc/ssl/cert.pem" };
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        FILE *file = fopen(places[i], "re");
        if (!file)
            continue;
        enum status status = buf_fill(ret, fileno(file));
        fclose(file);
        return status;
    }
    return STATUS_IO;
}
