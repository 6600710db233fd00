/* sim/kernel_priv.h -- what the kernel's own files share. Every call that is wrapped stands in one of them as
 * __wrap_NAME; outside of a run it goes on to the real one.
 */
#pragma once
#include "base/list.h"
#include "base/order.h"
#include "kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#if defined(__SANITIZE_ADDRESS__)
#define KERNEL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KERNEL_ASAN 1
#endif
#endif

#define NEVER INT64_MAX
#define DESCRIPTORS_MAX 4096
#define WORLD 0

struct process;
struct object;

/* -- kernel_time.c: what happens at a time -- */

struct event {
    int64_t at_us;
    uint64_t order;          /* equal times: as they were set */
    size_t index;            /* in the heap, from 1; 0: it is not set */
    void (*run)(struct event *event);
};
void event_set(struct event *event, int64_t at_us);
void event_stop(struct event *event);
void events_run(void);       /* all that are due */
int64_t events_next_us(void);/* NEVER: none */
void events_done(void);

/* -- kernel_fiber.c -- */

enum fiber_state { FIBER_READY, FIBER_RUNS, FIBER_WAITS, FIBER_GONE };

struct kernel_fiber {
    struct list link;        /* of its process */
    struct process *process;
    char name[32];
    unsigned number;         /* in its process */
    enum fiber_state state;
    void *stack, *sp;        /* the lowest octet; where it stands */
    void *fake_stack;        /* of the address sanitizer */
    size_t ready_index;
    struct kernel_gate *gate;/* where it waits */
    struct kernel_fiber *next, *previous;
    struct event timer;
    bool woken;
    int kept_errno;
    void (*run)(void *arg);
    void *arg;
    struct object *holds;    /* a reference of the call that it is in */
    void (*undo)(struct kernel_fiber *fiber); /* of the call that it is in, should it vanish */
    void *undo_arg;
    /* a thread */
    void *(*thread)(void *arg);
    void *thread_arg, *result;
    bool is_thread, finished;
    struct kernel_gate ended;
};

struct kernel_fiber *fiber_new(struct process *process, const char *name, void (*run)(void *), void *arg);
void fiber_vanish(struct kernel_fiber *fiber); /* not the running one: see fiber_leave() */
/* The running fiber is over; does not return. */
__attribute__((noreturn)) void fiber_leave(void);
/* Lets another fiber go on; this one stays ready. */
void fiber_pass(void);
/* Waits at the gate until it is opened (true) or the time has come (false). */
bool fiber_wait(struct kernel_gate *gate, int64_t until_us);
void fiber_sleep_until(int64_t at_us);
void gate_open_one(struct kernel_gate *gate); /* one of those who wait, whom the seed says */
void fibers_run(void);
void fibers_done(void);
void stacks_init(void);

/* -- kernel_globals.c: goniec's few mutable variables, once for each process -- */

void globals_init(void);
size_t globals_octets(void);
void globals_fresh(void *copy);
void globals_save(void *copy);
void globals_load(const void *copy);

/* -- kernel_process.c -- */

struct descriptor {
    struct object *object;   /* NULL: free */
    bool cloexec;
};

struct process {
    struct list link, fibers;
    int pid;
    char name[32];
    int (*main)(void);
    struct descriptor fds[DESCRIPTORS_MAX];
    unsigned fd_count, fd_first; /* open ones; below `fd_first` none is free */
    unsigned fiber_number;
    struct list blocks;      /* of its memory */
    struct list contexts;    /* of OpenSSL */
    uint64_t block_count, octets;
    uint64_t kill_calls, kill_disk_calls; /* this many calls more; 0: not set */
    uint64_t kill_sync_calls; /* kill_calls from its next sync on */
    bool dead, waited;
    struct kernel_ended end;
    struct kernel_gate gate;
    void *globals;
};

struct process *process_new(const char *name);
struct process *process_find(int pid);
void process_free(struct process *process);
/* Ends it; returns, unless the running fiber is one of its. */
void process_end(struct process *process, enum kernel_how how, int status);
void processes_kill(void);
__attribute__((noreturn)) void process_exit(int status);

/* -- descriptors -- */

enum object_kind { OBJECT_FILE, OBJECT_FOLDER, OBJECT_SOCKET, OBJECT_EPOLL, OBJECT_EVENT, OBJECT_SINK };

struct object {
    enum object_kind kind;
    unsigned refs;
    bool nonblock;
    struct list watchers;    /* struct watch in kernel_poll.c */
    struct kernel_gate gate; /* who waits for a change of it */
};

void object_init(struct object *object, enum object_kind kind);
void object_unref(struct object *object); /* NULL is fine */
/* What it is ready for: EPOLLIN and so on. */
uint32_t object_ready(struct object *object);
/* Its readiness has changed. */
void object_changed(struct object *object);
/* The call that this fiber is in needs the object to its end; call_end() lets it go. */
void object_hold(struct object *object);
/* Waits for a change of the object, and holds it. False: the time has come. */
bool object_wait(struct object *object, int64_t until_us);
/* Takes a reference of its own. -1 with errno: EMFILE. */
int fd_new(struct object *object, bool cloexec);
struct object *fd_object(int fd);                    /* NULL with errno: EBADF */
struct object *fd_of_kind(int fd, enum object_kind kind, int wrong);
int fd_close(struct process *process, int fd);

void epoll_free(struct object *object);
uint32_t epoll_ready(struct object *object);
void watchers_drop(struct object *object);
void event_fd_free(struct object *object);
uint32_t event_fd_ready(struct object *object);
ssize_t event_fd_read(struct object *object, void *p, size_t n);
ssize_t event_fd_write(struct object *object, const void *p, size_t n);

