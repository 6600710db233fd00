/* net/tls_pem.c -- what the other TLS files stand on: PEM's texts, OpenSSL's errors in words, its random octets. */
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

void tls_random(void *p, size_t n)
{
    if (n > INT32_MAX || RAND_bytes(p, (int)n) != 1)
        abort();
}

void tls_error_set(char error[TLS_ERROR_SIZE], const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(error, TLS_ERROR_SIZE, reason ? "%s: %s" : "%s", what, reason);
    ERR_clear_error();
}

void tls_forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

int tls_pem_no_passphrase(char *p, int n, int writing, void *arg) { return -1; }

BIO *tls_pem_open(struct span pem)
{
    return pem.n == 0 || pem.n > INT32_MAX ? NULL : BIO_new_mem_buf(pem.p, (int)pem.n);
}

enum status tls_pem_copy(BIO *bio, struct buf *ret)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return n > 0 ? buf_add(ret, span_of(p, (size_t)n)) : STATUS_MEMORY;
}

enum status tls_private_key_load(struct span pem, char error[TLS_ERROR_SIZE], EVP_PKEY **ret)
{
    BIO *bio = tls_pem_open(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, tls_pem_no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!key) {
        tls_error_set(error, "no private key (PEM, without a passphrase) found");
        return STATUS_SYNTAX;
    }
    *ret = key;
    return STATUS_OK;
}
