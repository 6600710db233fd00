/* Reading a segment at the start, and putting aside what is damaged in it. */
#include "base/id.h"
#include "spool/store_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COPY_OCTETS (256u << 10)

struct reading {
    struct spool_store *store;
    int fd;
    struct spool_segment segment;
    bool (*on_record)(void *arg, const struct spool_found *found);
    void *arg;
    enum status status;      /* of putting aside */
};

static enum status copy_octets(const struct spool_ops *ops, int from, int to, uint32_t at, uint32_t octets)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(COPY_OCTETS);
    enum status status = buf_reserve(&buf, COPY_OCTETS);
    for (uint32_t done = 0; status == STATUS_OK && done < octets;) {
        uint32_t n = MIN(COPY_OCTETS, octets - done);
        status = spool_pread_all(ops, from, buf.p, n, (uint64_t)at + done);
        if (status == STATUS_OK)
            status = spool_pwrite_all(ops, to, buf.p, n, done);
        done += n;
    }
    return status == STATUS_OK ? spool_fsync(ops, to) : status;
}

/* Copies the octets to quarantine/, once. EXISTS: they are there already. */
static enum status quarantine(struct reading *reading, const struct spool_damage *damage, const char *name)
{
    const struct spool_ops *ops = reading->store->ops;
    if (ops->mkdirat(ops, reading->store->dir, "quarantine", 0700) < 0 && errno != EEXIST)
        return STATUS_IO;
    int dir = ops->openat(ops, reading->store->dir, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (dir < 0)
        return STATUS_IO;
    enum status status = STATUS_OK;
    int fd = ops->openat(ops, dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        status = errno == EEXIST ? STATUS_EXISTS : STATUS_IO;
    if (status == STATUS_OK)
        status = copy_octets(ops, reading->fd, fd, damage->offset, damage->octets);
    if (status == STATUS_OK)
        status = spool_fsync(ops, dir);
    if (fd >= 0)
        ops->close(ops, fd);
    ops->close(ops, dir);
    return status;
}

static void on_damage(void *arg, const struct spool_damage *damage)
{
    struct reading *reading = arg;
    char name[STORE_NAME_SIZE], path[STORE_NAME_SIZE], what[STORE_NAME_SIZE * 6], id[ID_TEXT_SIZE] = "unknown";
    snprintf(name, sizeof name, "%08x-%u-%08x.rec", damage->segment, reading->segment.epoch, damage->offset);
    snprintf(path, sizeof path, "segments/%08x.seg", damage->segment);
    if (damage->id)
        id_text(damage->id, id);
    enum status status = quarantine(reading, damage, name);
    if (status != STATUS_OK && status != STATUS_EXISTS)
        reading->status = status;
    snprintf(what, sizeof what, "message %s at offset %u (%u octets): %s; %s quarantine/%s", id, damage->offset,
             damage->octets, damage->what, status == STATUS_OK       ? "copied to"
                                           : status == STATUS_EXISTS ? "was copied before to"
                                                                     : "could not be copied to",
             name);
    store_report(reading->store, path, what);
}

static bool on_record(void *arg, const struct spool_found *found)
{
    struct reading *reading = arg;
    return reading->on_record(reading->arg, found);
}

enum status spool_store_scan(struct spool_store *store, uint32_t number, uint32_t after,
                             bool (*each)(void *arg, const struct spool_found *found), void *arg)
{
    struct entry *entry = store_entry(store, number);
    if (!entry)
        return STATUS_NOT_FOUND;
    struct reading reading = { store, -1, entry->segment, each, arg, STATUS_OK };
    enum status status = spool_store_read_fd(store, number, &reading.fd);
    if (status != STATUS_OK)
        return status;
    struct spool_scan scan = {
        .ops = store->ops, .fd = reading.fd, .segment = entry->segment, .after = after,
        .on_record = on_record, .on_damage = on_damage, .arg = &reading,
    };
    /* A writer that was killed may have left what no sync has carried to disk: what we hand out shall last. */
    status = spool_fdatasync(store->ops, reading.fd);
    if (status == STATUS_OK)
        status = spool_scan_run(&scan);
    store->ops->close(store->ops, reading.fd);
    return status == STATUS_OK ? reading.status : status;
}
