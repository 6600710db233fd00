/* net/connect.h -- opens a connection without waiting for it. */
#pragma once
#include "loop/loop.h"
#include "net/address.h"

struct connecting;
/* OK: `fd` is connected, non-blocking, and now the handler's. TIMEOUT, or IO with `error` an errno: fd is -1. */
typedef void connect_done(void *arg, enum status status, int fd, int error);

struct connect_options {
    const struct net_address *from; /* source address, port 0 for any; NULL: the system chooses */
    int64_t timeout_ms;
};

/* `done` is called once, never inside this call. NULL: out of memory. */
struct connecting *connect_start(struct loop *loop, const struct net_address *to, const struct connect_options *options,
                                 connect_done *done, void *arg);
void connect_cancel(struct connecting *connecting); /* `done` is not called; NULL is fine */
