/* Files and folders: the calls on them. */
#include "kernel_file.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
int __real_fdatasync(int fd);
int __real_fsync(int fd);

void file_free(struct object *object)
{
    struct file *file = file_of(object);
    if (file->inode->locked == object)
        file->inode->locked = NULL;
    inode_unref(file->inode);
    kernel_free(file);
}

static struct inode *folder_of(int folder)
{
    if (folder == AT_FDCWD)
        return disk_root();
    struct object *object = fd_of_kind(folder, OBJECT_FOLDER, ENOTDIR);
    return object ? file_of(object)->inode : NULL;
}

/* As path_find(), from a folder's descriptor. */
static struct inode *find(int folder, const char *path, struct inode **parent, const char **last)
{
    struct inode *from = folder_of(folder);
    *parent = NULL;
    return from ? path_find(from, path, parent, last) : NULL;
}

struct inode *file_find(int folder, const char *path)
{
    struct inode *parent;
    const char *last;
    return find(folder, path, &parent, &last);
}

/* -- opening -- */

static struct inode *find_or_make(int folder, const char *path, int flags, mode_t mode, int *wrong)
{
    struct inode *parent;
    const char *last;
    struct inode *inode = find(folder, path, &parent, &last);
    *wrong = inode ? 0 : errno;
    if (inode && flags & O_CREAT && flags & O_EXCL)
        *wrong = EEXIST;
    else if (!inode && parent && flags & O_CREAT) {
        inode = inode_new(INODE_FILE, S_IFREG | (mode & 07777));
        name_set(parent, last, inode);
        *wrong = 0;
    }
    if (!*wrong && inode->kind == INODE_FOLDER && (flags & O_ACCMODE) != O_RDONLY)
        *wrong = EISDIR;
    if (!*wrong && inode->kind != INODE_FOLDER && flags & O_DIRECTORY)
        *wrong = ENOTDIR;
    if (!*wrong && inode->kind == INODE_SOCKET)
        *wrong = ENXIO;
    return inode;
}

static int file_open(int folder, const char *path, int flags, mode_t mode)
{
    int wrong;
    if (flags & O_CREAT)
        call_begin_disk("openat");
    else
        call_begin("openat");
    call_note(path);
    struct inode *inode = find_or_make(folder, path, flags, mode, &wrong);
    if (call_dies())
        call_die();
    if (wrong)
        return (int)call_error("openat", folder, flags, 0, wrong);
    if (flags & O_TRUNC && inode->kind == INODE_FILE)
        inode_cut(inode);
    struct file *file = kernel_calloc(1, sizeof *file);
    object_init(&file->object, inode->kind == INODE_FOLDER ? OBJECT_FOLDER : OBJECT_FILE);
    file->inode = inode;
    file->flags = flags;
    inode_ref(inode);
    int fd = fd_new(&file->object, flags & O_CLOEXEC);
    object_unref(&file->object);
    return (int)call_end("openat", folder, flags, (int64_t)inode->number, fd);
}

int __wrap_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return inside() ? file_open(folder, path, flags, mode) : __real_openat64(folder, path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return inside() ? file_open(AT_FDCWD, path, flags, mode) : __real_open64(path, flags, mode);
}

/* -- at a place -- */

static struct inode *file_at(int fd)
{
    struct object *object = fd_of_kind(fd, OBJECT_FILE, ESPIPE);
    return object ? file_of(object)->inode : NULL;
}

ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at)
{
    call_begin("pread");
    kernel.figures.reads++;
    struct inode *inode = file_at(fd);
    int wrong = !inode ? errno : fault(kernel.faults.read_eio) ? EIO : 0;
    if (wrong)
        return call_error("pread", fd, (int64_t)n, at, wrong);
    if (n > 1 && fault(kernel.faults.short_io))
        n = 1 + chance_below(n - 1);
    return call_end("pread", fd, (int64_t)n, at, (ssize_t)inode_read(inode, p, n, (uint64_t)at));
}

/* At most this many octets, short for whatever reason. */
static size_t write_some(struct inode *inode, const struct iovec *pieces, size_t count, uint64_t at, size_t most)
{
    size_t done = 0;
    for (size_t i = 0; i < count && most > 0; i++) {
        size_t n = MIN(pieces[i].iov_len, most);
        size_t wrote = inode_write(inode, pieces[i].iov_base, n, at + done);
        done += wrote;
        most -= wrote;
        if (wrote < n)
            break;
    }
    return done;
}

ssize_t file_pwritev(int fd, struct inode *inode, const struct iovec *pieces, size_t count, uint64_t at)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += pieces[i].iov_len;
    int wrong = fault(kernel.faults.write_eio) ? EIO : 0;
    if (call_dies()) {
        write_some(inode, pieces, count, at, chance_below(n + 1));
        call_die();
    }
    if (wrong)
        return call_error("pwritev", fd, (int64_t)n, (int64_t)at, wrong);
    size_t most = n > 1 && fault(kernel.faults.short_io) ? 1 + chance_below(n - 1) : n;
    kernel.figures.writes++;
    size_t done = write_some(inode, pieces, count, at, most);
    if (fault(kernel.faults.write_back))
        inode_write_back(inode);
    if (!done && n)
        return call_error("pwritev", fd, (int64_t)n, (int64_t)at, ENOSPC);
    return call_end("pwritev", fd, (int64_t)n, (int64_t)at, (ssize_t)done);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t at)
{
    call_begin_disk("pwritev");
    struct inode *inode = file_at(fd);
    return inode ? file_pwritev(fd, inode, pieces, (size_t)count, (uint64_t)at)
                 : call_error("pwritev", fd, count, at, errno);
}

ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
    struct iovec piece = { (void *)(uintptr_t)p, n };
    return __wrap_pwritev64(fd, &piece, 1, at);
}

