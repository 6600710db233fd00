/* Connections: octets on their way, descriptors that go with them, and how they end. */
#include "kernel_socket.h"
#include <string.h>

#define TCP_OCTETS (64u << 10)
#define UNIX_OCTETS 212992u
#define SMALL_OCTETS 4096u /* some connections have little room: what does not fit must wait */

enum chunk_kind { CHUNK_OCTETS, CHUNK_FIN, CHUNK_RESET };

struct chunk {
    struct list link;
    enum chunk_kind kind;
    size_t n;
    int64_t at_us;
};

struct passed {
    struct list link;
    uint64_t at;             /* octets taken before */
    unsigned count;
    struct object *objects[];
};

static struct {
    struct list links;
    uint64_t number;
} all;

/* -- arrival -- */

static void arm(struct flow *flow)
{
    struct list *first = list_first(&flow->chunks);
    if (first && !flow->link->held && !flow->arrival.index)
        event_set(&flow->arrival, MAX(CONTAINER(first, struct chunk, link)->at_us, now_us()));
}

static void break_reader(struct flow *flow)
{
    flow->broken = flow->fin = true;
    if (!flow->reader)
        return;
    flow->reader->error = ECONNRESET;
    object_changed(&flow->reader->object);
    struct flow *back = flow->reader->out;
    back->broken = true;
}

static void arrive(struct flow *flow, enum chunk_kind kind, size_t n)
{
    if (kind == CHUNK_RESET) {
        break_reader(flow);
        return;
    }
    flow->visible += n;
    flow->fin |= kind == CHUNK_FIN;
    if (flow->reader)
        object_changed(&flow->reader->object);
    else if (kind == CHUNK_OCTETS)
        flow_refuse(flow);
}

static void on_arrival(struct event *event)
{
    struct flow *flow = CONTAINER(event, struct flow, arrival);
    for (struct list *first; (first = list_first(&flow->chunks)) != NULL;) {
        struct chunk *chunk = CONTAINER(first, struct chunk, link);
        if (chunk->at_us > now_us())
            break;
        enum chunk_kind kind = chunk->kind;
        size_t n = chunk->n;
        list_remove(first);
        kernel_free(chunk);
        arrive(flow, kind, n);
    }
    arm(flow);
}

static void send_chunk(struct flow *flow, enum chunk_kind kind, size_t n)
{
    if (!flow->link->tcp && !flow->link->held) {
        arrive(flow, kind, n);
        return;
    }
    struct chunk *chunk = kernel_calloc(1, sizeof *chunk);
    int64_t wait = flow->link->latency_us;
    wait += wait ? (int64_t)chance_below((uint64_t)wait * 2) : 0;
    flow->last_us = MAX(flow->last_us, now_us() + wait);
    *chunk = (struct chunk){ .kind = kind, .n = n, .at_us = flow->last_us };
    list_add_last(&flow->chunks, &chunk->link);
    arm(flow);
}

static void drop_chunks(struct flow *flow)
{
    for (struct list *link; (link = list_take_first(&flow->chunks)) != NULL;)
        kernel_free(CONTAINER(link, struct chunk, link));
    event_stop(&flow->arrival);
    flow->end = flow->begin + flow->visible;
}

static void drop_passed(struct flow *flow)
{
    for (struct list *link; (link = list_take_first(&flow->passed)) != NULL;) {
        struct passed *passed = CONTAINER(link, struct passed, link);
        for (unsigned i = 0; i < passed->count; i++)
            object_unref(passed->objects[i]);
        kernel_free(passed);
    }
}

/* -- connections -- */

static void flow_init(struct flow *flow, struct link *link, struct sock *writer, struct sock *reader)
{
    size_t most = link->tcp ? TCP_OCTETS : UNIX_OCTETS;
    *flow = (struct flow){ .link = link, .writer = writer, .reader = reader, .arrival.run = on_arrival };
    flow->most = fault(kernel.faults.short_io) ? SMALL_OCTETS : most;
    list_init(&flow->chunks);
    list_init(&flow->passed);
}

struct link *link_new(struct sock *a, struct sock *b, bool tcp)
{
    struct link *link = kernel_calloc(1, sizeof *link);
    if (!all.links.next)
        list_init(&all.links);
    link->tcp = tcp;
    link->latency_us = tcp ? kernel.faults.latency_us : 0;
    link->number = ++all.number;
    list_add_last(&all.links, &link->link);
    flow_init(&link->flows[0], link, a, b);
    flow_init(&link->flows[1], link, b, a);
    a->out = b->in = &link->flows[0];
    b->out = a->in = &link->flows[1];
    a->state = b->state = SOCK_CONNECTED;
    return link;
}

static void link_free(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        drop_chunks(&link->flows[i]);
        drop_passed(&link->flows[i]);
        kernel_free(link->flows[i].octets);
    }
    list_remove(&link->link);
    kernel_free(link);
}

void link_cut(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        drop_chunks(&link->flows[i]);
        break_reader(&link->flows[i]);
    }
}

void link_hold(struct link *link, bool hold)
{
    link->held = hold;
    for (int i = 0; i < 2; i++) {
        if (hold)
            event_stop(&link->flows[i].arrival);
        else
            arm(&link->flows[i]);
    }
}

void flow_finish(struct flow *flow)
{
    if (flow->fin_sent)
        return;
    flow->fin_sent = true;
    if (!flow->broken)
        send_chunk(flow, CHUNK_FIN, 0);
}

