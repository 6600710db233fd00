/* spool/ops.h -- every way in which the spool touches disk, clock and randomness: one small table.
 *
 * The real table calls the system. Tests put faults into it, and a simulator replaces it whole: it tears
 * writes, loses what was not synced, fills the disk and plays a crash at any step. Nothing in this room
 * calls open(2) and its family past this table. All calls return what the system call returns and set errno.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool_ops {
    int (*openat)(const struct spool_ops *ops, int dir, const char *name, int flags, mode_t mode);
    int (*close)(const struct spool_ops *ops, int fd);
    ssize_t (*pread)(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at);
    ssize_t (*pwritev)(const struct spool_ops *ops, int fd, const struct iovec *pieces, int count, off_t at);
    int (*fdatasync)(const struct spool_ops *ops, int fd);
    int (*fsync)(const struct spool_ops *ops, int fd);                 /* also for directories */
    /* Begins to write these octets out, and waits for nothing; `wait`: returns once they are on their way and done, which
     * keeps the pace of the disk. Advice without any promise: only a sync makes safe. NULL: not given. */
    void (*write_out)(const struct spool_ops *ops, int fd, off_t at, off_t n, bool wait);
    /* The kernel need not keep what is synced in memory: advice, changes nothing that can be read. NULL: not given. */
    void (*forget)(const struct spool_ops *ops, int fd);
    int (*fstat)(const struct spool_ops *ops, int fd, struct stat *ret);
    int (*unlinkat)(const struct spool_ops *ops, int dir, const char *name);
    int (*renameat)(const struct spool_ops *ops, int dir, const char *from, const char *to);
    int (*mkdirat)(const struct spool_ops *ops, int dir, const char *name, mode_t mode);
    int (*lock)(const struct spool_ops *ops, int fd);                  /* exclusive, does not wait: EWOULDBLOCK */
    /* Calls `each` for every name in the directory but "." and ".."; false from `each` ends the list. */
    int (*list)(const struct spool_ops *ops, int dir, bool (*each)(void *arg, const char *name), void *arg);
    int (*room)(const struct spool_ops *ops, int dir, uint64_t *ret);  /* octets that we may still use */
    int (*random)(const struct spool_ops *ops, void *p, size_t n);
    int64_t (*wall_ms)(const struct spool_ops *ops);
};

extern const struct spool_ops spool_ops_system;

/* All of it or an error: short reads and writes and EINTR are dealt with here. IO: errno tells (EIO for the end
 * of the file before `n` octets); FULL: the disk is full or over quota. */
MUST_CHECK enum status spool_pread_all(const struct spool_ops *ops, int fd, void *p, size_t n, uint64_t at);
MUST_CHECK enum status spool_pwrite_all(const struct spool_ops *ops, int fd, const void *p, size_t n, uint64_t at);
/* The pieces are used up (changed) while writing. Any count; the kernel's limit per call is dealt with. */
MUST_CHECK enum status spool_pwritev_all(const struct spool_ops *ops, int fd, struct iovec *pieces, size_t count,
                                         uint64_t at);
MUST_CHECK enum status spool_fdatasync(const struct spool_ops *ops, int fd);
MUST_CHECK enum status spool_fsync(const struct spool_ops *ops, int fd);
