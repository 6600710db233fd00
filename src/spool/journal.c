#include "spool/journal_priv.h"
#include <errno.h>
#include <stdlib.h>

#define RAW_MAX (1u << 30)
#define RETRY_MS 1000

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

enum status journal_compose(struct buf *out, uint32_t seed, uint32_t at, struct spool_header header, struct span content)
{
    uint8_t head[SPOOL_HEADER_OCTETS];
    static const char zeros[SPOOL_ALIGN];
    header.envelope = (uint32_t)content.n;
    header.check_meta = crc32c(seed, content.p, content.n);
    if (header.stride == 0)
        header.stride = round_up(SPOOL_HEADER_OCTETS + header.envelope, SPOOL_ALIGN);
    spool_header_encode(&header, seed, at, head);
    enum status status = buf_add(out, span_of(head, sizeof head));
    if (status == STATUS_OK && content.n)
        status = buf_add(out, content);
    size_t pad = round_up(header.envelope, SPOOL_ALIGN) - header.envelope;
    if (status == STATUS_OK && pad)
        status = buf_add(out, span_of(zeros, pad));
    return status;
}

static void set_trouble(struct spool_journal *journal, enum status status)
{
    if (status != STATUS_OK && !loop_timer_runs(&journal->due))
        loop_timer_set(&journal->due, RETRY_MS);
    if (journal->trouble == status)
        return;
    journal->trouble = status;
    journal->events->on_trouble(journal->arg, status);
}

/* What is not synced is written again, elsewhere. */
static void leave_segment(struct spool_journal *journal)
{

    if (journal->fd >= 0)
        journal->ops->close(journal->ops, journal->fd);
    journal->fd = -1;
    journal->written = 0;
    journal->leave = false;
}

static bool open_segment(struct spool_journal *journal)
{
    int fd;
    uint32_t number;
    if (journal->fd >= 0)
        return true;
    enum status status = spool_store_take(journal->store, SPOOL_JOURNAL, 0, &fd, &number);
    if (status == STATUS_AGAIN)
        return false; /* one is being made */
    if (status != STATUS_OK) {
        set_trouble(journal, status);
        return false;
    }
    journal->fd = fd;
    journal->segment = *spool_store_segment(journal->store, number);
    journal->seed = spool_segment_seed(&journal->segment);
    journal->at = SPOOL_SEGMENT_FIRST;
    journal->commit = 1;
    journal->written = 0;
    checkpoint_moved(journal);
    return true;
}

