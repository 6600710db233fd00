/* The slow work on segments: filling new ones with zeros, making used ones empty. */
#include "spool/store_priv.h"
#include "base/mutant.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define FILL_OCTETS (1u << 20) /* written at a time */
#define FILL_SYNC_OCTETS (8u << 20) /* synced at a time, so that commits need not wait behind a flood */

struct segment_job {
    struct job job;
    struct spool_store *store;
    struct entry *entry;       /* the one to be emptied; NULL: a new one is made */
    struct spool_segment segment;
    bool remove;               /* there are enough: unlink it */
    enum status status;
};

static void make_void(struct spool_segment *segment)
{
    segment->use = SPOOL_EMPTY;
    segment->salt = 0;
    segment->writer = 0;
    segment->since_wall_ms = 0;
}

static enum status fill(const struct spool_ops *ops, int fd, uint32_t octets)
{
    void *zeros = calloc(1, FILL_OCTETS);
    enum status status = zeros ? STATUS_OK : STATUS_MEMORY;
    for (uint32_t at = 0; status == STATUS_OK && at < octets;) {
        uint32_t n = MIN(FILL_OCTETS, octets - at);
        status = spool_pwrite_all(ops, fd, zeros, n, at);
        at += n;
        if (status == STATUS_OK && at % FILL_SYNC_OCTETS == 0)
            status = spool_fdatasync(ops, fd);
    }
    free(zeros);
    return status;
}

static void run_make(struct job *job)
{
    struct segment_job *self = CONTAINER(job, struct segment_job, job);
    struct spool_store *store = self->store;
    const struct spool_ops *ops = store->ops;
    char name[SPOOL_SEGMENT_NAME_SIZE], making[SPOOL_SEGMENT_NAME_SIZE];
    spool_segment_name(self->segment.number, name);
    snprintf(making, sizeof making, "%08x.new", self->segment.number);
    int fd = ops->openat(ops, store->segments_dir, making, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        self->status = errno == ENOSPC || errno == EDQUOT ? STATUS_FULL : STATUS_IO;
        return;
    }
    make_void(&self->segment);
    self->status = fill(ops, fd, self->segment.octets);
    if (self->status == STATUS_OK)
        self->status = spool_segment_write(ops, fd, &store->stamp, &self->segment);
    if (self->status == STATUS_OK)
        self->status = spool_fsync(ops, fd);
    if (ops->forget)
        ops->forget(ops, fd); /* else each commit would walk through the page cache's large pieces of zeros */
    ops->close(ops, fd);
    if (self->status == STATUS_OK && ops->renameat(ops, store->segments_dir, making, name) < 0)
        self->status = STATUS_IO;
    if (self->status == STATUS_OK && !MUTANT(SEGMENT_NAME_NOT_SYNCED))
        self->status = spool_fsync(ops, store->segments_dir);
    if (self->status != STATUS_OK)
        ops->unlinkat(ops, store->segments_dir, making);
}

static void run_empty(struct job *job)
{
    struct segment_job *self = CONTAINER(job, struct segment_job, job);
    struct spool_store *store = self->store;
    const struct spool_ops *ops = store->ops;
    char name[SPOOL_SEGMENT_NAME_SIZE];
    spool_segment_name(self->segment.number, name);
    int fd = ops->openat(ops, store->segments_dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        self->status = STATUS_IO;
        return;
    }
    /* Also before it is removed: else a crash could bring the name back with all that was in it. */
    make_void(&self->segment);
    self->status = spool_segment_write(ops, fd, &store->stamp, &self->segment);
    if (self->status == STATUS_OK && !MUTANT(EMPTY_MARK_NOT_SYNCED))
        self->status = spool_fdatasync(ops, fd);
    ops->close(ops, fd);
    if (self->status == STATUS_OK && self->remove && ops->unlinkat(ops, store->segments_dir, name) < 0)
        self->status = STATUS_IO;
}

static void report_failure(struct spool_store *store, const char *what, uint32_t number, enum status status)
{
    char path[STORE_NAME_SIZE], text[STORE_NAME_SIZE * 2];
    snprintf(path, sizeof path, "segments/%08x.seg", number);
    snprintf(text, sizeof text, "%s: %s", what, status_text(status));
    store_report(store, path, text);
}

