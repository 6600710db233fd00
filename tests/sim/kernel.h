/* sim/kernel.h -- a whole machine's kernel in one thread, driven by one seed: processes, threads, disk, clock, sockets.
 *
 * The mains of the roles run on it unmodified: every call of the C library by which goniec's rooms touch the outside is
 * redirected at link time (-Wl,--wrap, tests/sim/calls) to what stands here. A process is a few fibers, a thread is one
 * fiber; one runs until it makes such a call, and at each of them the seed may let another one go on. Nothing depends on
 * the real time, on addresses or on the order of pointers: the same seed is the same run, to the last step.
 *
 * The world. What plays the supervisor, the clients, the remote servers and the operators runs on it as well: as fibers of
 * process 0, "the world", with descriptors of its own. They use the ordinary calls (read, write, socket, bind, listen,
 * accept4, connect, close, openat, pread, pthread mutexes, epoll, or a whole struct loop with struct channel): inside of a
 * fiber these mean this kernel. stdio to the real stdout and stderr stays real. No fault is ever injected into a call of
 * the world (but a connection may be slow). A read or write of the world on a blocking descriptor blocks its fiber alone.
 * SO_RCVTIMEO and SO_SNDTIMEO work (EAGAIN), SO_LINGER of 0 resets, MSG_DONTWAIT and SCM_RIGHTS work.
 *
 * Code of the world may also be called from inside a process (the stand-in for net/dns.h): it may look at the world's
 * memory, but a plain call then belongs to that process, and so does what it allocates.
 *
 * One run at a time: kernel_begin(), kernel_run(), kernel_end(). Mutable variables of the world's own must be reset by
 * kernel_run()'s function; those of goniec's rooms are kept apart for each process by the kernel.
 *
 * Simulated are: epoll, eventfd, sockets (TCP as streams with a delay, and AF_UNIX), files and directories, flock,
 * pthreads, clock, randomness, malloc for accounting. Not simulated: signals, fork, exec, TLS, libunbound, SQLite.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* -- a run -- */

/* How often something happens: of a million calls that it could happen to. All 0: a perfect machine.
 * The world may change them at any time (struct kernel_faults *kernel_faults()); they hit processes, never the world. */
struct kernel_faults {
    unsigned change;        /* after a call another fiber goes on, whoever the seed says */
    unsigned pause;         /* a call takes up to `pause_ms` instead of microseconds */
    unsigned short_io;      /* reads and writes of sockets and files take less than they could */
    unsigned eintr;         /* where a signal could interrupt a call that blocks */
    unsigned again;         /* a socket that is ready says EAGAIN all the same (spurious readiness) */
    unsigned read_eio, write_eio, sync_eio;   /* the disk fails once; a failed sync may lose what it should have saved */
    unsigned enospc;        /* a write that needs a new block fails once, whatever room there is */
    unsigned slow_sync;     /* a sync takes up to `slow_sync_ms` instead of sync_us */
    unsigned write_back;    /* after a write: some dirty page goes to the platter by itself (perhaps torn by a cut) */
    unsigned accept_fails;  /* accept4: ECONNABORTED or EMFILE */
    unsigned open_emfile;   /* open, socket, dup: EMFILE */
    unsigned no_memory;     /* malloc and its family say NULL */
    unsigned pause_ms, slow_sync_ms, sync_us;
    unsigned latency_us;    /* of TCP, each way; at least this, at most three times as long */
    bool names_in_order;    /* a power cut keeps a prefix of the changes to names, as a journaling file system does;
                             * otherwise any subset */
};

struct kernel_options {
    uint64_t seed;
    int64_t wall_ms;        /* at the start; 0: some day in 2026 */
    uint64_t disk_octets;   /* size of the disk; 0: 4 GiB */
    bool trace;             /* each step on stderr */
};

struct kernel_figures {
    uint64_t steps;         /* calls of processes and the world that the kernel served */
    uint64_t switches;      /* from fiber to fiber */
    uint64_t hash;          /* over all steps and their outcomes: equal for equal seeds */
    int64_t simulated_ms;
    uint64_t kills, power_cuts, syncs, writes, reads, connects, faults;
    uint64_t pages_lost, pages_kept, pages_torn; /* by power cuts */
};

void kernel_begin(const struct kernel_options *options);
/* Runs `main` as the first fiber of the world until it returns, or until kernel_fail(); then all processes are killed and
 * the other fibers vanish where they stand. False: something failed; kernel_failure() tells. */
bool kernel_run(void (*main)(void *arg), void *arg);
/* Frees everything of the run. */
void kernel_end(void);

/* This run has shown a bug. Does not return. In the context of a process or of the world alike; only the first counts. */
__attribute__((noreturn, format(printf, 1, 2))) void kernel_fail(const char *format, ...);
const char *kernel_failure(void); /* NULL: none */
const struct kernel_figures *kernel_figures(void);
struct kernel_faults *kernel_faults(void);
/* A line in the trace (and in its hash), with time and process before it. */
__attribute__((format(printf, 1, 2))) void kernel_trace(const char *format, ...);
bool kernel_traces(void); /* whether anybody reads it */

/* -- chance: the world's own stream of the seed, apart from the scheduler's -- */

uint64_t kernel_random(void);
uint64_t kernel_below(uint64_t n);                       /* 0 .. n-1; n is not 0 */
static inline bool kernel_chance(unsigned of_a_million) { return kernel_below(1000000) < of_a_million; }

/* -- time -- */

