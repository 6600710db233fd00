#include "spool/jobs_priv.h"

#define JOBS_MAX (1u << 20)

enum status jobs_init(struct jobs *jobs, struct loop *loop, bool no_thread)
{
    *jobs = (struct jobs){ .loop = loop };
    list_init(&jobs->running);
    if (no_thread)
        return STATUS_OK;
    jobs->workers = workers_new(loop, 1, JOBS_MAX);
    return jobs->workers ? STATUS_OK : STATUS_IO;
}

void jobs_done(struct jobs *jobs, void (*drop)(struct job *job))
{
    workers_free(jobs->workers);
    jobs->workers = NULL;
    struct list *link;
    while ((link = list_take_first(&jobs->running)) != NULL) {
        struct job *job = CONTAINER(link, struct job, link);
        loop_task_cancel(&job->task);
        drop(job);
    }
}

static void on_work(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    job->run(job);
}

static void finished(struct job *job)
{
    list_remove(&job->link);
    job->on_done(job);
}

static void on_work_done(struct work *work) { finished(CONTAINER(work, struct job, work)); }

static void on_task(struct loop_task *task)
{
    struct job *job = CONTAINER(task, struct job, task);
    job->run(job);
    finished(job);
}

void jobs_do(struct jobs *jobs, struct job *job)
{
    job->jobs = jobs;
    job->work.run = on_work;
    job->work.on_done = on_work_done;
    loop_task_init(jobs->loop, &job->task, on_task);
    list_add_last(&jobs->running, &job->link);
    if (!jobs->workers || workers_do(jobs->workers, &job->work) != STATUS_OK)
        loop_later(&job->task); /* too much waits for the worker: better slow than not at all */
}
