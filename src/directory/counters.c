#include "directory/counters.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (size_t)(1u << 30) /* octets that are read of one */

static void complain(struct counters *counters, const char *doing, const char *path)
{
    if (!counters->is_broken)
        log_warning(counters->log, "counters-file", LOG_STR("file", path), LOG_STR("doing", doing), LOG_STR("why", strerror(errno)),
                    LOG_STR("advice", "limits hold, but what was counted is forgotten at a restart until this works again"));
    counters->is_broken = true;
}

static char *name(const char *database, const char *end)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_add_str(&path, database);
    buf_add_str(&path, end);
    return path.failed ? NULL : strdup(buf_cstr(&path));
}

static void read_file(struct counters *counters, unsigned which, struct buf *ret)
{
    int fd = open(counters->paths[which], O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return;
    if (fd < 0 || buf_fill(ret, fd) != STATUS_OK)
        complain(counters, "reading", counters->paths[which]);
    if (fd >= 0)
        close(fd);
}

/* From here on batches go into this file, behind its first `octets`. */
static bool begin(struct counters *counters, unsigned which, int64_t octets)
{
    if (counters->fd >= 0)
        close(counters->fd);
    counters->current = which;
    counters->octets = octets;
    counters->fd = open(counters->paths[which], O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (counters->fd >= 0 && ftruncate(counters->fd, octets) == 0)
        return true;
    complain(counters, "opening", counters->paths[which]);
    if (counters->fd >= 0)
        close(counters->fd);
    counters->fd = -1;
    return false;
}

struct found {
    unsigned last;  /* the file to go on with */
    size_t good;    /* octets of it */
    bool any, both;
};

/* The file whose first number is lower comes first. */
static struct found replay(struct counters *counters, int64_t now_ms, int64_t wall_ms)
{
    AUTO(buf_done) struct buf a = BUF_EMPTY(FILE_MOST);
    AUTO(buf_done) struct buf b = BUF_EMPTY(FILE_MOST);
    read_file(counters, 0, &a);
    read_file(counters, 1, &b);
    uint64_t first_a = limits_store_first(buf_span(&a)), first_b = limits_store_first(buf_span(&b));
    struct found found = { first_b > first_a, 0, first_a || first_b, first_a && first_b };
    struct span spans[] = { buf_span(&a), buf_span(&b) };
    if (found.both)
        limits_store_replay(&counters->store, counters->tree, spans[!found.last], now_ms, wall_ms);
    if (found.any)
        found.good = limits_store_replay(&counters->store, counters->tree, spans[found.last], now_ms, wall_ms);
    return found;
}

static bool prepare(struct counters *counters, struct log *log, struct limits_tree *tree, const char *database)
{
    *counters = (struct counters){ .log = log, .tree = tree, .fd = -1, .most = COUNTERS_FILE_LEAST,
                                   .paths = { name(database, "-counts-a"), name(database, "-counts-b") } };
    return counters->paths[0] && counters->paths[1];
}

static void forget_paths(struct counters *counters)
{
    free(counters->paths[0]);
    free(counters->paths[1]);
    counters->paths[0] = counters->paths[1] = NULL;
}

enum status counters_read(struct limits_tree *tree, const char *database, int64_t now_ms, int64_t wall_ms)
{
    struct log nowhere;
    struct counters counters;
    log_init(&nowhere, -1, "", LOG_ERROR);
    bool good = prepare(&counters, &nowhere, tree, database);
    if (good)
        replay(&counters, now_ms, wall_ms);
    forget_paths(&counters);
    log_done(&nowhere);
    return good && !counters.is_broken ? STATUS_OK : STATUS_IO;
}

enum status counters_open(struct counters *counters, struct log *log, struct limits_tree *tree, const char *database,
                          int64_t now_ms, int64_t wall_ms)
{
    if (!prepare(counters, log, tree, database))
        return STATUS_MEMORY;
    struct found found = replay(counters, now_ms, wall_ms);
    if (!found.any)
        return STATUS_OK;
    begin(counters, found.last, (int64_t)found.good);
    if (found.both) { /* it may have been killed before the last one held all */
        limits_store_rewrite(tree);
        counters->is_rewriting = true;
    }
    counters->most = MAX((int64_t)COUNTERS_FILE_LEAST, 2 * (int64_t)found.good);
    return STATUS_OK;
}

static bool put(int fd, struct span octets, int64_t at)
{
    while (octets.n) {
        ssize_t n = pwrite(fd, octets.p, octets.n, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        octets = span_from(octets, (size_t)n);
        at += n;
    }
    return true;
}

static void end_rewriting(struct counters *counters)
{
    if (truncate(counters->paths[!counters->current], 0) != 0 && errno != ENOENT)
        complain(counters, "shortening", counters->paths[!counters->current]);
    counters->is_rewriting = false;
    counters->most = MAX((int64_t)COUNTERS_FILE_LEAST, 2 * counters->octets);
}

void counters_write(struct counters *counters, int64_t now_ms, int64_t wall_ms)
{
    if (!limits_store_is_dirty(counters->tree))
        return;
    if (counters->fd >= 0 && counters->octets > counters->most && !counters->is_rewriting) {
        counters->is_rewriting = begin(counters, !counters->current, 0);
        limits_store_rewrite(counters->tree);
    }
    if (counters->fd < 0 && !begin(counters, counters->current, counters->octets))
        return;
    AUTO(buf_done) struct buf batch = BUF_EMPTY(2 * LIMITS_STORE_BATCH_MOST);
    if (limits_store_changes(&counters->store, counters->tree, now_ms, wall_ms, &batch) != STATUS_OK || !batch.n)
        return;
    if (!put(counters->fd, buf_span(&batch), counters->octets)) {
        complain(counters, "writing", counters->paths[counters->current]);
        (void)!ftruncate(counters->fd, counters->octets); /* the next batch stands there */
        limits_store_rewrite(counters->tree);
        return;
    }
    counters->is_broken = false;
    counters->octets += (int64_t)batch.n;
    if (counters->is_rewriting && limits_store_is_rewritten(counters->tree))
        end_rewriting(counters);
}

void counters_close(struct counters *counters, int64_t now_ms, int64_t wall_ms)
{
    for (int i = 0; i < 256 && counters->tree && limits_store_is_dirty(counters->tree) && !counters->is_broken; i++)
        counters_write(counters, now_ms, wall_ms);
    if (counters->fd >= 0)
        close(counters->fd);
    counters->fd = -1;
    forget_paths(counters);
}
