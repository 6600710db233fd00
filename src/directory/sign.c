/* Signatures of TLS handshakes. A few quick ones are made on the spot; slow ones, and the rest of a crowd, by threads. */
#include "directory/service_priv.h"
#include <stdlib.h>

#define TELL_EVERY_MS TIME_SECOND_MS
#define ON_THE_SPOT 8 /* in one turn: a quarter of a millisecond */

/* One on its way through a thread. */
struct signing {
    struct work work;
    struct list link;               /* among those of the service */
    struct directory_service *service;
    struct directory_peer *peer;    /* NULL: gone */
    uint64_t token;
    struct tls_key *key;
    uint16_t scheme;
    bool only_tls13;
    enum status status;
    size_t content_n, signature_n;
    unsigned char content[WIRE_SIGN_MAX], signature[TLS_SIGNATURE_MAX];
};

static void tell(struct directory_peer *peer, uint64_t token, enum sign_result result, struct span signature)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64 + WIRE_SIGNATURE_MAX);
    tell_signature_put(&body, &(struct tell_signature){ token, (uint8_t)result, signature });
    peer->answer(peer->arg, TELL_SIGNATURE, buf_span(&body));
}

/* Nobody honest asks for such a thing; a flood of it must not become a flood of log lines. */
static void log_refused(struct directory_service *service, enum status status)
{
    int64_t now = loop_now_ms(service->loop);
    service->refused++;
    if (service->refused > 1 && now - service->refused_ms < TELL_EVERY_MS)
        return;
    log_error(service->log, "signature-refused", LOG_INT("count", service->refused),
              LOG_STR("why", status == STATUS_SYNTAX ? "smtpd wants something signed that is no TLS handshake of a server"
                                                     : "smtpd wants a signature that the key cannot make"));
    service->refused_ms = now;
    service->refused = 0;
}

static void answer(struct directory_service *service, struct directory_peer *peer, uint64_t token, enum status status,
                   struct span signature)
{
    if (status == STATUS_SYNTAX || status == STATUS_DENIED)
        log_refused(service, status);
    if (peer)
        tell(peer, token, status == STATUS_OK ? SIGN_OK : status == STATUS_MEMORY ? SIGN_BUSY : SIGN_REFUSED,
             status == STATUS_OK ? signature : SPAN_NONE);
}

static void signing_free(struct signing *signing)
{
    list_remove(&signing->link);
    tls_key_unref(signing->key);
    free(signing);
}

static void run(struct work *work)
{
    struct signing *signing = CONTAINER(work, struct signing, work);
    signing->status = tls_key_sign(signing->key, signing->scheme, span_of(signing->content, signing->content_n),
                                   signing->only_tls13, signing->signature, &signing->signature_n);
}

static void on_done(struct work *work)
{
    struct signing *signing = CONTAINER(work, struct signing, work);
    answer(signing->service, signing->peer, signing->token, signing->status,
           span_of(signing->signature, signing->signature_n));
    signing_free(signing);
}

/* False: too many wait already. */
static bool begin(struct directory_peer *peer, const struct ask_sign *ask, struct tls_key *key)
{
    struct directory_service *service = peer->service;
    struct signing *signing = malloc(sizeof *signing);
    if (!signing)
        return false;
    signing->work = (struct work){ .run = run, .on_done = on_done };
    signing->service = service;
    signing->peer = peer;
    signing->token = ask->token;
    signing->key = tls_key_ref(key);
    signing->scheme = ask->scheme;
    signing->only_tls13 = service->keys.only_tls13;
    signing->content_n = ask->content.n;
    signing->signature_n = 0;
    if (ask->content.n)
        memcpy(signing->content, ask->content.p, ask->content.n);
    list_add_last(&service->signings, &signing->link);
    if (workers_do(service->signers, &signing->work) == STATUS_OK)
        return true;
    signing_free(signing);
    return false;
}

enum status sign_start(struct directory_peer *peer, struct span body)
{
    struct directory_service *service = peer->service;
    struct ask_sign ask;
    if (!ask_sign_get(body, &ask))
        return STATUS_SYNTAX;
    struct tls_key *key = keys_find(&service->keys, ask.key);
    if (!key) {
        tell(peer, ask.token, SIGN_UNKNOWN_KEY, SPAN_NONE);
        return STATUS_OK;
    }
    if (!tls_key_is_quick(key) || service->signed_in_turn >= ON_THE_SPOT) {
        if (!begin(peer, &ask, key))
            tell(peer, ask.token, SIGN_BUSY, SPAN_NONE);
        return STATUS_OK;
    }
    unsigned char signature[TLS_SIGNATURE_MAX];
    size_t n = 0;
    service->signed_in_turn++;
    enum status status = tls_key_sign(key, ask.scheme, ask.content, service->keys.only_tls13, signature, &n);
    answer(service, peer, ask.token, status, span_of(signature, n));
    return STATUS_OK;
}

void sign_forget_peer(struct directory_peer *peer)
{
    for (LIST_EACH(link, &peer->service->signings)) {
        struct signing *signing = CONTAINER(link, struct signing, link);
        if (signing->peer == peer)
            signing->peer = NULL;
    }
}

void sign_free_all(struct directory_service *service)
{
    for (LIST_EACH(link, &service->signings))
        signing_free(CONTAINER(link, struct signing, link));
}