/* Room for `n` octets and the padding behind them? */
static bool fits(const struct spool_journal *journal, uint64_t n)
{
    return (journal->at + n + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK + SPOOL_BLOCK <=
           spool_segment_end(&journal->segment);
}

/* Composes as many of the records that are not yet written as the segment takes; returns their octets in raw. */
static size_t compose_pending(struct spool_journal *journal)
{
    size_t from = journal->written;
    buf_clear(&journal->out);
    while (from < journal->raw.n) {
        struct raw raw;
        memcpy(&raw, journal->raw.p + from, sizeof raw);
        uint32_t stride = round_up(SPOOL_HEADER_OCTETS + raw.octets, SPOOL_ALIGN);
        if (!fits(journal, journal->out.n + stride)) {
            journal->leave = true;
            break;
        }
        struct spool_header header = { .kind = raw.kind, .flags = journal->syncing ? SPOOL_FLAG_EARLY : 0, .id = raw.id,
                                       .epoch = journal->segment.epoch, .commit = journal->commit };
        uint32_t at = journal->at + (uint32_t)journal->out.n;
        struct span content = span_of(journal->raw.p + from + sizeof raw, raw.octets);
        if (journal_compose(&journal->out, journal->seed, at, header, content) != STATUS_OK)
            break;
        from += sizeof raw + round_up(raw.octets, SPOOL_ALIGN);
    }
    return from - journal->written;
}

static enum status write_pending(struct spool_journal *journal)
{
    if (journal->written == journal->raw.n)
        return STATUS_OK;
    size_t taken = compose_pending(journal);
    enum status status = journal->out.failed ? STATUS_MEMORY : STATUS_OK;
    if (status == STATUS_OK && taken)
        status = spool_pwrite_all(journal->ops, journal->fd, journal->out.p, journal->out.n, journal->at);
    if (status != STATUS_OK)
        return status;
    journal->at += (uint32_t)journal->out.n;
    journal->octets += journal->out.n;
    journal->written += taken;
    return STATUS_OK;
}

/* Fills the block up, so that what is synced is never written again. */
static enum status write_pad(struct spool_journal *journal)
{
    uint32_t gap = round_up(journal->at, SPOOL_BLOCK) - journal->at;
    if (gap == 0)
        return STATUS_OK;
    if (gap < SPOOL_HEADER_OCTETS)
        gap += SPOOL_BLOCK;
    struct spool_header header = { .kind = SPOOL_KIND_PAD, .flags = SPOOL_FLAG_LAST, .epoch = journal->segment.epoch,
                                   .commit = journal->commit, .stride = gap };
    buf_clear(&journal->out);
    enum status status = journal_compose(&journal->out, journal->seed, journal->at, header, SPAN_NONE);
    if (status == STATUS_OK)
        status = spool_pwrite_all(journal->ops, journal->fd, journal->out.p, journal->out.n, journal->at);
    if (status == STATUS_OK)
        journal->at += gap;
    return status;
}

static void run_sync(struct job *job)
{
    struct spool_journal *journal = CONTAINER(job, struct spool_journal, sync_job);
    journal->sync_status = spool_fdatasync(journal->ops, journal->fd);
}

static void start_sync(struct spool_journal *journal)
{
    enum status status = write_pad(journal);
    if (status != STATUS_OK) {
        leave_segment(journal);
        set_trouble(journal, status);
        return;
    }
    journal->commit++;
    journal->sync_raw = journal->written;
    journal->syncing = true;
    loop_timer_stop(&journal->due);
    jobs_do(&journal->jobs, &journal->sync_job);
}

static void tell_synced(struct spool_journal *journal)
{
    while (journal->waiting && journal->waiting->upto <= journal->synced) {
        struct spool_sync *sync = journal->waiting;
        journal->waiting = sync->next;
        if (!journal->waiting)
            journal->waiting_last = &journal->waiting;
        sync->on_done(sync);
    }
}

static void on_tell(struct loop_task *task) { tell_synced(CONTAINER(task, struct spool_journal, tell)); }

static void on_synced(struct job *job)
{
    struct spool_journal *journal = CONTAINER(job, struct spool_journal, sync_job);
    journal->syncing = false;
    if (journal->sync_status != STATUS_OK) {
        leave_segment(journal);
        set_trouble(journal, journal->sync_status);
        return;
    }
    buf_drop(&journal->raw, journal->sync_raw);
    journal->written -= journal->sync_raw;
    journal->synced += journal->sync_raw;
    set_trouble(journal, STATUS_OK);
    tell_synced(journal);
}

/* Leaves a segment only when all that was written there is synced. */
static bool may_leave(const struct spool_journal *journal)
{
    return journal->leave && !journal->syncing && journal->written == 0;
}

static bool sync_is_wanted(const struct spool_journal *journal)
{
    return journal->waiting != NULL || journal->leave;
}

/* Writes what can be written now, and starts a sync where somebody waits for one. */
static void turn(struct spool_journal *journal)
{
    if (may_leave(journal))
        leave_segment(journal);
    bool need = journal->written < journal->raw.n || journal->checkpoint.active;
    if (!need && journal->written == 0) {
        set_trouble(journal, STATUS_OK); /* what could not be written is not wanted any more */
        return;
    }
    if (!open_segment(journal))
        return;
    if (!journal->leave) {
        enum status status = write_pending(journal);
        if (status != STATUS_OK) {
            if (journal->syncing)
                journal->leave = true; /* a worker still has the descriptor */
            else
                leave_segment(journal);
            set_trouble(journal, status);
            return;
        }
    }
    if (journal->written > 0 && !journal->syncing) {
        if (sync_is_wanted(journal))
            start_sync(journal);
        else if (!loop_timer_runs(&journal->due))
            loop_timer_set(&journal->due, SPOOL_SYNC_MS);
    }
}

void journal_work(struct spool_journal *journal)
{
    turn(journal);
    if (may_leave(journal))
        turn(journal); /* goes on in the next segment at once */
}

static void on_turn_end(struct loop_task *task) { journal_work(CONTAINER(task, struct spool_journal, at_end)); }

static void on_due(struct loop_timer *timer)
{
    struct spool_journal *journal = CONTAINER(timer, struct spool_journal, due);
    journal_work(journal);
    if (journal->written > 0 && !journal->syncing)
        start_sync(journal);
}

static void drop_job(struct job *job) {}

struct spool_journal *spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                        const struct spool_journal_events *events, void *arg)
{
    struct spool_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return NULL;
    journal->loop = loop;
    journal->store = store;
    journal->ops = spool_store_ops(store);
    journal->events = events;
    journal->arg = arg;
    journal->fd = journal->checkpoint.fd = -1;
    journal->raw = journal->out = journal->checkpoint.out = journal->checkpoint.going = BUF_EMPTY(RAW_MAX);
    journal->waiting_last = &journal->waiting;
    journal->sync_job.run = run_sync;
    journal->sync_job.on_done = on_synced;
    if (jobs_init(&journal->jobs, loop, no_thread) != STATUS_OK) {
        free(journal);
        return NULL;
    }
    if (jobs_init(&journal->checkpoint_jobs, loop, no_thread) != STATUS_OK) {
        jobs_done(&journal->jobs, drop_job);
        free(journal);
        return NULL;
    }
    loop_timer_init(loop, &journal->due, on_due);
    loop_task_init(loop, &journal->tell, on_tell);
    loop_hook_add(loop, &journal->at_end, on_turn_end);
    return journal;
}

