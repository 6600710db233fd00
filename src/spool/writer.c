#include "spool/writer_priv.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define WAITING_MAX (256u << 20) /* octets, when the settings do not say */
#define BODY_WORKS_MAX 4096u

static void chain_init(struct spool_append **first, struct spool_append ***last)
{
    *first = NULL;
    *last = first;
}

/* -- the writing thread; the lock is held unless said otherwise -- */

static void tell_loop(struct spool_writer *writer)
{
    if (writer->letter_sent || !writer->has_thread)
        return;
    writer->letter_sent = true;
    mailbox_put(&writer->box, &writer->letter);
}

static void finish(struct spool_writer *writer, struct spool_append *first, enum status status)
{
    for (struct spool_append *append = first, *next; append; append = next) {
        next = append->next;
        append->status = status;
        append->next = NULL;
        *writer->finished_last = append;
        writer->finished_last = &append->next;
    }
    tell_loop(writer);
}

static void note_sealed(struct spool_writer *writer, uint32_t number, uint32_t used, enum status why)
{
    writer->sealed[writer->sealed_count++] = (struct sealed){ number, used, why };
    tell_loop(writer);
}

static void seal_log(struct spool_writer *writer, enum status why)
{
    if (!spool_log_is_open(&writer->log))
        return;
    note_sealed(writer, writer->log.segment.number, writer->log.at, why);
    spool_log_close(&writer->log);
}

/* Opens the next segment in reserve; false: there is none. One that cannot be read any more is given up. */
static bool open_next(struct spool_writer *writer)
{
    while (writer->spare_count > 0) {
        struct spare spare = writer->spare[0];
        writer->spare_count--;
        memmove(writer->spare, writer->spare + 1, writer->spare_count * sizeof *writer->spare);
        enum status status = spool_log_open(&writer->log, spare.fd);
        if (status == STATUS_OK)
            return true;
        note_sealed(writer, spare.number, 0, status);
    }
    return false;
}

static struct spool_append *take_waiting(struct spool_writer *writer)
{
    struct spool_append *append = writer->waiting;
    writer->waiting = append->next;
    if (!writer->waiting)
        writer->waiting_last = &writer->waiting;
    append->next = NULL;
    return append;
}

/* An open segment that takes the first append. False: there is none at present, or none could take it. */
static bool make_room(struct spool_writer *writer)
{
    if (!spool_log_is_open(&writer->log) && !open_next(writer))
        return false;
    if (spool_append_octets(writer->waiting) > spool_segment_end(&writer->log.segment) - SPOOL_SEGMENT_FIRST) {
        finish(writer, take_waiting(writer), STATUS_TOO_LONG);
        return false;
    }
    if (spool_log_fits(&writer->log, 0, writer->waiting))
        return true;
    seal_log(writer, STATUS_OK);
    return open_next(writer);
}

/* As much of what waits as the open segment holds. */
static struct spool_append *take_batch(struct spool_writer *writer)
{
    struct spool_append *first = NULL, **last = &first;
    uint64_t taken = 0;
    while (writer->waiting && spool_log_fits(&writer->log, taken, writer->waiting)) {
        struct spool_append *append = take_waiting(writer);
        taken += (spool_append_octets(append) + SPOOL_ALIGN - 1) / SPOOL_ALIGN * SPOOL_ALIGN;
        *last = append;
        last = &append->next;
    }
    return first;
}

static void commit_batch(struct spool_writer *writer)
{
    struct spool_append *batch = take_batch(writer);
    if (!batch)
        return;
    pthread_mutex_unlock(&writer->lock);
    enum status status = spool_log_commit(&writer->log, batch);
    pthread_mutex_lock(&writer->lock);
    finish(writer, batch, status);
    if (status != STATUS_OK)
        seal_log(writer, status); /* what lies at its end is unknown */
}

