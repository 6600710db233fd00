/* A run from its beginning to its end, and what is the same for every call: counting, time, chance, orders to kill, trace. */
#include "kernel_priv.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef KERNEL_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define WALL_MS INT64_C(1774000000000) /* a day in March 2026 */
#define DISK_OCTETS (UINT64_C(4) << 30)
#define STUCK_S 20

struct kernel kernel;

/* -- chance -- */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The bias is far below what anybody could see. */
uint64_t chance_below(uint64_t n) { return (uint64_t)((unsigned __int128)splitmix(&kernel.chance) * n >> 64); }
uint64_t kernel_random(void) { return splitmix(&kernel.world_chance); }
uint64_t kernel_below(uint64_t n) { return (uint64_t)((unsigned __int128)kernel_random() * n >> 64); }

bool fault(unsigned of_a_million)
{
    if (!of_a_million || !kernel.running || me() == kernel.world || chance_below(1000000) >= of_a_million)
        return false;
    kernel.figures.faults++;
    return true;
}

/* -- the trace -- */

static void hash_in(uint64_t value)
{
    uint64_t x = (kernel.figures.hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    kernel.figures.hash = x ^ (x >> 32);
}

static void hash_text(const char *text)
{
    for (; *text; text++)
        hash_in((unsigned char)*text);
}

bool kernel_traces(void) { return kernel.options.trace; }

static void print_head(void)
{
    const struct kernel_fiber *fiber = kernel.running;
    fprintf(stderr, "%12.6f ", (double)kernel.now_ns / 1e9);
    if (fiber)
        fprintf(stderr, "%d %s/%s ", fiber->process->pid, fiber->process->name, fiber->name);
}

void call_note(const char *text)
{
    if (!kernel.options.trace)
        return;
    print_head();
    fprintf(stderr, ".. %s\n", text);
}

/* The hash takes what was said, not to whom: the calls around it tell the rest. */
void kernel_trace(const char *format, ...)
{
    va_list args;
    hash_text(format);
    if (!kernel.options.trace)
        return;
    print_head();
    fputs("-- ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

ssize_t call_end(const char *name, int64_t a, int64_t b, int64_t c, ssize_t ret)
{
    hash_in((uint64_t)kernel.now_ns);
    hash_in((uint64_t)me()->pid << 32 ^ (uint64_t)ret);
    if (kernel.running->holds)
        object_hold(NULL);
    hash_in((uint64_t)a * 3 + (uint64_t)b * 5 + (uint64_t)c * 7 + (unsigned char)name[0]);
    if (!kernel.options.trace)
        return ret;
    int kept = errno;
    print_head();
    fprintf(stderr, "%s(%lld, %lld, %lld) = %lld%s%s\n", name, (long long)a, (long long)b, (long long)c, (long long)ret,
            ret < 0 ? " " : "", ret < 0 ? strerrorname_np(kept) : "");
    errno = kept;
    return ret;
}

/* -- calls -- */

/* A fiber that never blocks still takes time; the scheduler's chance is asked only as often as it counts. */
static void time_goes_by(void)
{
    kernel.now_ns += 200 + (int64_t)(kernel.figures.steps * 7919 % 1024);
    if (fault(kernel.faults.pause) && kernel.faults.pause_ms)
        fiber_sleep_until(now_us() + 1 + (int64_t)chance_below((uint64_t)kernel.faults.pause_ms * 1000));
    else if (fault(kernel.faults.change))
        fiber_pass();
}

static bool is_last(uint64_t *countdown) { return *countdown && --*countdown == 0; }

void call_begin(const char *name)
{
    kernel.figures.steps++;
    kernel.dies_in_call = false;
    events_run();
    time_goes_by();
    if (is_last(&me()->kill_calls))
        process_end(me(), KERNEL_KILLED, 0);
}

void call_begin_disk(const char *name)
{
    call_begin(name);
    struct process *process = me();
    if (process == kernel.world)
        return;
    bool cut = is_last(&kernel.cut_calls), kill = is_last(&process->kill_disk_calls);
    if (!cut && !kill)
        return;
    kernel.cutting = cut;
    if (chance_below(2))
        kernel.dies_in_call = true;
    else
        call_die();
}

bool call_dies(void) { return kernel.dies_in_call; }

void call_die(void)
{
    kernel.dies_in_call = false;
    if (kernel.cutting)
        kernel_power_cut();
    process_end(me(), KERNEL_KILLED, 0);
    abort();
}

/* -- power -- */

void kernel_power_cut(void)
{
    kernel.cut_calls = 0;
    kernel.cutting = false;
    kernel.figures.power_cuts++;
    kernel_trace("the power fails");
    sockets_power_cut();
    processes_kill();
    disk_power_cut();
    kernel_gate_open(&kernel.cut_gate);
    if (kernel.running && me()->dead)
        fiber_leave();
}

void kernel_power_cut_at_disk(uint64_t calls, int64_t ms)
{
    kernel.cut_calls = calls + 1;
    if (!fiber_wait(&kernel.cut_gate, now_us() + ms * 1000))
        kernel_power_cut();
}

/* -- a run -- */

static uint64_t steps_seen;

/* Something runs and makes no call: real time is asked for nothing else. */
static void on_stuck(int signal)
{
    if (kernel.figures.steps != steps_seen) {
        steps_seen = kernel.figures.steps;
        return;
    }
    static const char text[] = "sim: nothing has called the kernel for a long time: it spins\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    abort();
}

/* Where the kernel stood when the program itself dies. */
static void tell_place(void)
{
    fprintf(stderr, "sim: seed %llu, step %llu, after %.3f s, in %s\n", (unsigned long long)kernel.options.seed,
            (unsigned long long)kernel.figures.steps, (double)kernel.now_ns / 1e9,
            kernel.running ? kernel.running->process->name : "the scheduler");
}

/* Its handler is taken away by its own coming (SA_RESETHAND). */
static void on_crash(int number)
{
    tell_place();
    raise(number);
}

static void handlers_set(void)
{
    static char stack[65536];
    const struct sigaction crash = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_RESETHAND };
    sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
    sigaction(SIGPROF, &(struct sigaction){ .sa_handler = on_stuck, .sa_flags = SA_RESTART | SA_ONSTACK }, NULL);
    sigaction(SIGABRT, &crash, NULL);
#ifdef KERNEL_ASAN
    __sanitizer_set_death_callback(tell_place);
#else
    sigaction(SIGSEGV, &crash, NULL);
    sigaction(SIGBUS, &crash, NULL);
#endif
    struct timeval period = { .tv_sec = STUCK_S };
    setitimer(ITIMER_PROF, &(struct itimerval){ period, period }, NULL);
}

void kernel_begin(const struct kernel_options *options)
{
    globals_init();
    kernel = (struct kernel){ .on = true, .options = *options, .next_pid = WORLD };
    kernel.chance = options->seed * UINT64_C(0xd1342543de82ef95) + 1;
    kernel.world_chance = ~kernel.chance;
    kernel.faults.sync_us = 200;
    kernel.faults.latency_us = 200;
    kernel.wall_offset_us = (options->wall_ms ? options->wall_ms : WALL_MS) * 1000;
    list_init(&kernel.processes);
    disk_init(options->disk_octets ? options->disk_octets : DISK_OCTETS);
    kernel.world = process_new("world");
    kernel.next_pid = 100;
    steps_seen = UINT64_MAX;
    handlers_set();
}

static void *world_arg;
static void (*world_main)(void *arg);

static void run_world(void *arg)
{
    world_main(world_arg);
    kernel.over = true;
}

bool kernel_run(void (*main)(void *arg), void *arg)
{
    world_main = main;
    world_arg = arg;
    fiber_new(kernel.world, "main", run_world, NULL);
    fibers_run();
    kernel.figures.simulated_ms = kernel.now_ns / 1000000;
    return !kernel.failed;
}

void kernel_end(void)
{
    setitimer(ITIMER_PROF, &(struct itimerval){ 0 }, NULL);
    processes_kill();
    process_end(kernel.world, KERNEL_KILLED, 0);
    sockets_done();
    disk_done();
    while (!list_is_empty(&kernel.processes))
        process_free(CONTAINER(list_first(&kernel.processes), struct process, link));
    fibers_done();
    events_done();
    kernel.on = false;
}

void kernel_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!kernel.failed)
        vsnprintf(kernel.failure, sizeof kernel.failure, format, args);
    va_end(args);
    kernel.failed = true;
    kernel_trace("failed: %s", kernel.failure);
    if (!inside())
        abort();
    fiber_wait(NULL, NEVER);
    abort();
}