static void on_made(struct job *job)
{
    struct segment_job *self = CONTAINER(job, struct segment_job, job);
    struct spool_store *store = self->store;
    struct entry *entry;
    store->making--;
    if (self->status == STATUS_OK)
        self->status = store_add(store, &self->segment, ENTRY_READY, &entry);
    if (self->status != STATUS_OK) {
        report_failure(store, "cannot be made", self->segment.number, self->status);
        store->failing = true;
    }
    bool made = self->status == STATUS_OK;
    free(self);
    store_look_at_room(store);
    store_refill(store);
    if (made)
        store->events->on_ready(store->arg);
}

static void on_emptied(struct job *job)
{
    struct segment_job *self = CONTAINER(job, struct segment_job, job);
    struct spool_store *store = self->store;
    struct entry *entry = self->entry;
    uint32_t number = self->segment.number;
    enum status status = self->status;
    bool removed = self->remove;
    --*(removed ? &store->removing : &store->emptying);
    if (status == STATUS_OK) {
        entry->segment = self->segment;
        if (removed)
            store_drop(store, entry);
        else
            store_set_ready(store, entry);
    }
    free(self);
    if (status != STATUS_OK) {
        /* Left as it is, out of use; the next start finds it USED and looks again. */
        report_failure(store, "cannot be made empty", number, status);
        return;
    }
    store_look_at_room(store);
    if (removed)
        store_refill(store);
    store->events->on_released(store->arg, number);
    if (!removed)
        store->events->on_ready(store->arg);
}

static struct segment_job *new_job(struct spool_store *store)
{
    struct segment_job *self = calloc(1, sizeof *self);
    if (self)
        self->store = store;
    return self;
}

/* What must be free before a segment is made. The reserve is for the journal, when it has nothing left to go on in. */
static uint64_t room_needed(const struct spool_store *store)
{
    uint64_t segment = store->settings.segment_octets;
    return store->ready_count ? store->settings.reserve_octets + segment : 2 * segment;
}

static bool make_empty(struct spool_store *store, struct entry *entry, bool remove)
{
    struct segment_job *self = new_job(store);
    if (!self)
        return false;
    self->entry = entry;
    self->segment = entry->segment;
    self->remove = remove;
    self->job.run = run_empty;
    self->job.on_done = on_emptied;
    ++*(remove ? &store->removing : &store->emptying);
    entry->state = ENTRY_BUSY;
    jobs_do(&store->jobs, &self->job);
    return true;
}

/* Room for one that can be anybody's, where there are EMPTY ones that cannot. */
static void lent_give_way(struct spool_store *store)
{
    struct list *first = list_first(&store->lent);
    if (!first || store->emptying || store->removing)
        return;
    struct entry *entry = CONTAINER(first, struct entry, link);
    store_unset_ready(store, entry, ENTRY_USED);
    if (!make_empty(store, entry, true))
        store_set_ready(store, entry);
}

/* One at a time: there is one disk. */
void store_refill(struct spool_store *store)
{
    if (!store->started || store->failing || store->making || store->ready_count >= store->settings.ahead)
        return;
    if (store->room < room_needed(store)) {
        lent_give_way(store);
        return;
    }
    struct segment_job *self = new_job(store);
    if (!self)
        return;
    self->segment = (struct spool_segment){ .number = store->next_number++, .octets = store->settings.segment_octets };
    self->job.run = run_make;
    self->job.on_done = on_made;
    store->making++;
    jobs_do(&store->jobs, &self->job);
}

void store_empty(struct spool_store *store, struct entry *entry)
{
    unsigned kept = store->ready_count + store->lent_count + store->emptying;
    bool wanted = !entry->segment.lent && store->ready_count + store->emptying < store->settings.ahead;
    bool remove = (kept >= store->settings.keep_most && !wanted) || entry->segment.octets != store->settings.segment_octets;
    (void)make_empty(store, entry, remove); /* else it stays in use until the next start */
}

void store_drop_job(struct job *job)
{
    /* Every kind of job begins with its struct job and is one allocation. */
    free(job);
}

void store_look_at_room(struct spool_store *store)
{
    uint64_t reserve = store->settings.reserve_octets, need = reserve;
    if (store->ops->room(store->ops, store->dir, &store->room) < 0)
        return;
    if (store->ready_count <= 1 && store->making == 0) /* and the last one is the journal's */
        need += store->settings.segment_octets;
    if (store->low)
        need += reserve / 16; /* so that it does not flicker */
    bool low = store->room < need || (store->failing && store->ready_count <= 1);
    if (low == store->low)
        return;
    store->low = low;
    store->events->on_low(store->arg, low);
}
