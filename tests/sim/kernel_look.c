/* Looking at files and folders, lists of names, and the small calls around them. */
#include "kernel_file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

FILE *__real_fopen64(const char *path, const char *mode);
int __real_stat64(const char *path, struct stat *ret);
int __real_lstat64(const char *path, struct stat *ret);
int __real_access(const char *path, int mode);

static void stat_fill(const struct inode *inode, struct stat *ret)
{
    *ret = (struct stat){ .st_ino = inode->number, .st_mode = inode->mode, .st_nlink = 1, .st_dev = 1,
                          .st_size = (off_t)inode->size_now, .st_blksize = 4096,
                          .st_blocks = (blkcnt_t)(inode->slot_count * 8) };
}

static int stat_path(const char *path, struct stat *ret)
{
    call_begin("stat");
    struct inode *inode = file_find(AT_FDCWD, path);
    if (!inode)
        return (int)call_error("stat", 0, 0, 0, errno);
    stat_fill(inode, ret);
    return (int)call_end("stat", 0, 0, 0, 0);
}

int __wrap_stat64(const char *path, struct stat *ret);
int __wrap_stat64(const char *path, struct stat *ret)
{
    return inside() ? stat_path(path, ret) : __real_stat64(path, ret);
}

int __wrap_lstat64(const char *path, struct stat *ret);
int __wrap_lstat64(const char *path, struct stat *ret)
{
    return inside() ? stat_path(path, ret) : __real_lstat64(path, ret);
}

int __wrap_fstat64(int fd, struct stat *ret);
int __wrap_fstat64(int fd, struct stat *ret)
{
    call_begin("fstat");
    struct object *object = fd_object(fd);
    if (!object)
        return (int)call_error("fstat", fd, 0, 0, EBADF);
    if (object->kind == OBJECT_FILE || object->kind == OBJECT_FOLDER)
        stat_fill(file_of(object)->inode, ret);
    else
        *ret = (struct stat){ .st_mode = object->kind == OBJECT_SOCKET ? S_IFSOCK | 0777 : S_IFIFO | 0600 };
    return (int)call_end("fstat", fd, 0, 0, 0);
}

int __wrap_fstatvfs64(int fd, struct statvfs *ret);
int __wrap_fstatvfs64(int fd, struct statvfs *ret)
{
    call_begin("fstatvfs");
    uint64_t room = disk_room() / 4096;
    *ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_bavail = room, .f_bfree = room };
    return (int)call_end("fstatvfs", fd, (int64_t)room, 0, 0);
}

int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
    if (!inside())
        return __real_access(path, mode);
    return file_find(AT_FDCWD, path) ? 0 : -1;
}

/* The rooms read the system's own files with it (trusted certificates, control groups); here are none. */
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    if (!inside() || me() == kernel.world)
        return __real_fopen64(path, mode);
    errno = ENOENT;
    return NULL;
}

/* -- lists of names -- */

struct listing {
    int fd;
    size_t at, count;
    struct dirent entry;
    char names[][256];
};

DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
    call_begin("fdopendir");
    struct object *object = fd_of_kind(fd, OBJECT_FOLDER, ENOTDIR);
    if (!object)
        return NULL;
    size_t count = 0;
    struct inode *inode = file_of(object)->inode;
    for (LIST_EACH(link, &inode->now))
        count++;
    /* malloc's, so that it goes with a process that is killed */
    struct listing *listing = calloc(1, sizeof *listing + count * sizeof listing->names[0]);
    if (!listing)
        return NULL;
    listing->fd = fd;
    for (LIST_EACH(link, &inode->now)) { /* a file system gives them in any order */
        size_t place = me() == kernel.world ? listing->count : chance_below(listing->count + 1);
        memcpy(listing->names[listing->count], listing->names[place], sizeof listing->names[0]);
        snprintf(listing->names[place], sizeof listing->names[0], "%s", CONTAINER(link, struct name, link)->text);
        listing->count++;
    }
    call_end("fdopendir", fd, (int64_t)count, 0, 0);
    return (DIR *)listing;
}

struct dirent *__wrap_readdir64(DIR *folder);
struct dirent *__wrap_readdir64(DIR *folder)
{
    struct listing *listing = (struct listing *)folder;
    if (listing->at == listing->count)
        return NULL;
    memcpy(listing->entry.d_name, listing->names[listing->at++], sizeof listing->names[0]);
    return &listing->entry;
}

int __wrap_close(int fd);
int __wrap_closedir(DIR *folder);
int __wrap_closedir(DIR *folder)
{
    struct listing *listing = (struct listing *)folder;
    int ret = __wrap_close(listing->fd);
    free(listing);
    return ret;
}