/* Octets that nobody has read are answered with a reset, as TCP and AF_UNIX do. */
void link_leave(struct sock *sock)
{
    struct flow *in = sock->in, *out = sock->out;
    struct link *link = in->link;
    bool unread = in->end > in->begin;
    in->reader = NULL;
    out->writer = NULL;
    out->left_us = now_us();
    sock->in = sock->out = NULL;
    if (!out->reader) {
        if (!in->writer)
            link_free(link);
        return;
    }
    if ((unread || sock->resets) && !out->broken)
        send_chunk(out, CHUNK_RESET, 0);
    else
        flow_finish(out);
    if (in->writer)
        object_changed(&in->writer->object);
}

/* -- octets -- */

size_t flow_room(const struct flow *flow)
{
    size_t used = flow->end - flow->begin;
    return flow->reader ? flow->most - MIN(used, flow->most) : flow->most;
}

void flow_put(struct flow *flow, const char *p, size_t n, struct object **objects, unsigned count)
{
    if (!flow->reader) {
        for (unsigned i = 0; i < count; i++)
            object_unref(objects[i]);
        flow_refuse(flow);
        return;
    }
    if (flow->end + n > flow->room && flow->begin) {
        memmove(flow->octets, flow->octets + flow->begin, flow->end - flow->begin);
        flow->end -= flow->begin;
        flow->begin = 0;
    }
    if (flow->end + n > flow->room) {
        flow->room = MAX(flow->end + n, 2 * flow->room);
        flow->octets = kernel_grow(flow->octets, flow->room);
    }
    if (count) {
        struct passed *passed = kernel_calloc(1, sizeof *passed + count * sizeof(struct object *));
        *passed = (struct passed){ .at = flow->taken + flow->end - flow->begin, .count = count };
        memcpy(passed->objects, objects, count * sizeof *objects);
        list_add_last(&flow->passed, &passed->link);
    }
    memcpy(flow->octets + flow->end, p, n);
    flow->end += n;
    send_chunk(flow, CHUNK_OCTETS, n);
}

void flow_refuse(struct flow *flow)
{
    if (flow->writer && !flow->writer->in->broken)
        send_chunk(flow->writer->in, CHUNK_RESET, 0);
}

size_t flow_takes(const struct flow *flow, size_t most)
{
    most = MIN(most, flow->visible);
    for (LIST_EACH(link, &flow->passed)) {
        uint64_t at = CONTAINER(link, struct passed, link)->at;
        if (at > flow->taken)
            return (size_t)MIN(most, at - flow->taken);
    }
    return most;
}

unsigned flow_passed(struct flow *flow, struct object **ret, unsigned most)
{
    struct list *first = list_first(&flow->passed);
    struct passed *passed = first ? CONTAINER(first, struct passed, link) : NULL;
    if (!passed || passed->at > flow->taken)
        return 0;
    unsigned count = passed->count;
    for (unsigned i = 0; i < count; i++)
        if (i < most)
            ret[i] = passed->objects[i];
        else
            object_unref(passed->objects[i]);
    list_remove(first);
    kernel_free(passed);
    return count;
}

void flow_take(struct flow *flow, char *p, size_t n)
{
    size_t before = flow_room(flow);
    memcpy(p, flow->octets + flow->begin, n);
    flow->begin += n;
    flow->taken += n;
    flow->visible -= n;
    if (flow->begin == flow->end)
        flow->begin = flow->end = 0;
    if (flow->writer && before < flow->most / 3 && flow_room(flow) >= flow->most / 3)
        object_changed(&flow->writer->object);
}

/* -- the whole network -- */

/* The machine is off: what was on its way to it or from it is lost. */
void sockets_power_cut(void)
{
    for (LIST_EACH(p, &kernel.processes)) {
        struct process *process = CONTAINER(p, struct process, link);
        for (int fd = 0; process != kernel.world && fd < DESCRIPTORS_MAX; fd++)
            if (process->fds[fd].object && process->fds[fd].object->kind == OBJECT_SOCKET)
                sock_of(process->fds[fd].object)->doomed = true;
    }
    if (!all.links.next)
        return;
    for (LIST_EACH(link, &all.links)) {
        struct link *of = CONTAINER(link, struct link, link);
        const struct sock *a = of->flows[0].writer, *b = of->flows[1].writer;
        if ((a && a->doomed) || (b && b->doomed))
            link_cut(of);
    }
}

void sockets_done(void)
{
    while (all.links.next && !list_is_empty(&all.links))
        link_free(CONTAINER(list_first(&all.links), struct link, link));
    all.number = 0;
}

static struct link *link_find(uint64_t number)
{
    if (all.links.next)
        for (LIST_EACH(link, &all.links))
            if (CONTAINER(link, struct link, link)->number == number)
                return CONTAINER(link, struct link, link);
    return NULL;
}

uint64_t kernel_connection(int fd)
{
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    return object && sock_of(object)->in ? sock_of(object)->in->link->number : 0;
}

int64_t kernel_left_ms(int fd)
{
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    const struct flow *in = object ? sock_of(object)->in : NULL;
    return in && !in->writer ? MAX(in->left_us / 1000, INT64_C(1)) : 0;
}

void kernel_cut(uint64_t connection)
{
    struct link *link = link_find(connection);
    if (link)
        link_cut(link);
}

void kernel_hold(uint64_t connection, bool hold)
{
    struct link *link = link_find(connection);
    if (link)
        link_hold(link, hold);
}
