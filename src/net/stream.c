#include "net/stream_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_ready(struct loop_fd *watch, unsigned ready);
static void on_task(struct loop_task *task);
static void on_due(struct loop_timer *timer);

/* One pair of buffers per thread, for all its streams: a handler never runs while another one does. */
char *stream_shared(unsigned which)
{
    static _Thread_local char *shared[2];
    if (!shared[which])
        shared[which] = malloc(which ? STREAM_READ_MAX : STREAM_SHARED);
    return shared[which];
}

struct stream *stream_new(struct loop *loop, int fd, const struct stream_events *events, void *arg)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->events = events;
    stream->arg = arg;
    stream->kept = BUF_EMPTY(STREAM_SHARED);
    stream->out = BUF_EMPTY(2 * STREAM_OUTPUT_MAX); /* records are larger than what they carry */
    stream->clear = BUF_EMPTY(STREAM_OUTPUT_MAX);
    stream->early = BUF_EMPTY(STREAM_SHARED);
    list_init(&stream->link);
    loop_task_init(loop, &stream->task, on_task);
    loop_timer_init(loop, &stream->timer, on_due);
    if (loop_fd_add(loop, &stream->watch, fd, LOOP_READ, on_ready) == STATUS_OK)
        return stream;
    free(stream);
    return NULL;
}

/* -- the end of a stream -- */

/* Nobody but the loop knows a stream that was given away. */
static struct list *closing_streams(void)
{
    static _Thread_local struct list ring;
    if (!ring.next)
        list_init(&ring);
    return &ring;
}

void stream_free_closing(void)
{
    for (LIST_EACH(link, closing_streams()))
        stream_free(CONTAINER(link, struct stream, link));
}

static void dispose(struct stream *stream)
{
    stream_tls_done(stream);
    buf_done(&stream->kept);
    buf_done(&stream->out);
    buf_wipe(&stream->clear);
    buf_done(&stream->clear);
    buf_done(&stream->early);
    free(stream);
}

void stream_free(struct stream *stream)
{
    if (!stream || stream->dead)
        return;
    int fd = stream->watch.fd;
    loop_fd_forget(&stream->watch);
    loop_task_cancel(&stream->task);
    loop_timer_stop(&stream->timer);
    list_remove(&stream->link);
    close(fd);
    stream->dead = true;
    if (stream->depth == 0)
        dispose(stream);
}

bool stream_let_go(struct stream *stream)
{
    if (--stream->depth == 0 && stream->dead) {
        dispose(stream);
        return false;
    }
    return !stream->dead;
}

static void on_due(struct loop_timer *timer) { stream_free(CONTAINER(timer, struct stream, timer)); }

/* Everything has been said: close, or wait for the peer to do so. */
static void close_when_sent(struct stream *stream)
{
    if (stream->out.n && !stream->error)
        return;
    bool peer_talks = stream->lingering && stream->end == STATUS_OK && !stream->error;
    if (!peer_talks)
        stream_free(stream);
    else if (shutdown(stream->watch.fd, SHUT_WR) != 0)
        stream_free(stream);
}

static void begin_close(struct stream *stream, bool linger)
{
    if (stream->closing || stream->dead)
        return;
    stream->closing = true;
    stream->lingering = linger;
    list_add_last(closing_streams(), &stream->link);
    stream_hold(stream);
    stream_encrypt(stream);
    if (stream->tls && !stream->error)
        tls_session_goodbye(stream->tls); /* in the same packet */
    stream_push(stream, false);
    loop_timer_set(&stream->timer, STREAM_CLOSE_MS);
    close_when_sent(stream);
    if (!stream->dead)
        stream_update_want(stream);
    if (!stream_let_go(stream))
        return; /* freed, as it should be */
}

void stream_close(struct stream *stream) { begin_close(stream, false); }
void stream_close_linger(struct stream *stream) { begin_close(stream, true); }

