/* Processes: their start, their end by themselves or by force, and their descriptors. */
#include "kernel_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process *process_new(const char *name)
{
    struct process *process = kernel_calloc(1, sizeof *process);
    process->pid = kernel.next_pid++;
    snprintf(process->name, sizeof process->name, "%s", name);
    list_init(&process->fibers);
    list_init(&process->blocks);
    list_init(&process->contexts);
    list_add_last(&kernel.processes, &process->link);
    process->globals = kernel_calloc(1, globals_octets());
    globals_fresh(process->globals);
    return process;
}

struct process *process_find(int pid)
{
    for (LIST_EACH(link, &kernel.processes)) {
        struct process *process = CONTAINER(link, struct process, link);
        if (process->pid == pid)
            return process;
    }
    return NULL;
}

void process_free(struct process *process)
{
    list_remove(&process->link);
    kernel_free(process->globals);
    kernel_free(process);
}

/* -- the end -- */

static void note_end(struct process *process, enum kernel_how how, int status)
{
    unsigned threads = 0;
    for (LIST_EACH(link, &process->fibers))
        threads += CONTAINER(link, struct kernel_fiber, link)->is_thread;
    process->end = (struct kernel_ended){ .pid = process->pid, .how = how, .status = status, .fds = process->fd_count,
                                          .blocks = process->block_count, .octets = process->octets, .threads = threads };
    memcpy(process->end.name, process->name, sizeof process->end.name);
    kernel_trace("%s ends: how %d, status %d; it left %u descriptors, %llu blocks of memory", process->name, how, status,
                 process->fd_count, (unsigned long long)process->block_count);
}

void process_end(struct process *process, enum kernel_how how, int status)
{
    if (process->dead)
        return;
    process->dead = true;
    note_end(process, how, status);
    kernel.figures.kills += how == KERNEL_KILLED;
    for (LIST_EACH(link, &process->fibers))
        fiber_vanish(CONTAINER(link, struct kernel_fiber, link));
    for (int fd = 0; process->fd_count && fd < DESCRIPTORS_MAX; fd++)
        if (process->fds[fd].object)
            fd_close(process, fd);
    memory_free_all(process);
    kernel_gate_open(&process->gate);
    if (kernel.running && kernel.running->process == process)
        fiber_leave();
}

void process_exit(int status)
{
    process_end(me(), KERNEL_EXITED, status);
    abort();
}

void processes_kill(void)
{
    struct process *mine = kernel.running ? me() : NULL;
    for (LIST_EACH(link, &kernel.processes)) {
        struct process *process = CONTAINER(link, struct process, link);
        if (process != kernel.world && process != mine)
            process_end(process, KERNEL_KILLED, 0);
    }
    if (mine && mine != kernel.world && !mine->dead) { /* the caller leaves by itself */
        struct kernel_fiber *fiber = kernel.running;
        kernel.running = NULL;
        process_end(mine, KERNEL_KILLED, 0);
        kernel.running = fiber;
    }
}

/* -- what the world orders -- */

static void run_main(void *arg)
{
    struct process *process = arg;
    process_exit(process->main());
}

int kernel_spawn(const char *name, int (*main)(void), int fd)
{
    struct process *process = process_new(name);
    process->main = main;
    if (fd >= 0) {
        struct object *object = fd_object(fd);
        if (!object)
            kernel_fail("a process is to get descriptor %d, and there is none", fd);
        object->refs++;
        object->nonblock = false;
        process->fds[3] = (struct descriptor){ object, false };
        process->fd_count = 1;
        fd_close(me(), fd);
    }
    fiber_new(process, "main", run_main, process);
    kernel_trace("%s starts as %d", name, process->pid);
    return process->pid;
}

bool kernel_alive(int pid)
{
    struct process *process = process_find(pid);
    return process && !process->dead;
}

static int64_t until(int64_t ms) { return ms < 0 ? NEVER : now_us() + ms * 1000; }

