/* Checkpoints: the whole state in one file, so that a start need not read all that ever happened.
 *
 * Begun, the journal finishes its segment and goes on in a new one; the checkpoint names that one, and a replay
 * reads the checkpoint and then the journal from there.
 */
#include "spool/journal_priv.h"
#include "base/mutant.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define WRITE_OCTETS (1u << 20) /* gathered before they are written */

static struct spool_journal *journal_of(struct checkpoint *checkpoint)
{
    return CONTAINER(checkpoint, struct spool_journal, checkpoint);
}

/* In the worker. Waits until the disk has it, so that a large checkpoint goes at the disk's pace: neither its sync nor
 * the kernel's own writing becomes a flood that others' commits wait behind. */
static void run_write(struct job *job)
{
    struct checkpoint *checkpoint = CONTAINER(job, struct checkpoint, write_job);
    const struct spool_ops *ops = journal_of(checkpoint)->ops;
    const struct buf *going = &checkpoint->going;
    checkpoint->write_status = spool_pwrite_all(ops, checkpoint->fd, going->p, going->n, checkpoint->at);
    if (checkpoint->write_status != STATUS_OK || !ops->write_out)
        return;
    ops->write_out(ops, checkpoint->fd, checkpoint->at, (off_t)going->n, false);
    ops->write_out(ops, checkpoint->fd, checkpoint->at, (off_t)going->n, true);
}

static void go_on(struct spool_journal *journal);

static void on_written(struct job *job)
{
    struct checkpoint *checkpoint = CONTAINER(job, struct checkpoint, write_job);
    struct spool_journal *journal = journal_of(checkpoint);
    bool was_full = spool_checkpoint_is_full(journal);
    checkpoint->writing = false;
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = checkpoint->write_status;
    checkpoint->at += (uint32_t)checkpoint->going.n;
    buf_clear(&checkpoint->going);
    go_on(journal);
    if (was_full && !checkpoint->ended && journal->events->on_checkpoint_room)
        journal->events->on_checkpoint_room(journal->arg);
}

/* Two buffers: one is filled while a worker writes the other. */
static void write_next(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    struct buf full = checkpoint->out;
    checkpoint->out = checkpoint->going;
    checkpoint->going = full;
    checkpoint->writing = true;
    checkpoint->write_job.run = run_write;
    checkpoint->write_job.on_done = on_written;
    jobs_do(&journal->checkpoint_jobs, &checkpoint->write_job);
}

bool spool_checkpoint_is_full(const struct spool_journal *journal)
{
    return journal->checkpoint.writing && journal->checkpoint.out.n >= WRITE_OCTETS;
}

static void add(struct spool_journal *journal, struct spool_header header, struct span content)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (checkpoint->status != STATUS_OK)
        return;
    uint64_t at = (uint64_t)checkpoint->at + checkpoint->going.n + checkpoint->out.n;
    if (at + content.n + 2 * SPOOL_BLOCK > SPOOL_CHECKPOINT_MOST) {
        checkpoint->status = STATUS_FULL;
        return;
    }
    header.epoch = header.commit = 1;
    checkpoint->status = journal_compose(&checkpoint->out, checkpoint->seed, (uint32_t)at, header, content);
    if (checkpoint->status == STATUS_OK && checkpoint->out.n >= WRITE_OCTETS && !checkpoint->writing)
        write_next(journal);
}

enum status spool_checkpoint_begin(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    const struct spool_ops *ops = journal->ops;
    if (checkpoint->active)
        return STATUS_AGAIN;
    struct spool_segment segment = { .epoch = 1, .octets = SPOOL_SEGMENT_MOST, .use = SPOOL_CHECKPOINT,
                                     .since_wall_ms = ops->wall_ms(ops) };
    if (ops->random(ops, &segment.salt, sizeof segment.salt) < 0)
        return STATUS_IO;
    ops->unlinkat(ops, spool_store_dir(journal->store), CHECKPOINT_NEW); /* of a predecessor; whose file it is otherwise stays whole */
    int fd = ops->openat(ops, spool_store_dir(journal->store), CHECKPOINT_NEW,
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        spool_store_report(journal->store, CHECKPOINT_NEW, "in the way of the next checkpoint: move it elsewhere");
    if (fd < 0)
        return STATUS_IO;
    journal_work(journal); /* what was appended until now belongs before the checkpoint */
    journal->leave = journal->fd >= 0;
    checkpoint->active = true;
    checkpoint->ended = checkpoint->ending = false;
    checkpoint->fd = fd;
    checkpoint->segment = segment;
    checkpoint->seed = spool_segment_seed(&segment);
    checkpoint->at = SPOOL_SEGMENT_FIRST;
    checkpoint->count = 0;
    checkpoint->replaced = journal->octets;
    checkpoint->status = STATUS_OK;
    checkpoint->writing = false;
    buf_clear(&checkpoint->out);
    buf_clear(&checkpoint->going);
    return STATUS_OK;
}

enum status spool_checkpoint_add(struct spool_journal *journal, uint8_t kind, uint64_t id, struct span content)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (content.n > SPOOL_JOURNAL_MAX)
        return STATUS_TOO_LONG;
    checkpoint->count++;
    add(journal, (struct spool_header){ .kind = kind, .id = id }, content);
    return checkpoint->status;
}

