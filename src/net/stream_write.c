/* net/stream_write.c -- the way out: small pieces gathered, large ones straight from where they lie. */
#include "net/stream_priv.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES_MAX 64
#define SMALL_ROOM 1024 /* an output buffer up to this size is kept for the next reply */

struct buf *stream_output(struct stream *stream) { return stream->tls ? &stream->clear : &stream->out; }

size_t stream_waiting(const struct stream *stream) { return stream->out.n + stream->clear.n; }

void stream_flush_later(struct stream *stream)
{
    if (!stream->showing)
        loop_later(&stream->task);
}

enum status stream_write(struct stream *stream, struct span bytes)
{
    if (stream->error || stream->closing || stream->dead)
        return STATUS_CLOSED;
    struct buf *output = stream_output(stream);
    if (output->n + bytes.n > STREAM_OUTPUT_MAX)
        return STATUS_FULL;
    stream_flush_later(stream);
    return buf_add(output, bytes);
}

static void release(struct buf *buf)
{
    if (buf->room > SMALL_ROOM)
        buf_done(buf);
    else
        buf_clear(buf);
}

void stream_encrypt(struct stream *stream)
{
    if (!stream->tls || !stream->tls->established || !stream->clear.n)
        return;
    if (tls_session_write(stream->tls, buf_span(&stream->clear)) != STATUS_OK)
        stream_broke(stream, STATUS_DENIED, EPROTO);
    OPENSSL_cleanse(stream->clear.p, stream->clear.n); /* may be a password */
    release(&stream->clear);
}

/* The kernel took `n` of `out`, or says why not (-1). True: everything is out. */
static bool took(struct stream *stream, ssize_t n)
{
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        stream_broke(stream, STATUS_IO, errno);
        return false;
    }
    if (n > 0 && (size_t)n >= stream->out.n) {
        release(&stream->out);
        return true;
    }
    if (n > 0)
        buf_drop(&stream->out, (size_t)n);
    stream->wait_drained = true;
    return false;
}

void stream_push(struct stream *stream, bool more)
{
    if (stream->error || stream->dead)
        return;
    stream_encrypt(stream);
    if (!stream->out.n || stream->error)
        return;
    took(stream, send(stream->watch.fd, stream->out.p, stream->out.n, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0)));
    if (stream->depth == 0 && !stream->error)
        stream_update_want(stream);
}

void stream_flush(struct stream *stream) { stream_push(stream, false); }

/* -- large pieces -- */

static unsigned gather(struct stream *stream, const struct span *pieces, unsigned count, struct iovec iov[PIECES_MAX + 1])
{
    unsigned n = 0;
    if (stream->out.n)
        iov[n++] = (struct iovec){ stream->out.p, stream->out.n };
    for (unsigned i = 0; i < count && n < PIECES_MAX + 1; i++) {
        if (pieces[i].n)
            iov[n++] = (struct iovec){ (char *)pieces[i].p, pieces[i].n };
    }
    return n;
}

static size_t total(const struct span *pieces, unsigned count)
{
    size_t n = 0;
    for (unsigned i = 0; i < count; i++)
        n += pieces[i].n;
    return n;
}

static size_t send_clear(struct stream *stream, const struct span *pieces, unsigned count, bool last)
{
    struct iovec iov[PIECES_MAX + 1];
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = gather(stream, pieces, count, iov) };
    size_t before = stream->out.n;
    ssize_t n = message.msg_iovlen ? sendmsg(stream->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (last ? 0 : MSG_MORE)) : 0;
    if (n < 0 || (size_t)n < before) {
        took(stream, n);
        return 0;
    }
    if (before)
        release(&stream->out);
    size_t sent = (size_t)n - before;
    if (sent < total(pieces, count))
        stream->wait_drained = true;
    return sent;
}

/* Copies up to STREAM_RECORDS from `skip` on into `clear`: many small pieces become few records. */
static size_t fill_clear(struct stream *stream, const struct span *pieces, unsigned count, size_t skip)
{
    size_t filled = 0;
    for (unsigned i = 0; i < count && filled < STREAM_RECORDS; i++) {
        if (skip >= pieces[i].n) {
            skip -= pieces[i].n;
            continue;
        }
        struct span part = span_head(span_from(pieces[i], skip), STREAM_RECORDS - filled);
        skip = 0;
        if (buf_add(&stream->clear, part) != STATUS_OK)
            break;
        filled += part.n;
    }
    return filled;
}

static size_t send_cipher(struct stream *stream, const struct span *pieces, unsigned count)
{
    size_t sent = 0, all = total(pieces, count);
    stream_push(stream, false);
    while (sent < all && !stream->out.n && !stream->error && stream->tls->established) {
        size_t n = fill_clear(stream, pieces, count, sent);
        if (n == 0)
            break;
        sent += n;
        stream_push(stream, false);
    }
    if (sent < all)
        stream->wait_drained = true;
    return sent;
}

size_t stream_send(struct stream *stream, const struct span *pieces, unsigned count, bool last)
{
    if (stream->error || stream->closing || stream->dead)
        return 0;
    size_t sent = stream->tls ? send_cipher(stream, pieces, count) : send_clear(stream, pieces, count, last);
    if (!stream->error)
        stream_update_want(stream);
    return sent;
}

static size_t send_file_cipher(struct stream *stream, int fd, off_t offset, size_t n)
{
    size_t sent = 0;
    stream_push(stream, false);
    while (sent < n && !stream->out.n && !stream->error && stream->tls->established) {
        size_t want = MIN(n - sent, (size_t)STREAM_RECORDS);
        if (buf_reserve(&stream->clear, want) != STATUS_OK)
            break;
        ssize_t got = pread(fd, stream->clear.p + stream->clear.n, want, offset + (off_t)sent);
        if (got <= 0)
            break;
        stream->clear.n += (size_t)got;
        sent += (size_t)got;
        stream_push(stream, false);
    }
    return sent;
}

static size_t send_file_clear(struct stream *stream, int fd, off_t offset, size_t n)
{
    stream_push(stream, true);
    if (stream->out.n || stream->error)
        return 0;
    ssize_t sent = sendfile(stream->watch.fd, fd, &offset, n);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EPIPE || errno == ECONNRESET)
        stream_broke(stream, STATUS_IO, errno);
    return 0;
}

size_t stream_send_file(struct stream *stream, int fd, off_t offset, size_t n)
{
    if (stream->error || stream->closing || stream->dead)
        return 0;
    errno = 0;
    size_t sent = stream->tls ? send_file_cipher(stream, fd, offset, n) : send_file_clear(stream, fd, offset, n);
    int error = errno;
    stream->wait_drained |= sent < n;
    if (!stream->error)
        stream_update_want(stream);
    errno = error;
    return sent;
}

void stream_want_drained(struct stream *stream)
{
    if (stream->error || stream->closing || stream->dead)
        return;
    stream->wait_drained = true;
    stream_update_want(stream);
}