/* Does what can be done now; false: nothing could. */
static bool work(struct spool_writer *writer)
{
    if (writer->waiting && writer->refuse && !spool_log_is_open(&writer->log) && writer->spare_count == 0) {
        struct spool_append *all = writer->waiting;
        chain_init(&writer->waiting, &writer->waiting_last);
        finish(writer, all, STATUS_FULL);
        return true;
    }
    if (writer->waiting) {
        struct spool_append *first = writer->waiting;
        if (make_room(writer))
            commit_batch(writer);
        return writer->waiting != first;
    }
    if (writer->seal) {
        writer->seal = false;
        seal_log(writer, STATUS_OK);
        return true;
    }
    return false;
}

static void *run(void *arg)
{
    struct spool_writer *writer = arg;
    pthread_mutex_lock(&writer->lock);
    while (!writer->stop) {
        if (work(writer))
            continue;
        writer->idle = true;
        pthread_cond_wait(&writer->wake, &writer->lock);
        writer->idle = false;
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* -- the loop's thread -- */

static void ask_for_segments(struct spool_writer *writer)
{
    while (writer->held + writer->asked < writer->settings.ahead + 1) {
        writer->asked++;
        writer->events->on_need(writer->arg);
    }
}

/* Tells what finished: first the appends, then the segments that hold them. */
static void tell_finished(struct spool_writer *writer)
{
    struct sealed sealed[ARRAY_LEN(writer->sealed)];
    pthread_mutex_lock(&writer->lock);
    struct spool_append *append = writer->finished;
    unsigned count = writer->sealed_count;
    memcpy(sealed, writer->sealed, count * sizeof *sealed);
    chain_init(&writer->finished, &writer->finished_last);
    writer->sealed_count = 0;
    writer->letter_sent = false;
    pthread_mutex_unlock(&writer->lock);

    while (append) {
        struct spool_append *next = append->next; /* on_done may free it */
        writer->count--;
        writer->octets -= spool_append_octets(append);
        append->on_done(append, append->status);
        append = next;
    }
    for (unsigned i = 0; i < count; i++) {
        writer->held--;
        writer->events->on_sealed(writer->arg, sealed[i].number, sealed[i].used, sealed[i].why);
    }
    ask_for_segments(writer);
}

static void on_letter(struct mailbox *box, struct letter *letter)
{
    tell_finished(CONTAINER(box, struct spool_writer, box));
}

static void wake_thread(struct spool_writer *writer)
{
    if (writer->idle)
        pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
}

static void hand_over(struct spool_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    if (writer->gathered) {
        *writer->waiting_last = writer->gathered;
        writer->waiting_last = writer->gathered_last;
        chain_init(&writer->gathered, &writer->gathered_last);
    }
    wake_thread(writer);
}

static void on_turn_end(struct loop_task *task)
{
    struct spool_writer *writer = CONTAINER(task, struct spool_writer, at_end);
    if (writer->gathered)
        hand_over(writer);
}

/* Without a thread: the whole work here and now. */
static void on_work(struct loop_task *task)
{
    struct spool_writer *writer = CONTAINER(task, struct spool_writer, at_end);
    hand_over(writer);
    pthread_mutex_lock(&writer->lock);
    while (work(writer)) {
    }
    pthread_mutex_unlock(&writer->lock);
    tell_finished(writer);
}

static void on_ask(struct loop_task *task) { ask_for_segments(CONTAINER(task, struct spool_writer, ask)); }

/* Something changed for the thread besides new appends; the lock is held. */
static void changed(struct spool_writer *writer)
{
    wake_thread(writer);
    if (!writer->has_thread)
        loop_later(&writer->at_end);
}

static bool start_thread(struct spool_writer *writer)
{
    sigset_t all, before;
    sigfillset(&all); /* signals belong to the loop's thread */
    sigdelset(&all, SIGSYS); /* but who breaks the lock says so (lock/lock.h) */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    writer->has_thread = true;
    int wrong = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    writer->has_thread = wrong == 0;
    errno = wrong;
    return writer->has_thread;
}

static void init(struct spool_writer *writer, struct loop *loop, const struct spool_writer_settings *settings)
{
    writer->loop = loop;
    writer->settings = *settings;
    writer->settings.ahead = MIN(MAX(settings->ahead, 1u), SPARE_MAX - 1u);
    if (!settings->waiting_max)
        writer->settings.waiting_max = WAITING_MAX;
    spool_log_init(&writer->log, settings->ops);
    writer->settings.ops = writer->log.ops;
    chain_init(&writer->gathered, &writer->gathered_last);
    chain_init(&writer->waiting, &writer->waiting_last);
    chain_init(&writer->finished, &writer->finished_last);
    list_init(&writer->bodies);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wake, NULL);
}

struct spool_writer *spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                      const struct spool_writer_events *events, void *arg)
{
    struct spool_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    init(writer, loop, settings);
    writer->events = events;
    writer->arg = arg;
    if (mailbox_init(&writer->box, loop, on_letter) != STATUS_OK) {
        free(writer);
        return NULL;
    }
    loop_task_init(loop, &writer->ask, on_ask);
    if (settings->no_thread)
        loop_task_init(loop, &writer->at_end, on_work);
    else
        loop_hook_add(loop, &writer->at_end, on_turn_end);
    if (!settings->no_thread && (!(writer->workers = workers_new(loop, 1, BODY_WORKS_MAX)) || !start_thread(writer))) {
        int wrong = errno;
        spool_writer_free(writer);
        errno = wrong;
        return NULL;
    }
    loop_later(&writer->ask);
    return writer;
}

