/* Tries what a role's lock forbids, from inside the role: compiled into the program only by the option `probe`, and only
 * called when GONIEC_PROBE names a thing to try. tests/e2e/test_locks.py plays the supervisor and reads what came of it:
 * a line of the log with "errno" (0: it was possible), or the end of the process. */
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

void probe_run(const char *role, struct log *log);

/* Each gives what the system call gave; GONIEC_PROBE_PATH is its file, GONIEC_PROBE_PORT its port. */
static const char *path(void)
{
    const char *set = getenv("GONIEC_PROBE_PATH");
    return set ? set : "/etc/passwd";
}

static struct sockaddr_in here(void)
{
    const char *port = getenv("GONIEC_PROBE_PORT");
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port ? port : "9")) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static long read_file(void) { return syscall(SYS_openat, AT_FDCWD, path(), O_RDONLY | O_CLOEXEC); }
static long write_file(void) { return syscall(SYS_openat, AT_FDCWD, path(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); }
static long list_folder(void) { return syscall(SYS_openat, AT_FDCWD, path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }
static long remove_file(void) { return syscall(SYS_unlinkat, AT_FDCWD, path(), 0); }
static long make_link(void) { return syscall(SYS_symlinkat, "/etc/passwd", AT_FDCWD, path()); }
static long make_hard_link(void) { return syscall(SYS_linkat, AT_FDCWD, "/etc/passwd", AT_FDCWD, path(), 0); }
static long change_owner(void) { return syscall(SYS_fchownat, AT_FDCWD, path(), 0, 0, 0); }

static long connect_tcp(void)
{
    struct sockaddr_in at = here();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&at, sizeof at);
}

static long listen_tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : listen(fd, 1);
}

static long connect_unix(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    strncpy(at.sun_path, path(), sizeof at.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&at, sizeof at);
}

static long raw_socket(void) { return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1); }
static long packet_socket(void) { return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

static long execute(void)
{
    char *const words[] = { (char *)(uintptr_t) "true", NULL };
    return execve("/bin/true", words, words + 1);
}

static long fork_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long new_namespace(void) { return unshare(CLONE_NEWUSER); }
static long debug_parent(void) { return ptrace(PTRACE_ATTACH, getppid(), 0, 0); }

static long read_parent(void)
{
    char octet;
    struct iovec to = { &octet, 1 }, from = { (void *)(uintptr_t)&octet, 1 };
    return process_vm_readv(getppid(), &to, 1, &from, 1, 0);
}

static long signal_parent(void) { return syscall(SYS_kill, getppid(), SIGCONT); }
static long code_new(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long code_changed(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long become_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }
static long become_root(void) { return syscall(SYS_setresuid, 0, 0, 0); }
static long handle_signal(void) { return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0; }
static long load_program(void) { return syscall(SYS_bpf, 0, NULL, 0); }
static long use_ring(void) { return syscall(SYS_io_uring_setup, 1, NULL); }
static long use_keys(void) { return syscall(SYS_keyctl, 0, 0, 0, 0, 0); }
static long mount_folder(void) { return mount("none", "/mnt", "tmpfs", 0, NULL); }
static long type_ahead(void) { return ioctl(STDERR_FILENO, TIOCSTI, "x"); }
static long raise_limit(void)
{
    struct rlimit limit = { 1, 1 };
    return syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL);
}

static long old_call(void)
{
#ifdef __x86_64__
    long result; /* 32-bit getpid: numbers of another table, past a filter that only knows its own */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    return result;
#else
    errno = ENOSYS;
    return -1;
#endif
}

static const struct thing {
    const char *name;
    long (*attempt)(void);
} things[] = {
    { "read-file", read_file }, { "write-file", write_file }, { "list-folder", list_folder }, { "remove-file", remove_file },
    { "make-link", make_link }, { "make-hard-link", make_hard_link }, { "change-owner", change_owner },
    { "connect-tcp", connect_tcp }, { "listen-tcp", listen_tcp }, { "connect-unix", connect_unix }, { "raw-socket", raw_socket },
    { "packet-socket", packet_socket }, { "execute", execute }, { "fork", fork_process }, { "new-namespace", new_namespace },
    { "debug-parent", debug_parent }, { "read-parent", read_parent }, { "signal-parent", signal_parent }, { "code-new", code_new },
    { "code-changed", code_changed }, { "become-dumpable", become_dumpable }, { "become-root", become_root },
    { "handle-signal", handle_signal }, { "load-program", load_program }, { "use-ring", use_ring }, { "use-keys", use_keys },
    { "mount", mount_folder }, { "type-ahead", type_ahead }, { "raise-limit", raise_limit }, { "old-call", old_call },
};

void probe_run(const char *role, struct log *log)
{
    const char *wanted = getenv("GONIEC_PROBE");
    for (size_t i = 0; wanted && i < ARRAY_LEN(things); i++) {
        if (strcmp(things[i].name, wanted) != 0)
            continue;
        errno = 0;
        long result = things[i].attempt();
        log_info(log, "probe", LOG_STR("thing", wanted), LOG_STR("of", role), LOG_INT("errno", result < 0 ? errno : 0));
        log_flush(log);
    }
}
