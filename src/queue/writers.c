/* The processes that take messages in: segments and body files for them, their announcements, their deaths. */
#include "queue/recover.h"
#include "queue/role_priv.h"
#include <stdlib.h>
#include <unistd.h>

struct body_ask {
    struct list link;
    uint64_t token;
};

static int writer_id(const struct writer *writer) { return (int)writer->number + 1; }

static void writer_free(struct writer *writer)
{
    list_remove(&writer->link);
    for (struct list *link; (link = list_take_first(&writer->asks));)
        free(CONTAINER(link, struct body_ask, link));
    for (size_t i = 0; i < writer->body_count; i++)
        spool_store_body_remove(writer->role->store, writer->bodies[i]);
    if (writer->channel)
        channel_free(writer->channel);
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->bodies);
    free(writer);
}

/* What it had synced but not announced is taken over. Its threads may still be writing: only when its successor, or
 * it itself with a new log, asks for a segment is it certain that nothing more comes. */
static void segments_catch_up(struct queue_role *role, int id, bool seal)
{
    for (MAP_EACH(node, &role->queue.segments)) {
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment->writer != id || segment->sealed)
            continue;
        disk_catch_up(role, segment, seal);
        if (seal)
            queue_segment_sealed(&role->queue, segment);
    }
}

static void writer_gone(struct writer *writer)
{
    struct queue_role *role = writer->role;
    if (writer->channel && role->started)
        segments_catch_up(role, writer_id(writer), false);
    writer_free(writer);
}

/* -- segments -- */

static bool segment_send(struct writer *writer)
{
    struct queue_role *role = writer->role;
    int fd;
    uint32_t number;
    if (spool_store_take(role->store, SPOOL_MESSAGES, (uint32_t)writer_id(writer), &fd, &number) != STATUS_OK)
        return false;
    const struct spool_segment *segment = spool_store_segment(role->store, number);
    if (!queue_segment_add(&role->queue, number, segment->epoch, segment->octets, writer_id(writer))) {
        close(fd);
        spool_store_release(role->store, number);
        return false;
    }
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    queue_segment_put(&body, &(struct queue_segment){ number, segment->epoch, segment->octets });
    channel_send_fds(writer->channel, QUEUE_SEGMENT, buf_span(&body), &fd, 1);
    close(fd);
    return true;
}

static void body_send(struct writer *writer, uint64_t token, uint64_t number, int fd)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    queue_body_put(&body, &(struct queue_body){ token, number });
    channel_send_fds(writer->channel, QUEUE_BODY, buf_span(&body), &fd, number ? 1 : 0);
}

static bool body_note(struct writer *writer, uint64_t number)
{
    if (writer->body_count == writer->body_room) {
        size_t room = writer->body_room ? writer->body_room * 2 : 8;
        uint64_t *bodies = realloc(writer->bodies, room * sizeof *bodies);
        if (!bodies)
            return false;
        writer->bodies = bodies;
        writer->body_room = room;
    }
    writer->bodies[writer->body_count++] = number;
    return true;
}

/* It is no longer only the writer's: a message names it, or nobody wants it. */
static bool body_forget(struct writer *writer, uint64_t number)
{
    for (size_t i = 0; i < writer->body_count; i++)
        if (writer->bodies[i] == number) {
            writer->bodies[i] = writer->bodies[--writer->body_count];
            return true;
        }
    return false;
}

/* Found by a scan, in a record that was synced but not announced: the file is the message's. */
bool writers_body_named(struct queue_role *role, int id, uint64_t number)
{
    for (LIST_EACH(link, &role->writers)) {
        struct writer *writer = CONTAINER(link, struct writer, link);
        if (writer_id(writer) == id && body_forget(writer, number))
            return true;
    }
    return false;
}

/* AGAIN: one is being made. */
static enum status body_give(struct writer *writer, uint64_t token)
{
    struct spool_store *store = writer->role->store;
    uint64_t number = 0;
    int fd = -1;
    enum status status = spool_store_body_take(store, &number, &fd);
    if (status == STATUS_AGAIN)
        return status;
    if (status == STATUS_OK && !body_note(writer, number)) {
        spool_store_body_remove(store, number);
        number = 0;
    }
    body_send(writer, token, status == STATUS_OK ? number : 0, fd);
    if (fd >= 0)
        close(fd);
    return STATUS_OK;
}

