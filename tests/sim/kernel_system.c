/* Clock, randomness, and what a process asks about the machine and itself. */
#include "kernel_priv.h"
#include <ifaddrs.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
time_t __real_time(time_t *ret);
ssize_t __real_getrandom(void *p, size_t n, unsigned flags);
pid_t __real_getpid(void);
long __real_sysconf(int name);
__attribute__((noreturn)) void __real_abort(void);
__attribute__((noreturn)) void __real_exit(int status);
void (*__real_signal(int number, void (*run)(int)))(int);
int __real_getrlimit64(int what, struct rlimit *ret);
uid_t __real_geteuid(void);

/* -- clock -- */

/* Reading the clock is no step: it is done everywhere, and the kernel maps it into the process. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (!inside())
        return __real_clock_gettime(clock, ret);
    bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    int64_t ns = kernel.now_ns + (wall ? kernel.wall_offset_us * 1000 : INT64_C(1000000000000)); /* up for a while */
    *ret = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    return 0;
}

time_t __wrap_time(time_t *ret);
time_t __wrap_time(time_t *ret)
{
    if (!inside())
        return __real_time(ret);
    time_t now = (time_t)(kernel_wall_ms() / 1000);
    if (ret)
        *ret = now;
    return now;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    call_begin("nanosleep");
    fiber_sleep_until(now_us() + time->tv_sec * INT64_C(1000000) + time->tv_nsec / 1000);
    return 0;
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    if (!inside())
        return __real_getrandom(p, n, flags);
    call_begin("getrandom");
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)p)[i] = (unsigned char)chance_below(256);
    return (ssize_t)n;
}

void __wrap_randombytes_buf(void *p, size_t n);
void __wrap_randombytes_buf(void *p, size_t n) { (void)__wrap_getrandom(p, n, 0); }

int __wrap_RAND_bytes(unsigned char *p, int n);
int __wrap_RAND_bytes(unsigned char *p, int n) { return __wrap_getrandom(p, (size_t)n, 0) == n; }

/* -- the process -- */

pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void) { return inside() ? me()->pid : __real_getpid(); }
uid_t __wrap_geteuid(void);
uid_t __wrap_geteuid(void) { return inside() ? 0 : __real_geteuid(); }
gid_t __wrap_getegid(void);
gid_t __wrap_getegid(void) { return 0; }

__attribute__((noreturn)) void __wrap_abort(void);
void __wrap_abort(void)
{
    if (inside() && me() != kernel.world)
        process_end(me(), KERNEL_ABORTED, 0);
    __real_abort();
}

__attribute__((noreturn)) void __wrap_exit(int status);
void __wrap_exit(int status)
{
    if (inside() && me() != kernel.world)
        process_exit(status);
    __real_exit(status);
}

__attribute__((noreturn)) void __wrap__exit(int status);
void __wrap__exit(int status) { __wrap_exit(status); }

void (*__wrap_signal(int number, void (*run)(int)))(int);
void (*__wrap_signal(int number, void (*run)(int)))(int)
{
    return inside() ? SIG_DFL : __real_signal(number, run);
}

int __wrap_prctl(int order, ...);
int __wrap_prctl(int order, ...) { return 0; }

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    errno = ENOSYS;
    return -1;
}

/* What a process may not do is nobody's question here: seccomp and Landlock have tests of their own. */
struct lock;
int __wrap_lock_close(const struct lock *lock, char *why);
int __wrap_lock_close(const struct lock *lock, char *why) { return 0; }
int __wrap_lock_landlock(void);
int __wrap_lock_landlock(void) { return 0; }

int __wrap_getrlimit64(int what, struct rlimit *ret);
int __wrap_getrlimit64(int what, struct rlimit *ret)
{
    if (!inside())
        return __real_getrlimit64(what, ret);
    *ret = (struct rlimit){ .rlim_cur = DESCRIPTORS_MAX, .rlim_max = DESCRIPTORS_MAX };
    return 0;
}

int __wrap_setrlimit64(int what, const struct rlimit *limit);
int __wrap_setrlimit64(int what, const struct rlimit *limit) { return 0; }

/* Memory that processes share is refused: whoever would like to have some must do without. */
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
    errno = ENOSYS;
    return -1;
}

int __wrap_ftruncate64(int fd, off_t octets);
int __wrap_ftruncate64(int fd, off_t octets)
{
    errno = ENOSYS;
    return -1;
}

void *__real_mmap64(void *at, size_t n, int rights, int flags, int fd, off_t from);
void *__wrap_mmap64(void *at, size_t n, int rights, int flags, int fd, off_t from);
void *__wrap_mmap64(void *at, size_t n, int rights, int flags, int fd, off_t from)
{
    if (!inside() || fd < 0)
        return __real_mmap64(at, n, rights, flags, fd, from);
    errno = ENODEV;
    return (void *)-1;
}

/* -- files' owners and rights: everybody is root -- */

mode_t __wrap_umask(mode_t mode);
mode_t __wrap_umask(mode_t mode) { return 022; }
int __wrap_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode) { return 0; }
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode) { return 0; }
int __wrap_fchown(int fd, uid_t user, gid_t group);
int __wrap_fchown(int fd, uid_t user, gid_t group) { return 0; }

struct passwd *__wrap_getpwuid(uid_t user);
struct passwd *__wrap_getpwuid(uid_t user)
{
    static char name[] = "root";
    static struct passwd root = { .pw_name = name };
    return &root;
}

/* -- the machine: two cores, one network -- */

long __wrap_sysconf(int name);
long __wrap_sysconf(int name) { return inside() && name == _SC_NPROCESSORS_ONLN ? 2 : __real_sysconf(name); }

int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *ret);
int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *ret)
{
    errno = ENOSYS;
    return -1;
}

int __wrap_gethostname(char *ret, size_t n);
int __wrap_gethostname(char *ret, size_t n)
{
    snprintf(ret, n, "sim.example");
    return 0;
}

int __wrap_getifaddrs(struct ifaddrs **ret);
int __wrap_getifaddrs(struct ifaddrs **ret)
{
    *ret = NULL;
    return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *all);
void __wrap_freeifaddrs(struct ifaddrs *all) {}
