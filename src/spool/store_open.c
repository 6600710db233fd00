/* The spool directory at the start: whose it is, what lies in it. */
#include "spool/store_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct listing {
    struct spool_store *store;
    enum status status;
};

/* Makes the directory where it is missing and opens it; it must be ours alone. */
static enum status open_own(struct spool_store *store, int parent, const char *name, int *ret)
{
    const struct spool_ops *ops = store->ops;
    struct stat st;
    bool made = ops->mkdirat(ops, parent, name, 0700) == 0;
    if (!made && errno != EEXIST) {
        store_report(store, name, "the directory cannot be made");
        return STATUS_IO;
    }
    int fd = ops->openat(ops, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0 || ops->fstat(ops, fd, &st) < 0) {
        store_report(store, name, errno == ENOTDIR || errno == ELOOP
                                      ? "not a directory itself (links are not followed): put the directory in its place"
                                  : errno == EACCES ? "the directory cannot be opened: it belongs to another user; give it "
                                                      "to the server's user (chown -R), with the mode 0700"
                                                    : "the directory cannot be opened");
        return STATUS_IO;
    }
    *ret = fd;
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        store_report(store, name, st.st_uid != geteuid()
                                      ? "the directory belongs to another user: give it to the server's user (chown -R)"
                                      : "the directory is open to others: its mode must be 0700 (chmod 700)");
        return STATUS_DENIED;
    }
    return made && parent >= 0 ? spool_fsync(ops, parent) : STATUS_OK;
}

#define LOCK_STEP_MS 20

