/* net/stream_tls.c -- a stream that speaks TLS. */
#include "base/hash.h"
#include "net/address.h"
#include "net/stream_priv.h"
#include <errno.h>

/* The alert that says why goes out first. */
static bool deny(struct stream *stream)
{
    stream_push(stream, false);
    if (!stream->error)
        stream_broke(stream, STATUS_DENIED, EPROTO);
    return true;
}

/* Decrypts all of the session's input behind what is kept. OK: the peer's goodbye has not come. */
static enum status decrypt(struct stream *stream, char *at, size_t room, size_t *ret)
{
    size_t got = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && got < room && tls_session_has_input(stream->tls)) {
        size_t n = 0;
        status = tls_session_read(stream->tls, at + got, room - got, &n);
        got += n;
    }
    *ret = got;
    return status == STATUS_AGAIN ? STATUS_OK : status;
}

static bool show_or_keep(struct stream *stream, char *at, size_t got)
{
    if (!stream->paused)
        return stream_show(stream, span_of(at - stream->kept.n, stream->kept.n + got));
    if (buf_add(&stream->kept, span_of(at, got)) != STATUS_OK)
        stream_broke(stream, STATUS_IO, ENOMEM);
    return true;
}

static bool take_records(struct stream *stream)
{
    char *at = stream_shared_after_kept(stream);
    if (!at) {
        stream_broke(stream, STATUS_IO, ENOMEM);
        return true;
    }
    size_t got;
    enum status status = decrypt(stream, at, STREAM_SHARED - stream->kept.n, &got);
    stream->tls->in = SPAN_NONE;
    if (got && !show_or_keep(stream, at, got))
        return false;
    if (!stream_is_live(stream) || status == STATUS_OK)
        return true;
    if (status != STATUS_CLOSED)
        return deny(stream);
    stream_broke(stream, STATUS_CLOSED, 0);
    return true;
}

static bool tell_tls(struct stream *stream)
{
    if (!stream->events->on_tls)
        return true;
    stream_hold(stream);
    stream->events->on_tls(stream->arg, stream);
    return stream_let_go(stream);
}

/* The handshake goes on later, with what came. */
static bool keep_for_later(struct stream *stream, struct span cipher)
{
    if (buf_add(&stream->early, cipher) != STATUS_OK)
        stream_broke(stream, STATUS_IO, ENOMEM);
    stream->tls->in = SPAN_NONE;
    return true;
}

bool stream_take_cipher(struct stream *stream, struct span cipher)
{
    if (stream->tls->held || (!stream->tls->established && tls_signing_gate(stream->tls)))
        return keep_for_later(stream, cipher);
    stream->tls->in = cipher;
    if (!stream->tls->established) {
        enum status status = tls_session_handshake(stream->tls);
        if (status == STATUS_DENIED)
            return deny(stream);
        if (stream->tls->wait)
            return keep_for_later(stream, stream->tls->in);
        if (status == STATUS_OK && (!tell_tls(stream) || !stream_is_live(stream)))
            return !stream->dead;
    }
    bool live = !stream->tls->established || take_records(stream);
    if (live && stream_is_live(stream))
        stream_push(stream, false);
    return live;
}

void stream_tls_done(struct stream *stream)
{
    tls_session_free(stream->tls);
    stream->tls = NULL;
}

/* -- the beginning -- */

static enum status may_start(const struct stream *stream)
{
    if (!stream_is_live(stream) || stream->error || stream->tls)
        return STATUS_CLOSED;
    return stream_input(stream).n ? STATUS_SYNTAX : STATUS_OK;
}

static void on_released(void *arg) { loop_later(&((struct stream *)arg)->task); }

static enum status begin(struct stream *stream, struct tls_session *session)
{
    if (!session)
        return STATUS_MEMORY;
    stream->tls = session;
    session->on_released = on_released;
    session->arg = stream;
    stream->paused = false;
    stream_flush_later(stream);
    return STATUS_OK;
}

static uint64_t peer_hash(const struct stream *stream)
{
    struct net_address peer;
    return net_address_peer(stream->watch.fd, &peer) == STATUS_OK ? hash_bytes(net_address_octets(&peer)) : 0;
}

enum status stream_start_tls_server(struct stream *stream, struct tls_server *server)
{
    enum status status = may_start(stream);
    return status == STATUS_OK ? begin(stream, tls_session_new_server(server, peer_hash(stream), &stream->out)) : status;
}

enum status stream_start_tls_server_with_input(struct stream *stream, struct tls_server *server)
{
    struct span input = stream_input(stream);
    if (buf_add(&stream->early, input) != STATUS_OK)
        return STATUS_MEMORY;
    stream_consume(stream, input.n);
    enum status status = stream_start_tls_server(stream, server);
    if (status == STATUS_OK)
        loop_later(&stream->task);
    else
        buf_done(&stream->early);
    return status;
}

enum status stream_start_tls_client(struct stream *stream, struct tls_client *client, const struct tls_wish *wish)
{
    enum status status = may_start(stream);
    if (status == STATUS_OK)
        status = begin(stream, tls_session_new_client(client, wish, &stream->out));
    if (status != STATUS_OK)
        return status;
    if (tls_session_handshake(stream->tls) == STATUS_DENIED)
        deny(stream);
    return STATUS_OK;
}

bool stream_is_tls(const struct stream *stream) { return stream->tls != NULL; }

const struct tls_info *stream_tls(const struct stream *stream)
{
    return stream->tls && stream->tls->established ? &stream->tls->info : NULL;
}

const char *stream_tls_failure(const struct stream *stream) { return stream->tls ? stream->tls->failure : ""; }
