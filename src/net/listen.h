/* net/listen.h -- sockets that wait for connections, and the loop that accepts them.
 *
 * The supervisor opens and binds (listen_open); whoever holds the descriptor accepts (listener_new).
 */
#pragma once
#include "loop/loop.h"
#include "net/address.h"

#define LISTEN_BATCH 64 /* connections accepted in one turn, so that those we have are not forgotten */

/* Non-blocking, close-on-exec, reusing the address; IPv6 sockets take IPv6 only unless the address is `[::]` and
 * `dual` is set. TCP_NODELAY is inherited by what is accepted. `share`: SO_REUSEPORT, one socket per process.
 * A path is unlinked first when nobody answers on it. IO: errno. */
struct listen_options {
    bool share;
    bool dual;
    int backlog; /* 0: as large as the system allows */
};
MUST_CHECK enum status listen_open(const struct net_address *at, const struct listen_options *options, int *ret);

struct listener;
struct listener_events {
    /* `fd` is non-blocking and now the handler's. */
    void (*on_accept)(void *arg, struct listener *listener, int fd, const struct net_address *peer);
    /* Out of descriptors: a connection was taken and closed at once. May be NULL. */
    void (*on_exhausted)(void *arg, struct listener *listener);
};

/* Takes the ownership of the listening `fd`. NULL: out of memory or descriptors; the fd stays the caller's. */
struct listener *listener_new(struct loop *loop, int fd, const struct listener_events *events, void *arg);
void listener_free(struct listener *listener); /* closes; allowed in on_accept */
/* Gives the socket back unclosed and frees the listener. */
int listener_release(struct listener *listener);
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
