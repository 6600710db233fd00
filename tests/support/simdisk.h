/* A disk in memory behind struct spool_ops, with everything that can go wrong with one.
 *
 * Each file has what programs see (`now`) and what a power cut leaves (`safe`). fdatasync makes the contents safe,
 * fsync of a directory its names. simdisk_crash() lets chance decide, sector by sector (512 octets), what of the
 * rest reached the disk. Any call can be made to fail, once or from then on. One thread.
 */
#pragma once
#include "spool/ops.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SIM_SECTOR 512u
#define SIM_FILES 512
#define SIM_FDS 1024

struct simfile {
    bool used, dir;
    uint8_t *now, *safe;
    size_t now_n, safe_n, room;
};

struct simname {
    bool used;
    int parent, now, safe; /* inodes; -1: no such name */
    char name[64];
};

struct simdisk {
    struct spool_ops ops; /* first: the calls find us by it */
    struct simfile files[SIM_FILES];
    struct simname names[SIM_FILES];
    int fds[SIM_FDS];     /* inode, -1: free */
    uint64_t seed;
    uint64_t room;        /* octets free, as reported */
    int64_t wall_ms;
    /* faults */
    unsigned long steps;  /* calls that change the disk, ever */
    unsigned long dead_at;/* from this step on every call fails: the machine is off */
    unsigned long fail_at;/* this one step fails with `fail_errno` */
    int fail_errno;
    unsigned syncs, writes;
    bool forget;          /* syncs say yes and do nothing (a lying disk: tests must notice) */
    bool locked;
};

