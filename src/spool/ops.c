#include "spool/ops.h"
#include "base/mutant.h"
#include "base/time.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int sys_openat(const struct spool_ops *ops, int dir, const char *name, int flags, mode_t mode)
{
    return openat(dir, name, flags, mode);
}
static int sys_close(const struct spool_ops *ops, int fd) { return close(fd); }
static ssize_t sys_pread(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at) { return pread(fd, p, n, at); }
static ssize_t sys_pwritev(const struct spool_ops *ops, int fd, const struct iovec *pieces, int count, off_t at)
{
    return pwritev(fd, pieces, count, at);
}
static int sys_fdatasync(const struct spool_ops *ops, int fd) { return fdatasync(fd); }
static int sys_fsync(const struct spool_ops *ops, int fd) { return fsync(fd); }
static int sys_fstat(const struct spool_ops *ops, int fd, struct stat *ret) { return fstat(fd, ret); }
static int sys_unlinkat(const struct spool_ops *ops, int dir, const char *name) { return unlinkat(dir, name, 0); }
static int sys_renameat(const struct spool_ops *ops, int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}
static int sys_mkdirat(const struct spool_ops *ops, int dir, const char *name, mode_t mode)
{
    return mkdirat(dir, name, mode);
}
static int sys_lock(const struct spool_ops *ops, int fd) { return flock(fd, LOCK_EX | LOCK_NB); }

static int sys_list(const struct spool_ops *ops, int dir, bool (*each)(void *arg, const char *name), void *arg)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !each(arg, entry->d_name))
            break;
        errno = 0;
    }
    int wrong = entry ? 0 : errno;
    closedir(list);
    errno = wrong;
    return wrong ? -1 : 0;
}

static int sys_room(const struct spool_ops *ops, int dir, uint64_t *ret)
{
    struct statvfs fs;
    if (fstatvfs(dir, &fs) < 0)
        return -1;
    *ret = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

static void sys_write_out(const struct spool_ops *ops, int fd, off_t at, off_t n, bool wait)
{
    (void)sync_file_range(fd, at, n, wait ? SYNC_FILE_RANGE_WAIT_BEFORE : SYNC_FILE_RANGE_WRITE);
}

static void sys_forget(const struct spool_ops *ops, int fd) { (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }

static int sys_random(const struct spool_ops *ops, void *p, size_t n)
{
    return getrandom(p, n, 0) == (ssize_t)n ? 0 : -1;
}

static int64_t sys_wall_ms(const struct spool_ops *ops) { return time_wall_ms(); }

const struct spool_ops spool_ops_system = {
    .openat = sys_openat,
    .close = sys_close,
    .pread = sys_pread,
    .pwritev = sys_pwritev,
    .fdatasync = sys_fdatasync,
    .fsync = sys_fsync,
    .write_out = sys_write_out,
    .forget = sys_forget,
    .fstat = sys_fstat,
    .unlinkat = sys_unlinkat,
    .renameat = sys_renameat,
    .mkdirat = sys_mkdirat,
    .lock = sys_lock,
    .list = sys_list,
    .room = sys_room,
    .random = sys_random,
    .wall_ms = sys_wall_ms,
};

static enum status disk_status(void)
{
    return errno == ENOSPC || errno == EDQUOT ? STATUS_FULL : STATUS_IO;
}

enum status spool_pread_all(const struct spool_ops *ops, int fd, void *p, size_t n, uint64_t at)
{
    for (size_t got = 0; got < n;) {
        ssize_t now = ops->pread(ops, fd, (char *)p + got, n - got, (off_t)(at + got));
        if (now < 0 && errno == EINTR)
            continue;
        if (now == 0)
            errno = EIO;
        if (now <= 0)
            return STATUS_IO;
        got += (size_t)now;
    }
    return STATUS_OK;
}

/* Moves past `done` octets; returns the pieces that are left. */
static size_t skip_pieces(struct iovec **pieces, size_t count, size_t done)
{
    while (count > 0 && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        (*pieces)++;
        count--;
    }
    if (count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
    return count;
}

enum status spool_pwritev_all(const struct spool_ops *ops, int fd, struct iovec *pieces, size_t count, uint64_t at)
{
    count = skip_pieces(&pieces, count, 0);
    while (count > 0) {
        ssize_t now = ops->pwritev(ops, fd, pieces, (int)MIN(count, (size_t)IOV_MAX), (off_t)at);
        if (now < 0 && errno == EINTR)
            continue;
        if (now == 0)
            errno = EIO;
        if (now <= 0)
            return disk_status();
        at += (uint64_t)now;
        count = skip_pieces(&pieces, count, (size_t)now);
    }
    return STATUS_OK;
}

enum status spool_pwrite_all(const struct spool_ops *ops, int fd, const void *p, size_t n, uint64_t at)
{
    struct iovec piece = { (void *)(uintptr_t)p, n };
    return spool_pwritev_all(ops, fd, &piece, 1, at);
}

enum status spool_fdatasync(const struct spool_ops *ops, int fd)
{
    /* No second try after an error: the kernel may have dropped what it could not write. */
    return ops->fdatasync(ops, fd) == 0 || MUTANT(SYNC_ERROR_IGNORED) ? STATUS_OK : disk_status();
}

enum status spool_fsync(const struct spool_ops *ops, int fd)
{
    return ops->fsync(ops, fd) == 0 ? STATUS_OK : disk_status();
}