void stream_broke(struct stream *stream, enum status why, int error)
{
    if (stream->end == STATUS_OK || stream->end == STATUS_CLOSED)
        stream->end = why;
    if (why != STATUS_CLOSED) {
        stream->error = error ? error : EPIPE;
        buf_done(&stream->out);
        loop_fd_remove(&stream->watch); /* a hang-up would wake us for ever */
    }
    loop_later(&stream->task);
}

bool stream_tell_end(struct stream *stream)
{
    if (stream->told || stream->end == STATUS_OK)
        return true;
    if (!stream_is_live(stream))
        return !stream->dead;
    stream->told = true;
    stream_hold(stream);
    stream->events->on_end(stream->arg, stream, stream->end);
    if (!stream->dead && !stream->closing)
        stream_push(stream, false);
    return stream_let_go(stream);
}

/* -- reading -- */

void stream_update_want(struct stream *stream)
{
    bool read = stream->closing ? stream->lingering
                                : !stream->paused && stream->kept.n < STREAM_INPUT_MAX && stream->out.n < STREAM_STALL;
    if (stream->end != STATUS_OK || (stream->held_back && !stream->closing))
        read = false;
    loop_fd_want(&stream->watch, (read ? LOOP_READ : 0u) | (stream->wait_drained ? LOOP_WRITE : 0u));
}

char *stream_shared_after_kept(struct stream *stream)
{
    char *shared = stream_shared(0);
    if (shared && stream->kept.n)
        memcpy(shared, stream->kept.p, stream->kept.n);
    return shared ? shared + stream->kept.n : NULL;
}

/* What the handler left is kept; nothing left, nothing owned. */
static void keep_rest(struct stream *stream, bool from_kept)
{
    struct span rest = stream->input;
    stream->input = SPAN_NONE;
    if (rest.n == 0) {
        buf_done(&stream->kept);
        return;
    }
    if (from_kept) {
        buf_drop(&stream->kept, stream->kept.n - rest.n);
        return;
    }
    buf_clear(&stream->kept);
    if (buf_add(&stream->kept, rest) != STATUS_OK)
        stream_broke(stream, STATUS_IO, ENOMEM);
}

bool stream_show(struct stream *stream, struct span input)
{
    bool from_kept = input.p == stream->kept.p;
    stream->input = input;
    stream->showing = true;
    stream_hold(stream);
    stream->events->on_readable(stream->arg, stream, input);
    stream->showing = false;
    if (!stream->dead)
        keep_rest(stream, from_kept);
    if (stream_is_live(stream))
        stream_push(stream, false); /* the answers, while everything is in the cache */
    return stream_let_go(stream);
}

static bool read_clear(struct stream *stream)
{
    char *at = stream_shared_after_kept(stream);
    ssize_t n = at ? recv(stream->watch.fd, at, STREAM_READ_MAX, MSG_DONTWAIT) : -1;
    if (n > 0)
        return stream_show(stream, span_of(at - stream->kept.n, stream->kept.n + (size_t)n));
    if (n == 0)
        stream_broke(stream, STATUS_CLOSED, 0);
    else if (errno != EAGAIN && errno != EINTR)
        stream_broke(stream, STATUS_IO, errno);
    return true;
}

static bool read_cipher(struct stream *stream)
{
    char *at = stream_shared(1);
    ssize_t n = at ? recv(stream->watch.fd, at, STREAM_READ_MAX, MSG_DONTWAIT) : -1;
    if (n > 0)
        return stream_take_cipher(stream, span_of(at, (size_t)n));
    if (n == 0)
        stream_broke(stream, STATUS_CLOSED, 0);
    else if (errno != EAGAIN && errno != EINTR)
        stream_broke(stream, STATUS_IO, errno);
    return true;
}

/* A lingering stream: whatever still comes is nobody's. */
static void discard(struct stream *stream)
{
    char *at = stream_shared(1);
    ssize_t n = at ? recv(stream->watch.fd, at, STREAM_READ_MAX, MSG_DONTWAIT) : -1;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        stream_free(stream);
}

static void on_ready_closing(struct stream *stream, unsigned ready)
{
    if (stream->out.n) {
        stream_push(stream, false);
        close_when_sent(stream);
    } else if (ready & (LOOP_READ | LOOP_ERROR)) {
        discard(stream);
    }
}

