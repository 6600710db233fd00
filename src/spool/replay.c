/* The start: the checkpoint, then the journal's segments in the order in which they were taken. */
#include "spool/journal_priv.h"
#include "spool/store_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct replay {
    struct spool_journal *journal;
    bool (*each)(void *arg, const struct spool_journal_record *record);
    void *arg;
    bool from_checkpoint, whole, refused;
    uint64_t count;          /* records of the checkpoint */
    uint32_t *numbers;       /* segments to be read */
    uint64_t *sequences;
    size_t n, room;
    enum status status;
};

static bool on_record(void *arg, const struct spool_found *found)
{
    struct replay *replay = arg;
    if (found->header.kind == SPOOL_KIND_END) {
        replay->whole = found->header.id == replay->count;
        return true;
    }
    struct spool_journal_record record = { found->header.kind, found->header.id, found->envelope, replay->from_checkpoint };
    replay->count++;
    if (!replay->from_checkpoint)
        replay->journal->octets += found->header.stride;
    replay->refused = !replay->each(replay->arg, &record);
    return !replay->refused;
}

static enum status read_checkpoint(struct replay *replay)
{
    struct spool_journal *journal = replay->journal;
    const struct spool_ops *ops = journal->ops;
    struct spool_scan scan = { .ops = ops, .on_record = on_record, .arg = replay };
    scan.fd = ops->openat(ops, spool_store_dir(journal->store), CHECKPOINT_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (scan.fd < 0 && errno == ELOOP)
        spool_store_report(journal->store, CHECKPOINT_NAME, "a symbolic link, which is not followed: put the file itself in its place");
    if (scan.fd < 0)
        return errno == ENOENT ? STATUS_OK : STATUS_IO;
    struct stat st;
    if (ops->fstat(ops, scan.fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        spool_store_report(journal->store, CHECKPOINT_NAME, "not a plain file: move it elsewhere");
        ops->close(ops, scan.fd);
        return STATUS_DENIED;
    }
    enum status status = spool_segment_read(ops, scan.fd, &scan.segment);
    if (status == STATUS_OK && scan.segment.use != SPOOL_CHECKPOINT)
        status = STATUS_DAMAGED;
    replay->from_checkpoint = true;
    if (status == STATUS_OK)
        status = spool_scan_run(&scan);
    ops->close(ops, scan.fd);
    replay->from_checkpoint = false;
    if (status == STATUS_OK) {
        journal->replay_from = scan.segment.sequence;
        journal->checkpoint_octets = scan.end;
        store_raise_sequence(journal->store, scan.segment.sequence);
    }
    if (status == STATUS_DENIED)
        spool_store_report(journal->store, CHECKPOINT_NAME,
                           "written by a newer version of goniec; start that version, or let it empty its queue");
    else if (status == STATUS_DAMAGED || (status == STATUS_OK && !replay->whole && !replay->refused))
        spool_store_report(journal->store, CHECKPOINT_NAME,
                           "damaged: what it knew of retry times and finished recipients may be lost; no message is");
    return status == STATUS_DAMAGED ? STATUS_OK : status;
}

static bool collect(void *arg, const struct spool_segment *segment)
{
    struct replay *replay = arg;
    if (segment->use != SPOOL_JOURNAL || segment->sequence < replay->journal->replay_from)
        return true;
    if (replay->n == replay->room) {
        size_t room = replay->room ? replay->room * 2 : 16;
        uint32_t *numbers = reallocarray(replay->numbers, room, sizeof *numbers);
        if (numbers)
            replay->numbers = numbers;
        uint64_t *sequences = reallocarray(replay->sequences, room, sizeof *sequences);
        if (sequences)
            replay->sequences = sequences;
        if (!numbers || !sequences) {
            replay->status = STATUS_MEMORY;
            return false;
        }
        replay->room = room;
    }
    /* Insertion keeps the order; there are a few segments, not thousands. */
    size_t i = replay->n++;
    for (; i > 0 && replay->sequences[i - 1] > segment->sequence; i--) {
        replay->sequences[i] = replay->sequences[i - 1];
        replay->numbers[i] = replay->numbers[i - 1];
    }
    replay->sequences[i] = segment->sequence;
    replay->numbers[i] = segment->number;
    return true;
}

enum status spool_journal_replay(struct spool_journal *journal,
                                 bool (*each)(void *arg, const struct spool_journal_record *record), void *arg)
{
    struct replay replay = { .journal = journal, .each = each, .arg = arg };
    enum status status = read_checkpoint(&replay);
    if (status == STATUS_OK)
        spool_store_each(journal->store, collect, &replay);
    if (status == STATUS_OK)
        status = replay.status;
    for (size_t i = 0; status == STATUS_OK && i < replay.n && !replay.refused; i++)
        status = spool_store_scan(journal->store, replay.numbers[i], 0, on_record, &replay);
    free(replay.numbers);
    free(replay.sequences);
    if (status == STATUS_OK && replay.refused)
        status = STATUS_FULL;
    /* A crash may have come between the checkpoint and the release of what it made superfluous. */
    if (status == STATUS_OK)
        journal_release_before(journal, journal->replay_from);
    return status;
}
