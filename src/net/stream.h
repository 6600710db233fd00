/* net/stream.h -- the bytes of one connection, in clear or under TLS, inside our loop.
 *
 * Reading: what arrives lies in a buffer that all streams of the thread share; an idle connection owns none.
 * What the handler does not consume is kept for it and stands in front of what comes next.
 * Writing: small pieces gather and leave with one system call when the handler that wrote them returns (or
 * with the turn of the loop, or at stream_flush()). Large ones are offered with stream_send(), which
 * takes what the connection can take now; the rest is offered again in on_drained.
 * A peer that does not read its replies is not read from either.
 * Deadlines are the caller's: it owns the timer and frees the stream.
 */
#pragma once
#include "base/buf.h"
#include "loop/loop.h"
#include "net/tls.h"
#include <sys/types.h>

#define STREAM_READ_MAX (64u << 10)   /* octets read at once */
#define STREAM_INPUT_MAX (64u << 10)  /* unconsumed octets at which reading stops by itself */
#define STREAM_OUTPUT_MAX (1u << 20)  /* octets that stream_write() lets wait; then FULL */
#define STREAM_CLOSE_MS 5000          /* how long a closed stream tries to hand over its last octets */

struct stream;

struct stream_events {
    /* `input` is everything unconsumed, the new octets last. Take from it with stream_consume(). Called again only
     * when more has come, or after stream_resume(). */
    void (*on_readable)(void *arg, struct stream *stream, struct span input);
    /* All output has gone to the kernel, after some had to wait. May be NULL. */
    void (*on_drained)(void *arg, struct stream *stream);
    /* The handshake is complete; stream_tls() tells more. May be NULL. */
    void (*on_tls)(void *arg, struct stream *stream);
    /* Called once. CLOSED: the peer will send no more (it may still read: write, then stream_close()). IO: broken,
     * stream_errno() tells. DENIED: TLS failed, stream_tls_failure() tells. TOO_LONG: a PROXY or TLS peer over a limit. */
    void (*on_end)(void *arg, struct stream *stream, enum status why);
};

/* Takes the ownership of the connected socket (made non-blocking by its maker: accept4 and net/connect.h do so).
 * `events` must outlive the stream. NULL: out of memory; the fd stays the caller's. */
struct stream *stream_new(struct loop *loop, int fd, const struct stream_events *events, void *arg);
/* Closes at once, dropping what waits. Allowed in every handler, also its own. NULL is fine. */
void stream_free(struct stream *stream);
/* Gives the stream away: no event comes any more; what waits is still sent (at most STREAM_CLOSE_MS), TLS says
 * goodbye, then the socket is closed. */
void stream_close(struct stream *stream);
/* The same for a peer that may still be talking: the socket is only half closed and what arrives is thrown away
 * until the peer closes too (at most STREAM_CLOSE_MS), so that our last reply is not lost to a reset. */
void stream_close_linger(struct stream *stream);
/* Frees those of this thread that were given away and are not closed yet: before their loop is freed. */
void stream_free_closing(void);

/* -- reading -- */
void stream_consume(struct stream *stream, size_t n); /* the first n octets of the input are done with */
/* Overwrites the first `n` octets of the input, which held a password; they still have to be consumed. */
void stream_wipe(struct stream *stream, size_t n);
struct span stream_input(const struct stream *stream); /* what is unconsumed; borrowed until the handler returns */
void stream_pause(struct stream *stream);  /* no on_readable until stream_resume() */
void stream_resume(struct stream *stream); /* shows the unconsumed input again in this turn's tasks, then reads on */
bool stream_is_paused(const struct stream *stream);

/* -- writing -- */
/* Copies. FULL over STREAM_OUTPUT_MAX, CLOSED on a stream that broke. Both mean: give up the connection. */
enum status stream_write(struct stream *stream, struct span bytes);
/* Where to compose output in place (BUF of the stream's waiting clear text); valid until the next call. */
struct buf *stream_output(struct stream *stream);
/* Asks for the flush when stream_output() was written to outside the stream's own handlers. */
void stream_flush_later(struct stream *stream);
void stream_flush(struct stream *stream); /* at once */
size_t stream_waiting(const struct stream *stream); /* octets not yet taken by the kernel */
/* Sends what waits, then as much of the borrowed pieces as the connection takes now, without copying (TLS: by
 * records of 16 KiB). Returns the octets of the pieces that are done with; when less than all, on_drained comes.
 * `last` false: more follows at once (the kernel may wait for a full packet). */
size_t stream_send(struct stream *stream, const struct span *pieces, unsigned count, bool last);
/* The same from a file: up to `n` octets from `offset` on. sendfile in clear, pread under TLS. 0 with
 * stream_waiting() == 0: the file cannot be read (errno). */
size_t stream_send_file(struct stream *stream, int fd, off_t offset, size_t n);
/* on_drained comes when the connection can take more, though nothing waits: to go on in another turn. */
void stream_want_drained(struct stream *stream);
/* Much comes or goes at a time from now on: others' turns come first (loop_fd_set_bulk()). */
void stream_set_bulk(struct stream *stream, bool bulk);

/* -- TLS -- */
/* From here on the connection speaks TLS; what was written before leaves in clear. on_tls or on_end follows.
 * SYNTAX: clear text follows the command that asked for TLS: close, somebody injects (RFC 3207 section 4.2).
 * MEMORY. `stream` keeps its own reference of the context. A paused stream is resumed. */
MUST_CHECK enum status stream_start_tls_server(struct stream *stream, struct tls_server *server);
MUST_CHECK enum status stream_start_tls_client(struct stream *stream, struct tls_client *client, const struct tls_wish *wish);
/* The same as a server where unconsumed input is already the peer's TLS (after a PROXY header). */
MUST_CHECK enum status stream_start_tls_server_with_input(struct stream *stream, struct tls_server *server);
bool stream_is_tls(const struct stream *stream);            /* also during the handshake */
const struct tls_info *stream_tls(const struct stream *stream); /* NULL before on_tls */
/* Has this connection something that no other has? Not without TLS, nor in an old client's TLS 1.2: bind no login to it then. */
bool stream_tls_can_bind(const struct stream *stream);
void stream_tls_bindings(const struct stream *stream, struct tls_bindings *ret); /* nothing where it has not */
const char *stream_tls_failure(const struct stream *stream); /* a phrase for the log; "" when nothing failed */

int stream_errno(const struct stream *stream); /* of the read or write that failed */
int stream_fd(const struct stream *stream); /* for socket options; must not be duplicated */
void stream_set_events(struct stream *stream, const struct stream_events *events, void *arg); /* another owner */