static inline uint64_t sim_random(struct simdisk *disk)
{
    uint64_t x = (disk->seed += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline struct simdisk *sim_of(const struct spool_ops *ops) { return (struct simdisk *)(uintptr_t)ops; }

/* False: this call fails, errno is set. */
static inline bool sim_step(struct simdisk *disk)
{
    disk->steps++;
    if (disk->dead_at && disk->steps >= disk->dead_at) {
        errno = EIO;
        return false;
    }
    if (disk->fail_at == disk->steps) {
        errno = disk->fail_errno;
        return false;
    }
    return true;
}

static inline int sim_new_file(struct simdisk *disk, bool dir)
{
    for (int i = 0; i < SIM_FILES; i++)
        if (!disk->files[i].used) {
            disk->files[i] = (struct simfile){ .used = true, .dir = dir };
            return i;
        }
    abort();
}

static inline struct simname *sim_find(struct simdisk *disk, int parent, const char *name, bool add)
{
    for (int i = 0; i < SIM_FILES; i++)
        if (disk->names[i].used && disk->names[i].parent == parent && strcmp(disk->names[i].name, name) == 0)
            return &disk->names[i];
    for (int i = 0; add && i < SIM_FILES; i++)
        if (!disk->names[i].used) {
            disk->names[i] = (struct simname){ .used = true, .parent = parent, .now = -1, .safe = -1 };
            strncpy(disk->names[i].name, name, sizeof disk->names[i].name - 1);
            return &disk->names[i];
        }
    return NULL;
}

static inline int sim_parent(struct simdisk *disk, int dir) { return dir == AT_FDCWD ? 0 : disk->fds[dir]; }

static inline int sim_openat(const struct spool_ops *ops, int dir, const char *name, int flags, mode_t mode)
{
    struct simdisk *disk = sim_of(ops);
    struct simname *entry = sim_find(disk, sim_parent(disk, dir), name, flags & O_CREAT);
    bool missing = !entry || entry->now < 0;
    errno = ENOENT;
    if (missing && !(flags & O_CREAT))
        return -1;
    errno = EEXIST;
    if (!missing && (flags & O_EXCL))
        return -1;
    if ((missing || (flags & O_TRUNC)) && !sim_step(disk))
        return -1;
    if (missing)
        entry->now = sim_new_file(disk, false);
    else if (flags & O_TRUNC)
        disk->files[entry->now].now_n = 0;
    for (int fd = 3; fd < SIM_FDS; fd++)
        if (disk->fds[fd] < 0) {
            disk->fds[fd] = entry->now;
            return fd;
        }
    errno = EMFILE;
    return -1;
}

static inline int sim_close(const struct spool_ops *ops, int fd)
{
    sim_of(ops)->fds[fd] = -1;
    return 0;
}

static inline ssize_t sim_pread(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at)
{
    struct simdisk *disk = sim_of(ops);
    struct simfile *file = &disk->files[disk->fds[fd]];
    if ((size_t)at >= file->now_n)
        return 0;
    n = MIN(n, file->now_n - (size_t)at);
    memcpy(p, file->now + at, n);
    return (ssize_t)n;
}

static inline void sim_grow(struct simfile *file, size_t n)
{
    if (n > file->room) {
        size_t room = MAX(n, file->room * 2);
        file->now = realloc(file->now, room);
        file->safe = realloc(file->safe, room);
        if (!file->now || !file->safe)
            abort();
        memset(file->now + file->room, 0, room - file->room);
        memset(file->safe + file->room, 0, room - file->room);
        file->room = room;
    }
    if (n > file->now_n) {
        memset(file->now + file->now_n, 0, n - file->now_n);
        file->now_n = n;
    }
}

static inline ssize_t sim_pwritev(const struct spool_ops *ops, int fd, const struct iovec *pieces, int count, off_t at)
{
    struct simdisk *disk = sim_of(ops);
    size_t done = 0, total = 0;
    bool whole = sim_step(disk);
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    /* A write that fails may have done a part of its work. */
    size_t most = whole ? total : sim_random(disk) % (total + 1) / SIM_SECTOR * SIM_SECTOR;
    struct simfile *file = &disk->files[disk->fds[fd]];
    disk->writes++;
    if (most)
        sim_grow(file, (size_t)at + most);
    for (int i = 0; i < count && done < most; i++) {
        size_t n = MIN(pieces[i].iov_len, most - done);
        memcpy(file->now + at + done, pieces[i].iov_base, n);
        done += n;
    }
    return whole ? (ssize_t)total : -1;
}

static inline void sim_make_safe(struct simfile *file)
{
    if (file->now_n)
        memcpy(file->safe, file->now, file->now_n);
    file->safe_n = file->now_n;
}

static inline int sim_fdatasync(const struct spool_ops *ops, int fd)
{
    struct simdisk *disk = sim_of(ops);
    if (!sim_step(disk))
        return -1;
    disk->syncs++;
    if (!disk->forget)
        sim_make_safe(&disk->files[disk->fds[fd]]);
    return 0;
}

static inline int sim_fsync(const struct spool_ops *ops, int fd)
{
    struct simdisk *disk = sim_of(ops);
    int inode = disk->fds[fd];
    if (!disk->files[inode].dir)
        return sim_fdatasync(ops, fd);
    if (!sim_step(disk))
        return -1;
    for (int i = 0; i < SIM_FILES && !disk->forget; i++)
        if (disk->names[i].used && disk->names[i].parent == inode)
            disk->names[i].safe = disk->names[i].now;
    return 0;
}

static inline int sim_fstat(const struct spool_ops *ops, int fd, struct stat *ret)
{
    struct simdisk *disk = sim_of(ops);
    struct simfile *file = &disk->files[disk->fds[fd]];
    *ret = (struct stat){ .st_mode = file->dir ? S_IFDIR | 0700 : S_IFREG | 0600, .st_uid = geteuid(),
                          .st_size = (off_t)file->now_n };
    return 0;
}

static inline int sim_unlinkat(const struct spool_ops *ops, int dir, const char *name)
{
    struct simdisk *disk = sim_of(ops);
    struct simname *entry = sim_find(disk, sim_parent(disk, dir), name, false);
    errno = ENOENT;
    if (!entry || entry->now < 0 || !sim_step(disk))
        return -1;
    entry->now = -1;
    return 0;
}

static inline int sim_renameat(const struct spool_ops *ops, int dir, const char *from, const char *to)
{
    struct simdisk *disk = sim_of(ops);
    int parent = sim_parent(disk, dir);
    struct simname *old = sim_find(disk, parent, from, false);
    errno = ENOENT;
    if (!old || old->now < 0 || !sim_step(disk))
        return -1;
    sim_find(disk, parent, to, true)->now = old->now;
    old->now = -1;
    return 0;
}

static inline int sim_mkdirat(const struct spool_ops *ops, int dir, const char *name, mode_t mode)
{
    struct simdisk *disk = sim_of(ops);
    struct simname *entry = sim_find(disk, sim_parent(disk, dir), name, true);
    errno = EEXIST;
    if (entry->now >= 0 || !sim_step(disk))
        return -1;
    entry->now = sim_new_file(disk, true);
    return 0;
}

static inline int sim_lock(const struct spool_ops *ops, int fd) { return 0; }

static inline int sim_list(const struct spool_ops *ops, int dir, bool (*each)(void *arg, const char *name), void *arg)
{
    struct simdisk *disk = sim_of(ops);
    int parent = sim_parent(disk, dir);
    for (int i = 0; i < SIM_FILES; i++)
        if (disk->names[i].used && disk->names[i].parent == parent && disk->names[i].now >= 0 &&
            !each(arg, disk->names[i].name))
            break;
    return 0;
}

static inline int sim_room(const struct spool_ops *ops, int dir, uint64_t *ret)
{
    *ret = sim_of(ops)->room;
    return 0;
}

static inline int sim_random_bytes(const struct spool_ops *ops, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)sim_random(sim_of(ops));
    return 0;
}

static inline int64_t sim_wall_ms(const struct spool_ops *ops) { return sim_of(ops)->wall_ms++; }

static inline struct simdisk *simdisk_new(uint64_t seed)
{
    struct simdisk *disk = calloc(1, sizeof *disk);
    if (!disk)
        abort();
    disk->ops = (struct spool_ops){
        .openat = sim_openat, .close = sim_close, .pread = sim_pread, .pwritev = sim_pwritev,
        .fdatasync = sim_fdatasync, .fsync = sim_fsync, .fstat = sim_fstat, .unlinkat = sim_unlinkat,
        .renameat = sim_renameat, .mkdirat = sim_mkdirat, .lock = sim_lock, .list = sim_list, .room = sim_room,
        .random = sim_random_bytes, .wall_ms = sim_wall_ms,
    };
    disk->seed = seed;
    disk->room = UINT64_MAX / 2;
    disk->wall_ms = INT64_C(1790000000000);
    disk->files[0] = (struct simfile){ .used = true, .dir = true }; /* the root */
    for (int i = 0; i < SIM_FDS; i++)
        disk->fds[i] = -1;
    return disk;
}

static inline void simdisk_free(struct simdisk *disk)
{
    for (int i = 0; i < SIM_FILES; i++) {
        free(disk->files[i].now);
        free(disk->files[i].safe);
    }
    free(disk);
}

static inline void sim_crash_file(struct simdisk *disk, struct simfile *file)
{
    size_t n = sim_random(disk) & 1 ? file->now_n : file->safe_n; /* the new size may be lost as well */
    unsigned mood = (unsigned)(sim_random(disk) % 3);                       /* nothing, everything, or by chance */
    for (size_t at = 0; at < MIN(n, file->now_n); at += SIM_SECTOR) {
        size_t sector = MIN((size_t)SIM_SECTOR, file->now_n - at);
        if (mood == 1 || (mood == 2 && (sim_random(disk) & 1)))
            memcpy(file->safe + at, file->now + at, sector);
    }
    file->now_n = file->safe_n = n;
    if (n)
        memcpy(file->now, file->safe, n);
}

/* The power goes and comes back: open files are gone, the faults are over. */
static inline void simdisk_crash(struct simdisk *disk)
{
    bool names_too = sim_random(disk) & 1;
    for (int i = 0; i < SIM_FILES; i++)
        if (disk->files[i].used && !disk->files[i].dir)
            sim_crash_file(disk, &disk->files[i]);
    for (int i = 0; i < SIM_FILES; i++)
        if (disk->names[i].used) {
            if (names_too)
                disk->names[i].safe = disk->names[i].now;
            else
                disk->names[i].now = disk->names[i].safe;
        }
    for (int i = 0; i < SIM_FDS; i++)
        disk->fds[i] = -1;
    disk->dead_at = disk->fail_at = 0;
}

/* The process dies, the machine goes on: what was written stays. */
static inline void simdisk_kill(struct simdisk *disk)
{
    for (int i = 0; i < SIM_FDS; i++)
        disk->fds[i] = -1;
    disk->dead_at = disk->fail_at = 0;
}
