#include "smtpd/store.h"
#include "base/mutant.h"
#include <stdlib.h>
#include <unistd.h>

static void on_settle(struct loop_task *task);

void store_init(struct store *store, struct loop *loop, struct log *log, const struct store_events *events, void *arg)
{
    *store = (struct store){ .loop = loop, .log = log, .events = events, .arg = arg };
    list_init(&store->asks);
    loop_task_init(loop, &store->settle, on_settle);
}

void store_done(struct store *store)
{
    spool_writer_free(store->writer);
    if (store->queue)
        channel_free(store->queue);
    loop_task_cancel(&store->settle);
}

/* -- the log -- */

static void on_need(void *arg)
{
    struct store *store = arg;
    if (store->queue && store->welcome)
        channel_send(store->queue, WRITER_NEED_SEGMENT, SPAN_NONE);
}

static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why)
{
    struct store *store = arg;
    if (why != STATUS_OK)
        log_error(store->log, "segment-given-up", LOG_INT("segment", segment), LOG_STR("why", status_text(why)));
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    writer_sealed_put(&body, &(struct writer_sealed){ segment, used });
    if (store->queue && store->welcome && !store->ending)
        channel_send(store->queue, WRITER_SEALED, buf_span(&body));
}

static void begin_log(struct store *store)
{
    static const struct spool_writer_events events = { on_need, on_sealed };
    store->writer = spool_writer_new(store->loop, &(struct spool_writer_settings){ .ahead = 1 }, &events, store);
    if (!store->writer)
        log_error(store->log, "log-failed", LOG_STR("why", "out of memory or threads"));
    else
        store->events->on_begun(store->arg);
}

/* The queue is ready for us, and nothing of the log before is left. */
static void begin_if_ready(struct store *store)
{
    if (store->queue && store->welcome && !store->ending && !store->writer)
        begin_log(store);
}

static void end_log(struct store *store)
{
    if (!store->ending || (store->writer && spool_writer_waiting(store->writer) > 0))
        return;
    store->events->on_ending(store->arg);
    spool_writer_free(store->writer);
    store->writer = NULL;
    store->events->on_ended(store->arg);
    store->ending = false; /* not before: files that are given up by its end are none of the next queue's */
    begin_if_ready(store);
}

/* -- the queue -- */

static void refuse_asks(struct store *store)
{
    for (struct list *link; (link = list_take_first(&store->asks)) != NULL;) {
        struct body_ask *ask = CONTAINER(link, struct body_ask, link);
        ask->token = 0;
        ask->on_body(ask, -1, 0);
    }
}

static void lose(struct store *store)
{
    channel_free(store->queue);
    store->queue = NULL;
    store->welcome = store->accepting = false;
    store->ending = true;
    if (store->writer)
        spool_writer_set_low(store->writer, true); /* what waits for a segment would wait for ever: it is refused */
    refuse_asks(store);
    loop_later(&store->settle); /* we may be inside the log's callbacks */
}

static bool take_welcome(struct store *store, struct span body)
{
    struct queue_welcome welcome;
    if (!queue_welcome_get(body, &welcome) || store->welcome)
        return false;
    store->ids.writer = welcome.writer;
    store->ids.last = MUTANT(IDS_REUSED) ? 0 : MAX(store->ids.last, welcome.id_floor);
    store->welcome = store->accepting = true;
    begin_if_ready(store);
    return true;
}

static bool take_segment(struct store *store, struct channel_message *message)
{
    struct queue_segment segment;
    if (!queue_segment_get(message->body, &segment) || message->fd_count != 1)
        return false;
    if (!store->writer || store->ending)
        return true; /* asked for by the log before */
    int fd = message->fds[0];
    message->fds[0] = -1;
    enum status status = spool_writer_give(store->writer, fd);
    if (status != STATUS_OK)
        log_error(store->log, "segment-refused", LOG_INT("segment", segment.number), LOG_STR("why", status_text(status)));
    return true;
}

static bool take_body(struct store *store, struct channel_message *message)
{
    struct queue_body body;
    if (!queue_body_get(message->body, &body) || (body.number && message->fd_count != 1))
        return false;
    for (LIST_EACH(link, &store->asks)) {
        struct body_ask *ask = CONTAINER(link, struct body_ask, link);
        if (ask->token != body.token)
            continue;
        int fd = body.number ? message->fds[0] : -1;
        if (body.number)
            message->fds[0] = -1;
        list_remove(link);
        ask->token = 0;
        ask->on_body(ask, fd, body.number);
        return true;
    }
    if (body.number)
        store_body_drop(store, body.number); /* the client went away meanwhile */
    return true;
}