const char *kernel_failure(void) { return kernel.failed ? kernel.failure : NULL; }
const struct kernel_figures *kernel_figures(void) { return &kernel.figures; }
struct kernel_faults *kernel_faults(void) { return &kernel.faults; }

void __wrap___assert_fail(const char *what, const char *file, unsigned line, const char *function);
void __wrap___assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
    if (!inside()) {
        fprintf(stderr, "%s:%u: %s: %s\n", file, line, function, what);
        abort();
    }
    kernel_fail("%s: assert at %s:%u: %s", me()->name, file, line, what);
}

/* -- time, as the world sees it -- */

int64_t kernel_now_ms(void) { return kernel.now_ns / 1000000; }
int64_t kernel_now_us(void) { return now_us(); }
int64_t kernel_wall_ms(void) { return (now_us() + kernel.wall_offset_us) / 1000; }
void kernel_wall_jump(int64_t by_ms)
{
    kernel_trace("the wall clock jumps by %lld ms", (long long)by_ms);
    kernel.wall_offset_us += by_ms * 1000;
}
void kernel_sleep_ms(int64_t ms) { fiber_sleep_until(now_us() + MAX(ms, 0) * 1000); }
void kernel_yield(void) { fiber_pass(); }
void kernel_fiber(const char *name, void (*run)(void *arg), void *arg) { fiber_new(kernel.world, name, run, arg); }
bool kernel_gate_wait(struct kernel_gate *gate, int64_t ms)
{
    return fiber_wait(gate, ms < 0 ? NEVER : now_us() + ms * 1000);
}
