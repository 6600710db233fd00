/* Checkpoints: when a start would have much to read, the whole state is written down anew, some messages in each turn.
 *
 * Segment by segment: a message that comes meanwhile lies behind what the checkpoint knows of its segment and is found
 * by a scan; one that changes has its change in the journal behind the checkpoint; none changes its segment.
 */
#include "queue/checkpoint.h"
#include "queue/role_priv.h"
#include <stdlib.h>

#define JOURNAL_OCTETS (32u << 20)  /* after so much, and no less than the last checkpoint had: writing it costs as much */
#define SCAN_OCTETS (512u << 20)    /* after so much of messages that a start would look through, */
#define SCAN_TIMES 4                /* and no less than so many times the last checkpoint */
#define MESSAGES_A_TURN 200         /* about 0.2 ms, in which nothing else is done */
#define LOOK_MS 1000
#define AGAIN_MS 60000              /* after one that failed */

struct checkpointing {
    struct queue_role *role;
    struct loop_task step;
    bool active;
    uint32_t *segments;             /* numbers of those that there were when it began */
    uint32_t *known;                /* what the checkpoint says of them */
    size_t segment_at, segment_count;
    uint64_t *ids;                  /* of the messages in the one at hand */
    size_t at, n;
    uint64_t messages;
    int64_t not_before_ms, look_ms;
};

static void end(struct checkpointing *checkpointing)
{
    loop_task_cancel(&checkpointing->step);
    free(checkpointing->segments);
    free(checkpointing->known);
    free(checkpointing->ids);
    checkpointing->segments = checkpointing->known = NULL;
    checkpointing->ids = NULL;
    checkpointing->segment_count = checkpointing->segment_at = checkpointing->n = checkpointing->at = 0;
    checkpointing->active = false;
}

/* A start will not look at what is in it again. */
static void segments_covered(struct checkpointing *checkpointing)
{
    for (size_t i = 0; i < checkpointing->segment_count; i++) {
        struct queue_log_segment *segment = queue_segment_find(&checkpointing->role->queue, checkpointing->segments[i]);
        if (segment)
            segment->covered = MIN(checkpointing->known[i], segment->known);
    }
}

