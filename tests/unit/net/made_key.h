/* Keys of TLS that a test made itself. */
#pragma once
#include "net/tls_key.h"
#include "test.h"
#include <openssl/evp.h>
#include <openssl/pem.h>

/* Ours of OpenSSL's, which stays the caller's. */
static struct tls_key *key_of(EVP_PKEY *made)
{
    char error[TLS_ERROR_SIZE];
    char *p;
    struct tls_key *key = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_non_null(made);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, made, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &p);
    assert_int_equal(tls_key_new(span_of(p, (size_t)n), error, &key), STATUS_OK);
    BIO_free(bio);
    return key;
}
