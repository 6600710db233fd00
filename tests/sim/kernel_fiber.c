/* Fibers and who of them goes on. Each has a stack of its own; the scheduler has the thread's. */
#include "kernel_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#ifdef KERNEL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_OCTETS (1u << 20)
#else
#define STACK_OCTETS (256u << 10)
#endif
#define GUARD_OCTETS 4096u

static struct {
    void *scheduler_sp;
    void *scheduler_fake;
    const void *thread_stack;
    size_t thread_stack_octets;
    struct kernel_fiber **ready;
    size_t ready_count, ready_room;
    struct kernel_fiber *gone;   /* stands on the stack that is to be given back */
    void *stacks;                /* spare ones; the first word of each names the next */
    struct process *loaded;      /* whose globals lie in memory */
} all;

/* -- switching -- */

#if defined(__x86_64__)
void kernel_switch_stacks(void **save, void *to);
__asm__(".text\n"
        ".globl kernel_switch_stacks\n"
        ".type kernel_switch_stacks, @function\n"
        "kernel_switch_stacks:\n"
        "  endbr64\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size kernel_switch_stacks, .-kernel_switch_stacks\n");

static void *stack_prepare(void *stack, void (*begin)(void))
{
    uintptr_t *top = (uintptr_t *)((char *)stack + STACK_OCTETS);
    *--top = 0; /* nobody to return to */
    *--top = (uintptr_t)begin;
    for (int i = 0; i < 6; i++)
        *--top = 0;
    return top;
}
#else /* slower, and the same */
static void kernel_switch_stacks(void **save, void *to)
{
    ucontext_t here;
    *save = &here;
    swapcontext(&here, to);
}

static void *stack_prepare(void *stack, void (*begin)(void))
{
    ucontext_t *context = stack;
    getcontext(context);
    size_t room = (sizeof *context + 63) / 64 * 64;
    context->uc_stack.ss_sp = (char *)stack + room;
    context->uc_stack.ss_size = STACK_OCTETS - room;
    context->uc_link = NULL;
    makecontext(context, begin, 0);
    return context;
}
#endif

static void to_scheduler(bool for_ever)
{
    struct kernel_fiber *fiber = kernel.running;
    fiber->kept_errno = errno;
#ifdef KERNEL_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &fiber->fake_stack, all.thread_stack, all.thread_stack_octets);
#endif
    kernel_switch_stacks(&fiber->sp, all.scheduler_sp);
#ifdef KERNEL_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &all.thread_stack, &all.thread_stack_octets);
#endif
    errno = fiber->kept_errno;
}

static void begin(void)
{
#ifdef KERNEL_ASAN
    __sanitizer_finish_switch_fiber(NULL, &all.thread_stack, &all.thread_stack_octets);
#endif
    struct kernel_fiber *fiber = kernel.running;
    fiber->run(fiber->arg);
    fiber_leave();
}

static void run_fiber(struct kernel_fiber *fiber)
{
    if (all.loaded != fiber->process) {
        if (all.loaded)
            globals_save(all.loaded->globals);
        globals_load(fiber->process->globals);
        all.loaded = fiber->process;
    }
    fiber->state = FIBER_RUNS;
    kernel.running = fiber;
    kernel.figures.switches++;
#ifdef KERNEL_ASAN
    __sanitizer_start_switch_fiber(&all.scheduler_fake, fiber->stack, STACK_OCTETS);
#endif
    kernel_switch_stacks(&all.scheduler_sp, fiber->sp);
#ifdef KERNEL_ASAN
    __sanitizer_finish_switch_fiber(all.scheduler_fake, NULL, NULL);
#endif
    kernel.running = NULL;
}

/* -- stacks -- */

