/* Landlock (landlock(7)): a process without rules opens nothing any more. */
#include "lock/lock_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the oldest header that this is built with; the numbers are the kernel's for ever. */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

/* As struct landlock_ruleset_attr is today; older kernels are given only the part that they know. */
struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

#define OF_FILES (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

int lock_landlock(void)
{
    long version = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t fs_known(int version)
{
    uint64_t known = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* version 1 */
    known |= version >= 2 ? FS_REFER : 0;
    known |= version >= 3 ? FS_TRUNCATE : 0;
    return known | (version >= 5 ? FS_IOCTL_DEV : 0);
}

static uint64_t fs_rights(unsigned rights)
{
    uint64_t fs = 0;
    if (rights & LOCK_MAY_LIST)
        fs |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (rights & LOCK_MAY_READ)
        fs |= LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE;
    if (rights & LOCK_MAY_WRITE)
        fs |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
              LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_REFER | FS_TRUNCATE;
    if (rights & LOCK_MAY_SOCKET)
        fs |= LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    return fs;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* What is not there cannot be opened anyway. */
static bool add_rule(int ruleset, const char *path, uint64_t allowed)
{
    struct stat at;
    AUTO(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (fstat(fd, &at) == 0 && !S_ISDIR(at.st_mode))
        allowed &= OF_FILES;
    struct landlock_path_beneath_attr rule = { .allowed_access = allowed, .parent_fd = fd };
    return syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static int ruleset_new(const struct lock *lock, int version)
{
    struct ruleset attr = { .handled_fs = fs_known(version) };
    size_t size = version >= 6 ? sizeof attr : version >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, handled_net);
    /* Who connects binds as well, to an address and port 0; it cannot listen (lock/table.c). */
    if (version >= 4 && lock->role != LOCK_DELIVERY && lock->role != LOCK_SHARE && lock->role != LOCK_MIRROR)
        attr.handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
    if (version >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    return (int)syscall(__NR_landlock_create_ruleset, &attr, size, 0);
}

static enum status failed(const char *doing, char why[LOCK_WHY_SIZE])
{
    snprintf(why, LOCK_WHY_SIZE, "Landlock, %s: %s", doing, strerror(errno));
    return STATUS_IO;
}

enum status lock_folders(const struct lock *lock, char why[LOCK_WHY_SIZE])
{
    int version = lock_landlock();
    if (version == 0 || lock->role == LOCK_SUPERVISOR)
        return STATUS_OK;
    AUTO(close_fd) int ruleset = ruleset_new(lock, version);
    if (ruleset < 0)
        return failed("making the rules", why);
    for (unsigned i = 0; i < lock->folder_count; i++)
        if (!add_rule(ruleset, lock->folders[i].path, fs_rights(lock->folders[i].rights) & fs_known(version)))
            return failed(lock->folders[i].path, why);
    if (LOCK_SANITIZED && (!add_rule(ruleset, "/proc", fs_rights(LOCK_MAY_READ)) ||
                           !add_rule(ruleset, "/proc/self/exe", fs_rights(LOCK_MAY_READ))))
        return failed("/proc", why);
    return syscall(__NR_landlock_restrict_self, ruleset, 0) == 0 ? STATUS_OK : failed("closing", why);
}
