/* net/tls_signing.c -- handshakes that wait for a signature from elsewhere.
 *
 * OpenSSL wants it on the spot. So the handshake runs on a stack of its own (SSL_MODE_ASYNC, ASYNC_start_job(3)), which stands
 * still until the answer comes. All of it happens in the thread of the connection. Nobody but OpenSSL and the few lines
 * between it and tls_signing_wait() runs on that stack of 32 KiB: whoever makes the signature is asked from outside.
 *
 * Such a stack, and what is on it, is all that a waiting handshake costs, so only TLS_SIGNING_MAX of them wait at a time;
 * the others have not begun theirs and wait at the gate. */
#include "net/tls_priv.h"
#include <openssl/async.h>
#include <stdlib.h>

struct tls_wait {
    struct tls_signing signing;
    struct tls_session *session;
    enum { WANTED, ASKED, SIGNED, REFUSED } state;
    size_t signature_n;
    unsigned char key[TLS_KEY_ID], content[TLS_CONTENT_MAX], signature[TLS_SIGNATURE_MAX];
};

static _Thread_local struct tls_session *current; /* whose handshake is running */

void tls_signer_init(struct tls_signer *signer, void (*ask)(void *, struct tls_signing *),
                     void (*cancel)(void *, struct tls_signing *), void *arg)
{
    *signer = (struct tls_signer){ .ask = ask, .cancel = cancel, .arg = arg };
    list_init(&signer->gate);
}

/* -- on the handshake's own stack -- */

static struct tls_wait *wait_new(struct tls_session *session, const unsigned char key[TLS_KEY_ID], uint16_t scheme,
                                 struct span content)
{
    struct tls_wait *wait = content.n <= TLS_CONTENT_MAX ? malloc(sizeof(*wait)) : NULL;
    if (!wait)
        return NULL;
    wait->session = session;
    wait->state = WANTED;
    memcpy(wait->key, key, TLS_KEY_ID);
    memcpy(wait->content, content.p, content.n);
    wait->signing = (struct tls_signing){ span_of(wait->key, TLS_KEY_ID), scheme, span_of(wait->content, content.n), NULL };
    return wait;
}

bool tls_signing_wait(const unsigned char key[TLS_KEY_ID], uint16_t scheme, struct span content, unsigned char *ret, size_t room,
                      size_t *ret_n)
{
    struct tls_session *session = current;
    struct tls_wait *wait = session && ASYNC_get_current_job() ? wait_new(session, key, scheme, content) : NULL;
    if (!wait)
        return false;
    session->wait = wait;
    bool can_stop = true;
    while (can_stop && wait->state < SIGNED)
        can_stop = ASYNC_pause_job() == 1;
    bool good = wait->state == SIGNED && wait->signature_n <= room;
    if (good) {
        memcpy(ret, wait->signature, wait->signature_n);
        *ret_n = wait->signature_n;
    }
    session->wait = NULL;
    free(wait);
    return good;
}

/* -- outside of it -- */

static void release(struct tls_session *session)
{
    session->held = false;
    session->on_released(session->arg);
}

/* Whoever is first may try; the one behind it is let in when that one has, see tls_signing_handshake(). */
static void open_gate(struct tls_signer *signer)
{
    struct list *first = signer->waiting < TLS_SIGNING_MAX ? list_take_first(&signer->gate) : NULL;
    if (first)
        release(CONTAINER(first, struct tls_session, gate));
}

bool tls_signing_gate(struct tls_session *session)
{
    struct tls_signer *signer = session->server ? session->server->signer : NULL;
    if (!signer || session->wait || signer->waiting < TLS_SIGNING_MAX || !(SSL_get_mode(session->ssl) & SSL_MODE_ASYNC))
        return false;
    list_add_last(&signer->gate, &session->gate);
    session->held = true;
    return true;
}

static void ask(struct tls_session *session)
{
    struct tls_signer *signer = session->server->signer;
    signer->waiting++;
    session->wait->state = ASKED;
    session->held = true;
    signer->ask(signer->arg, &session->wait->signing);
}

static int run(struct tls_session *session)
{
    current = session;
    int result = SSL_do_handshake(session->ssl);
    current = NULL;
    return result;
}

int tls_signing_handshake(struct tls_session *session)
{
    struct tls_signer *signer = session->server ? session->server->signer : NULL;
    bool had_asked = session->wait != NULL;
    int result = run(session);
    if (!signer)
        return result;
    if (session->wait && session->wait->state == WANTED)
        ask(session);
    if (had_asked && !session->wait) {
        signer->waiting--;
        SSL_clear_mode(session->ssl, SSL_MODE_ASYNC); /* there is but one: the rest needs no other stack */
    }
    open_gate(signer);
    return result;
}

void tls_signing_answer(struct tls_signing *signing, struct span signature, const char *why)
{
    struct tls_wait *wait = CONTAINER(signing, struct tls_wait, signing);
    bool good = signature.n > 0 && signature.n <= TLS_SIGNATURE_MAX;
    if (good)
        memcpy(wait->signature, signature.p, signature.n);
    else
        wait->session->refused = why;
    wait->signature_n = signature.n;
    wait->state = good ? SIGNED : REFUSED;
    release(wait->session);
}

void tls_signing_begin(struct tls_session *session) { SSL_set_mode(session->ssl, SSL_MODE_ASYNC); }

/* OpenSSL frees a stack only when what runs on it has come to its end. */
void tls_signing_end(struct tls_session *session)
{
    struct tls_signer *signer = session->server ? session->server->signer : NULL;
    if (!signer)
        return;
    list_remove(&session->gate);
    if (!session->wait)
        return;
    if (session->wait->state == ASKED)
        signer->cancel(signer->arg, &session->wait->signing);
    session->wait->state = REFUSED;
    run(session);
    signer->waiting--;
    open_gate(signer);
}