static void on_done(void *arg, enum status status)
{
    struct checkpointing *checkpointing = arg;
    struct queue_role *role = checkpointing->role;
    log_event(role_log(role), status == STATUS_OK ? LOG_DEBUG : LOG_ERROR, "checkpoint",
              LOG_INT("messages", checkpointing->messages), LOG_INT("octets", spool_checkpoint_octets(role->journal)),
              LOG_STR("status", status_text(status)));
    checkpointing->not_before_ms = status == STATUS_OK ? 0 : role_now(role) + AGAIN_MS;
    if (status == STATUS_OK)
        segments_covered(checkpointing);
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

/* The messages of the next segment that has any. False: there is none left. */
static bool segment_next(struct checkpointing *checkpointing, enum status *status)
{
    while (checkpointing->segment_at < checkpointing->segment_count) {
        uint32_t number = checkpointing->segments[checkpointing->segment_at++];
        struct queue_log_segment *segment = queue_segment_find(&checkpointing->role->queue, number);
        if (!segment || !segment->living)
            continue;
        uint64_t *ids = reallocarray(checkpointing->ids, segment->living, sizeof *ids);
        if (!ids) {
            *status = STATUS_MEMORY;
            return false;
        }
        checkpointing->ids = ids;
        checkpointing->at = checkpointing->n = 0;
        for (struct list *link = segment->messages.next; link != &segment->messages; link = link->next)
            ids[checkpointing->n++] = CONTAINER(link, struct queue_message, in_segment)->id;
        return true;
    }
    return false;
}

/* True: there is more. */
static bool some_add(struct checkpointing *checkpointing, enum status *status)
{
    struct queue_role *role = checkpointing->role;
    for (unsigned i = 0; i < MESSAGES_A_TURN && *status == STATUS_OK; i++) {
        if (checkpointing->at == checkpointing->n && !segment_next(checkpointing, status))
            return false;
        const struct queue_message *message = queue_message_find(&role->queue, checkpointing->ids[checkpointing->at++]);
        if (message) {
            *status = message_add(role, message);
            checkpointing->messages++;
        }
    }
    return *status == STATUS_OK;
}

static void on_step(struct loop_task *task)
{
    struct checkpointing *checkpointing = CONTAINER(task, struct checkpointing, step);
    enum status status = STATUS_OK;
    if (some_add(checkpointing, &status)) {
        loop_later(&checkpointing->step);
        return;
    }
    if (status != STATUS_OK)
        spool_checkpoint_fail(checkpointing->role->journal, status); /* a message left out would be lost */
    spool_checkpoint_end(checkpointing->role->journal, on_done, checkpointing);
}

/* The places first: what lies behind them is scanned at the start. */
static enum status segments_add(struct checkpointing *checkpointing)
{
    struct queue_role *role = checkpointing->role;
    size_t n = role->queue.segments.n;
    checkpointing->segments = calloc(n + 1, sizeof *checkpointing->segments);
    checkpointing->known = calloc(n + 1, sizeof *checkpointing->known);
    if (!checkpointing->segments || !checkpointing->known)
        return STATUS_MEMORY;
    for (MAP_EACH(node, &role->queue.segments)) {
        const struct queue_log_segment *segment = CONTAINER(node, const struct queue_log_segment, node);
        struct queue_entry entry = { .kind = QUEUE_ENTRY_SEGMENT, .segment = segment->number, .epoch = segment->epoch,
                                     .known = segment->known };
        checkpointing->known[checkpointing->segment_count] = segment->known;
        checkpointing->segments[checkpointing->segment_count++] = segment->number;
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
    if (spool_checkpoint_begin(role->journal) != STATUS_OK)
        return;
    checkpointing->active = true;
    checkpointing->messages = 0;
    enum status status = segments_add(checkpointing);
    if (status != STATUS_OK)
        spool_checkpoint_fail(role->journal, status);
    loop_later(&checkpointing->step);
}

static uint64_t scan_octets(const struct queue *queue)
{
    uint64_t octets = 0;
    for (MAP_EACH(node, &queue->segments)) {
        const struct queue_log_segment *segment = CONTAINER(node, const struct queue_log_segment, node);
        octets += segment->known - segment->covered;
    }
    return octets;
}

static bool is_due(struct checkpointing *checkpointing)
{
    struct queue_role *role = checkpointing->role;
    uint64_t last = spool_checkpoint_octets(role->journal);
    int64_t now = role_now(role);
    if (now < checkpointing->not_before_ms)
        return false;
    if (spool_journal_octets(role->journal) >= MAX((uint64_t)JOURNAL_OCTETS, last))
        return true;
    if (now < checkpointing->look_ms)
        return false;
    checkpointing->look_ms = now + LOOK_MS;
    return scan_octets(&role->queue) >= MAX((uint64_t)SCAN_OCTETS, SCAN_TIMES * last);
}

void checkpoints_turn(struct queue_role *role)
{
    struct checkpointing *checkpointing = role->checkpointing;
    if (!checkpointing) {
        checkpointing = role->checkpointing = calloc(1, sizeof *checkpointing);
        if (!checkpointing)
            return;
        checkpointing->role = role;
        loop_task_init(role->process.loop, &checkpointing->step, on_step);
    }
    if (!checkpointing->active && is_due(checkpointing))
        begin(checkpointing);
}

bool checkpoints_busy(const struct queue_role *role)
{
    return role->checkpointing && role->checkpointing->active;
}

void checkpoints_close(struct queue_role *role)
{
    if (!role->checkpointing)
        return;
    end(role->checkpointing);
    free(role->checkpointing);
    role->checkpointing = NULL;
}
