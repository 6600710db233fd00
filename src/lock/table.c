/* What each role may ask of the kernel. Whatever is not here ends it.
 *
 * Made from what the roles were seen to call under every test there is, and from what the C library may do in their
 * place. A call whose arguments are looked at costs a little more each time; none of them lies on a message's way. */
#include "lock/lock_priv.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SMTPD (1u << LOCK_SMTPD)
#define QUEUE (1u << LOCK_QUEUE)
#define DELIVERY (1u << LOCK_DELIVERY)
#define DIRECTORY (1u << LOCK_DIRECTORY)
#define SHARE (1u << LOCK_SHARE)
#define MIRROR (1u << LOCK_MIRROR)
#define FILES (QUEUE | DIRECTORY | MIRROR)     /* open files, where Landlock lets them */
#define NAMELESS (SMTPD | DELIVERY | SHARE) /* open nothing */
#define SOCKETS (NAMELESS | MIRROR)         /* talk to others than us */
#define ROLES (NAMELESS | FILES)
#define SUPERVISOR (1u << LOCK_SUPERVISOR)
#define SANITIZED (LOCK_SANITIZED ? ROLES : 0)
#define UNSANITIZED (LOCK_SANITIZED ? 0 : ROLES)

#define ARGUMENT(number, op, ...) { (number), SCMP_CMP_##op, __VA_ARGS__ }
#define EQUALS(number, value) ARGUMENT(number, EQ, (scmp_datum_t)(value), 0)
#define MASKED(number, mask, value) ARGUMENT(number, MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value))
#define ALLOW(name, roles) { SCMP_SYS(name), (roles), RULE_ALLOW, 0, { { 0 } } }
#define ALLOW_IF(name, roles, ...) { SCMP_SYS(name), (roles), RULE_ALLOW, 1, { __VA_ARGS__ } }
#define ALLOW_IF2(name, roles, ...) { SCMP_SYS(name), (roles), RULE_ALLOW, 2, { __VA_ARGS__ } }
#define REFUSE(name, roles) { SCMP_SYS(name), (roles), RULE_REFUSE, 0, { { 0 } } }
#define REFUSE_IF(name, roles, ...) { SCMP_SYS(name), (roles), RULE_REFUSE, 1, { __VA_ARGS__ } }
#define REFUSE_IF2(name, roles, ...) { SCMP_SYS(name), (roles), RULE_REFUSE, 2, { __VA_ARGS__ } }
#define DENY(name) { SCMP_SYS(name), SUPERVISOR, RULE_DENY, 0, { { 0 } } }
#define DENY_UNSANITIZED(name) { SCMP_SYS(name), LOCK_SANITIZED ? 0 : SUPERVISOR, RULE_DENY, 0, { { 0 } } }

#define OF_A_THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define OF_NO_THREAD                                                                                                   \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | \
     CLONE_VFORK)
#define TYPE_MASK 0xf /* of a socket's type, without SOCK_CLOEXEC and SOCK_NONBLOCK */

