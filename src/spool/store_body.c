/* Body files: made ahead, handed out empty, removed when no message names them any more. */
#include "spool/store_priv.h"
#include "base/mutant.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_NAME_SIZE 24

struct body_job {
    struct job job; /* first: store_drop_job() */
    struct spool_store *store;
    uint64_t number;
    int fd;
    enum status status;
};

static char *body_name(uint64_t number, char ret[BODY_NAME_SIZE])
{
    snprintf(ret, BODY_NAME_SIZE, "%016" PRIx64 ".body", number);
    return ret;
}

static bool body_name_parse(const char *name, uint64_t *ret)
{
    char again[BODY_NAME_SIZE], *end;
    uint64_t number = strtoull(name, &end, 16);
    if (strcmp(name, body_name(number, again)) != 0)
        return false;
    *ret = number;
    return true;
}

/* The name is synced as well before anybody writes into the file. */
static void run_make(struct job *job)
{
    struct body_job *self = CONTAINER(job, struct body_job, job);
    const struct spool_ops *ops = self->store->ops;
    char name[BODY_NAME_SIZE];
    self->fd = ops->openat(ops, self->store->bodies_dir, body_name(self->number, name),
                           O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (self->fd < 0)
        self->status = errno == ENOSPC || errno == EDQUOT ? STATUS_FULL : STATUS_IO;
    else if (!MUTANT(BODY_NAME_NOT_SYNCED))
        self->status = spool_fsync(ops, self->store->bodies_dir);
}

static void on_made(struct job *job)
{
    struct body_job *self = CONTAINER(job, struct body_job, job);
    struct spool_store *store = self->store;
    struct ready_body *body = self->status == STATUS_OK ? calloc(1, sizeof *body) : NULL;
    store->making_bodies--;
    if (body) {
        body->number = self->number;
        body->fd = self->fd;
        list_add_last(&store->ready_bodies, &body->link);
        store->body_count++;
    } else {
        store_report(store, "bodies", "a body file cannot be made");
        store->failing = true;
        if (self->fd >= 0)
            store->ops->close(store->ops, self->fd);
    }
    free(self);
    store_look_at_room(store);
    if (body)
        store->events->on_ready(store->arg);
}

/* Never the same number twice, also after files were removed and the process started anew. */
static uint64_t next_number(struct spool_store *store)
{
    uint64_t now = (uint64_t)store->ops->wall_ms(store->ops) << 16;
    store->last_body = MAX(store->last_body + 1, now);
    return store->last_body;
}

void store_refill_bodies(struct spool_store *store)
{
    while (store->started && !store->failing && !store->low &&
           store->body_count + store->making_bodies < store->settings.bodies_ahead) {
        struct body_job *self = calloc(1, sizeof *self);
        if (!self)
            return;
        self->store = store;
        self->fd = -1;
        self->number = next_number(store);
        self->job.run = run_make;
        self->job.on_done = on_made;
        store->making_bodies++;
        jobs_do(&store->jobs, &self->job);
    }
}

enum status spool_store_body_take(struct spool_store *store, uint64_t *ret_number, int *ret_fd)
{
    struct list *link = list_take_first(&store->ready_bodies);
    if (link) {
        struct ready_body *body = CONTAINER(link, struct ready_body, link);
        store->body_count--;
        *ret_number = body->number;
        *ret_fd = body->fd;
        free(body);
    }
    store_refill_bodies(store);
    return link ? STATUS_OK : store->low ? STATUS_FULL : STATUS_AGAIN;
}

enum status spool_store_body_read_fd(struct spool_store *store, uint64_t number, int *ret_fd)
{
    char name[BODY_NAME_SIZE];
    int fd = store->ops->openat(store->ops, store->bodies_dir, body_name(number, name),
                                O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    *ret_fd = fd;
    return STATUS_OK;
}

static void run_remove(struct job *job)
{
    struct body_job *self = CONTAINER(job, struct body_job, job);
    char name[BODY_NAME_SIZE];
    self->store->ops->unlinkat(self->store->ops, self->store->bodies_dir, body_name(self->number, name));
}

static void on_removed(struct job *job) { free(CONTAINER(job, struct body_job, job)); }

void spool_store_body_remove(struct spool_store *store, uint64_t number)
{
    struct body_job *self = calloc(1, sizeof *self);
    if (!self)
        return; /* the next start removes it */
    self->store = store;
    self->number = number;
    self->job.run = run_remove;
    self->job.on_done = on_removed;
    jobs_do(&store->jobs, &self->job);
}

struct sweep {
    struct spool_store *store;
    bool (*keep)(void *arg, uint64_t number);
    void *arg;
};

static bool each_body(void *arg, const char *name)
{
    struct sweep *sweep = arg;
    struct spool_store *store = sweep->store;
    uint64_t number;
    if (!body_name_parse(name, &number)) {
        char path[STORE_NAME_SIZE + 256];
        snprintf(path, sizeof path, "bodies/%.255s", name);
        store_report(store, path, "not a file of the spool; left alone");
        return true;
    }
    store->last_body = MAX(store->last_body, number);
    if (!sweep->keep(sweep->arg, number))
        store->ops->unlinkat(store->ops, store->bodies_dir, name);
    return true;
}

void spool_store_bodies(struct spool_store *store, bool (*keep)(void *arg, uint64_t number), void *arg)
{
    struct sweep sweep = { store, keep, arg };
    if (store->ops->list(store->ops, store->bodies_dir, each_body, &sweep) < 0)
        store_report(store, "bodies", "the directory cannot be read");
}

void store_drop_bodies(struct spool_store *store)
{
    struct list *link;
    while ((link = list_take_first(&store->ready_bodies)) != NULL) {
        struct ready_body *body = CONTAINER(link, struct ready_body, link);
        char name[BODY_NAME_SIZE];
        store->ops->close(store->ops, body->fd);
        store->ops->unlinkat(store->ops, store->bodies_dir, body_name(body->number, name));
        free(body);
    }
}
