/* Nearly empty segments: what lives in them is copied to our own log, so that they can be used again. */
#include "base/mutant.h"
#include "queue/entry.h"
#include "queue/role_priv.h"
#include "spool/move.h"
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 20000          /* between looks at the segments */
#define SOON_MS 1000           /* after one that was emptied */
#define SEGMENTS_LEAST 4       /* with fewer it is not worth the writing */

struct compaction {
    struct queue_role *role;
    struct loop_task step;
    int64_t look_ms;
    uint32_t number;           /* of the segment that is being emptied */
    uint64_t *ids;             /* of those that lived in it when it began */
    size_t at, n, moved;
    bool busy;                 /* a copy is on its way to disk */
    struct spool_move move;
};

static void end(struct compaction *compaction)
{
    struct queue_role *role = compaction->role;
    struct queue_log_segment *segment = queue_segment_find(&role->queue, compaction->number);
    if (segment)
        segment->moving = false;
    if (compaction->n && compaction->moved == compaction->n)
        compaction->look_ms = role_now(role) + SOON_MS; /* the next one */
    log_info(role_log(role), "segment-compacted", LOG_INT("segment", compaction->number),
             LOG_INT("messages", compaction->n), LOG_INT("moved", compaction->moved));
    free(compaction->ids);
    compaction->ids = NULL;
    compaction->n = compaction->at = compaction->moved = 0;
}

/* Somebody reads it where it is. */
static bool is_in_use(const struct queue_message *message)
{
    for (const struct queue_share *share = message->shares; share; share = share->next)
        if (share->place == QUEUE_LEASED)
            return true;
    return false;
}

static void moved(struct compaction *compaction, struct queue_message *message, const struct spool_place *place)
{
    struct queue *queue = &compaction->role->queue;
    struct queue_log_segment *to = queue_segment_find(queue, place->segment);
    if (!to || is_in_use(message) || checkpoints_busy(compaction->role))
        return; /* the copy is forgotten, another look comes */
    struct queue_entry entry = { .kind = QUEUE_ENTRY_MOVED, .segment = place->segment, .offset = place->offset,
                                 .length = place->length };
    queue_journal(queue, message->id, &entry);
    queue_message_move(queue, message, to, place->offset, place->length);
    compaction->moved++;
}

/* It may be on disk whatever came of it, while its message lives elsewhere or is over: no start is to take it for one that
 * nobody has heard of. */
static void copy_known(struct compaction *compaction, const struct spool_place *place)
{
    struct queue_log_segment *to = queue_segment_find(&compaction->role->queue, place->segment);
    if (to)
        to->known = MAX(to->known, place->offset);
}

static void on_copied(struct spool_move *move, enum status status)
{
    struct compaction *compaction = move->arg;
    struct queue_message *message = queue_message_find(&compaction->role->queue, move->id);
    compaction->busy = false;
    copy_known(compaction, &move->place);
    if (status != STATUS_OK)
        compaction->at = compaction->n; /* no room: another time */
    else if (message && message->segment->number == compaction->number)
        moved(compaction, message, &move->place);
    loop_later(&compaction->step);
}

static enum status copy(struct compaction *compaction, const struct queue_message *message)
{
    struct queue_role *role = compaction->role;
    const struct spool_segment *known = spool_store_segment(role->store, message->segment->number);
    int fd;
    if (!known)
        return STATUS_NOT_FOUND;
    enum status status = spool_store_read_fd(role->store, known->number, &fd);
    if (status != STATUS_OK)
        return status;
    struct spool_segment segment = *known;
    struct spool_place place = { known->number, message->offset, message->length };
    compaction->move = (struct spool_move){ .id = message->id, .on_done = on_copied, .arg = compaction };
    status = spool_move_start(&compaction->move, role->writer, spool_store_ops(role->store), fd, &segment, place);
    close(fd);
    return status;
}

static void on_step(struct loop_task *task)
{
    struct compaction *compaction = CONTAINER(task, struct compaction, step);
    struct queue_role *role = compaction->role;
    while (!compaction->busy && compaction->at < compaction->n) {
        uint64_t id = compaction->ids[compaction->at++];
        struct queue_message *message = queue_message_find(&role->queue, id);
        if (!message || message->segment->number != compaction->number || is_in_use(message))
            continue;
        if (MUTANT(SURVIVOR_DROPPED)) {
            queue_message_forget(&role->queue, message);
            continue;
        }
        enum status status = copy(compaction, message);
        compaction->busy = status == STATUS_OK;
        if (status == STATUS_FULL)
            compaction->at = compaction->n;
        else if (status != STATUS_OK)
            log_error(role_log(role), "move-failed", LOG_ID(id), LOG_STR("why", status_text(status)));
    }
    if (!compaction->busy && compaction->ids)
        end(compaction);
}

static struct queue_log_segment *emptiest(struct queue_role *role)
{
    struct queue_log_segment *best = NULL;
    uint64_t percent = (uint64_t)role->queue.settings->compact;
    for (MAP_EACH(node, &role->queue.segments)) {
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment->sealed && !segment->unread && segment->living && segment->living_octets * 100 <= segment->size * percent &&
            (!best || segment->living_octets < best->living_octets))
            best = segment;
    }
    return best;
}

static void begin(struct compaction *compaction, struct queue_log_segment *segment)
{
    compaction->ids = malloc(segment->living * sizeof *compaction->ids);
    if (!compaction->ids)
        return;
    for (struct list *link = segment->messages.next; link != &segment->messages; link = link->next)
        compaction->ids[compaction->n++] = CONTAINER(link, struct queue_message, in_segment)->id;
    compaction->number = segment->number;
    segment->moving = true;
    loop_later(&compaction->step);
}

/* No timer: a queue in which nothing happens needs no room. */
void compact_turn(struct queue_role *role)
{
    struct compaction *compaction = role->compaction;
    if (!compaction) {
        compaction = role->compaction = calloc(1, sizeof *compaction);
        if (!compaction)
            return;
        compaction->role = role;
        loop_task_init(role->process.loop, &compaction->step, on_step);
    }
    int64_t now = role_now(role);
    if (now < compaction->look_ms || compaction->ids || role->draining || spool_store_is_low(role->store) ||
        checkpoints_busy(role))
        return;
    compaction->look_ms = now + LOOK_MS;
    struct queue_log_segment *segment = role->queue.segments.n < SEGMENTS_LEAST ? NULL : emptiest(role);
    if (segment)
        begin(compaction, segment);
}

bool compact_is_copying(const struct queue_role *role) { return role->compaction && role->compaction->busy; }

void compact_close(struct queue_role *role)
{
    struct compaction *compaction = role->compaction;
    if (!compaction)
        return;
    loop_task_cancel(&compaction->step);
    free(compaction->ids);
    if (compaction->busy)
        spool_move_drop(&compaction->move);
    free(compaction);
    role->compaction = NULL;
}
