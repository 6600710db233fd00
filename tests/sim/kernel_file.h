/* sim/kernel_file.h -- open files, for the two files that hold the calls on them. */
#pragma once
#include "kernel_priv.h"

struct file {
    struct object object;
    struct inode *inode;
    uint64_t at;             /* read() and write() go on here */
    int flags;               /* of open() */
};
static inline struct file *file_of(struct object *object) { return CONTAINER(object, struct file, object); }
/* NULL with errno. */
struct inode *file_find(int folder, const char *path);
/* Ends the call. */
ssize_t file_pwritev(int fd, struct inode *inode, const struct iovec *pieces, size_t count, uint64_t at);
