/* net/tls_context.c -- the server's contexts: certificates, choice by name, and what all contexts have in common. */
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define CIPHERS_TLS12                                                                                             \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                     \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
/* AES-128 first: no weaker for any purpose of ours, and its SHA-256 makes handshakes and records cheaper. */
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
/* What tls_key.c can sign with, in the order in which a client's choices count. */
#define SIGNATURES                                                                                             \
    "ECDSA+SHA256:ed25519:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:"   \
    "RSA+SHA384:RSA+SHA512"

bool tls_context_harden(SSL_CTX *context, bool only_tls13, int least_version)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                     SSL_OP_CLEANSE_PLAINTEXT /* passwords come through */);
    /* An idle connection keeps no record buffers; writes may be tried again from another place. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return SSL_CTX_set_min_proto_version(context, only_tls13 ? TLS1_3_VERSION : least_version) == 1 &&
           SSL_CTX_set_ciphersuites(context, CIPHERS_TLS13) == 1 && SSL_CTX_set1_groups_list(context, GROUPS) == 1;
}

/* -- which certificate -- */

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *server = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (unsigned i = 0; name && i < server->count; i++) {
        if (X509_check_host(SSL_CTX_get0_certificate(server->contexts[i]), name, 0, 0, NULL) != 1)
            continue;
        if (i != 0)
            SSL_set_SSL_CTX(ssl, server->contexts[i]);
        break;
    }
    return SSL_TLSEXT_ERR_OK; /* an unknown name is served with the first certificate */
}

static enum status use_identity(SSL_CTX *context, const struct tls_identity *identity, char error[TLS_ERROR_SIZE])
{
    if (SSL_CTX_use_cert_and_key(context, identity->leaf, identity->key, identity->chain, 1) == 1)
        return STATUS_OK;
    tls_error_set(error, "the certificate cannot be used");
    return STATUS_DENIED;
}

static SSL_CTX *new_context(struct tls_server *server, bool only_tls13, bool tickets)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return NULL;
    static const unsigned char id[] = "goniec";
    bool good = tls_context_harden(context, only_tls13, TLS1_2_VERSION) &&
                SSL_CTX_set_cipher_list(context, CIPHERS_TLS12) == 1 && SSL_CTX_set1_sigalgs_list(context, SIGNATURES) == 1 &&
                SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1) == 1 &&
                SSL_CTX_set_num_tickets(context, tickets ? 1 : 0) == 1;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (tickets)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_ticket_key);
    else
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_app_data(context, server);
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, server);
    if (good)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* A second certificate for the same name with another kind of key (RSA beside ECDSA) joins the first one's
 * context: OpenSSL then chooses by what the client can. */
static SSL_CTX *same_site(const struct tls_server *server, const struct tls_identity *identity)
{
    char name[256];
    tls_identity_name(identity->leaf, name, sizeof(name));
    for (unsigned i = 0; name[0] && i < server->count; i++) {
        X509 *leaf = SSL_CTX_get0_certificate(server->contexts[i]);
        if (X509_check_host(leaf, name, 0, 0, NULL) == 1 &&
            EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)) != EVP_PKEY_get_base_id(X509_get0_pubkey(identity->leaf)))
            return server->contexts[i];
    }
    return NULL;
}

static enum status add_pair(struct tls_server *server, const struct tls_server_settings *settings, unsigned i,
                            char error[TLS_ERROR_SIZE])
{
    struct tls_identity identity;
    enum status status = tls_identity_load(&settings->pairs[i], settings->signer != NULL, error, &identity);
    if (status != STATUS_OK)
        return status;
    SSL_CTX *context = same_site(server, &identity);
    if (!context) {
        context = new_context(server, settings->only_tls13, settings->ticket_secret.n == TLS_TICKET_SECRET);
        status = context ? STATUS_OK : STATUS_MEMORY;
        if (context)
            server->contexts[server->count++] = context;
    }
    if (status == STATUS_OK)
        status = use_identity(context, &identity, error);
    tls_identity_done(&identity);
    return status;
}

enum status tls_server_new(const struct tls_server_settings *settings, char error[TLS_ERROR_SIZE], struct tls_server **ret)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    if (!server)
        return STATUS_MEMORY;
    *server = (struct tls_server){ .refs = 1, .signer = settings->signer, .keys = { { .period = -1 }, { .period = -1 } } };
    server->contexts = calloc(MAX(settings->count, 1u), sizeof(SSL_CTX *));
    if (settings->ticket_secret.n == TLS_TICKET_SECRET)
        memcpy(server->secret, settings->ticket_secret.p, TLS_TICKET_SECRET);

    snprintf(error, TLS_ERROR_SIZE, "no certificate is given");
    enum status status = !server->contexts ? STATUS_MEMORY : settings->count == 0 ? STATUS_DENIED : STATUS_OK;
    for (unsigned i = 0; status == STATUS_OK && i < settings->count; i++)
        status = add_pair(server, settings, i, error);
    if (status != STATUS_OK) {
        tls_server_unref(server);
        return status;
    }
    error[0] = '\0';
    *ret = server;
    return STATUS_OK;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    server->refs++;
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    if (!server || --server->refs)
        return;
    for (unsigned i = 0; i < server->count; i++)
        SSL_CTX_free(server->contexts[i]);
    free(server->contexts);
    OPENSSL_cleanse(server->secret, sizeof(server->secret));
    OPENSSL_cleanse(server->keys, sizeof(server->keys));
    free(server);
}
