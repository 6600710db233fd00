/* net/dns_event.c -- the event base that libunbound asks for (unbound-event.h), made of our loop. */
#include "net/dns_priv.h"
#include <stdlib.h>
#include <sys/time.h>

struct dns_event {
    struct ub_event event; /* first: libunbound sees only this */
    struct loop *loop;
    struct loop_fd watch;
    struct loop_timer timer;
    int fd;
    short bits;
    int64_t after_ms; /* of a timeout that repeats; -1: none */
    void (*call)(int fd, short bits, void *arg);
    void *arg;
};

static struct dns_event *own(struct ub_event *event) { return CONTAINER(event, struct dns_event, event); }

static int64_t to_ms(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000 + (time->tv_usec + 999) / 1000;
}

static void stop(struct dns_event *event)
{
    loop_fd_remove(&event->watch);
    loop_timer_stop(&event->timer);
    event->after_ms = -1;
}

/* The callback may free the event: nothing may follow. */
static void fire(struct dns_event *event, short bits)
{
    if (!(event->bits & UB_EV_PERSIST))
        stop(event);
    else if (event->after_ms >= 0)
        loop_timer_set(&event->timer, event->after_ms);
    event->call(event->fd, bits, event->arg);
}

static void on_ready(struct loop_fd *watch, unsigned ready)
{
    struct dns_event *event = CONTAINER(watch, struct dns_event, watch);
    int bits = 0;
    if (ready & (LOOP_READ | LOOP_ERROR))
        bits |= event->bits & UB_EV_READ;
    if (ready & (LOOP_WRITE | LOOP_ERROR))
        bits |= event->bits & UB_EV_WRITE;
    if (bits)
        fire(event, (short)bits);
}

static void on_due(struct loop_timer *timer) { fire(CONTAINER(timer, struct dns_event, timer), UB_EV_TIMEOUT); }

static int event_add(struct ub_event *base, struct timeval *after)
{
    struct dns_event *event = own(base);
    unsigned want = (event->bits & UB_EV_READ ? LOOP_READ : 0u) | (event->bits & UB_EV_WRITE ? LOOP_WRITE : 0u);
    if (want && event->fd >= 0) {
        if (event->watch.loop)
            loop_fd_want(&event->watch, want);
        else if (loop_fd_add(event->loop, &event->watch, event->fd, want, on_ready) != STATUS_OK)
            return -1;
    }
    if (after) {
        event->after_ms = to_ms(after);
        loop_timer_set(&event->timer, event->after_ms);
    }
    return 0;
}

static int event_del(struct ub_event *base)
{
    stop(own(base));
    return 0;
}

static void event_add_bits(struct ub_event *base, short bits)
{
    stop(own(base));
    own(base)->bits = (short)(own(base)->bits | bits);
}

static void event_del_bits(struct ub_event *base, short bits)
{
    stop(own(base));
    own(base)->bits = (short)(own(base)->bits & ~bits);
}

static void event_set_fd(struct ub_event *base, int fd)
{
    stop(own(base));
    own(base)->fd = fd;
}

static void event_free(struct ub_event *base)
{
    stop(own(base));
    free(own(base));
}

static int event_add_timer(struct ub_event *base, struct ub_event_base *of, void (*call)(int, short, void *), void *arg,
                           struct timeval *after)
{
    struct dns_event *event = own(base);
    event->call = call;
    event->arg = arg;
    event->bits = UB_EV_TIMEOUT;
    return event_add(base, after);
}

static int no_signal(struct ub_event *event, struct timeval *after) { return -1; }
static int no_signal_del(struct ub_event *event) { return -1; }
static void no_windows(struct ub_event *event) {}
static void no_windows_block(struct ub_event *event, int bits) {}

static struct ub_event_vmt event_table = {
    .add_bits = event_add_bits,
    .del_bits = event_del_bits,
    .set_fd = event_set_fd,
    .free = event_free,
    .add = event_add,
    .del = event_del,
    .add_timer = event_add_timer,
    .del_timer = event_del,
    .add_signal = no_signal,
    .del_signal = no_signal_del,
    .winsock_unregister_wsaevent = no_windows,
    .winsock_tcp_wouldblock = no_windows_block,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits, void (*call)(int, short, void *), void *arg)
{
    struct loop *loop = CONTAINER(base, struct dns_event_base, base)->loop;
    struct dns_event *event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    *event = (struct dns_event){ .event = { UB_EVENT_MAGIC, &event_table }, .loop = loop, .fd = fd, .bits = bits,
                                 .after_ms = -1, .call = call, .arg = arg };
    loop_timer_init(loop, &event->timer, on_due);
    return &event->event;
}

static void base_free(struct ub_event_base *base) {}
static int base_dispatch(struct ub_event_base *base) { return -1; }
static int base_exit(struct ub_event_base *base, struct timeval *after) { return 0; }
static struct ub_event *base_signal(struct ub_event_base *base, int signal, void (*call)(int, short, void *), void *arg)
{
    return NULL;
}
static struct ub_event *base_windows(struct ub_event_base *base, void *event, void (*call)(int, short, void *), void *arg)
{
    return NULL;
}

static struct ub_event_base_vmt base_table = {
    .free = base_free,
    .dispatch = base_dispatch,
    .loopexit = base_exit,
    .new_event = new_event,
    .new_signal = base_signal,
    .winsock_register_wsaevent = base_windows,
};

void dns_event_base_init(struct dns_event_base *base, struct loop *loop)
{
    *base = (struct dns_event_base){ .base = { UB_EVENT_MAGIC, &base_table }, .loop = loop };
}
