/* net/tls_self_signed.c -- a certificate of one's own, until somebody gives a better one. */
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static bool add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, const char *name, unsigned days)
{
    uint64_t serial;
    char names[300];
    tls_random(&serial, sizeof(serial));
    snprintf(names, sizeof(names), "DNS:%s", name);
    X509_NAME *subject = X509_get_subject_name(certificate);
    size_t n = MIN(strlen(name), (size_t)64); /* the common name's limit, X.520; the whole stands below */
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL) && X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, (int)n, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           add_extension(certificate, NID_subject_alt_name, names) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

enum status tls_self_signed(const char *name, unsigned days, struct buf *ret_certificate, struct buf *ret_key)
{
    if (!name[0] || strlen(name) > 253 || strpbrk(name, ",\r\n "))
        return STATUS_SYNTAX; /* a comma would begin another name */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    BIO *certificate_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
    enum status status = STATUS_MEMORY;
    if (key && certificate && certificate_pem && key_pem && fill_certificate(certificate, key, name, days) &&
        PEM_write_bio_X509(certificate_pem, certificate) == 1 &&
        PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) == 1)
        status = tls_pem_copy(certificate_pem, ret_certificate);
    if (status == STATUS_OK)
        status = tls_pem_copy(key_pem, ret_key);
    BIO_free(certificate_pem);
    BIO_free(key_pem);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}