static void *stack_take(void)
{
    void *stack = all.stacks;
    if (stack) {
        memcpy(&all.stacks, stack, sizeof all.stacks);
    } else {
        char *area = mmap(NULL, STACK_OCTETS + GUARD_OCTETS, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (area == MAP_FAILED || mprotect(area, GUARD_OCTETS, PROT_NONE) != 0)
            abort();
        stack = area + GUARD_OCTETS;
    }
    return stack;
}

static void stack_give(void *stack)
{
#ifdef KERNEL_ASAN
    __asan_unpoison_memory_region(stack, STACK_OCTETS);
#endif
    memcpy(stack, &all.stacks, sizeof all.stacks);
    all.stacks = stack;
}

/* -- who is ready -- */

static void ready_add(struct kernel_fiber *fiber)
{
    if (all.ready_count == all.ready_room) {
        all.ready_room = all.ready_room ? 2 * all.ready_room : 64;
        all.ready = kernel_grow(all.ready, all.ready_room * sizeof *all.ready);
    }
    fiber->state = FIBER_READY;
    fiber->ready_index = all.ready_count;
    all.ready[all.ready_count++] = fiber;
}

static void ready_remove(struct kernel_fiber *fiber)
{
    struct kernel_fiber *last = all.ready[--all.ready_count];
    all.ready[fiber->ready_index] = last;
    last->ready_index = fiber->ready_index;
}

/* -- gates -- */

static void gate_enter(struct kernel_gate *gate, struct kernel_fiber *fiber)
{
    struct kernel_fiber *first = gate->waiting; /* a ring; the first has waited longest */
    fiber->gate = gate;
    if (!first) {
        fiber->next = fiber->previous = fiber;
        gate->waiting = fiber;
        return;
    }
    fiber->next = first;
    fiber->previous = first->previous;
    first->previous->next = fiber;
    first->previous = fiber;
}

static void gate_leave(struct kernel_fiber *fiber)
{
    struct kernel_gate *gate = fiber->gate;
    if (!gate)
        return;
    fiber->gate = NULL;
    if (fiber->next == fiber) {
        gate->waiting = NULL;
        return;
    }
    fiber->next->previous = fiber->previous;
    fiber->previous->next = fiber->next;
    if (gate->waiting == fiber)
        gate->waiting = fiber->next;
}

static void wake(struct kernel_fiber *fiber, bool woken)
{
    gate_leave(fiber);
    event_stop(&fiber->timer);
    fiber->woken = woken;
    ready_add(fiber);
}

void kernel_gate_open(struct kernel_gate *gate)
{
    while (gate->waiting)
        wake(gate->waiting, true);
}

void gate_open_one(struct kernel_gate *gate)
{
    unsigned count = 0;
    struct kernel_fiber *fiber = gate->waiting;
    if (!fiber)
        return;
    do
        count++;
    while ((fiber = fiber->next) != gate->waiting);
    for (uint64_t skip = count > 1 ? chance_below(count) : 0; skip > 0; skip--)
        fiber = fiber->next;
    wake(fiber, true);
}

static void on_time(struct event *event)
{
    wake(CONTAINER(event, struct kernel_fiber, timer), false);
}

bool fiber_wait(struct kernel_gate *gate, int64_t until_us)
{
    struct kernel_fiber *fiber = kernel.running;
    if (until_us <= now_us())
        return false;
    if (gate)
        gate_enter(gate, fiber);
    if (until_us != NEVER) {
        fiber->timer.run = on_time;
        event_set(&fiber->timer, until_us);
    }
    fiber->state = FIBER_WAITS;
    to_scheduler(false);
    return fiber->woken;
}

void fiber_sleep_until(int64_t at_us) { (void)fiber_wait(NULL, at_us); }

void fiber_pass(void)
{
    ready_add(kernel.running);
    to_scheduler(false);
}

/* -- their life -- */

struct kernel_fiber *fiber_new(struct process *process, const char *name, void (*run)(void *), void *arg)
{
    struct kernel_fiber *fiber = kernel_calloc(1, sizeof *fiber);
    fiber->process = process;
    fiber->number = process->fiber_number++;
    fiber->run = run;
    fiber->arg = arg;
    snprintf(fiber->name, sizeof fiber->name, "%s", name);
    fiber->stack = stack_take();
    fiber->sp = stack_prepare(fiber->stack, begin);
    list_add_last(&process->fibers, &fiber->link);
    ready_add(fiber);
    return fiber;
}

static void unhook(struct kernel_fiber *fiber)
{
    if (fiber->state == FIBER_READY)
        ready_remove(fiber);
    gate_leave(fiber);
    event_stop(&fiber->timer);
    if (fiber->undo)
        fiber->undo(fiber);
    fiber->undo = NULL;
    object_unref(fiber->holds);
    fiber->holds = NULL;
    list_remove(&fiber->link);
    fiber->state = FIBER_GONE;
}

static void dispose(struct kernel_fiber *fiber)
{
    stack_give(fiber->stack);
    kernel_free(fiber);
}

void fiber_vanish(struct kernel_fiber *fiber)
{
    bool runs = fiber->state == FIBER_RUNS;
    unhook(fiber);
    if (runs)
        all.gone = fiber; /* the scheduler disposes of it, on its own stack */
    else
        dispose(fiber);
}

void fiber_leave(void)
{
    if (kernel.running->state != FIBER_GONE)
        fiber_vanish(kernel.running);
    to_scheduler(true);
    abort();
}

/* -- the scheduler -- */

static bool let_time_pass(void)
{
    int64_t next = events_next_us();
    if (next == NEVER) {
        if (!kernel.failed)
            snprintf(kernel.failure, sizeof kernel.failure, "everybody waits for ever");
        kernel.failed = true;
        return false;
    }
    kernel.now_ns = MAX(kernel.now_ns, next * 1000);
    events_run();
    return true;
}

void fibers_run(void)
{
    while (!kernel.over && !kernel.failed) {
        events_run();
        if (all.ready_count == 0) {
            if (!let_time_pass())
                break;
            continue;
        }
        struct kernel_fiber *fiber = all.ready[all.ready_count > 1 ? chance_below(all.ready_count) : 0];
        ready_remove(fiber);
        run_fiber(fiber);
        if (all.gone)
            dispose(all.gone);
        all.gone = NULL;
    }
}

void fibers_done(void)
{
    kernel_free(all.ready);
    all.ready = NULL;
    all.ready_count = all.ready_room = 0;
    all.loaded = NULL;
}