const struct lock_call lock_table[] = {
    /* what is open already: channels, the log, connections */
    ALLOW(read, ROLES), ALLOW(readv, ROLES), ALLOW(write, ROLES), ALLOW(writev, ROLES), ALLOW(close, ROLES),
    ALLOW(sendto, ROLES), ALLOW(sendmsg, ROLES), ALLOW(recvfrom, ROLES), ALLOW(recvmsg, ROLES),
    ALLOW(epoll_wait, ROLES), ALLOW(epoll_pwait, ROLES), ALLOW(epoll_ctl, ROLES), ALLOW(epoll_create1, ROLES),
    ALLOW(eventfd2, ROLES), ALLOW(poll, ROLES), ALLOW(ppoll, ROLES),
    ALLOW_IF(fcntl, ROLES, EQUALS(1, F_GETFD)), ALLOW_IF(fcntl, ROLES, EQUALS(1, F_SETFD)),
    ALLOW_IF(fcntl, ROLES, EQUALS(1, F_GETFL)), ALLOW_IF(fcntl, ROLES, EQUALS(1, F_SETFL)),
    ALLOW_IF(fcntl, ROLES, EQUALS(1, F_DUPFD_CLOEXEC)),
    REFUSE(ioctl, UNSANITIZED), ALLOW(ioctl, SANITIZED),

    /* threads and memory of its own; nothing that could be executed */
    ALLOW(futex, ROLES), ALLOW(brk, ROLES), ALLOW(munmap, ROLES), ALLOW(mremap, ROLES), ALLOW(madvise, ROLES),
    ALLOW_IF(mmap, ROLES, MASKED(2, PROT_EXEC, 0)), ALLOW_IF(mprotect, ROLES, MASKED(2, PROT_EXEC, 0)),
    ALLOW_IF(clone, UNSANITIZED, MASKED(0, OF_A_THREAD | OF_NO_THREAD, OF_A_THREAD)), ALLOW(clone, SANITIZED),
    { SCMP_SYS(clone3), ROLES, RULE_ABSENT, 0, { { 0 } } },
    ALLOW(set_robust_list, ROLES), ALLOW(rseq, ROLES), ALLOW(rt_sigprocmask, ROLES), ALLOW(exit, ROLES),
    ALLOW(exit_group, ROLES), ALLOW(gettid, ROLES), ALLOW(getpid, ROLES), ALLOW(sched_yield, ROLES),
    ALLOW(sched_getaffinity, ROLES), ALLOW(sysinfo, ROLES), ALLOW(membarrier, ROLES), ALLOW(getcpu, ROLES),
    ALLOW_IF(tgkill, ROLES, EQUALS(2, SIGABRT)), /* abort(3) */
    ALLOW_IF(prlimit64, ROLES, EQUALS(2, 0)), ALLOW(getrlimit, ROLES),
    ALLOW(restart_syscall, ROLES),
    /* the C library's own signals, which it sets up with the first thread; so no other handler takes SIGSYS' place */
    ALLOW_IF(rt_sigaction, UNSANITIZED, EQUALS(0, 32)), ALLOW_IF(rt_sigaction, UNSANITIZED, EQUALS(0, 33)),
    REFUSE(prctl, UNSANITIZED),

    /* the time, chance, who we are */
    ALLOW(clock_gettime, ROLES), ALLOW(clock_nanosleep, ROLES), ALLOW(nanosleep, ROLES), ALLOW(gettimeofday, ROLES),
    ALLOW(time, ROLES), ALLOW(getrandom, ROLES), ALLOW(uname, ROLES), ALLOW(getuid, ROLES), ALLOW(geteuid, ROLES),
    ALLOW(getgid, ROLES), ALLOW(getegid, ROLES),

    /* strangers: smtpd takes connections, delivery makes them, neither does the other */
    ALLOW(accept4, SMTPD | QUEUE), ALLOW(getsockname, SOCKETS), ALLOW(getpeername, SOCKETS), ALLOW(shutdown, SOCKETS),
    ALLOW(getsockopt, SOCKETS | QUEUE),
    ALLOW_IF(setsockopt, SOCKETS, EQUALS(1, SOL_SOCKET)), ALLOW_IF(setsockopt, SOCKETS, EQUALS(1, 0 /* IP */)),
    ALLOW_IF(setsockopt, SOCKETS, EQUALS(1, 6 /* TCP */)), ALLOW_IF(setsockopt, SOCKETS, EQUALS(1, 17 /* UDP */)),
    ALLOW_IF(setsockopt, SOCKETS, EQUALS(1, 41 /* IPv6 */)),
    ALLOW(connect, DELIVERY), ALLOW(bind, DELIVERY | QUEUE),
    ALLOW_IF2(socket, DELIVERY, EQUALS(0, AF_INET), MASKED(1, TYPE_MASK, SOCK_STREAM)),
    ALLOW_IF2(socket, DELIVERY, EQUALS(0, AF_INET), MASKED(1, TYPE_MASK, SOCK_DGRAM)),
    ALLOW_IF2(socket, DELIVERY, EQUALS(0, AF_INET6), MASKED(1, TYPE_MASK, SOCK_STREAM)),
    ALLOW_IF2(socket, DELIVERY, EQUALS(0, AF_INET6), MASKED(1, TYPE_MASK, SOCK_DGRAM)),
    ALLOW_IF2(socket, DELIVERY, EQUALS(0, AF_NETLINK), EQUALS(2, 0 /* NETLINK_ROUTE: our own addresses */)),
    ALLOW(sendfile, DELIVERY),

    /* share connects to Redis, mirror to PostgreSQL, by an address or by a socket of this machine, and to nothing by a name */
    ALLOW(connect, SHARE | MIRROR), ALLOW_IF2(socket, SHARE | MIRROR, EQUALS(0, AF_INET), MASKED(1, TYPE_MASK, SOCK_STREAM)),
    ALLOW_IF2(socket, SHARE | MIRROR, EQUALS(0, AF_INET6), MASKED(1, TYPE_MASK, SOCK_STREAM)),
    ALLOW_IF2(socket, SHARE | MIRROR, EQUALS(0, AF_UNIX), MASKED(1, TYPE_MASK, SOCK_STREAM)),
    /* getaddrinfo(3) of what is an address already asks which ones we have; without an answer it does, too */
    REFUSE_IF(socket, SHARE | MIRROR, EQUALS(0, AF_NETLINK)), REFUSE_IF2(socket, SHARE | MIRROR, EQUALS(0, AF_INET), MASKED(1, TYPE_MASK, SOCK_DGRAM)),
    REFUSE_IF2(socket, SHARE | MIRROR, EQUALS(0, AF_INET6), MASKED(1, TYPE_MASK, SOCK_DGRAM)),

    /* the queue's control socket */
    ALLOW_IF2(socket, QUEUE, EQUALS(0, AF_UNIX), MASKED(1, TYPE_MASK, SOCK_STREAM)), ALLOW(listen, QUEUE),
    ALLOW(chmod, QUEUE), ALLOW(fchmodat, QUEUE), ALLOW(umask, QUEUE),

    /* segments, body files, the accounts */
    ALLOW(pread64, ROLES), ALLOW(preadv, ROLES), ALLOW(lseek, ROLES), ALLOW(fstat, ROLES),
    ALLOW(pwrite64, SMTPD | FILES), ALLOW(pwritev, SMTPD | FILES), ALLOW(fsync, SMTPD | FILES), ALLOW(fdatasync, SMTPD | FILES),
    ALLOW(sync_file_range, SMTPD | FILES), ALLOW(fadvise64, SMTPD | FILES), ALLOW(ftruncate, FILES),
    ALLOW(fallocate, FILES), ALLOW(fstatfs, FILES), ALLOW(getdents64, FILES | SANITIZED), ALLOW(flock, QUEUE), ALLOW(unlink, FILES),
    ALLOW(unlinkat, FILES), ALLOW(rename, QUEUE), ALLOW(renameat, QUEUE), ALLOW(renameat2, QUEUE), ALLOW(mkdir, QUEUE),
    ALLOW(mkdirat, QUEUE),
    ALLOW_IF(fcntl, DIRECTORY | MIRROR, EQUALS(1, F_GETLK)), ALLOW_IF(fcntl, DIRECTORY | MIRROR, EQUALS(1, F_SETLK)),
    ALLOW(fchmod, DIRECTORY | MIRROR), ALLOW(fchown, DIRECTORY | MIRROR), ALLOW(rt_sigpending, MIRROR), ALLOW(rt_sigtimedwait, MIRROR), ALLOW(getcwd, FILES | SANITIZED),

    /* names of files: libraries look for theirs; who has none of ours finds nothing */
    ALLOW(open, FILES | SANITIZED), ALLOW(openat, FILES | SANITIZED), ALLOW(stat, FILES | SANITIZED), ALLOW(lstat, FILES | SANITIZED),
    ALLOW(newfstatat, FILES | SANITIZED), ALLOW(access, FILES | SANITIZED), ALLOW(faccessat, FILES | SANITIZED),
    ALLOW(faccessat2, FILES | SANITIZED), ALLOW(readlink, FILES | SANITIZED), ALLOW(readlinkat, FILES | SANITIZED),
    ALLOW(statx, FILES | SANITIZED),
    REFUSE(open, NAMELESS & ~SANITIZED), REFUSE(openat, NAMELESS & ~SANITIZED), REFUSE(stat, NAMELESS & ~SANITIZED),
    REFUSE(lstat, NAMELESS & ~SANITIZED), REFUSE(access, NAMELESS & ~SANITIZED), REFUSE(faccessat, NAMELESS & ~SANITIZED),
    REFUSE(faccessat2, NAMELESS & ~SANITIZED), REFUSE(readlink, NAMELESS & ~SANITIZED), REFUSE(readlinkat, NAMELESS & ~SANITIZED),
    REFUSE(statx, NAMELESS & ~SANITIZED),
    ALLOW_IF(newfstatat, NAMELESS & ~SANITIZED, MASKED(3, AT_EMPTY_PATH, AT_EMPTY_PATH)), /* fstat(3) of some C libraries */
    { SCMP_SYS(newfstatat), NAMELESS & ~SANITIZED, RULE_REFUSE, 1, { MASKED(3, AT_EMPTY_PATH, 0) } },

    /* sanitizers: signal stacks, and at the end a process that looks for leaks in this one */
    ALLOW(sigaltstack, SANITIZED), ALLOW(rt_sigaction, SANITIZED), ALLOW(rt_sigreturn, SANITIZED), ALLOW(ptrace, SANITIZED),
    ALLOW(wait4, SANITIZED), ALLOW(prctl, SANITIZED), ALLOW(kill, SANITIZED), ALLOW(getppid, SANITIZED), ALLOW(dup2, SANITIZED), ALLOW(getdents, SANITIZED),

    /* the supervisor, and so everybody: what no mail server needs, whoever it runs as */
    DENY_UNSANITIZED(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(bpf), DENY(perf_event_open),
    DENY(userfaultfd), DENY(io_uring_setup), DENY(unshare), DENY(setns), DENY(chroot), DENY(pivot_root), DENY(mount), DENY(umount2),
    DENY(move_mount), DENY(fsopen), DENY(open_tree), DENY(mount_setattr), DENY(swapon), DENY(swapoff), DENY(reboot), DENY(kexec_load),
    DENY(kexec_file_load), DENY(init_module), DENY(finit_module), DENY(delete_module), DENY(keyctl), DENY(add_key),
    DENY(request_key), DENY(settimeofday), DENY(clock_settime), DENY(adjtimex), DENY(clock_adjtime), DENY(sethostname),
    DENY(setdomainname), DENY(iopl), DENY(ioperm), DENY(acct), DENY(quotactl), DENY(syslog), DENY(vhangup), DENY(personality),
    DENY(lookup_dcookie), DENY(nfsservctl), DENY(open_by_handle_at), DENY(name_to_handle_at), DENY(fanotify_init),
    { __NR_SCMP_ERROR, 0, RULE_ALLOW, 0, { { 0 } } }
};