bool kernel_wait(int pid, int64_t ms, struct kernel_ended *ret)
{
    struct process *process = process_find(pid);
    int64_t until_us = until(ms);
    while (process && !process->dead) {
        if (!fiber_wait(&process->gate, until_us))
            return false;
        process = process_find(pid); /* somebody else may have been told */
    }
    if (!process)
        return false;
    if (ret)
        *ret = process->end;
    process_free(process);
    return true;
}

void kernel_kill(int pid)
{
    struct process *process = process_find(pid);
    if (process)
        process_end(process, KERNEL_KILLED, 0);
}

static void kill_at(int pid, uint64_t calls, uint64_t disk_calls, uint64_t sync_calls, int64_t ms)
{
    struct process *process = process_find(pid);
    if (!process || process->dead)
        return;
    process->kill_calls = calls;
    process->kill_disk_calls = disk_calls;
    process->kill_sync_calls = sync_calls;
    if (!fiber_wait(&process->gate, until(ms)))
        kernel_kill(pid);
}

void kernel_kill_within(int pid, uint64_t calls, int64_t ms) { kill_at(pid, calls + 1, 0, 0, ms); }
void kernel_kill_at_disk(int pid, uint64_t calls, int64_t ms) { kill_at(pid, 0, calls + 1, 0, ms); }
void kernel_kill_after_sync(int pid, uint64_t calls, int64_t ms) { kill_at(pid, 0, 0, calls + 1, ms); }
int kernel_self(void) { return kernel.running ? me()->pid : WORLD; }

uint64_t kernel_memory(int pid)
{
    struct process *process = process_find(pid);
    return process ? process->octets : 0;
}

unsigned kernel_fds(int pid)
{
    struct process *process = process_find(pid);
    return process ? process->fd_count : 0;
}

/* -- descriptors -- */

void object_init(struct object *object, enum object_kind kind)
{
    object->kind = kind;
    object->refs = 1;
    list_init(&object->watchers);
}

void object_unref(struct object *object)
{
    if (!object || --object->refs > 0)
        return;
    watchers_drop(object);
    switch (object->kind) {
    case OBJECT_FILE: case OBJECT_FOLDER: file_free(object); break;
    case OBJECT_SOCKET: socket_free(object); break;
    case OBJECT_EPOLL: epoll_free(object); break;
    case OBJECT_EVENT: event_fd_free(object); break;
    case OBJECT_SINK: sink_free(object); break;
    }
}

int fd_new(struct object *object, bool cloexec)
{
    struct process *process = me();
    int fd = (int)process->fd_first;
    while (fd < DESCRIPTORS_MAX && process->fds[fd].object)
        fd++;
    if (fd == DESCRIPTORS_MAX || fault(kernel.faults.open_emfile)) {
        errno = EMFILE;
        return -1;
    }
    process->fds[fd] = (struct descriptor){ object, cloexec };
    process->fd_first = (unsigned)fd + 1;
    process->fd_count++;
    object->refs++;
    return fd;
}

struct object *fd_object(int fd)
{
    struct object *object = fd >= 0 && fd < DESCRIPTORS_MAX ? me()->fds[fd].object : NULL;
    if (!object)
        errno = EBADF;
    return object;
}

struct object *fd_of_kind(int fd, enum object_kind kind, int wrong)
{
    struct object *object = fd_object(fd);
    if (object && object->kind != kind) {
        errno = wrong;
        return NULL;
    }
    return object;
}

int fd_close(struct process *process, int fd)
{
    struct object *object = fd >= 0 && fd < DESCRIPTORS_MAX ? process->fds[fd].object : NULL;
    if (!object) {
        errno = EBADF;
        return -1;
    }
    process->fds[fd].object = NULL;
    process->fd_count--;
    process->fd_first = MIN(process->fd_first, (unsigned)fd);
    object_unref(object);
    return 0;
}