int64_t kernel_now_ms(void);                             /* monotonic, from 0 at the start of the run */
int64_t kernel_now_us(void);
int64_t kernel_wall_ms(void);
void kernel_wall_jump(int64_t by_ms);                    /* somebody sets the clock, forwards or backwards */
void kernel_sleep_ms(int64_t ms);                        /* this fiber of the world */
void kernel_yield(void);

/* -- fibers of the world -- */

/* Begins `run` in a fiber of its own; it ends when it returns. The name is copied (31 octets). */
void kernel_fiber(const char *name, void (*run)(void *arg), void *arg);
/* Where fibers of the world wait for each other. Zeroed memory is a good one. */
struct kernel_gate {
    struct kernel_fiber *waiting;
};
bool kernel_gate_wait(struct kernel_gate *gate, int64_t ms);   /* false: not within this time (ms < 0: for ever) */
void kernel_gate_open(struct kernel_gate *gate);               /* wakes all who wait at this moment */

/* -- processes -- */

enum kernel_how {
    KERNEL_EXITED,   /* its main returned, or it called exit: `status` */
    KERNEL_KILLED,   /* kernel_kill() and its like, or a power cut */
    KERNEL_ABORTED,  /* abort(): goniec does so when memory for a timer is missing. A failed assert is kernel_fail(). */
};
struct kernel_ended {
    int pid;
    char name[32];
    enum kernel_how how;
    int status;
    uint64_t blocks, octets; /* memory that it had not freed when it ended */
    unsigned fds;            /* descriptors that it had not closed */
    unsigned threads;        /* threads that had not ended */
};

/* Starts a process whose descriptor 3 is the world's `fd` (which is closed in the world; -1: it has none). Its main gets
 * no arguments. Returns its pid, which is never used again in this run. */
int kernel_spawn(const char *name, int (*main)(void), int fd);
bool kernel_alive(int pid);
/* Waits for the end. False: not within `ms` (< 0: for ever), or no such process (each end is told once). */
bool kernel_wait(int pid, int64_t ms, struct kernel_ended *ret);
/* Kills it where it stands: its fibers vanish, its descriptors are closed, its memory is freed. Fine if it has ended. */
void kernel_kill(int pid);
/* Lets it make `calls` more calls to the kernel, then kills it in front of the next one; after `ms` at the latest.
 * Returns when that has happened or the process ended otherwise. */
void kernel_kill_within(int pid, uint64_t calls, int64_t ms);
/* The same, counting only calls that change the disk (writes, syncs, new and removed names). */
void kernel_kill_at_disk(int pid, uint64_t calls, int64_t ms);
/* The same, counting from the end of its next sync: what is said of what has just become safe is said then. */
void kernel_kill_after_sync(int pid, uint64_t calls, int64_t ms);
int kernel_self(void);                                   /* pid of who runs; 0: the world */
uint64_t kernel_memory(int pid);                         /* octets that it holds now */
unsigned kernel_fds(int pid);                            /* descriptors that it holds now */

/* -- the machine -- */

/* All processes die, and of what was written and not synced the seed keeps any legal part. The world goes on; its
 * connections with processes are cut. Locks are gone; files that the world held open stay as they are on the platter. */
void kernel_power_cut(void);
/* After `calls` more calls of any process that change the disk, in front of the next one or in the middle of it; after
 * `ms` at the latest. Returns when it has happened. */
void kernel_power_cut_at_disk(uint64_t calls, int64_t ms);

/* -- the disk; the world may also use open, pread, pwrite, fsync and the like on it -- */

void kernel_disk_resize(uint64_t octets);                /* how much there is in all; less than is used: all is full */
uint64_t kernel_disk_used(void);
/* Flips a bit of a file as it lies on the platter and in memory. False: no such file, or beyond its end. */
bool kernel_disk_flip(const char *path, uint64_t at, unsigned bit);
/* Every regular file below the folder, in order of their names. */
void kernel_disk_each(const char *folder, void (*each)(void *arg, const char *path, uint64_t octets), void *arg);
/* All that is in memory is on the platter now (the world made the folders, for instance). */
void kernel_disk_settle(void);

/* -- the network -- */

/* Who answers a connect() of a process to an address of IPv4 or IPv6. The world listens as usual (0.0.0.0 and :: stand for
 * all addresses; getsockname() of the accepted socket is the address that was dialled). Without a word from the world, a
 * connection is made where somebody listens, and refused elsewhere. */
enum kernel_connect { KERNEL_CONNECT, KERNEL_REFUSE, KERNEL_SILENT, KERNEL_UNREACHABLE };
void kernel_network(enum kernel_connect (*answer)(void *arg, const struct sockaddr *to, socklen_t n), void *arg);
/* A name for the connection behind this descriptor of the world; never used again. 0: it is no socket with a peer. */
uint64_t kernel_connection(int fd);
/* When the process at the other end of it closed it or died, milliseconds of kernel_now_ms(), at least 1; 0: it is there. */
int64_t kernel_left_ms(int fd);
/* Cuts it: both ends see a reset, what is on its way is lost. Fine if it is gone. */
void kernel_cut(uint64_t connection);
/* Makes all octets of a connection (in both directions) wait until it is called again with false. */
void kernel_hold(uint64_t connection, bool hold);
/* A descriptor (of the world, to be handed on) that gives each write to `on_write`: for the event log. Runs in the context
 * of the process that writes. */
int kernel_sink(void (*on_write)(void *arg, int pid, const void *p, size_t n), void *arg);