static enum status take_lock(struct spool_store *store)
{
    const struct spool_ops *ops = store->ops;
    store->lock_fd = ops->openat(ops, store->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (store->lock_fd < 0) {
        store_report(store, "lock", errno == ELOOP    ? "a symbolic link, which is not followed; remove it"
                                    : errno == EISDIR ? "a directory where the lock file has to be; remove it"
                                                      : "cannot be opened for writing");
        return STATUS_IO;
    }
    for (unsigned waited = 0; ops->lock(ops, store->lock_fd) < 0; waited += LOCK_STEP_MS) {
        if (errno != EWOULDBLOCK)
            return STATUS_IO;
        if (waited >= store->settings.lock_wait_ms) {
            store_report(store, "lock", "another process has the spool open");
            return STATUS_EXISTS;
        }
        (void)poll(NULL, 0, LOCK_STEP_MS);
    }
    return STATUS_OK;
}

static bool each_top(void *arg, const char *name)
{
    static const char *const ours[] = { "lock", "segments", "bodies", "checkpoint", "checkpoint.new", "quarantine",
                                        SPOOL_STAMP_NAME, SPOOL_STAMP_NAME_NEW };
    struct listing *listing = arg;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    store_report(listing->store, name, "not a file of the spool; left alone");
    return true;
}

static void report_segment(struct spool_store *store, const char *name, const char *what)
{
    char path[STORE_NAME_SIZE + 256];
    snprintf(path, sizeof path, "segments/%.255s", name);
    store_report(store, path, what);
}

static const char *why_not_ours(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "not a plain file, though it has the name of a segment; left alone: move it elsewhere";
    if (st->st_uid != geteuid())
        return "belongs to another user; left alone: give it to the server's user (chown), or move it elsewhere";
    return NULL;
}

/* What one segment file says of itself. DAMAGED: it is not to be used, ever; DENIED: nor is the spool. `*why` tells.
 * IO: the system would not let us look. */
static enum status read_description(struct spool_store *store, int fd, uint32_t number, struct spool_segment *ret, const char **why)
{
    const struct spool_ops *ops = store->ops;
    struct stat st;
    if (ops->fstat(ops, fd, &st) < 0 || (*why = why_not_ours(&st)))
        return STATUS_DAMAGED;
    const struct spool_stamp_key *key = store->stamping ? NULL : &store->stamp;
    enum status status = spool_segment_read_stamped(ops, fd, key, ret);
    bool is_cut = status == STATUS_DAMAGED && spool_segment_read_cut(ops, fd, key, ret) == STATUS_OK && ret->use != SPOOL_EMPTY;
    if (is_cut)
        status = STATUS_OK;
    else if (status == STATUS_DAMAGED && key && spool_segment_read(ops, fd, ret) == STATUS_OK)
        *why = "its description was not written by this queue, so nothing in it is believed; left alone: whoever could write "
               "into it may have changed it, or the file is another spool's";
    if (status == STATUS_OK && (ret->number != number || ret->use == SPOOL_CHECKPOINT)) {
        *why = "the copy of another file of the spool; left alone: move it elsewhere";
        return STATUS_DAMAGED;
    }
    if (status == STATUS_OK && st.st_nlink > 1 && ret->use != SPOOL_EMPTY) {
        *why = "has a second name (a hard link), by which what it holds would be overwritten there too; remove the "
               "other name, or copy the file: cp -p it, and rename the copy";
        return STATUS_DENIED;
    }
    if (status == STATUS_OK && st.st_nlink > 1) {
        *why = "has a second name (a hard link) and is empty; left alone: it may be removed";
        return STATUS_DAMAGED;
    }
    if (is_cut)
        *why = "its size is not what it says; what is whole in it is used";
    return status;
}

static enum status look_at(struct spool_store *store, const char *name, uint32_t number, struct spool_segment *ret, const char **why)
{
    const struct spool_ops *ops = store->ops;
    *why = "its description is unreadable; left alone: `goniec spool verify` tells more";
    int fd = ops->openat(ops, store->segments_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) {
        *why = errno == ELOOP    ? "a symbolic link, which is not followed; left alone: put the file itself in its place"
               : errno == EACCES ? "cannot be opened, belongs to another user; left alone: give it to the server's user (chown), "
                                   "with the mode 0600, or move it elsewhere"
                                 : "cannot be opened; left alone";
        return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? STATUS_IO : STATUS_DAMAGED;
    }
    const char *said = NULL;
    enum status status = read_description(store, fd, number, ret, &said);
    /* That it is EMPTY may be known to the page cache only: what was in it must not come back. */
    if (status == STATUS_OK && ret->use == SPOOL_EMPTY)
        status = spool_fdatasync(ops, fd);
    ops->close(ops, fd);
    if (said)
        *why = said;
    else if (status == STATUS_OK)
        *why = NULL;
    else if (status == STATUS_DENIED)
        *why = "written by a newer version of goniec; start that version, or let it empty its queue";
    return status;
}

/* To start without it would be to forget what is in it. */
static void report_unread(struct spool_store *store, const char *name)
{
    char what[256];
    snprintf(what, sizeof what, "cannot be read (%s); no start without it, for it may hold mail: move it away to start all "
             "the same", strerror(errno));
    report_segment(store, name, what);
}

/* "0000002b.new": one that a predecessor was filling; it holds nothing. */
static bool is_unfinished(const char *name)
{
    return strspn(name, "0123456789abcdef") == 8 && strcmp(name + 8, ".new") == 0;
}

static bool each_segment(void *arg, const char *name)
{
    struct listing *listing = arg;
    struct spool_store *store = listing->store;
    struct spool_segment segment;
    struct entry *entry;
    uint32_t number;
    if (!spool_segment_name_parse(name, &number)) {
        /* A segment that was never finished holds nothing. */
        if (is_unfinished(name))
            store->ops->unlinkat(store->ops, store->segments_dir, name);
        else
            report_segment(store, name, "not a file of the spool; left alone");
        return true;
    }
    store->next_number = MAX(store->next_number, number + 1);
    const char *why;
    enum status status = look_at(store, name, number, &segment, &why);
    if (why && status != STATUS_IO)
        report_segment(store, name, why);
    if (status == STATUS_DAMAGED)
        return true;
    if (status == STATUS_IO)
        report_unread(store, name);
    else if (status == STATUS_OK)
        status = store_add(store, &segment, segment.use == SPOOL_EMPTY ? ENTRY_READY : ENTRY_USED, &entry);
    listing->status = status;
    return status == STATUS_OK;
}

/* The name of the spool itself; best effort: whoever made the directory above may keep us out of it. */
static void sync_parent(struct spool_store *store)
{
    const struct spool_ops *ops = store->ops;
    int parent = ops->openat(ops, store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (parent < 0)
        return;
    ops->fsync(ops, parent);
    ops->close(ops, parent);
}

/* Our predecessor may have been killed between a rename and its sync. What we are going to build upon must not vanish
 * with the next power cut. */
static enum status sync_names(struct spool_store *store)
{
    enum status status = spool_fsync(store->ops, store->segments_dir);
    if (status == STATUS_OK)
        status = spool_fsync(store->ops, store->bodies_dir);
    return status == STATUS_OK ? spool_fsync(store->ops, store->dir) : status;
}

/* DAMAGED is no reason to believe everybody: a person has to say so, by taking the file away. */
static enum status read_key(struct spool_store *store)
{
    enum status status = spool_stamp_key_read(store->ops, store->dir, &store->stamp);
    store->stamping = status == STATUS_NOT_FOUND;
    if (store->stamping)
        return store->ops->random(store->ops, &store->stamp, sizeof store->stamp) < 0 ? STATUS_IO : STATUS_OK;
    if (status == STATUS_DAMAGED)
        store_report(store, SPOOL_STAMP_NAME, "not what it should be; put back the right one, or move it away: what the segments "
                                              "say of themselves is then believed once");
    else if (status != STATUS_OK)
        store_report(store, SPOOL_STAMP_NAME, "cannot be read");
    return status;
}

/* The key comes last: as long as it is not there, all of this is done again. */
static enum status stamp_all(struct spool_store *store)
{
    const struct spool_ops *ops = store->ops;
    char name[SPOOL_SEGMENT_NAME_SIZE];
    enum status status = STATUS_OK;
    for (MAP_EACH(node, &store->segments)) {
        spool_segment_name(CONTAINER(node, struct entry, node)->segment.number, name);
        int fd = ops->openat(ops, store->segments_dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
        status = fd < 0 ? STATUS_IO : spool_segment_stamp(ops, fd, &store->stamp);
        int wrong = errno;
        if (fd >= 0)
            ops->close(ops, fd);
        errno = wrong;
        if (status != STATUS_OK) {
            report_segment(store, name, "cannot be stamped as the queue's own");
            return status;
        }
    }
    status = spool_stamp_key_write(ops, store->dir, &store->stamp);
    if (status != STATUS_OK)
        store_report(store, SPOOL_STAMP_NAME, "cannot be written");
    store->stamping = false;
    return status;
}

enum status store_open_directory(struct spool_store *store, const char *path)
{
    const struct spool_ops *ops = store->ops;
    enum status status = open_own(store, AT_FDCWD, path, &store->dir);
    if (status != STATUS_OK)
        return status;
    sync_parent(store);
    status = take_lock(store);
    if (status == STATUS_OK)
        status = open_own(store, store->dir, "segments", &store->segments_dir);
    if (status == STATUS_OK)
        status = open_own(store, store->dir, "bodies", &store->bodies_dir);
    if (status == STATUS_OK)
        status = read_key(store);
    if (status != STATUS_OK)
        return status;
    struct listing listing = { store, STATUS_OK };
    if (ops->list(ops, store->dir, each_top, &listing) < 0 ||
        ops->list(ops, store->segments_dir, each_segment, &listing) < 0)
        return STATUS_IO;
    status = listing.status == STATUS_OK ? sync_names(store) : listing.status;
    return status == STATUS_OK && store->stamping ? stamp_all(store) : status;
}
