#include "loop/workers.h"
#include <signal.h>
#include <stdlib.h>

#define WORKER_THREADS_MAX 64

struct workers {
    struct mailbox done;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work *first, **last; /* waiting, oldest first */
    unsigned waiting, most;
    bool stop;
    unsigned threads;
    pthread_t thread[WORKER_THREADS_MAX];
};

static struct work *next_work(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (!workers->first && !workers->stop)
        pthread_cond_wait(&workers->wake, &workers->lock);
    struct work *work = workers->stop ? NULL : workers->first;
    if (work) {
        workers->first = work->next;
        if (!workers->first)
            workers->last = &workers->first;
        workers->waiting--;
    }
    pthread_mutex_unlock(&workers->lock);
    return work;
}

static void *run(void *arg)
{
    struct workers *workers = arg;
    struct work *work;
    while ((work = next_work(workers)) != NULL) {
        work->run(work);
        mailbox_put(&workers->done, &work->letter);
    }
    return NULL;
}

static void on_letter(struct mailbox *mailbox, struct letter *letter)
{
    struct work *work = CONTAINER(letter, struct work, letter);
    work->on_done(work);
}

static void start_threads(struct workers *workers, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the loop's thread */
    sigdelset(&all, SIGSYS); /* but who breaks the lock says so (lock/lock.h) */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; workers->threads < MIN(threads, WORKER_THREADS_MAX); workers->threads++)
        if (pthread_create(&workers->thread[workers->threads], NULL, run, workers) != 0)
            break;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct workers *workers_new(struct loop *loop, unsigned threads, unsigned most)
{
    struct workers *workers = calloc(1, sizeof *workers);
    if (!workers)
        return NULL;
    workers->last = &workers->first;
    workers->most = most;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    if (mailbox_init(&workers->done, loop, on_letter) != STATUS_OK) {
        free(workers);
        return NULL;
    }
    start_threads(workers, threads);
    if (workers->threads == 0) {
        workers_free(workers);
        return NULL;
    }
    return workers;
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->threads; i++)
        pthread_join(workers->thread[i], NULL);
    mailbox_done(&workers->done);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

enum status workers_do(struct workers *workers, struct work *work)
{
    enum status status = STATUS_OK;
    work->next = NULL;
    pthread_mutex_lock(&workers->lock);
    if (workers->waiting >= workers->most) {
        status = STATUS_FULL;
    } else {
        *workers->last = work;
        workers->last = &work->next;
        workers->waiting++;
        pthread_cond_signal(&workers->wake);
    }
    pthread_mutex_unlock(&workers->lock);
    return status;
}
