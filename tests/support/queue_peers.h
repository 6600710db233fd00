/* The peers of the process queue inside a fuzzer: writers and deliveries that can say what is true, and anything else. */
#pragma once
#include "base/id.h"
#include "queue_inside.h"
#include "spool/envelope.h"
#include "spool/log.h"
#include "wire/queue_delivery.h"
#include "wire/smtpd_queue.h"

#define KEPT 8 /* of each thing that a peer remembers, the last so many */

struct kept {
    uint64_t numbers[KEPT];
    unsigned n;
};

struct writer_peer {
    struct channel *channel; /* NULL: dead */
    uint32_t number;
    struct id_source ids;
    struct spool_log log;    /* in the segment that came last */
    int raw_fd;              /* the same segment once more; -1: none */
    struct kept segments, bodies, ids_used;
    int body_fd;
    uint32_t offset;         /* of the record written last */
    bool closed;
};

struct delivery_peer {
    struct channel *channel;
    uint32_t number;
    struct kept leases, tokens;
    struct lease_grant last; /* texts not kept */
    bool closed;
};

static inline void keep(struct kept *kept, uint64_t number) { kept->numbers[kept->n++ % KEPT] = number; }
static inline uint64_t kept_one(const struct kept *kept, unsigned which)
{
    return kept->n ? kept->numbers[which % MIN(kept->n, (unsigned)KEPT)] : 0;
}

static inline int take_fd(struct channel_message *message)
{
    int fd = message->fd_count ? message->fds[0] : -1;
    message->fds[0] = -1;
    return fd;
}

/* -- writers -- */

static inline void writer_heard(void *arg, struct channel *channel, struct channel_message *message)
{
    struct writer_peer *writer = arg;
    struct queue_welcome welcome;
    struct queue_segment segment;
    struct queue_body body;
    struct queue_state state;
    bool opens;
    switch (message->kind) {
    case QUEUE_WELCOME:
        require(queue_welcome_get(message->body, &welcome) && welcome.writer == writer->number + 1);
        writer->ids = (struct id_source){ .last = MAX(writer->ids.last, welcome.id_floor), .writer = welcome.writer };
        break;
    case QUEUE_SEGMENT:
        require(queue_segment_get(message->body, &segment) && message->fd_count == 1);
        keep(&writer->segments, segment.number);
        if (writer->raw_fd >= 0)
            close(writer->raw_fd);
        writer->raw_fd = take_fd(message);
        opens = spool_log_open(&writer->log, dup(writer->raw_fd)) == STATUS_OK && writer->log.segment.number == segment.number &&
                writer->log.segment.epoch == segment.epoch;
        require(opens || writer->number == 0); /* which may have written over it by the descriptor of before */
        break;
    case QUEUE_BODY:
        require(queue_body_get(message->body, &body) && (body.number == 0) == (message->fd_count == 0));
        if (!body.number)
            break;
        keep(&writer->bodies, body.number);
        if (writer->body_fd >= 0)
            close(writer->body_fd);
        writer->body_fd = take_fd(message);
        break;
    case QUEUE_STATE: require(queue_state_get(message->body, &state)); break;
    default: require(false);
    }
}

static inline void writer_lost(void *arg, struct channel *channel, enum status why) { ((struct writer_peer *)arg)->closed = true; }

static inline void writer_end(struct writer_peer *writer)
{
    channel_free(writer->channel);
    spool_log_done(&writer->log);
    if (writer->raw_fd >= 0)
        close(writer->raw_fd);
    if (writer->body_fd >= 0)
        close(writer->body_fd);
    writer->channel = NULL;
    writer->raw_fd = writer->body_fd = -1;
}

static inline void writer_begin(struct writer_peer *writer, uint32_t number, uint32_t count)
{
    static const struct channel_events events = { writer_heard, writer_lost };
    *writer = (struct writer_peer){ .number = number, .raw_fd = -1, .body_fd = -1 };
    spool_log_init(&writer->log, inside_ops());
    writer->channel = channel_new(inside.loop, inside_peer(ROLE_SMTPD, number, count), &events, writer);
    require(writer->channel != NULL);
    inside_turns(3);
}