void spool_writer_free(struct spool_writer *writer)
{
    if (!writer)
        return;
    if (writer->has_thread) {
        pthread_mutex_lock(&writer->lock);
        writer->stop = true;
        wake_thread(writer);
        pthread_join(writer->thread, NULL);
    }
    workers_free(writer->workers);
    spool_writer_drop_bodies(writer);
    loop_task_cancel(&writer->at_end); /* or the hook: both are links */
    loop_task_cancel(&writer->ask);
    mailbox_done(&writer->box);
    spool_log_done(&writer->log);
    while (writer->spare_count > 0)
        writer->settings.ops->close(writer->settings.ops, writer->spare[--writer->spare_count].fd);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

enum status spool_writer_give(struct spool_writer *writer, int fd)
{
    struct spool_segment segment;
    writer->asked -= writer->asked > 0;
    enum status status = spool_segment_read(writer->settings.ops, fd, &segment);
    pthread_mutex_lock(&writer->lock);
    if (status == STATUS_OK && (writer->spare_count == SPARE_MAX || writer->held == SPARE_MAX + 1))
        status = STATUS_FULL;
    if (status == STATUS_OK) {
        writer->spare[writer->spare_count++] = (struct spare){ fd, segment.number };
        writer->held++;
    }
    changed(writer);
    if (status != STATUS_OK)
        writer->settings.ops->close(writer->settings.ops, fd);
    return status;
}

void spool_writer_ask_again(struct spool_writer *writer)
{
    writer->asked = 0;
    loop_later(&writer->ask);
}

void spool_writer_set_low(struct spool_writer *writer, bool low)
{
    if (writer->low == low)
        return;
    writer->low = low;
    pthread_mutex_lock(&writer->lock);
    writer->refuse = low;
    changed(writer);
    if (!low)
        spool_writer_ask_again(writer);
}

bool spool_writer_is_full(const struct spool_writer *writer)
{
    return writer->low || writer->octets >= writer->settings.waiting_max;
}

enum status spool_writer_append(struct spool_writer *writer, struct spool_append *append)
{
    if (spool_writer_is_full(writer))
        return STATUS_FULL;
    append->next = NULL;
    *writer->gathered_last = append;
    writer->gathered_last = &append->next;
    writer->count++;
    writer->octets += spool_append_octets(append);
    if (!writer->has_thread)
        loop_later(&writer->at_end);
    return STATUS_OK;
}

size_t spool_writer_waiting(const struct spool_writer *writer) { return writer->count; }

void spool_writer_seal(struct spool_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->seal = true;
    changed(writer);
}
