/* A body that was too large to come with its record is read through before a server hears of the message: what the
 * disk spoiled must not arrive as good. A thread does it, so that the others' mail goes on meanwhile. */
#include "delivery/job_priv.h"
#include <stdlib.h>

struct check {
    struct work work;
    struct list link;          /* in delivery->checks */
    struct job *job;           /* NULL: dropped meanwhile */
    struct place *segment, *body;
    struct spool_message message;
    enum status status;
};

static void run(struct work *work)
{
    struct check *check = CONTAINER(work, struct check, work);
    check->status = spool_message_check(&spool_ops_system, check->segment->fd, check->body ? check->body->fd : -1,
                                        &check->message);
}

static void check_free(struct check *check)
{
    job_check_forget(check->job);
    list_remove(&check->link);
    place_release(check->segment);
    place_release(check->body);
    free(check);
}

static void on_done(struct work *work)
{
    struct check *check = CONTAINER(work, struct check, work);
    struct job *job = check->job;
    enum status status = check->status;
    check_free(check);
    if (job)
        job_checked(job, status);
}

void job_check(struct job *job)
{
    struct delivery *delivery = job->delivery;
    struct check *check = job->message.body.p ? NULL : calloc(1, sizeof *check);
    if (!check) {
        job_checked(job, job->message.body.p ? STATUS_OK : STATUS_MEMORY);
        return;
    }
    *check = (struct check){ .work = { .run = run, .on_done = on_done }, .job = job, .message = job->message,
                             .segment = place_again(job->segment), .body = place_again(job->body) };
    job->check = check;
    site_expect(job->site);
    list_add_last(&delivery->checks, &check->link);
    if (delivery->readers && workers_do(delivery->readers, &check->work) == STATUS_OK)
        return;
    run(&check->work);
    on_done(&check->work);
}

void job_check_forget(struct job *job)
{
    if (job && job->check) {
        job->check->job = NULL;
        job->check = NULL;
        site_unexpect(job->site);
    }
}

void job_checks_free(struct delivery *delivery)
{
    workers_free(delivery->readers); /* first: it waits for those that still read */
    for (LIST_EACH(link, &delivery->checks))
        check_free(CONTAINER(link, struct check, link));
}