void socket_free(struct object *object);
uint32_t socket_ready(struct object *object);
ssize_t socket_receive(int fd, struct object *object, const struct iovec *pieces, size_t count, int flags, struct msghdr *message);
ssize_t socket_send(int fd, struct object *object, const struct iovec *pieces, size_t count, int flags, const struct msghdr *message);
void sockets_power_cut(void);
void sockets_done(void);

void file_free(struct object *object);
ssize_t file_read(struct object *object, void *p, size_t n);
ssize_t file_write(struct object *object, const void *p, size_t n);
void sink_free(struct object *object);
ssize_t sink_write(struct object *object, const void *p, size_t n);

/* -- kernel_call.c: every call begins and ends here -- */

/* In front of a call: counts it, lets time go by, lets others go on, and kills if that was ordered. */
void call_begin(const char *name);
/* The same for a call that changes the disk. */
void call_begin_disk(const char *name);
/* True: the machine or the process is to die in the middle of this call, when it has done a part of its work;
 * call_die() then. */
bool call_dies(void);
__attribute__((noreturn)) void call_die(void);
/* Behind it: into the hash and the trace. Keeps errno. */
ssize_t call_end(const char *name, int64_t a, int64_t b, int64_t c, ssize_t ret);
/* For the trace alone: a name that goes with the call. */
void call_note(const char *text);
static inline ssize_t call_error(const char *name, int64_t a, int64_t b, int64_t c, int error)
{
    errno = error;
    return call_end(name, a, b, c, -1);
}
/* Whether the fault hits this call. */
bool fault(unsigned of_a_million);
uint64_t chance_below(uint64_t n); /* the kernel's stream of the seed */

/* -- kernel_disk.c -- */

struct inode;
struct page;
enum inode_kind { INODE_FILE, INODE_FOLDER, INODE_SOCKET };
struct slot {                /* 4 KiB of a file; NULL: never written, zeros */
    struct page *now, *safe; /* what programs see; what is on the platter */
    bool dirty;              /* a sync has something to do */
};
struct name {
    struct list link;
    struct inode *inode;
    char text[];
};
struct change {              /* to the names of a folder, since its last sync */
    struct list link;
    struct inode *inode;     /* NULL: taken away */
    struct change *with;     /* the other half of a renaming: both or none */
    bool kept, chosen;
    char text[];
};
struct inode {
    struct list link;        /* of all */
    uint64_t number;
    enum inode_kind kind;
    mode_t mode;
    unsigned refs;           /* names now, names on the platter, changes, open files */
    struct slot *slots;
    size_t slot_count, slot_room;
    uint64_t size_now, size_safe;
    uint32_t *dirty;         /* slots that may be dirty */
    size_t dirty_count, dirty_room;
    struct list now, safe;   /* a folder's struct name */
    struct list changes;     /* a folder's, oldest first */
    struct object *locked;   /* by flock() */
    struct object *listener; /* a socket's, while it listens */
};
void disk_init(uint64_t octets);
void disk_done(void);
void disk_power_cut(void);
uint64_t disk_room(void);
struct inode *disk_root(void);
struct inode *inode_new(enum inode_kind kind, mode_t mode);
void inode_ref(struct inode *inode);
void inode_unref(struct inode *inode);
struct name *name_find(struct inode *folder, const char *text);
void name_set(struct inode *folder, const char *text, struct inode *inode); /* NULL: takes it away */
void name_move(struct inode *from, const char *old, struct inode *to, const char *new);
size_t inode_read(struct inode *inode, void *p, size_t n, uint64_t at);
/* How much was written: less than n when the disk is full. */
size_t inode_write(struct inode *inode, const void *p, size_t n, uint64_t at);
void inode_cut(struct inode *inode); /* to nothing: O_TRUNC */
void inode_write_back(struct inode *inode);
/* A sync: what is dirty when it begins is safe when it ends. */
struct sync;
struct sync *sync_begin(struct inode *inode);
void sync_end(struct sync *sync, bool fails);
void sync_forget(struct sync *sync);
void folder_sync(struct inode *folder);
/* The inode of a path from this folder; `parent` and `last`: where its last name stands, also when there is none yet.
 * NULL with errno. */
struct inode *path_find(struct inode *from, const char *path, struct inode **parent, const char **last);

/* -- kernel_memory.c -- */

void *kernel_calloc(size_t count, size_t octets); /* the kernel's own; aborts rather than fail */
void *kernel_grow(void *p, size_t octets);
void kernel_free(void *p);
void memory_free_all(struct process *process);

/* -- the one machine -- */

struct kernel {
    bool on;                 /* between begin and end */
    struct kernel_fiber *running; /* NULL: the scheduler */
    struct kernel_options options;
    struct kernel_faults faults;
    struct kernel_figures figures;
    uint64_t chance, world_chance;
    int64_t now_ns, wall_offset_us;
    struct list processes;
    struct process *world;
    int next_pid;
    uint64_t cut_calls;      /* power: calls that change the disk until then; 0: not set */
    bool cutting, dies_in_call;
    struct kernel_gate cut_gate;
    bool over, failed;
    char failure[1024];
};
extern struct kernel kernel;

static inline bool inside(void) { return kernel.running != NULL; }
static inline struct process *me(void) { return kernel.running->process; }
static inline int64_t now_us(void) { return kernel.now_ns / 1000; }
