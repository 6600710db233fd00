/* Threads: each is a fiber of its process. A mutex and a condition variable live in the octets of the real ones. */
#include "kernel_priv.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>

struct lock {
    struct kernel_fiber *owner;
    struct kernel_gate gate;
};
struct condition {
    struct kernel_gate gate;
};
_Static_assert(sizeof(struct lock) <= sizeof(pthread_mutex_t), "a mutex must have room");
_Static_assert(sizeof(struct condition) <= sizeof(pthread_cond_t), "a condition must have room");

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __real_sigprocmask(int how, const sigset_t *set, sigset_t *before);

static struct lock *lock_of(pthread_mutex_t *mutex) { return (struct lock *)(void *)mutex; }
static struct condition *condition_of(pthread_cond_t *condition) { return (struct condition *)(void *)condition; }

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *how);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *how)
{
    *lock_of(mutex) = (struct lock){ 0 };
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    if (inside() && (lock_of(mutex)->owner || lock_of(mutex)->gate.waiting))
        kernel_fail("%s destroys a mutex that is held", me()->name);
    return 0;
}

static void take(struct lock *lock)
{
    if (lock->owner == kernel.running)
        kernel_fail("%s/%s locks a mutex that it holds", me()->name, kernel.running->name);
    while (lock->owner)
        (void)fiber_wait(&lock->gate, NEVER);
    lock->owner = kernel.running;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!inside())
        return __real_pthread_mutex_lock(mutex);
    call_begin("mutex_lock");
    take(lock_of(mutex));
    return 0;
}

static void give(struct lock *lock)
{
    if (lock->owner != kernel.running)
        kernel_fail("%s/%s unlocks a mutex that it does not hold", me()->name, kernel.running->name);
    lock->owner = NULL;
    gate_open_one(&lock->gate);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!inside())
        return __real_pthread_mutex_unlock(mutex);
    give(lock_of(mutex));
    call_begin("mutex_unlock");
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *how);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *how)
{
    *condition_of(condition) = (struct condition){ 0 };
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition);
int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    if (inside() && condition_of(condition)->gate.waiting)
        kernel_fail("%s destroys a condition variable that somebody waits for", me()->name);
    return 0;
}

/* POSIX allows to wake up for nothing: that is one of the seed's chances. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    give(lock_of(mutex));
    if (fault(kernel.faults.eintr))
        fiber_pass();
    else
        (void)fiber_wait(&condition_of(condition)->gate, NEVER);
    take(lock_of(mutex));
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    gate_open_one(&condition_of(condition)->gate);
    call_begin("cond_signal");
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    kernel_gate_open(&condition_of(condition)->gate);
    call_begin("cond_broadcast");
    return 0;
}

/* -- threads -- */

static void run_thread(void *arg)
{
    struct kernel_fiber *fiber = arg;
    fiber->result = fiber->thread(fiber->thread_arg);
    fiber->finished = true; /* from here on it only waits to be joined */
    kernel_gate_open(&fiber->ended);
    fiber->is_thread = false;
    (void)fiber_wait(NULL, NEVER);
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *how, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    call_begin("pthread_create");
    if (fault(kernel.faults.open_emfile))
        return EAGAIN;
    char name[32] = "thread 0";
    name[7] = (char)('0' + me()->fiber_number % 10);
    struct kernel_fiber *fiber = fiber_new(me(), name, run_thread, NULL);
    fiber->arg = fiber;
    fiber->thread = run;
    fiber->thread_arg = arg;
    fiber->is_thread = true;
    *ret = (pthread_t)(uintptr_t)fiber;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_join(pthread_t thread, void **ret)
{
    call_begin("pthread_join");
    struct kernel_fiber *fiber = (struct kernel_fiber *)(uintptr_t)thread;
    while (!fiber->finished)
        (void)fiber_wait(&fiber->ended, NEVER);
    if (ret)
        *ret = fiber->result;
    fiber_vanish(fiber);
    return 0;
}

pthread_t __real_pthread_self(void);
pthread_t __wrap_pthread_self(void);
pthread_t __wrap_pthread_self(void) { return inside() ? (pthread_t)(uintptr_t)kernel.running : __real_pthread_self(); }

/* There are no signals. */
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    if (!inside())
        return __real_pthread_sigmask(how, set, before);
    if (before)
        sigemptyset(before);
    return 0;
}

int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
    return inside() ? __wrap_pthread_sigmask(how, set, before) : __real_sigprocmask(how, set, before);
}
