#include "spool/store_priv.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

void store_report(struct spool_store *store, const char *name, const char *what)
{
    store->events->on_report(store->arg, name, what);
}

static bool is_number(const struct map_node *node, const void *key)
{
    return CONTAINER(node, struct entry, node)->segment.number == *(const uint32_t *)key;
}

struct entry *store_entry(const struct spool_store *store, uint32_t number)
{
    struct map_node *node = map_find(&store->segments, hash_u64(number), is_number, &number);
    return node ? CONTAINER(node, struct entry, node) : NULL;
}

void store_set_ready(struct spool_store *store, struct entry *entry)
{
    bool lent = entry->segment.lent;
    list_add_last(lent ? &store->lent : &store->ready, &entry->link);
    ++*(lent ? &store->lent_count : &store->ready_count);
    entry->state = ENTRY_READY;
}

void store_unset_ready(struct spool_store *store, struct entry *entry, enum entry_state state)
{
    list_remove(&entry->link);
    --*(entry->segment.lent ? &store->lent_count : &store->ready_count);
    entry->state = state;
}

enum status store_add(struct spool_store *store, const struct spool_segment *segment, enum entry_state state,
                      struct entry **ret)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return STATUS_MEMORY;
    entry->segment = *segment;
    entry->state = state;
    list_init(&entry->link);
    enum status status = map_add(&store->segments, &entry->node, hash_u64(segment->number));
    if (status != STATUS_OK) {
        free(entry);
        return status;
    }
    if (state == ENTRY_READY)
        store_set_ready(store, entry);
    store->next_number = MAX(store->next_number, segment->number + 1);
    store->sequence = MAX(store->sequence, segment->sequence);
    *ret = entry;
    return STATUS_OK;
}

void store_drop(struct spool_store *store, struct entry *entry)
{
    if (entry->state == ENTRY_READY)
        store_unset_ready(store, entry, ENTRY_BUSY);
    map_remove(&store->segments, &entry->node);
    free(entry);
}

void store_raise_sequence(struct spool_store *store, uint64_t sequence)
{
    store->sequence = MAX(store->sequence, sequence);
}

static void set_defaults(struct spool_store_settings *settings)
{
    if (!settings->segment_octets)
        settings->segment_octets = STORE_SEGMENT_OCTETS;
    settings->segment_octets = MIN(settings->segment_octets, SPOOL_SEGMENT_MOST) / SPOOL_BLOCK * SPOOL_BLOCK;
    settings->segment_octets = MAX(settings->segment_octets, 3 * SPOOL_BLOCK);
    if (!settings->reserve_octets)
        settings->reserve_octets = STORE_RESERVE_OCTETS;
    settings->ahead = settings->ahead ? settings->ahead : 2;
    settings->keep_most = settings->keep_most ? settings->keep_most : 16;
    settings->bodies_ahead = settings->bodies_ahead ? settings->bodies_ahead : 4;
}

void spool_store_set_reserve(struct spool_store *store, uint64_t octets)
{
    store->settings.reserve_octets = octets;
    set_defaults(&store->settings);
    store_look_at_room(store);
    store_refill(store);
}

static void on_watch(struct loop_timer *timer)
{
    struct spool_store *store = CONTAINER(timer, struct spool_store, watch);
    store->failing = false;
    store_look_at_room(store);
    store_refill(store);
    store_refill_bodies(store);
    loop_timer_set(&store->watch, STORE_WATCH_MS);
}

enum status spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                             const struct spool_store_events *events, void *arg, struct spool_store **ret)
{
    struct spool_store *store = calloc(1, sizeof *store);
    if (!store)
        return STATUS_MEMORY;
    store->loop = loop;
    store->settings = *settings;
    set_defaults(&store->settings);
    store->ops = settings->ops ? settings->ops : &spool_ops_system;
    store->events = events;
    store->arg = arg;
    store->dir = store->segments_dir = store->bodies_dir = store->lock_fd = -1;
    list_init(&store->ready);
    list_init(&store->lent);
    list_init(&store->ready_bodies);
    loop_timer_init(loop, &store->watch, on_watch);
    enum status status = jobs_init(&store->jobs, loop, settings->no_thread);
    if (status == STATUS_OK)
        status = store_open_directory(store, path);
    if (status != STATUS_OK) {
        int wrong = errno;
        spool_store_free(store);
        errno = wrong;
        return status;
    }
    *ret = store;
    return STATUS_OK;
}

static void close_fd(struct spool_store *store, int fd)
{
    if (fd >= 0)
        store->ops->close(store->ops, fd);
}

