/* Checkpoints: when the journal has grown, the whole state is written down anew, some messages in each turn. */
#include "queue/checkpoint.h"
#include "queue/role_priv.h"
#include <stdlib.h>

#define JOURNAL_OCTETS (32u << 20)  /* after so much */
#define MESSAGES_A_TURN 500
#define AGAIN_MS 60000              /* after one that failed */

struct checkpointing {
    struct queue_role *role;
    struct loop_task step;
    uint64_t *ids;                  /* of the messages that were there when it began */
    size_t at, n;
    bool ending;
    int64_t not_before_ms;
};

static void end(struct checkpointing *checkpointing)
{
    loop_task_cancel(&checkpointing->step);
    free(checkpointing->ids);
    checkpointing->ids = NULL;
    checkpointing->n = checkpointing->at = 0;
    checkpointing->ending = false;
}

static void on_done(void *arg, enum status status)
{
    struct checkpointing *checkpointing = arg;
    struct queue_role *role = checkpointing->role;
    log_event(role_log(role), status == STATUS_OK ? LOG_DEBUG : LOG_ERROR, "checkpoint",
              LOG_INT("messages", checkpointing->n), LOG_STR("status", status_text(status)));
    checkpointing->not_before_ms = status == STATUS_OK ? 0 : role_now(role) + AGAIN_MS;
    end(checkpointing);
}

static enum status message_add(struct queue_role *role, const struct queue_message *message)
{
    struct buf *buf = &role->queue.scratch;
    AUTO(buf_done) struct buf large = BUF_EMPTY(64u << 20);
    buf_clear(buf);
    enum status status = queue_checkpoint_message_put(buf, message);
    if (status != STATUS_OK) {
        buf = &large;
        status = queue_checkpoint_message_put(buf, message);
    }
    return status == STATUS_OK ? spool_checkpoint_add(role->journal, QUEUE_ENTRY_MESSAGE, message->id, buf_span(buf))
                               : status;
}

static void on_step(struct loop_task *task)
{
    struct checkpointing *checkpointing = CONTAINER(task, struct checkpointing, step);
    struct queue_role *role = checkpointing->role;
    size_t until = MIN(checkpointing->at + MESSAGES_A_TURN, checkpointing->n);
    enum status status = STATUS_OK;
    for (; checkpointing->at < until && status == STATUS_OK; checkpointing->at++) {
        const struct queue_message *message = queue_message_find(&role->queue, checkpointing->ids[checkpointing->at]);
        if (message)
            status = message_add(role, message);
    }
    if (status != STATUS_OK) {
        spool_checkpoint_fail(role->journal, status); /* a message left out would be lost */
        checkpointing->at = checkpointing->n;
    }
    if (checkpointing->at < checkpointing->n) {
        loop_later(&checkpointing->step);
        return;
    }
    checkpointing->ending = true;
    spool_checkpoint_end(role->journal, on_done, checkpointing);
}

/* The places first: what lies behind them is scanned at the start. */
static enum status segments_add(struct queue_role *role)
{
    for (MAP_EACH(node, &role->queue.segments)) {
        const struct queue_log_segment *segment = CONTAINER(node, const struct queue_log_segment, node);
        struct queue_entry entry = { .kind = QUEUE_ENTRY_SEGMENT, .segment = segment->number, .epoch = segment->epoch,
                                     .known = segment->known };
        buf_clear(&role->queue.scratch);
        queue_entry_put(&role->queue.scratch, &entry);
        enum status status = spool_checkpoint_add(role->journal, QUEUE_ENTRY_SEGMENT, segment->number,
                                                  buf_span(&role->queue.scratch));
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void begin(struct checkpointing *checkpointing)
{
    struct queue_role *role = checkpointing->role;
    checkpointing->not_before_ms = role_now(role) + AGAIN_MS;
    checkpointing->ids = malloc((role->queue.messages.n + 1) * sizeof *checkpointing->ids);
    if (!checkpointing->ids || spool_checkpoint_begin(role->journal) != STATUS_OK) {
        end(checkpointing);
        return;
    }
    for (MAP_EACH(node, &role->queue.messages))
        checkpointing->ids[checkpointing->n++] = CONTAINER(node, struct queue_message, node)->id;
    enum status status = segments_add(role);
    if (status != STATUS_OK)
        spool_checkpoint_fail(role->journal, status);
    loop_later(&checkpointing->step);
}

void checkpoints_turn(struct queue_role *role)
{
    if (spool_journal_octets(role->journal) < JOURNAL_OCTETS)
        return;
    struct checkpointing *checkpointing = role->checkpointing;
    if (!checkpointing) {
        checkpointing = role->checkpointing = calloc(1, sizeof *checkpointing);
        if (!checkpointing)
            return;
        checkpointing->role = role;
        loop_task_init(role->process.loop, &checkpointing->step, on_step);
    }
    if (!checkpointing->ids && role_now(role) >= checkpointing->not_before_ms)
        begin(checkpointing);
}

void checkpoints_close(struct queue_role *role)
{
    if (!role->checkpointing)
        return;
    end(role->checkpointing);
    free(role->checkpointing);
    role->checkpointing = NULL;
}