static void writer_feed(struct writer *writer)
{
    while (writer->needs && segment_send(writer))
        writer->needs--;
    for (struct list *link; (link = list_first(&writer->asks));) {
        struct body_ask *ask = CONTAINER(link, struct body_ask, link);
        if (body_give(writer, ask->token) == STATUS_AGAIN)
            break;
        list_remove(link);
        writer->ask_count--;
        free(ask);
    }
}

void writers_feed(struct queue_role *role)
{
    for (LIST_EACH(link, &role->writers)) {
        struct writer *writer = CONTAINER(link, struct writer, link);
        if (writer->channel)
            writer_feed(writer);
    }
}

/* -- what they say -- */

#define NEEDS_MAX 8      /* segments that a writer may ask for at once */
#define SEGMENTS_MAX 16  /* that it may have open */
#define BODIES_MAX 65536 /* files that it may have, or wait for */

static unsigned segments_open(const struct queue_role *role, int id)
{
    unsigned n = 0;
    for (MAP_EACH(node, &role->queue.segments)) {
        const struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        n += segment->writer == id && !segment->sealed;
    }
    return n;
}

static bool need_segment(struct writer *writer)
{
    if (writer->needs >= NEEDS_MAX)
        return false;
    if (!writer->begun) {
        segments_catch_up(writer->role, writer_id(writer), true);
        orphans_check(writer->role);
    }
    writer->begun = true;
    if (segments_open(writer->role, writer_id(writer)) >= SEGMENTS_MAX)
        return false;
    writer->needs++;
    writer_feed(writer);
    return true;
}

static bool need_body(struct writer *writer, struct span body)
{
    struct writer_need_body need;
    if (!writer_need_body_get(body, &need) || writer->body_count + writer->ask_count >= BODIES_MAX)
        return false;
    if (list_is_empty(&writer->asks) && body_give(writer, need.token) == STATUS_OK)
        return true;
    struct body_ask *ask = calloc(1, sizeof *ask);
    if (!ask) {
        body_send(writer, need.token, 0, -1);
        return true;
    }
    ask->token = need.token;
    list_add_last(&writer->asks, &ask->link);
    writer->ask_count++;
    return true;
}

static bool drop_body(struct writer *writer, struct span body)
{
    struct writer_drop_body drop;
    if (!writer_drop_body_get(body, &drop) || !body_forget(writer, drop.number))
        return false;
    spool_store_body_remove(writer->role->store, drop.number);
    return true;
}

static bool sealed(struct writer *writer, struct span body)
{
    struct writer_sealed told;
    struct queue_role *role = writer->role;
    struct queue_log_segment *segment;
    if (!writer_sealed_get(body, &told) || !(segment = queue_segment_find(&role->queue, told.number)) ||
        segment->writer != writer_id(writer))
        return false;
    if (!segment->sealed)
        queue_segment_sealed(&role->queue, segment);
    return true;
}

/* Who comes in this writer's place goes on behind its ids, also if the clock has gone back meanwhile. */
static void id_seen(struct queue_role *role, uint64_t id)
{
    uint64_t *last = &role->last_ids[id_writer(id)];
    int64_t now_ms = MAX(role_now(role), loop_wall_ms(role->process.loop));
    if (queue_id_is_near(id, *last, now_ms, QUEUE_IDS_SLACK_MS))
        *last = MAX(*last, id);
    else
        log_warning(role_log(role), "id-far-ahead", LOG_ID(id), LOG_STR("what", "its number is of a time that is more than a day "
                    "ahead; the message is kept, and the numbers of others go on from the clock's time"));
}

enum status role_arrived(struct queue_role *role, const struct queue_arrival *arrival)
{
    id_seen(role, arrival->id);
    return queue_arrived(&role->queue, role_now(role), arrival);
}