void spool_store_free(struct spool_store *store)
{
    if (!store)
        return;
    loop_timer_stop(&store->watch);
    jobs_done(&store->jobs, store_drop_job);
    store_drop_bodies(store);
    for (MAP_EACH(node, &store->segments))
        store_drop(store, CONTAINER(node, struct entry, node));
    map_done(&store->segments);
    close_fd(store, store->bodies_dir);
    close_fd(store, store->segments_dir);
    close_fd(store, store->lock_fd);
    close_fd(store, store->dir);
    explicit_bzero(&store->stamp, sizeof store->stamp);
    free(store);
}

const struct spool_ops *spool_store_ops(const struct spool_store *store) { return store->ops; }
int spool_store_dir(const struct spool_store *store) { return store->dir; }
bool spool_store_is_low(const struct spool_store *store) { return store->low; }
uint64_t spool_store_room(const struct spool_store *store) { return store->room; }

void spool_store_report(struct spool_store *store, const char *name, const char *what)
{
    store_report(store, name, what);
}

void spool_store_each(struct spool_store *store, bool (*each)(void *arg, const struct spool_segment *segment), void *arg)
{
    for (MAP_EACH(node, &store->segments))
        if (!each(arg, &CONTAINER(node, struct entry, node)->segment))
            return;
}

const struct spool_segment *spool_store_segment(const struct spool_store *store, uint32_t number)
{
    struct entry *entry = store_entry(store, number);
    return entry ? &entry->segment : NULL;
}

void spool_store_start(struct spool_store *store)
{
    store->started = true;
    on_watch(&store->watch);
}

static enum status open_segment(struct spool_store *store, uint32_t number, int flags, int *ret)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    int fd = store->ops->openat(store->ops, store->segments_dir, spool_segment_name(number, name),
                                flags | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_IO;
    *ret = fd;
    return STATUS_OK;
}

/* When no more can be made, the last one is the journal's: without it nothing could be settled, and so no room
 * could ever come back. */
static bool may_take(const struct spool_store *store, enum spool_use use)
{
    bool scarce = store->failing || store->room < store->settings.reserve_octets + store->settings.segment_octets;
    return store->ready_count > 1 || (store->ready_count == 1 && (use == SPOOL_JOURNAL || !scarce));
}

/* A process may keep the descriptor of what it was once given, and write there whenever it likes. So that is never used
 * for the journal, for our own log, or by another process. NULL: none. */
static struct entry *find_ready(struct spool_store *store, enum spool_use use, uint32_t writer)
{
    for (LIST_EACH(link, &store->lent))
        if (use == SPOOL_MESSAGES && writer && CONTAINER(link, struct entry, link)->segment.lent == writer)
            return CONTAINER(link, struct entry, link);
    return may_take(store, use) ? CONTAINER(list_first(&store->ready), struct entry, link) : NULL;
}

enum status spool_store_take(struct spool_store *store, enum spool_use use, uint32_t writer, int *ret_fd,
                             uint32_t *ret_number)
{
    struct entry *entry = find_ready(store, use, writer);
    if (!entry) {
        store_refill(store);
        return store->low ? STATUS_FULL : STATUS_AGAIN;
    }
    uint64_t salt;
    if (store->ops->random(store->ops, &salt, sizeof salt) < 0)
        return STATUS_IO;
    store_unset_ready(store, entry, ENTRY_USED);
    /* A new life begins here and not when it became EMPTY: a crash may leave records of a life whose description
     * never reached the disk, and they must not be taken for those of the next one. */
    entry->segment.epoch++;
    entry->segment.salt = salt;
    entry->segment.use = use;
    entry->segment.writer = writer;
    entry->segment.lent = use == SPOOL_MESSAGES ? writer : 0;
    entry->segment.sequence = ++store->sequence;
    entry->segment.since_wall_ms = store->ops->wall_ms(store->ops);
    store_refill(store);

    int fd;
    enum status status = open_segment(store, entry->segment.number, O_RDWR, &fd);
    if (status != STATUS_OK)
        return status;
    /* Not synced: the sync of the first commit carries this along, and before that there is nothing to lose. */
    status = spool_segment_write(store->ops, fd, &store->stamp, &entry->segment);
    if (status != STATUS_OK) {
        close_fd(store, fd);
        return status;
    }
    *ret_fd = fd;
    *ret_number = entry->segment.number;
    return STATUS_OK;
}

enum status spool_store_read_fd(struct spool_store *store, uint32_t number, int *ret_fd)
{
    return store_entry(store, number) ? open_segment(store, number, O_RDONLY, ret_fd) : STATUS_NOT_FOUND;
}

void spool_store_release(struct spool_store *store, uint32_t number)
{
    struct entry *entry = store_entry(store, number);
    if (entry && entry->state == ENTRY_USED)
        store_empty(store, entry);
}