#define SAY(peer, kind, put, ...)                                        \
    do {                                                                 \
        AUTO(buf_done) struct buf said_ = BUF_EMPTY((size_t)1 << 20);    \
        put(&said_, &__VA_ARGS__);                                       \
        channel_send((peer)->channel, (kind), buf_span(&said_));         \
    } while (0)

/* Stores a message with recipients a@DOMAIN, b@DOMAIN, ... in the writer's log, with the body file if one is given. False:
 * it has no room. */
static inline bool writer_store(struct writer_peer *writer, const char *domain, unsigned recipients, uint64_t body,
                                struct writer_enqueue *ret, struct buf *packed)
{
    struct spool_recipient list[8];
    char names[8][80];
    AUTO(buf_done) struct buf stored = BUF_EMPTY(65536);
    recipients = MIN(MAX(recipients, 1u), 8u);
    for (unsigned i = 0; i < recipients; i++) {
        snprintf(names[i], sizeof names[i], "%c@%.60s", 'a' + (int)i, domain);
        list[i] = (struct spool_recipient){ .address = span_str(names[i]), .notify = (uint8_t)(i == 2 ? SPOOL_NOTIFY_SUCCESS : 0) };
        writer_recipient_put(packed, &(struct writer_recipient){ list[i].notify, list[i].address });
    }
    struct spool_envelope envelope = { .accepted_wall_ms = __wrap_time_wall_ms(), .account = SPAN("anna"), .sender = SPAN("s@here.example"),
                                       .recipients = list, .recipient_count = recipients };
    require(spool_envelope_encode(&envelope, &stored) == STATUS_OK);
    struct span octets = SPAN("\r\nbody\r\n");
    struct spool_append append = { .id = id_next(&writer->ids, __wrap_time_wall_ms()), .kind = SPOOL_KIND_MESSAGE,
                                   .envelope = buf_span(&stored), .headers = SPAN("Subject: x\r\n"), .body = &octets,
                                   .body_count = 1, .file = { .number = body } };
    if (!spool_log_is_open(&writer->log) || !spool_log_fits(&writer->log, 0, &append) ||
        spool_log_commit(&writer->log, &append) != STATUS_OK)
        return false;
    writer->offset = append.place.offset;
    keep(&writer->ids_used, append.id);
    *ret = (struct writer_enqueue){ .id = append.id, .segment = append.place.segment, .offset = append.place.offset,
                                    .length = append.place.length, .body = body, .account = envelope.account,
                                    .sender = envelope.sender, .recipient_count = recipients,
                                    .accepted_wall_ms = envelope.accepted_wall_ms, .recipients = buf_span(packed) };
    return true;
}

/* -- deliveries -- */

static inline void delivery_heard(void *arg, struct channel *channel, struct channel_message *message)
{
    struct delivery_peer *delivery = arg;
    static struct lease_grant grant;
    struct lease_resolve resolve;
    switch (message->kind) {
    case LEASE_GRANT:
        require(lease_grant_get(message->body, &grant));
        keep(&delivery->leases, grant.lease);
        delivery->last = grant;
        delivery->last.site = delivery->last.domain = delivery->last.route = SPAN_NONE;
        break;
    case LEASE_RESOLVE:
        require(lease_resolve_get(message->body, &resolve));
        keep(&delivery->tokens, resolve.token);
        break;
    case LEASE_SEGMENT:
    case LEASE_BODY: require(message->fd_count == 1); break;
    case LEASE_SEGMENT_GONE:
    case LEASE_BODY_GONE:
    case LEASE_SETTLED:
    case LEASE_LEFT: break;
    default: require(false);
    }
}

static inline void delivery_lost(void *arg, struct channel *channel, enum status why)
{
    ((struct delivery_peer *)arg)->closed = true;
}

static inline void delivery_begin(struct delivery_peer *delivery, uint32_t number)
{
    static const struct channel_events events = { delivery_heard, delivery_lost };
    *delivery = (struct delivery_peer){ .number = number };
    delivery->channel = channel_new(inside.loop, inside_peer(ROLE_DELIVERY, number, 2), &events, delivery);
    require(delivery->channel != NULL);
    inside_turns(3);
}

static inline void delivery_end(struct delivery_peer *delivery)
{
    channel_free(delivery->channel);
    delivery->channel = NULL;
}