static bool take_state(struct store *store, struct span body)
{
    struct queue_state state;
    if (!queue_state_get(body, &state))
        return false;
    bool accepting = state.accepting != 0;
    if (accepting != store->accepting)
        log_warning(store->log, accepting ? "accepting-again" : "not-accepting", LOG_SPAN("why", state.reason));
    store->accepting = accepting;
    if (store->writer)
        spool_writer_set_low(store->writer, !accepting);
    return true;
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct store *store = arg;
    bool good = false;
    switch (message->kind) {
    case QUEUE_WELCOME: good = take_welcome(store, message->body); break;
    case QUEUE_SEGMENT: good = take_segment(store, message); break;
    case QUEUE_BODY: good = take_body(store, message); break;
    case QUEUE_STATE: good = take_state(store, message->body); break;
    default: break;
    }
    if (good)
        return;
    log_error(store->log, "peer-broke-format", LOG_STR("peer", "queue"), LOG_INT("kind", message->kind));
    lose(store);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct store *store = arg;
    log_warning(store->log, "peer-gone", LOG_STR("peer", "queue"), LOG_STR("why", status_text(why)));
    lose(store);
}

void store_connect(struct store *store, int fd)
{
    static const struct channel_events events = { on_message, on_closed };
    if (store->queue)
        lose(store);
    store->queue = channel_new(store->loop, fd, &events, store);
    if (!store->queue)
        log_error(store->log, "peer-refused", LOG_STR("peer", "queue"), LOG_STR("why", "out of memory"));
    if (!store->queue)
        close(fd);
}

/* -- messages -- */

enum status store_check(const struct store *store)
{
    if (!store->queue || !store->welcome || !store->writer || store->ending)
        return STATUS_DENIED;
    return store->accepting && !spool_writer_is_full(store->writer) ? STATUS_OK : STATUS_FULL;
}

uint64_t store_id(struct store *store) { return id_next(&store->ids, loop_wall_ms(store->loop)); }

enum status store_put(struct store *store, struct intake *intake, const struct spool_body_ref *file,
                      intake_on_stored *on_stored)
{
    enum status status = store_check(store);
    return status == STATUS_OK ? intake_store(intake, store->writer, file, on_stored) : status;
}

/* Not inside the log's own callbacks. */
static void on_settle(struct loop_task *task)
{
    struct store *store = CONTAINER(task, struct store, settle);
    end_log(store);
    if (store_is_idle(store))
        store->events->on_idle(store->arg);
}

enum status store_stored(struct store *store, const struct intake *intake, enum status status)
{
    loop_later(&store->settle);
    if (status == STATUS_FULL && store->ending)
        return STATUS_CLOSED; /* no room was to be had because the queue is gone, not because the disk is full */
    if (status != STATUS_OK)
        return status;
    if (store->ending) {
        log_warning(store->log, "stored-without-queue", LOG_ID(intake->id),
                    LOG_STR("why", "the queue died meanwhile; not acknowledged, may arrive twice"));
        return STATUS_CLOSED;
    }
    intake_announce(intake, channel_begin(store->queue, WRITER_ENQUEUE));
    if (channel_try_end(store->queue) == STATUS_FULL) {
        log_warning(store->log, "stored-without-queue", LOG_ID(intake->id),
                    LOG_STR("why", "out of memory to tell the queue; not acknowledged, may arrive twice"));
        return STATUS_CLOSED;
    }
    return STATUS_OK; /* a channel that is dead: the next queue finds it */
}

bool store_is_idle(const struct store *store) { return !store->writer || spool_writer_waiting(store->writer) == 0; }

/* -- body files -- */

bool store_body_ask(struct store *store, struct body_ask *ask)
{
    if (store_check(store) != STATUS_OK)
        return false;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    ask->token = ++store->token;
    writer_need_body_put(&body, &(struct writer_need_body){ ask->token });
    if (channel_send(store->queue, WRITER_NEED_BODY, buf_span(&body)) != STATUS_OK) {
        ask->token = 0;
        return false;
    }
    list_add_last(&store->asks, &ask->link);
    return true;
}

void store_body_cancel(struct store *store, struct body_ask *ask)
{
    if (ask->token == 0)
        return;
    ask->token = 0;
    list_remove(&ask->link);
}

void store_body_drop(struct store *store, uint64_t number)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    writer_drop_body_put(&body, &(struct writer_drop_body){ number });
    if (store->queue && !store->ending) /* while the log ends, the file was of the queue before, whose successor removes it */
        channel_send(store->queue, WRITER_DROP_BODY, buf_span(&body));
}
