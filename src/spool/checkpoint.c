/* Checkpoints: the whole state in one file, so that a start need not read all that ever happened.
 *
 * Begun, the journal finishes its segment and goes on in a new one; the checkpoint names that one, and a replay
 * reads the checkpoint and then the journal from there.
 */
#include "spool/journal_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define WRITE_OCTETS (1u << 20) /* gathered before they are written */

static void write_out(struct checkpoint *checkpoint, const struct spool_ops *ops)
{
    if (checkpoint->status == STATUS_OK && checkpoint->out.failed)
        checkpoint->status = STATUS_MEMORY;
    if (checkpoint->status == STATUS_OK && checkpoint->out.n)
        checkpoint->status = spool_pwrite_all(ops, checkpoint->fd, checkpoint->out.p, checkpoint->out.n, checkpoint->at);
    /* Begun now, so that the sync at the end is no flood that others' commits wait behind. */
    if (checkpoint->status == STATUS_OK && checkpoint->out.n && ops->write_out)
        ops->write_out(ops, checkpoint->fd, checkpoint->at, (off_t)checkpoint->out.n, false);
    checkpoint->at += (uint32_t)checkpoint->out.n;
    buf_clear(&checkpoint->out);
}

static void add(struct spool_journal *journal, struct spool_header header, struct span content)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (checkpoint->status != STATUS_OK)
        return;
    uint64_t at = checkpoint->at + (uint64_t)checkpoint->out.n;
    if (at + content.n + 2 * SPOOL_BLOCK > SPOOL_SEGMENT_MOST) {
        checkpoint->status = STATUS_FULL;
        return;
    }
    header.epoch = header.commit = 1;
    enum status status = journal_compose(&checkpoint->out, checkpoint->seed, (uint32_t)at, header, content);
    if (status != STATUS_OK)
        checkpoint->status = status;
    if (checkpoint->out.n >= WRITE_OCTETS)
        write_out(checkpoint, journal->ops);
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
    int fd = ops->openat(ops, spool_store_dir(journal->store), CHECKPOINT_NEW,
                         O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return STATUS_IO;
    journal_work(journal); /* what was appended until now belongs before the checkpoint */
    journal->leave = journal->fd >= 0;
    checkpoint->active = true;
    checkpoint->ended = false;
    checkpoint->fd = fd;
    checkpoint->segment = segment;
    checkpoint->seed = spool_segment_seed(&segment);
    checkpoint->at = SPOOL_SEGMENT_FIRST;
    checkpoint->count = 0;
    checkpoint->replaced = journal->octets;
    checkpoint->status = STATUS_OK;
    buf_clear(&checkpoint->out);
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
    struct spool_journal *journal = CONTAINER(checkpoint, struct spool_journal, checkpoint);
    const struct spool_ops *ops = journal->ops;
    int dir = spool_store_dir(journal->store);
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = spool_segment_write(ops, checkpoint->fd, &checkpoint->segment);
    if (checkpoint->status == STATUS_OK)
        checkpoint->status = spool_fsync(ops, checkpoint->fd);
    if (checkpoint->status == STATUS_OK && ops->renameat(ops, dir, CHECKPOINT_NEW, CHECKPOINT_NAME) < 0)
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
    struct spool_journal *journal = CONTAINER(checkpoint, struct spool_journal, checkpoint);
    journal->ops->close(journal->ops, checkpoint->fd);
    checkpoint->fd = -1;
    checkpoint->active = false;
    buf_done(&checkpoint->out);
    if (checkpoint->status == STATUS_OK) {
        journal_release_before(journal, checkpoint->segment.sequence);
        journal->octets -= checkpoint->replaced;
        journal->checkpoint_octets = checkpoint->at;
    }
    checkpoint->done(checkpoint->arg, checkpoint->status);
}

/* Once the state is complete and the journal lies in its new segment. */
static void go_on(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (!checkpoint->ended || checkpoint->segment.sequence == 0)
        return;
    checkpoint->ended = false;
    checkpoint->job.run = run_end;
    checkpoint->job.on_done = on_end;
    jobs_do(&journal->jobs, &checkpoint->job);
}

void checkpoint_moved(struct spool_journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    if (!checkpoint->active || checkpoint->segment.sequence != 0)
        return;
    checkpoint->segment.sequence = journal->segment.sequence;
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
    write_out(checkpoint, journal->ops);
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
}
