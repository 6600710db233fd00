/* seccomp(2) by libseccomp: the table becomes the kernel's program, and what happens to who breaks it. */
#include "lock/lock_priv.h"
#include "base/time.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX 1024 /* numbers of system calls, all architectures */
#define NAMES_SIZE 16384

/* For the handler, which may ask nobody. */
static struct {
    const char *role;
    const int *log_fd;
    uint16_t names[CALLS_MAX]; /* where in `text`; 0: unknown */
    char text[NAMES_SIZE];
} broken;

static void remember_names(const struct lock *lock)
{
    size_t n = 1;
    broken.role = lock->name;
    broken.log_fd = lock->log_fd;
    for (int number = 0; number < CALLS_MAX; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        size_t size = name ? strlen(name) + 1 : 0;
        if (size && n + size <= sizeof broken.text) {
            memcpy(broken.text + n, name, size);
            broken.names[number] = (uint16_t)n;
            n += size;
        }
        free(name);
    }
}

/* The call was not carried out. The thread that asked may be anybody's by now, so nothing goes on here but one write
 * and the end. Whether the line can be trusted is another question; that the process is gone is certain: the filter
 * itself would have to be gone to put another handler in this one's place (table.c allows no rt_sigaction). */
static void on_broken(int signal, siginfo_t *info, void *context)
{
    char line[512], when[TIME_TEXT_SIZE];
    int call = info->si_syscall;
    const char *name = call >= 0 && call < CALLS_MAX && broken.names[call] ? broken.text + broken.names[call] : "unknown";
    int n = snprintf(line, sizeof line,
                     "{\"time\":\"%s\",\"level\":\"error\",\"role\":\"%s\",\"pid\":%d,\"event\":\"lock-broken\",\"call\":\"%s\","
                     "\"call_number\":%d,\"why\":\"%s asked the kernel for what its lock forbids; it was ended before that "
                     "happened. This is a bug, or somebody has broken in\"}\n",
                     time_iso(time_wall_ms(), when), broken.role, (int)getpid(), name, call, broken.role);
    int fd = *broken.log_fd >= 0 ? *broken.log_fd : STDERR_FILENO;
    if (write(fd, line, (size_t)n) < 0)
        _exit(LOCK_BROKEN_STATUS);
    _exit(LOCK_BROKEN_STATUS);
}

static bool watch_breaks(const struct lock *lock)
{
    struct sigaction action = { .sa_sigaction = on_broken, .sa_flags = SA_SIGINFO };
    remember_names(lock);
    return sigaction(SIGSYS, &action, NULL) == 0;
}

static uint32_t action_of(enum lock_rule rule)
{
    switch (rule) {
    case RULE_REFUSE: return SCMP_ACT_ERRNO(EACCES);
    case RULE_ABSENT: return SCMP_ACT_ERRNO(ENOSYS);
    case RULE_DENY: return SCMP_ACT_ERRNO(EPERM);
    default: return SCMP_ACT_ALLOW;
    }
}

/* 0, or a negative errno. A call that this architecture has not is no error. */
static int add_call(scmp_filter_ctx filter, const struct lock_call *call)
{
    int error = seccomp_rule_add_array(filter, action_of(call->rule), call->number, call->condition_count, call->conditions);
    return error == -EDOM ? 0 : error;
}

/* Sockets of this machine, where a route asks for them. Else they are refused and no reason to end: an operator may send
 * mail there by hand (reroute), which then waits and says why. */
static int add_extra(scmp_filter_ctx filter, const struct lock *lock)
{
    if (lock->role != LOCK_DELIVERY)
        return 0;
    return seccomp_rule_add(filter, lock->unix_sockets ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                            SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

static int build(scmp_filter_ctx filter, const struct lock *lock)
{
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!error)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
    for (const struct lock_call *call = lock_table; !error && call->number != __NR_SCMP_ERROR; call++)
        if (call->roles & 1u << lock->role)
            error = add_call(filter, call);
    if (!error)
        error = add_extra(filter, lock);
    return error ? error : seccomp_load(filter);
}

enum status lock_calls(const struct lock *lock, char why[LOCK_WHY_SIZE])
{
    /* What the supervisor may not do is refused; what a role does beyond its table ends it. */
    bool is_role = lock->role != LOCK_SUPERVISOR;
    if (is_role && !watch_breaks(lock)) {
        snprintf(why, LOCK_WHY_SIZE, "sigaction: %s", strerror(errno));
        return STATUS_IO;
    }
    scmp_filter_ctx filter = seccomp_init(is_role ? SCMP_ACT_TRAP : SCMP_ACT_ALLOW);
    int error = filter ? build(filter, lock) : -ENOMEM;
    seccomp_release(filter);
    if (error)
        snprintf(why, LOCK_WHY_SIZE, "seccomp: %s", strerror(-error));
    return !error ? STATUS_OK : error == -ENOMEM ? STATUS_MEMORY : error == -EINVAL || error == -ENOSYS ? STATUS_NOT_FOUND : STATUS_IO;
}
