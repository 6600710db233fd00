/* sim/kernel_socket.h -- inside of the network: flows (kernel_flow.c) and the calls on sockets (kernel_socket.c). */
#pragma once
#include "kernel_priv.h"
#include <netinet/in.h>
#include <sys/un.h>

struct link;
struct sock;

union where {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

struct flow {                /* one direction of a connection */
    struct link *link;
    struct sock *reader, *writer; /* NULL: closed */
    char *octets;
    size_t begin, end, room; /* of the buffer */
    size_t visible;          /* have arrived; the rest is on its way */
    size_t most;             /* octets in the buffer */
    uint64_t taken;          /* by the reader, ever */
    struct list chunks;      /* on their way */
    int64_t last_us;         /* when the last of them arrives */
    int64_t left_us;         /* when its writer closed */
    struct event arrival;
    struct list passed;      /* descriptors */
    bool fin_sent, fin, broken;
};

struct link {
    struct list link;
    uint64_t number;
    struct flow flows[2];
    bool tcp, held;
    int64_t latency_us;
};

enum sock_state { SOCK_NEW, SOCK_LISTENS, SOCK_CONNECTING, SOCK_CONNECTED };

struct sock {
    struct object object;
    enum sock_state state;
    int family, error;
    union where local, peer;
    socklen_t local_n, peer_n;
    struct flow *in, *out;   /* of a connected one */
    bool in_shut, resets, shares, doomed;
    int64_t receive_us, send_us; /* time limits; 0: none */
    /* listening */
    struct list listening;   /* all that listen on addresses of the network */
    struct list queue;       /* struct sock, connected, not yet accepted */
    unsigned queue_n, backlog;
    struct list queued;
    struct inode *inode;     /* of a path */
    /* connecting */
    struct event answer;
    enum kernel_connect verdict;
};

static inline struct sock *sock_of(struct object *object) { return CONTAINER(object, struct sock, object); }
/* Two ends become one connection. */
struct link *link_new(struct sock *a, struct sock *b, bool tcp);
void link_cut(struct link *link);
void link_hold(struct link *link, bool hold);
/* This end is closed. */
void link_leave(struct sock *sock);
void flow_finish(struct flow *flow); /* no more octets from the writer */
size_t flow_room(const struct flow *flow);
/* Adds octets, and perhaps descriptors that go with the first of them. */
void flow_put(struct flow *flow, const char *p, size_t n, struct object **passed, unsigned count);
/* How many octets one read may take, and whether descriptors go with them. */
size_t flow_takes(const struct flow *flow, size_t most);
void flow_take(struct flow *flow, char *p, size_t n);
/* The descriptors that go with the next octet; the caller has the references. */
unsigned flow_passed(struct flow *flow, struct object **ret, unsigned most);
void flow_refuse(struct flow *flow); /* nobody reads: tells the writer */
#define PASSED_MAX 253u
