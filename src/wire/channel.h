/* wire/channel.h -- a stream socket between two of our processes that carries framed messages and descriptors.
 *
 * Frame: u32 length of the body, u16 kind, u16 number of descriptors that belong to it, then the body.
 * Sends gather in memory and leave once a turn with one write; reads take as much as there is and hand out
 * every whole message. A peer that sends a frame over the limit, or descriptors that no frame announces, is
 * cut off (on_closed with DAMAGED).
 */
#pragma once
#include "base/buf.h"
#include "loop/loop.h"

#define CHANNEL_BODY_MAX (8u << 20)   /* octets */
#define CHANNEL_FDS_MAX 16            /* descriptors in one message */
#define CHANNEL_WAITING_MAX (256u << 20) /* octets that may wait for a slow peer before it is cut off */

struct channel;

struct channel_message {
    uint16_t kind;
    struct span body;          /* borrowed; valid during the call */
    int fds[CHANNEL_FDS_MAX];  /* the handler takes those it wants by setting them to -1; the others are closed */
    unsigned fd_count;
};

struct channel_events {
    void (*on_message)(void *arg, struct channel *channel, struct channel_message *message);
    /* CLOSED: the peer has gone. DAMAGED: it broke the framing. IO. FULL: see channel_send(). The channel is dead; channel_free() it here or later. */
    void (*on_closed)(void *arg, struct channel *channel, enum status why);
};

/* Takes the ownership of `fd` (made non-blocking). NULL: out of memory (fd stays the caller's). */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_events *events, void *arg);
void channel_free(struct channel *channel); /* also inside its own handlers; what was not yet sent is lost */

/* Queues one message. CLOSED when the channel is dead; TOO_LONG over CHANNEL_BODY_MAX; FULL: no memory, or over
 * CHANNEL_WAITING_MAX. After FULL the channel ends (on_closed in the next turn, for the peer as well): nobody is told less
 * than was said. */
enum status channel_send(struct channel *channel, uint16_t kind, struct span body);
/* The same with descriptors, which are duplicated at once: the caller keeps its own. */
enum status channel_send_fds(struct channel *channel, uint16_t kind, struct span body, const int *fds, unsigned count);

/* What waits now holds a password: it is overwritten as soon as all of it was sent. */
void channel_is_secret(struct channel *channel);

/* Composes in place, without a copy: channel_begin(), wire_put_*() into what it gave, channel_end(). */
struct buf *channel_begin(struct channel *channel, uint16_t kind);
enum status channel_end(struct channel *channel);
/* The same for a word that can be left out: after FULL the channel goes on. */
enum status channel_try_end(struct channel *channel);

/* Sends what waits now, blocking if it must (for a role that is about to exit). */
enum status channel_flush(struct channel *channel);
size_t channel_waiting(const struct channel *channel); /* octets not yet taken by the kernel */
bool channel_is_dead(const struct channel *channel);

/* A pair of connected stream sockets, close-on-exec. IO: errno. */
MUST_CHECK enum status channel_pair(int ret[2]);