static bool drained(struct stream *stream)
{
    if (stream->out.n || !stream->wait_drained || stream->error)
        return true;
    stream->wait_drained = false;
    if (!stream->events->on_drained)
        return true;
    stream_hold(stream);
    stream->events->on_drained(stream->arg, stream);
    if (stream_is_live(stream))
        stream_push(stream, false);
    return stream_let_go(stream);
}

static void on_ready(struct loop_fd *watch, unsigned ready)
{
    struct stream *stream = CONTAINER(watch, struct stream, watch);
    bool want_read = watch->want & LOOP_READ;
    stream_hold(stream);
    if (stream->closing) {
        on_ready_closing(stream, ready);
    } else {
        bool live = true;
        if (ready & LOOP_WRITE) {
            stream_push(stream, false);
            live = drained(stream) && stream_is_live(stream);
        }
        bool held = stream->tls && stream->tls->held;
        stream->held_back = held && (ready & LOOP_READ); /* no sooner: who says nothing costs no system call */
        if (live && !held && !stream->paused && want_read && (ready & (LOOP_READ | LOOP_ERROR)))
            live = (stream->tls ? read_cipher(stream) : read_clear(stream)) && stream_is_live(stream);
        else if (live && (ready & LOOP_ERROR))
            stream_broke(stream, STATUS_IO, ECONNRESET);
        if (live && stream_is_live(stream))
            (void)!stream_tell_end(stream); /* nothing follows */
    }
    if (!stream->dead)
        stream_update_want(stream);
    if (!stream_let_go(stream))
        return; /* freed inside */
}

static void on_task(struct loop_task *task)
{
    struct stream *stream = CONTAINER(task, struct stream, task);
    stream_hold(stream);
    bool live = !stream->closing;
    if (live && stream->tls && !stream->tls->held && (stream->early.n || stream->tls->wait)) {
        stream->held_back = false;
        AUTO(buf_done) struct buf early = buf_take(&stream->early);
        live = stream_take_cipher(stream, buf_span(&early)) && stream_is_live(stream);
    }
    if (live && stream->show_again && !stream->paused) {
        stream->show_again = false;
        if (stream->kept.n)
            live = stream_show(stream, buf_span(&stream->kept)) && stream_is_live(stream);
    }
    if (live)
        stream_push(stream, false);
    if (live && stream->end != STATUS_OK)
        (void)!stream_tell_end(stream); /* what follows asks for itself */
    if (!stream->dead)
        stream_update_want(stream);
    if (!stream_let_go(stream))
        return; /* freed inside */
}

void stream_wipe(struct stream *stream, size_t n)
{
    struct span input = span_head(stream_input(stream), n);
    if (input.n)
        explicit_bzero((char *)(uintptr_t)input.p, input.n); /* our own memory, of which others only get to look at */
}

void stream_consume(struct stream *stream, size_t n)
{
    if (stream->showing) {
        stream->input = span_from(stream->input, n);
        return;
    }
    buf_drop(&stream->kept, MIN(n, stream->kept.n));
    if (stream->kept.n == 0)
        buf_done(&stream->kept);
    if (stream_is_live(stream))
        stream_update_want(stream);
}

struct span stream_input(const struct stream *stream)
{
    return stream->showing ? stream->input : buf_span(&stream->kept);
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
    if (stream->depth == 0 && stream_is_live(stream))
        stream_update_want(stream);
}

void stream_resume(struct stream *stream)
{
    if (!stream->paused)
        return;
    stream->paused = false;
    stream->show_again = true;
    loop_later(&stream->task);
}

void stream_set_bulk(struct stream *stream, bool bulk) { loop_fd_set_bulk(&stream->watch, bulk); }

bool stream_is_paused(const struct stream *stream) { return stream->paused; }
int stream_errno(const struct stream *stream) { return stream->error; }
int stream_fd(const struct stream *stream) { return stream->watch.fd; }

void stream_set_events(struct stream *stream, const struct stream_events *events, void *arg)
{
    stream->events = events;
    stream->arg = arg;
}