/* In the worker: the file becomes the checkpoint, or nothing changes. */
static void run_end(struct job *job)
{
    struct checkpoint *checkpoint = CONTAINER(job, struct checkpoint, job);
    struct spool_journal *journal = journal_of(checkpoint);
    const struct spool_ops *ops = journal->ops;
    int dir = spool_store_dir(journal->store);
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = spool_segment_write(ops, checkpoint->fd, NULL, &checkpoint->segment);
    bool named = MUTANT(CHECKPOINT_NAMED_EARLY) && ops->renameat(ops, dir, CHECKPOINT_NEW, CHECKPOINT_NAME) == 0;
    if (checkpoint->status == STATUS_OK && !MUTANT(CHECKPOINT_NOT_SYNCED))
        checkpoint->status = spool_fsync(ops, checkpoint->fd);
    if (checkpoint->status == STATUS_OK && !named && ops->renameat(ops, dir, CHECKPOINT_NEW, CHECKPOINT_NAME) < 0)
        checkpoint->status = STATUS_IO;
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = spool_fsync(ops, dir);
}

struct old_segments {
    struct spool_store *store;
    uint64_t before;
};

static bool release_old(void *arg, const struct spool_segment *segment)
{
    struct old_segments *old = arg;
    if (segment->use == SPOOL_JOURNAL && segment->sequence < old->before)
        spool_store_release(old->store, segment->number);
    return true;
}

/* Releasing only marks a segment and queues the work, so that it may be done inside the walk. */
void journal_release_before(struct spool_journal *journal, uint64_t sequence)
{
    struct old_segments old = { journal->store, sequence };
    spool_store_each(journal->store, release_old, &old);
}

static void on_end(struct job *job)
{
    struct checkpoint *checkpoint = CONTAINER(job, struct checkpoint, job);
    struct spool_journal *journal = journal_of(checkpoint);
    journal->ops->close(journal->ops, checkpoint->fd);
    checkpoint->fd = -1;
    checkpoint->active = false;
    buf_done(&checkpoint->out);
    buf_done(&checkpoint->going);
    if (checkpoint->status == STATUS_OK) {
        journal_release_before(journal, checkpoint->segment.sequence);
        journal->octets -= checkpoint->replaced;
        journal->checkpoint_octets = checkpoint->at;
    }
    checkpoint->done(checkpoint->arg, checkpoint->status);
}

/* What is left of it is written; it becomes the checkpoint once the journal lies in its new segment. */
static void go_on(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (checkpoint->writing)
        return;
    if (checkpoint->status == STATUS_OK && (checkpoint->out.n >= WRITE_OCTETS || (checkpoint->ended && checkpoint->out.n))) {
        write_next(journal);
        return;
    }
    if (!checkpoint->ended || checkpoint->ending || checkpoint->segment.sequence == 0)
        return;
    checkpoint->ending = true;
    checkpoint->job.run = run_end;
    checkpoint->job.on_done = on_end;
    jobs_do(&journal->checkpoint_jobs, &checkpoint->job);
}

void checkpoint_moved(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (!checkpoint->active || checkpoint->segment.sequence != 0)
        return;
    checkpoint->segment.sequence = journal->segment.sequence;
    if (MUTANT(JOURNAL_FREED_EARLY))
        journal_release_before(journal, journal->segment.sequence);
    go_on(journal);
}

void spool_checkpoint_fail(struct spool_journal *journal, enum status why)
{
    if (journal->checkpoint.status == STATUS_OK)
        journal->checkpoint.status = why;
}

void spool_checkpoint_end(struct spool_journal *journal, void (*done)(void *arg, enum status status), void *arg)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    add(journal, (struct spool_header){ .kind = SPOOL_KIND_END, .id = checkpoint->count, .flags = SPOOL_FLAG_LAST },
        SPAN_NONE);
    checkpoint->done = done;
    checkpoint->arg = arg;
    checkpoint->ended = true;
    go_on(journal);
}

void checkpoint_drop(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (checkpoint->fd >= 0)
        journal->ops->close(journal->ops, checkpoint->fd);
    buf_done(&checkpoint->out);
    buf_done(&checkpoint->going);
}