void spool_journal_free(struct spool_journal *journal)
{
    if (!journal)
        return;
    jobs_done(&journal->checkpoint_jobs, drop_job);
    jobs_done(&journal->jobs, drop_job);
    if (journal->raw.n && open_segment(journal) && write_pending(journal) == STATUS_OK)
        if (spool_fdatasync(journal->ops, journal->fd) != STATUS_OK)
            set_trouble(journal, STATUS_IO);
    loop_hook_remove(&journal->at_end);
    loop_task_cancel(&journal->tell);
    loop_timer_stop(&journal->due);
    leave_segment(journal);
    checkpoint_drop(journal);
    buf_done(&journal->raw);
    buf_done(&journal->out);
    free(journal);
}

enum status spool_journal_append(struct spool_journal *journal, uint8_t kind, uint64_t id, struct span content)
{
    static const char zeros[SPOOL_ALIGN];
    if (content.n > SPOOL_JOURNAL_MAX)
        return STATUS_TOO_LONG;
    struct raw raw = { .id = id, .octets = (uint32_t)content.n, .kind = kind };
    size_t pad = round_up(raw.octets, SPOOL_ALIGN) - raw.octets, total = sizeof raw + content.n + pad;
    enum status status = buf_reserve(&journal->raw, total);
    if (status != STATUS_OK)
        return status;
    char *to = journal->raw.p + journal->raw.n;
    memcpy(to, &raw, sizeof raw);
    if (content.n)
        memcpy(to + sizeof raw, content.p, content.n);
    memcpy(to + sizeof raw + content.n, zeros, pad);
    journal->raw.n += total;
    journal->appended += total;
    return STATUS_OK;
}

void spool_journal_sync(struct spool_journal *journal, struct spool_sync *sync)
{
    sync->next = NULL;
    sync->upto = journal->appended;
    *journal->waiting_last = sync;
    journal->waiting_last = &sync->next;
    if (sync->upto <= journal->synced)
        loop_later(&journal->tell);
}

void spool_journal_sync_cancel(struct spool_journal *journal, struct spool_sync *sync)
{
    struct spool_sync **at = &journal->waiting;
    while (*at && *at != sync)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = sync->next;
    if (journal->waiting_last == &sync->next)
        journal->waiting_last = at;
}

enum status spool_journal_trouble(const struct spool_journal *journal) { return journal->trouble; }
bool spool_journal_is_written(const struct spool_journal *journal) { return journal->written == journal->raw.n; }
bool spool_journal_is_synced(const struct spool_journal *journal) { return journal->synced == journal->appended; }
uint64_t spool_journal_octets(const struct spool_journal *journal) { return journal->octets; }
uint64_t spool_checkpoint_octets(const struct spool_journal *journal) { return journal->checkpoint_octets; }