ssize_t file_read(struct object *object, void *p, size_t n)
{
    struct file *file = file_of(object);
    size_t got = inode_read(file->inode, p, n, file->at);
    file->at += got;
    return (ssize_t)got;
}

ssize_t file_write(struct object *object, const void *p, size_t n)
{
    struct file *file = file_of(object);
    if (file->flags & O_APPEND)
        file->at = file->inode->size_now;
    size_t wrote = inode_write(file->inode, p, n, file->at);
    file->at += wrote;
    errno = ENOSPC;
    return wrote || !n ? (ssize_t)wrote : -1;
}

/* -- syncs -- */

static void sync_vanishes(struct kernel_fiber *fiber) { sync_forget(fiber->undo_arg); }

static int sync_wait(int fd, const char *name, struct inode *inode)
{
    struct kernel_fiber *fiber = kernel.running;
    struct sync *sync = sync_begin(inode);
    int64_t us = kernel.faults.sync_us;
    if (fault(kernel.faults.slow_sync))
        us += (int64_t)kernel.faults.slow_sync_ms * 1000;
    fiber->undo = sync_vanishes;
    fiber->undo_arg = sync;
    if (me() != kernel.world)
        fiber_sleep_until(now_us() + (int64_t)chance_below((uint64_t)us + 1));
    fiber->undo = NULL;
    bool fails = fault(kernel.faults.sync_eio);
    sync_end(sync, fails);
    return (int)(fails ? call_error(name, fd, 0, 0, EIO) : call_end(name, fd, 0, 0, 0));
}

static int sync_call(int fd, const char *name)
{
    call_begin_disk(name);
    kernel.figures.syncs++;
    struct object *object = fd_object(fd);
    if (!object || (object->kind != OBJECT_FILE && object->kind != OBJECT_FOLDER))
        return (int)call_error(name, fd, 0, 0, object ? EINVAL : EBADF);
    struct inode *inode = file_of(object)->inode;
    if (call_dies())
        call_die();
    if (object->kind == OBJECT_FILE)
        return sync_wait(fd, name, inode);
    if (fault(kernel.faults.sync_eio))
        return (int)call_error(name, fd, 0, 0, EIO);
    folder_sync(inode);
    return (int)call_end(name, fd, 0, 0, 0);
}

static int synced(int result)
{
    struct process *process = me();
    if (result == 0 && process->kill_sync_calls)
        process->kill_calls = process->kill_sync_calls;
    if (result == 0)
        process->kill_sync_calls = 0;
    return result;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) { return inside() ? synced(sync_call(fd, "fdatasync")) : __real_fdatasync(fd); }
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return inside() ? sync_call(fd, "fsync") : __real_fsync(fd); }

int __wrap_sync_file_range(int fd, off_t at, off_t n, unsigned flags);
int __wrap_sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
    call_begin("sync_file_range");
    struct inode *inode = file_at(fd);
    if (inode && chance_below(2))
        inode_write_back(inode);
    return (int)call_end("sync_file_range", fd, at, n, 0);
}

int __wrap_posix_fadvise64(int fd, off_t at, off_t n, int advice);
int __wrap_posix_fadvise64(int fd, off_t at, off_t n, int advice) { return 0; }

/* -- names -- */

int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags)
{
    call_begin_disk("unlinkat");
    struct inode *parent;
    const char *last;
    struct inode *inode = find(folder, path, &parent, &last);
    if (!inode || inode->kind == INODE_FOLDER)
        return (int)call_error("unlinkat", folder, flags, 0, inode ? EISDIR : errno);
    call_note(path);
    name_set(parent, last, NULL);
    if (call_dies())
        call_die();
    return (int)call_end("unlinkat", folder, flags, (int64_t)inode->number, 0);
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path) { return __wrap_unlinkat(AT_FDCWD, path, 0); }

int __wrap_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    call_begin_disk("renameat");
    struct inode *old_parent, *new_parent;
    const char *old_last, *new_last;
    struct inode *inode = find(from, old, &old_parent, &old_last);
    if (!inode)
        return (int)call_error("renameat", from, to, 0, errno);
    find(to, new, &new_parent, &new_last);
    if (!new_parent)
        return (int)call_error("renameat", from, to, 0, ENOENT);
    call_note(new);
    name_move(old_parent, old_last, new_parent, new_last);
    if (call_dies())
        call_die();
    return (int)call_end("renameat", from, to, (int64_t)inode->number, 0);
}

int __wrap_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_mkdirat(int folder, const char *path, mode_t mode)
{
    call_begin_disk("mkdirat");
    struct inode *parent;
    const char *last;
    if (find(folder, path, &parent, &last))
        return (int)call_error("mkdirat", folder, 0, 0, EEXIST);
    if (!parent)
        return (int)call_error("mkdirat", folder, 0, 0, errno);
    name_set(parent, last, inode_new(INODE_FOLDER, S_IFDIR | (mode & 07777)));
    if (call_dies())
        call_die();
    return (int)call_end("mkdirat", folder, 0, 0, 0);
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode) { return __wrap_mkdirat(AT_FDCWD, path, mode); }

int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    call_begin("flock");
    struct object *object = fd_object(fd);
    if (!object || (object->kind != OBJECT_FILE && object->kind != OBJECT_FOLDER))
        return (int)call_error("flock", fd, how, 0, EBADF);
    struct inode *inode = file_of(object)->inode;
    if (how & LOCK_UN)
        inode->locked = inode->locked == object ? NULL : inode->locked;
    else if (inode->locked && inode->locked != object)
        return (int)call_error("flock", fd, how, 0, EWOULDBLOCK);
    else
        inode->locked = object;
    return (int)call_end("flock", fd, how, 0, 0);
}
