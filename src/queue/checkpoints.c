/* Checkpoints: when a start would have much to read, the whole state is written down anew, some messages in each turn,
 * and none while the disk has not yet taken those before (a worker writes them).
 *
 * Segment by segment: a message that comes meanwhile lies behind what the checkpoint knows of its segment and is found
 * by a scan; one that changes has its change in the journal behind the checkpoint; none changes its segment.
 *
 * While a segment cannot be read there is none: a checkpoint does not say what is over, and the journal, which does, would be
 * forgotten for messages that a later start finds in that segment. Only a journal that has grown too large is.
 */
#include "queue/checkpoint.h"
#include "base/mutant.h"
#include "base/time.h"
#include "queue/role_priv.h"
#include <stdlib.h>

#define JOURNAL_OCTETS (32u << 20)  /* after so much, and no less than the last checkpoint had: writing it costs as much; */
#define JOURNAL_SHARE 2             /* small segments, small spool: after this part of a segment */
#define JOURNAL_SEGMENTS 3          /* or when so many are in use: each start begins a new one, however little is in the others */
#define SCAN_OCTETS (512u << 20)    /* after so much of messages that a start would look through, or so many segments, */
#define SCAN_SEGMENTS 8
#define SCAN_TIMES 4                /* and no less than so many times the last checkpoint */
#define TURN_US 250                 /* in which nothing else is done: a turn is as long as it takes, or as the first message */
#define LOOK_AT_CLOCK 16            /* messages between two looks at it */
#define LOOK_MS 1000
#define AGAIN_MS 60000              /* after one that failed */
#define UNREAD_TIMES 8              /* while a segment cannot be read: not before so many times all this */

struct checkpointing {
    struct queue_role *role;
    struct loop_task step;
    bool active;
    uint32_t *segments;             /* numbers of those that there were when it began */
    uint32_t *known;                /* what the checkpoint says of them */
    size_t segment_at, segment_count; /* segment_at: the one at hand; its `reading` is the place in it */
    uint64_t messages;
    int64_t not_before_ms, look_ms, count_ms;
};

