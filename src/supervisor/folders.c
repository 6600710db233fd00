#include "supervisor/folders.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes what is missing above the last name with the ordinary mode. */
static void make_above(const char *path)
{
    AUTO(buf_done) struct buf part = BUF_EMPTY(8192);
    for (const char *p = path; *p; p++) {
        if (*p == '/' && part.n)
            mkdir(buf_cstr(&part), 0755); /* what went wrong shows with the last one */
        buf_add_char(&part, *p);
    }
}

static bool make_one(const struct plan *plan, const char *name, const struct span *path, struct conf_faults *faults)
{
    struct stat stat_of;
    make_above(path->p);
    bool made = mkdir(path->p, 0750) == 0;
    if ((!made && errno != EEXIST) || stat(path->p, &stat_of) != 0) {
        conf_fault_at(plan->conf, path, faults, "%s: %s cannot be made: %s", name, path->p, strerror(errno));
        return false;
    }
    if (!S_ISDIR(stat_of.st_mode) || (stat_of.st_mode & S_IWOTH && !(stat_of.st_mode & S_ISVTX))) {
        conf_fault_at(plan->conf, path, faults, "%s: %s is %s", name, path->p,
                      S_ISDIR(stat_of.st_mode) ? "writable for everybody" : "not a folder");
        return false;
    }
    if (plan->change_user && stat_of.st_uid != plan->uid && chown(path->p, plan->uid, plan->gid) != 0) {
        conf_fault_at(plan->conf, path, faults, "%s: %s cannot be given to the user: %s", name, path->p,
                      strerror(errno));
        return false;
    }
    return true;
}

/* A folder that is missing would be behind directory's lock once it is made. Only the usual one is ours to make. */
static bool make_accounts(const struct plan *plan, struct conf_faults *faults)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    if (plan->settings->accounts.database.n || plan_accounts_folder(plan, &path) != STATUS_OK)
        return true;
    buf_cstr(&path);
    struct span name = buf_span(&path);
    return make_one(plan, "accounts", &name, faults);
}

/* Whoever hands in mail goes through run-dir to the socket; what else is in it has its own mode. */
static bool let_pass(const struct plan *plan, struct conf_faults *faults)
{
    const struct span *path = &plan->settings->common.run_dir;
    struct stat at;
    if (!plan->settings->local.listen || plan->settings->local.socket.n || (stat(path->p, &at) == 0 && at.st_mode & S_IXOTH) ||
        chmod(path->p, (at.st_mode & 07777) | S_IXOTH) == 0)
        return true;
    conf_fault_at(plan->conf, path, faults, "run-dir: others cannot be let through %s to the local socket: %s", path->p, strerror(errno));
    return false;
}

bool folders_make(const struct plan *plan, struct conf_faults *faults)
{
    const struct conf_common *common = &plan->settings->common;
    return make_one(plan, "state-dir", &common->state_dir, faults) &&
           make_one(plan, "run-dir", &common->run_dir, faults) && let_pass(plan, faults) && make_accounts(plan, faults);
}

static int open_lock(const struct plan *plan, int flags)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_printf(&path, "%s/lock", plan->settings->common.state_dir.p);
    return open(buf_cstr(&path), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

/* In run-dir, for people and scripts. */
static void write_pid(const struct plan *plan)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_printf(&path, "%s/goniec.pid", plan->settings->common.run_dir.p);
    unlink(buf_cstr(&path));
    int fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0) {
        dprintf(fd, "%d\n", (int)getpid());
        close(fd);
    }
}

enum { LOCK_WAIT_MS = 1000, LOCK_STEP_MS = 20 };

/* A process that the kernel is taking down may have it for a moment. */
static bool lock_wait(int fd)
{
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
        if (waited >= LOCK_WAIT_MS)
            return false;
        (void)poll(NULL, 0, LOCK_STEP_MS);
    }
    return true;
}

int folders_lock(const struct plan *plan, struct conf_faults *faults, bool *ret_was_cut_off)
{
    const struct span *path = &plan->settings->common.state_dir;
    int fd = open_lock(plan, O_CREAT);
    char holder[16] = "";
    if (fd < 0) {
        conf_fault_at(plan->conf, path, faults, "state-dir: cannot write in %s: %s", path->p, strerror(errno));
        return -1;
    }
    if (!lock_wait(fd)) {
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        holder[n > 0 ? strcspn(holder, "\n") : 0] = 0;
        conf_fault_at(plan->conf, path, faults, "state-dir: another goniec is running on %s (process %s)", path->p, holder);
        close(fd);
        return -1;
    }
    *ret_was_cut_off = pread(fd, holder, 1, 0) == 1;
    int n = snprintf(holder, sizeof holder, "%d\n", (int)getpid());
    /* Synced: after a power cut, too, it shall be seen. Whatever fails, the lock holds all the same. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)n, 0) != n || fsync(fd) != 0)
        holder[0] = 0;
    write_pid(plan);
    return fd;
}

void folders_mark_stopped(int lock_fd)
{
    if (lock_fd >= 0 && ftruncate(lock_fd, 0) != 0)
        return; /* the next start says that something may arrive twice; there is nothing worse to it */
}

bool folders_are_locked(const struct plan *plan)
{
    int fd = open_lock(plan, 0);
    if (fd < 0)
        return false;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return locked;
}

/* The folder may be the user's, and we may be root: a link that the user put there must not give him another file.
 * Root's own links (/dev/stdout) are followed. */
static int open_log(const struct plan *plan, const char *path)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
    struct stat link;
    int fd = open(path, flags | O_NOFOLLOW, 0640);
    if (fd >= 0 || errno != ELOOP)
        return fd;
    bool trusted = lstat(path, &link) == 0 && (!plan->change_user || link.st_uid == 0);
    errno = ELOOP;
    return trusted ? open(path, flags, 0640) : -1;
}

static bool is_plain_file(int fd)
{
    struct stat stat_of;
    return fstat(fd, &stat_of) == 0 && S_ISREG(stat_of.st_mode) && stat_of.st_nlink == 1;
}

int folders_log(const struct plan *plan, struct conf_faults *faults)
{
    const struct span *file = &plan->settings->common.log.file;
    if (span_eq(*file, SPAN("-")))
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 4);
    make_above(file->p);
    int fd = open_log(plan, file->p);
    if (fd < 0)
        conf_fault_at(plan->conf, file, faults, "log.file: %s cannot be opened: %s", file->p, strerror(errno));
    else if (plan->change_user && is_plain_file(fd) && fchown(fd, plan->uid, plan->gid) != 0)
        conf_fault_at(plan->conf, file, faults, "log.file: %s cannot be given to the user: %s", file->p,
                      strerror(errno));
    return fd;
}