/* A message that cannot be as it says is refused; the record stays where it is and the next start looks at it. */
static bool enqueue(struct writer *writer, struct span body)
{
    struct queue_role *role = writer->role;
    struct writer_enqueue told;
    if (!writer_enqueue_get(body, &told))
        return false;
    struct queue_log_segment *segment = queue_segment_find(&role->queue, told.segment);
    if (!segment || segment->writer != writer_id(writer) || id_writer(told.id) != writer_id(writer) || segment->sealed || told.offset <= segment->known ||
        (told.body && !body_forget(writer, told.body)))
        return false;
    struct queue_arrival arrival = { .id = told.id, .body = told.body, .octets = told.octets, .segment = told.segment, .offset = told.offset,
                                     .length = told.length, .flags = told.flags, .account = told.account,
                                     .sender = told.sender, .recipient_count = told.recipient_count,
                                     .recipients = told.recipients };
    enum status status = role_arrived(role, &arrival);
    if (status == STATUS_MEMORY)
        abort(); /* it was accepted, and waits until the next start finds it: that is now */
    if (status == STATUS_OK && !segment->unread)
        segment->known = told.offset;
    else if (status != STATUS_OK)
        log_error(role_log(role), "announcement-refused", LOG_ID(told.id), LOG_STR("why", status_text(status)));
    return status == STATUS_OK;
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct writer *writer = arg;
    bool good = false;
    switch (message->kind) {
    case WRITER_ENQUEUE: good = enqueue(writer, message->body); break;
    case WRITER_NEED_SEGMENT: good = message->body.n == 0 && need_segment(writer); break;
    case WRITER_SEALED: good = sealed(writer, message->body); break;
    case WRITER_NEED_BODY: good = need_body(writer, message->body); break;
    case WRITER_DROP_BODY: good = drop_body(writer, message->body); break;
    default: break;
    }
    if (good)
        return;
    log_error(role_log(writer->role), "peer-broke-format", LOG_STR("peer", "smtpd"), LOG_INT("number", writer->number),
              LOG_INT("kind", message->kind));
    writer_gone(writer);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct writer *writer = arg;
    log_info(role_log(writer->role), "peer-gone", LOG_STR("peer", "smtpd"), LOG_INT("number", writer->number),
             LOG_STR("why", status_text(why)));
    writer_gone(writer);
}

/* -- greetings -- */

static void tell_state(struct writer *writer)
{
    bool low = spool_store_is_low(writer->role->store);
    AUTO(buf_done) struct buf body = BUF_EMPTY(256);
    if (low)
        writer->needs = 0; /* it asks again when it hears of room; else each time that there is some would count anew */
    queue_state_put(&body, &(struct queue_state){ !low, low ? SPAN("the disk is low on space") : SPAN_NONE });
    channel_send(writer->channel, QUEUE_STATE, buf_span(&body));
}

void writers_tell_state(struct queue_role *role)
{
    for (LIST_EACH(link, &role->writers)) {
        struct writer *writer = CONTAINER(link, struct writer, link);
        if (writer->channel)
            tell_state(writer);
    }
}

static void writer_begin(struct writer *writer)
{
    static const struct channel_events events = { on_message, on_closed };
    struct queue_role *role = writer->role;
    writer->channel = channel_new(role->process.loop, writer->fd, &events, writer);
    if (!writer->channel) {
        log_error(role_log(role), "peer-refused", LOG_STR("peer", "smtpd"), LOG_STR("why", "out of memory"));
        writer_free(writer);
        return;
    }
    writer->fd = -1;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    queue_welcome_put(&body, &(struct queue_welcome){ (uint8_t)writer_id(writer), role->last_ids[writer_id(writer)] });
    channel_send(writer->channel, QUEUE_WELCOME, buf_span(&body));
    tell_state(writer);
}

/* Writers that there are no more: nothing comes from them. */
static void retire_beyond(struct queue_role *role, uint32_t count)
{
    for (MAP_EACH(node, &role->queue.segments)) {
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment->sealed || segment->writer <= (int)count)
            continue;
        disk_catch_up(role, segment, true);
        queue_segment_sealed(&role->queue, segment);
    }
}

void writers_begin(struct queue_role *role)
{
    for (LIST_EACH(link, &role->writers))
        writer_begin(CONTAINER(link, struct writer, link));
    orphans_check(role);
}

void writers_peer(struct queue_role *role, const struct supervisor_peer *peer, int fd)
{
    for (LIST_EACH(link, &role->writers)) /* the one before it died */
        if (CONTAINER(link, struct writer, link)->number == peer->number)
            writer_gone(CONTAINER(link, struct writer, link));
    struct writer *writer = peer->number < ROLE_WRITERS_MAX ? calloc(1, sizeof *writer) : NULL;
    if (!writer) {
        log_error(role_log(role), "peer-refused", LOG_STR("peer", "smtpd"), LOG_INT("number", peer->number));
        close(fd);
        return;
    }
    writer->role = role;
    writer->fd = fd;
    writer->number = peer->number;
    list_init(&writer->asks);
    list_add_last(&role->writers, &writer->link);
    if (!role->started)
        return;
    retire_beyond(role, peer->count);
    orphans_check(role);
    writer_begin(writer);
}

void writers_close(struct queue_role *role)
{
    for (LIST_EACH(link, &role->writers))
        writer_free(CONTAINER(link, struct writer, link));
    orphans_close(role);
}