static void end(struct checkpointing *checkpointing)
{
    loop_task_cancel(&checkpointing->step);
    free(checkpointing->segments);
    free(checkpointing->known);
    checkpointing->segments = checkpointing->known = NULL;
    checkpointing->segment_count = checkpointing->segment_at = 0;
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

/* The next message that the checkpoint has to have, NULL: that was the last. Segments go on living meanwhile, hence their
 * numbers, and the place in each is kept by the core. */
static const struct queue_message *message_next(struct checkpointing *checkpointing)
{
    for (; checkpointing->segment_at < checkpointing->segment_count; checkpointing->segment_at++) {
        uint32_t number = checkpointing->segments[checkpointing->segment_at];
        struct queue_log_segment *segment = queue_segment_find(&checkpointing->role->queue, number);
        if (!segment)
            continue;
        if (!segment->reading)
            segment->reading = segment->messages.next;
        if (segment->reading != &segment->messages) {
            const struct queue_message *message = CONTAINER(segment->reading, struct queue_message, in_segment);
            segment->reading = segment->reading->next;
            return message;
        }
        segment->reading = NULL;
    }
    return NULL;
}

/* True: there is more. */
static bool some_add(struct checkpointing *checkpointing, enum status *status)
{
    struct queue_role *role = checkpointing->role;
    int64_t end_us = time_mono_us() + TURN_US;
    for (unsigned i = 1; !spool_checkpoint_is_full(role->journal); i++) {
        const struct queue_message *message = message_next(checkpointing);
        if (!message)
            return false;
        if (MUTANT(CHECKPOINT_OMITS_LEASED) && message->shares->place == QUEUE_LEASED)
            continue;
        *status = message_add(role, message);
        if (*status != STATUS_OK)
            return false;
        checkpointing->messages++;
        if (i % LOOK_AT_CLOCK == 0 && time_mono_us() >= end_us)
            break;
    }
    return true;
}

static void on_step(struct loop_task *task)
{
    struct checkpointing *checkpointing = CONTAINER(task, struct checkpointing, step);
    enum status status = STATUS_OK;
    if (some_add(checkpointing, &status)) {
        if (!spool_checkpoint_is_full(checkpointing->role->journal))
            loop_later(&checkpointing->step);
        return;
    }
    if (status != STATUS_OK)
        spool_checkpoint_fail(checkpointing->role->journal, status); /* a message left out would be lost */
    spool_checkpoint_end(checkpointing->role->journal, on_done, checkpointing);
}

void checkpoints_room(struct queue_role *role)
{
    if (role->checkpointing && role->checkpointing->active)
        loop_later(&role->checkpointing->step);
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
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        segment->reading = NULL;
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

/* Where the ids of each writer end, for the messages that had them may be over, and the clock may go back. */
static enum status writers_add(struct queue_role *role)
{
    enum status status = STATUS_OK;
    role->last_ids[OWN_WRITER] = MAX(role->last_ids[OWN_WRITER], role->ids.last);
    for (size_t i = 0; i < ID_WRITERS && status == STATUS_OK; i++)
        if (role->last_ids[i])
            status = spool_checkpoint_add(role->journal, QUEUE_ENTRY_WRITER, role->last_ids[i], SPAN_NONE);
    return status;
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
    if (status == STATUS_OK)
        status = writers_add(role);
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

static bool journal_count(void *arg, const struct spool_segment *segment)
{
    *(uint64_t *)arg += segment->use == SPOOL_JOURNAL;
    return true;
}

static uint64_t journal_segments(const struct queue_role *role)
{
    uint64_t journals = 0;
    spool_store_each(role->store, journal_count, &journals);
    return journals;
}

static bool too_many_journals(struct checkpointing *checkpointing, int64_t now, uint64_t octets)
{
    struct queue_role *role = checkpointing->role;
    if (now < checkpointing->count_ms || journal_segments(role) * (uint64_t)role_root(role)->common.spool.segment_octets <= octets)
        return false;
    checkpointing->count_ms = now + AGAIN_MS; /* those of before are released by and by */
    return true;
}

static uint64_t journal_most(const struct queue_role *role)
{
    uint64_t segment = (uint64_t)role_root(role)->common.spool.segment_octets;
    return MAX(MIN((uint64_t)JOURNAL_OCTETS, segment / JOURNAL_SHARE), spool_checkpoint_octets(role->journal));
}

static bool is_worth_it(struct checkpointing *checkpointing, int64_t now)
{
    struct queue_role *role = checkpointing->role;
    uint64_t last = spool_checkpoint_octets(role->journal);
    if (spool_journal_octets(role->journal) >= journal_most(role))
        return true;
    if (now < checkpointing->look_ms)
        return false;
    checkpointing->look_ms = now + LOOK_MS;
    uint64_t segment = (uint64_t)role_root(role)->common.spool.segment_octets;
    if (too_many_journals(checkpointing, now, MAX(JOURNAL_SEGMENTS * segment, last)))
        return true;
    return scan_octets(&role->queue) >= MAX(MIN((uint64_t)SCAN_OCTETS, SCAN_SEGMENTS * segment), SCAN_TIMES * last);
}

static bool any_unread(const struct queue *queue)
{
    for (MAP_EACH(node, &queue->segments))
        if (CONTAINER(node, const struct queue_log_segment, node)->unread)
            return true;
    return false;
}

/* The journal knows what is over in a segment that could not be read; false: it has grown too large to be kept for that. */
static bool is_needed(struct queue_role *role)
{
    if (!any_unread(&role->queue))
        return false;
    if (spool_journal_octets(role->journal) < UNREAD_TIMES * journal_most(role) &&
        journal_segments(role) < UNREAD_TIMES * JOURNAL_SEGMENTS)
        return true;
    log_error(role_log(role), "outcomes-dropped", LOG_STR("what", "the journal has grown too large to be kept for a segment that cannot "
              "be read: whoever has his mail from there may get it again"));
    return false;
}

static bool is_due(struct checkpointing *checkpointing)
{
    struct queue_role *role = checkpointing->role;
    int64_t now = role_now(role);
    if (now < checkpointing->not_before_ms || !is_worth_it(checkpointing, now))
        return false;
    if (!is_needed(role))
        return true;
    checkpointing->not_before_ms = now + LOOK_MS;
    return false;
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
    if (!checkpointing->active && !compact_is_copying(role) && is_due(checkpointing))
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
