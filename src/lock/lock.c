#include "lock/lock_priv.h"
#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors of the roles that never have many: channels, the log, the database. */
enum { FILES_MAX = 1024 };

void lock_allow(struct lock *lock, const char *path, unsigned rights)
{
    assert(lock->folder_count < LOCK_FOLDERS_MAX);
    lock->folders[lock->folder_count++] = (struct lock_folder){ path, rights };
}

static void lower(int which, rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(which, &limit) != 0)
        return;
    limit.rlim_max = limit.rlim_max < most ? limit.rlim_max : most;
    limit.rlim_cur = limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
    setrlimit(which, &limit);
}

/* No limit on the size of files: the event log, which everybody appends to, is one. None on processes: the kernel counts
 * them for the user as a whole, and the first lock lets nobody make any. */
static void lower_limits(enum lock_role role)
{
    lower(RLIMIT_CORE, 0);
    lower(RLIMIT_MSGQUEUE, 0);
    lower(RLIMIT_MEMLOCK, 0);
    if (role == LOCK_DIRECTORY)
        lower(RLIMIT_NOFILE, FILES_MAX);
}

/* Root without capabilities is a user like others, who happens to own much. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = { { 0 } }, none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (syscall(SYS_capget, &header, has) == 0 && !(has[0].permitted | has[1].permitted | has[0].inheritable | has[1].inheritable))
        return true;
    return syscall(SYS_capset, &header, none) == 0;
}

enum status lock_close(const struct lock *lock, char why[LOCK_WHY_SIZE])
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        snprintf(why, LOCK_WHY_SIZE, "prctl: %s", strerror(errno));
        return STATUS_IO;
    }
    lower_limits(lock->role);
    if (lock->role != LOCK_SUPERVISOR && !drop_capabilities()) {
        snprintf(why, LOCK_WHY_SIZE, "capset: %s", strerror(errno));
        return STATUS_IO;
    }
    enum status status = lock_folders(lock, why);
    if (status == STATUS_OK)
        status = lock_calls(lock, why); /* last: it forbids to make the others */
    return status;
}
