#include "base/hash.h"
#include "base/mutant.h"
#include "spool/writer_priv.h"
#include <assert.h>
#include <stdlib.h>

/* Octets that are sent on to the disk together while more of the body comes. */
#define STEP (UINT64_C(1) << 20)

struct spool_body {
    struct list link;          /* in writer->bodies */
    struct spool_writer *writer;
    int fd;
    struct spool_body_ref ref;
    uint64_t sent_on;          /* octets that are on their way to the disk */
    struct work work;
    struct loop_task task;     /* tells of finished work where there are no workers */
    struct span chunk;         /* no octets: sync */
    enum status status;
    bool busy;                 /* a worker has it */
    spool_body_done *done;
    void *arg;
};

static void destroy(struct spool_body *body)
{
    body->writer->settings.ops->close(body->writer->settings.ops, body->fd);
    loop_task_cancel(&body->task);
    list_remove(&body->link);
    free(body);
}

/* Without this all of the body would reach the disk at its end, and every small commit meanwhile would wait behind it. One
 * step is on its way at a time, whatever the number of bodies, since one worker has them all: the disk's own queue stays
 * short, and the clients are taken from at the disk's pace. */
static void send_on(struct spool_body *body)
{
    const struct spool_ops *ops = body->writer->settings.ops;
    for (; ops->write_out && body->ref.octets - body->sent_on >= STEP; body->sent_on += STEP) {
        ops->write_out(ops, body->fd, (off_t)body->sent_on, (off_t)STEP, false);
        ops->write_out(ops, body->fd, (off_t)body->sent_on, (off_t)STEP, true);
    }
}

/* In a worker. After an error nothing more is written: the file is of no use. */
static void run(struct work *work)
{
    struct spool_body *body = CONTAINER(work, struct spool_body, work);
    const struct spool_ops *ops = body->writer->settings.ops;
    if (body->status != STATUS_OK)
        return;
    if (body->chunk.n == 0) {
        body->status = MUTANT(BODY_NOT_SYNCED) ? STATUS_OK : spool_fdatasync(ops, body->fd);
        return;
    }
    body->status = spool_pwrite_all(ops, body->fd, body->chunk.p, body->chunk.n, body->ref.octets);
    body->ref.check = crc32c(body->ref.check, body->chunk.p, body->chunk.n);
    body->ref.octets += body->chunk.n;
    send_on(body);
}

static void finished(struct spool_body *body)
{
    body->busy = false;
    body->done(body, body->arg, body->status);
}

static void on_done(struct work *work) { finished(CONTAINER(work, struct spool_body, work)); }

static void on_task(struct loop_task *task)
{
    struct spool_body *body = CONTAINER(task, struct spool_body, task);
    run(&body->work);
    finished(body);
}

struct spool_body *spool_body_new(struct spool_writer *writer, int fd, uint64_t number)
{
    struct spool_body *body = calloc(1, sizeof *body);
    if (!body) {
        writer->settings.ops->close(writer->settings.ops, fd);
        return NULL;
    }
    body->writer = writer;
    body->fd = fd;
    body->ref.number = number;
    body->work.run = run;
    body->work.on_done = on_done;
    loop_task_init(writer->loop, &body->task, on_task);
    list_add_last(&writer->bodies, &body->link);
    return body;
}

void spool_body_free(struct spool_body *body)
{
    assert(!body || !body->busy);
    if (body)
        destroy(body);
}

/* After the workers have stopped: nobody else knows these any more. */
void spool_writer_drop_bodies(struct spool_writer *writer)
{
    for (LIST_EACH(link, &writer->bodies))
        destroy(CONTAINER(link, struct spool_body, link));
}

static enum status start(struct spool_body *body, struct span chunk, spool_body_done *done, void *arg)
{
    body->chunk = chunk;
    body->done = done;
    body->arg = arg;
    enum status status = STATUS_OK;
    if (body->writer->workers)
        status = workers_do(body->writer->workers, &body->work);
    else
        loop_later(&body->task);
    body->busy = status == STATUS_OK;
    return status;
}

enum status spool_body_add(struct spool_body *body, struct span chunk, spool_body_done *done, void *arg)
{
    return chunk.n ? start(body, chunk, done, arg) : STATUS_TOO_LONG;
}

enum status spool_body_sync(struct spool_body *body, spool_body_done *done, void *arg)
{
    return start(body, SPAN_NONE, done, arg);
}

struct spool_body_ref spool_body_ref(const struct spool_body *body) { return body->ref; }
