/* net/tls_session.c -- one connection's TLS over spans and buffers: OpenSSL never sees the socket, so one read takes
 * many records and one write sends them. */
#include "net/tls_priv.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* -- the BIO between OpenSSL and a session -- */

static int bio_read(BIO *bio, char *p, size_t room, size_t *ret)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!session->in.n) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t n = MIN(room, session->in.n);
    memcpy(p, session->in.p, n);
    session->in = span_from(session->in, n);
    *ret = n;
    return 1;
}

static int bio_write(BIO *bio, const char *p, size_t n, size_t *ret)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (buf_add(session->out, span_of(p, n)) != STATUS_OK)
        return 0;
    *ret = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "goniec stream");
    if (!bio_method)
        abort();
    BIO_meth_set_read_ex(bio_method, bio_read);
    BIO_meth_set_write_ex(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static bool connect_bio(struct tls_session *session)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    if (!bio)
        return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    return true;
}

/* -- making and freeing -- */

static struct tls_session *new_session(SSL_CTX *context, struct buf *out)
{
    tls_forget_errors();
    struct tls_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->out = out;
    list_init(&session->gate);
    session->ssl = SSL_new(context);
    if (session->ssl && connect_bio(session))
        return session;
    tls_session_free(session);
    return NULL;
}

struct tls_session *tls_session_new_server(struct tls_server *server, uint64_t peer, struct buf *out)
{
    struct tls_session *session = new_session(server->contexts[0], out);
    if (!session)
        return NULL;
    session->server = tls_server_ref(server);
    session->peer = peer;
    if (!tls_habit_wants(server, peer))
        SSL_set_num_tickets(session->ssl, 0);
    SSL_set_accept_state(session->ssl);
    if (server->signer)
        tls_signing_begin(session);
    return session;
}

static bool is_ip(const char *name)
{
    unsigned char octets[16];
    return inet_pton(AF_INET, name, octets) == 1 || inet_pton(AF_INET6, name, octets) == 1;
}

/* An IP address is compared with the certificate but not sent (RFC 6066 section 3). */
static bool set_name(SSL *ssl, const char *name)
{
    if (is_ip(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* OpenSSL does not verify a resumed session again, so one made for another name, or without insisting on the
 * certificate, must never be found: name and demand are part of the key. */
static bool set_session(struct tls_session *session, const struct tls_wish *wish)
{
    struct span name = span_str(wish->name);
    size_t n = 2 + name.n + wish->session.n;
    char *key = malloc(n);
    if (!key)
        return false;
    key[0] = wish->required ? 'r' : 'o';
    if (name.n)
        memcpy(key + 1, name.p, name.n);
    key[1 + name.n] = '\0';
    memcpy(key + 2 + name.n, wish->session.p, wish->session.n);
    session->session_key = span_of(key, n);
    SSL_SESSION *kept = tls_client_session(session->client, session->session_key);
    return !kept || SSL_set_session(session->ssl, kept) == 1;
}

static bool set_wish(struct tls_session *session, const struct tls_wish *wish)
{
    if (wish->name && !set_name(session->ssl, wish->name))
        return false;
    SSL_set_verify(session->ssl, wish->required ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return !wish->session.n || set_session(session, wish);
}

struct tls_session *tls_session_new_client(struct tls_client *client, const struct tls_wish *wish, struct buf *out)
{
    struct tls_session *session = new_session(client->context, out);
    if (!session)
        return NULL;
    session->client = tls_client_ref(client);
    SSL_set_connect_state(session->ssl);
    if (set_wish(session, wish))
        return session;
    tls_session_free(session);
    return NULL;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    tls_signing_end(session);
    /* Many mail servers close without a goodbye; OpenSSL would then hold the session itself to be bad. */
    if (session->established && !session->failure[0])
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    tls_server_unref(session->server);
    tls_client_unref(session->client);
    free((char *)session->session_key.p);
    free(session);
}

/* -- the handshake -- */

static void fill_client_info(struct tls_session *session)
{
    struct tls_info *info = &session->info;
    X509 *leaf = SSL_get0_peer_certificate(session->ssl);
    long result = SSL_get_verify_result(session->ssl);
    const char *matched = SSL_get0_peername(session->ssl);
    info->verified = leaf && result == X509_V_OK;
    info->verify_text = leaf ? X509_verify_cert_error_string(result) : "no certificate";
    if (matched)
        snprintf(info->peer_name, sizeof(info->peer_name), "%s", matched);
    else if (leaf)
        tls_identity_name(leaf, info->peer_name, sizeof(info->peer_name));
}

static void fill_info(struct tls_session *session)
{
    struct tls_info *info = &session->info;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);
    *info = (struct tls_info){ .version = SSL_get_version(session->ssl), .cipher = SSL_CIPHER_get_name(cipher),
                               .bits = SSL_CIPHER_get_bits(cipher, NULL), .resumed = SSL_session_reused(session->ssl) == 1,
                               .verify_text = "not asked for" };
    const char *name = SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
    if (session->server)
        tls_habit_note(session->server, session->peer, info->resumed);
    if (session->client)
        fill_client_info(session);
    else if (name)
        snprintf(info->peer_name, sizeof(info->peer_name), "%s", name);
}

static enum status failed(struct tls_session *session, const char *what)
{
    tls_error_set(session->failure, what);
    return STATUS_DENIED;
}

/* The reason that helps most: that the certificate is not good, and how. */
static enum status handshake_failed(struct tls_session *session)
{
    long result = SSL_get_verify_result(session->ssl);
    if (session->client && result != X509_V_OK && (SSL_get_verify_mode(session->ssl) & SSL_VERIFY_PEER)) {
        snprintf(session->failure, sizeof(session->failure), "certificate not accepted: %s", X509_verify_cert_error_string(result));
        ERR_clear_error();
        return STATUS_DENIED;
    }
    if (!session->refused)
        return failed(session, "TLS handshake failed");
    snprintf(session->failure, sizeof(session->failure), "TLS handshake failed: %s", session->refused);
    ERR_clear_error();
    return STATUS_DENIED;
}

enum status tls_session_handshake(struct tls_session *session)
{
    tls_forget_errors();
    int result = tls_signing_handshake(session);
    if (result == 1) {
        session->established = true;
        fill_info(session);
        return STATUS_OK;
    }
    int why = SSL_get_error(session->ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_ASYNC ? STATUS_AGAIN : handshake_failed(session);
}

/* -- octets -- */

bool tls_session_has_input(const struct tls_session *session)
{
    return session->in.n || SSL_pending(session->ssl) > 0;
}

enum status tls_session_read(struct tls_session *session, char *p, size_t room, size_t *ret)
{
    tls_forget_errors();
    int result = SSL_read_ex(session->ssl, p, room, ret);
    if (result == 1)
        return STATUS_OK;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ: return STATUS_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return STATUS_CLOSED;
    default: return failed(session, "TLS broke");
    }
}

enum status tls_session_write(struct tls_session *session, struct span clear)
{
    size_t n;
    tls_forget_errors();
    if (!clear.n || SSL_write_ex(session->ssl, clear.p, clear.n, &n) == 1)
        return STATUS_OK;
    return failed(session, "TLS cannot send");
}

void tls_session_goodbye(struct tls_session *session)
{
    if (session->established && !session->failure[0]) {
        tls_forget_errors();
        SSL_shutdown(session->ssl);
    }
    tls_forget_errors();
}
