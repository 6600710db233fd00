/* net/tls_client.c -- the client's context and the sessions it keeps, a site each. */
#include "base/hash.h"
#include "net/tls_priv.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

/* Forward-secret ciphers first; then what old receivers still have. Nothing without encryption or authentication. */
#define CIPHERS_TLS12                                                                                                   \
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:!AESCCM:!DSS:!PSK:!SRP:!aNULL"

struct kept_session {
    struct map_node node;
    struct list age;
    SSL_SESSION *session;
    size_t n;
    char key[];
};

static bool is_key(const struct map_node *node, const void *key)
{
    const struct kept_session *kept = CONTAINER(node, struct kept_session, node);
    return span_eq(span_of(kept->key, kept->n), *(const struct span *)key);
}

static struct kept_session *find(const struct tls_client *client, struct span key)
{
    struct map_node *node = map_find(&client->sessions, hash_bytes(key), is_key, &key);
    return node ? CONTAINER(node, struct kept_session, node) : NULL;
}

static void forget(struct tls_client *client, struct kept_session *kept)
{
    map_remove(&client->sessions, &kept->node);
    list_remove(&kept->age);
    SSL_SESSION_free(kept->session);
    free(kept);
}

static struct kept_session *add(struct tls_client *client, struct span key)
{
    if (client->sessions.n >= client->most)
        forget(client, CONTAINER(list_first(&client->by_age), struct kept_session, age));
    struct kept_session *kept = calloc(1, sizeof(*kept) + key.n);
    if (!kept)
        return NULL;
    kept->n = key.n;
    memcpy(kept->key, key.p, key.n);
    list_init(&kept->age);
    if (map_add(&client->sessions, &kept->node, hash_bytes(key)) == STATUS_OK)
        return kept;
    free(kept);
    return NULL;
}

/* A ticket came. 1: we keep the reference. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *of = SSL_get_app_data(ssl);
    struct tls_client *client = of->client;
    if (!client || !client->most || !of->session_key.n)
        return 0;
    struct kept_session *kept = find(client, of->session_key);
    if (!kept && !(kept = add(client, of->session_key)))
        return 0;
    SSL_SESSION_free(kept->session);
    kept->session = session;
    list_remove(&kept->age);
    list_add_last(&client->by_age, &kept->age);
    return 1;
}

SSL_SESSION *tls_client_session(struct tls_client *client, struct span key)
{
    struct kept_session *kept = key.n ? find(client, key) : NULL;
    if (!kept)
        return NULL;
    if (!SSL_SESSION_is_resumable(kept->session)) {
        forget(client, kept);
        return NULL;
    }
    list_remove(&kept->age);
    list_add_last(&client->by_age, &kept->age);
    return kept->session;
}

/* Authorities that are listed twice or cannot be read are passed over; none at all is an error. */
static enum status add_trust(SSL_CTX *context, struct span pem, char error[TLS_ERROR_SIZE])
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    BIO *bio = pem.n > INT32_MAX ? NULL : BIO_new_mem_buf(pem.p, (int)pem.n);
    unsigned count = 0;
    X509 *authority;
    while (bio && (authority = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, authority) == 1;
        X509_free(authority);
    }
    BIO_free(bio);
    if (count) {
        ERR_clear_error();
        return STATUS_OK;
    }
    tls_error_set(error, "no authority's certificate (PEM) found");
    return STATUS_SYNTAX;
}

static enum status configure(struct tls_client *client, const struct tls_client_settings *settings, char error[TLS_ERROR_SIZE])
{
    SSL_CTX *context = client->context;
    if (!tls_context_harden(context, settings->only_tls13, settings->allow_tls10 ? TLS1_VERSION : TLS1_2_VERSION) ||
        SSL_CTX_set_cipher_list(context, CIPHERS_TLS12) != 1) {
        tls_error_set(error, "OpenSSL refuses the settings");
        return STATUS_DENIED;
    }
    /* Where nothing is verified, a weak key is still better than none: only `required` connections insist (RFC 7435). */
    SSL_CTX_set_security_level(context, settings->allow_tls10 ? 0 : 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    return settings->trust.n ? add_trust(context, settings->trust, error) : STATUS_OK;
}

enum status tls_client_new(const struct tls_client_settings *settings, char error[TLS_ERROR_SIZE], struct tls_client **ret)
{
    snprintf(error, TLS_ERROR_SIZE, "out of memory"); /* unless there is something else to say */
    ERR_clear_error();
    struct tls_client *client = calloc(1, sizeof(*client));
    if (!client)
        return STATUS_MEMORY;
    *client = (struct tls_client){ .refs = 1, .most = settings->sessions, .context = SSL_CTX_new(TLS_client_method()) };
    list_init(&client->by_age);
    enum status status = client->context ? configure(client, settings, error) : STATUS_MEMORY;
    if (status != STATUS_OK) {
        tls_client_unref(client);
        return status;
    }
    error[0] = '\0';
    *ret = client;
    return STATUS_OK;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
    client->refs++;
    return client;
}

void tls_client_unref(struct tls_client *client)
{
    if (!client || --client->refs)
        return;
    for (LIST_EACH(link, &client->by_age))
        forget(client, CONTAINER(link, struct kept_session, age));
    map_done(&client->sessions);
    SSL_CTX_free(client->context);
    free(client);
}
