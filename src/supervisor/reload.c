/* New settings under way: everything is read, checked and opened first; only then are the processes told. */
#include "supervisor/notify.h"
#include "supervisor/supervisor_priv.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FAULTS_MAX = 64 << 10, ANSWER_MS = 30000 };

struct reload {
    struct supervisor *supervisor;
    struct loop_timer late;  /* a process that does not answer must not hold up all later reloads */
    reload_done_fn *on_done;
    void *arg;
    unsigned waiting;     /* processes that have not answered */
    struct buf faults;
    struct doors *old_doors; /* closed when everybody has the new ones */
    struct plan *old_plan;
};

static void finish(struct supervisor *supervisor)
{
    struct reload *reload = supervisor->reload;
    supervisor->reload = NULL;
    loop_timer_stop(&reload->late);
    doors_unlink(reload->old_doors, supervisor->doors);
    doors_free(reload->old_doors);
    plan_free(reload->old_plan);
    notify("READY=1");
    if (reload->faults.n)
        log_error(&supervisor->log, "reload-failed", LOG_SPAN("why", buf_span(&reload->faults)));
    else
        log_info(&supervisor->log, "reloaded", LOG_INT("listeners", supervisor->doors->n));
    reload->on_done(reload->arg, buf_span(&reload->faults));
    buf_done(&reload->faults);
    free(reload);
    reload_next(supervisor);
}

void reload_answer(struct child *child, struct span fault)
{
    struct reload *reload = child->supervisor->reload;
    child->reloading = false;
    if (!reload)
        return;
    if (fault.n)
        buf_printf(&reload->faults, "%s %u: %.*s\n", role_name(child->role), child->number, SPAN_ARGS(fault));
    if (--reload->waiting == 0)
        finish(child->supervisor);
}

static void on_late(struct loop_timer *timer)
{
    struct supervisor *supervisor = CONTAINER(timer, struct reload, late)->supervisor;
    for (unsigned i = 0; i < supervisor->child_count && supervisor->reload; i++)
        if (supervisor->children[i].reloading)
            reload_answer(&supervisor->children[i], SPAN("did not answer in time"));
}

/* A rotated log is a new file under the same name, so it is opened anew each time. */
static bool open_log(struct supervisor *supervisor, const struct plan *plan, struct conf_faults *faults)
{
    unsigned before = faults->count;
    int fd = folders_log(plan, faults);
    if (faults->count != before || fd < 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    log_flush(&supervisor->log);
    close(supervisor->log_fd);
    supervisor->log_fd = supervisor->log.fd = fd;
    supervisor->log.least = (enum log_level)plan->settings->common.log.level;
    return true;
}

/* Says what a restart is needed for, though everything else holds now. */
static void warn_processes(struct supervisor *supervisor, const struct plan *plan)
{
    const struct root_settings *old = supervisor->plan->settings, *new = plan->settings;
    if (old->smtpd.processes != new->smtpd.processes || old->delivery.processes != new->delivery.processes)
        log_warning(&supervisor->log, "restart-needed",
                    LOG_STR("why", "the number of processes changes only at a restart"));
}

static bool prepare(struct supervisor *supervisor, struct plan **plan, struct doors **doors,
                    struct conf_faults *faults)
{
    bool made = false;
    unsigned before = faults->count;
    *plan = plan_new(supervisor->path, faults);
    if (!*plan)
        return false;
    plan_compare(supervisor->plan, *plan, faults);
    if (faults->count != before || !plan_self_sign(*plan, faults, &made))
        return false;
    *doors = supervisor_doors_open(*plan, supervisor->doors, supervisor->doors->processes, faults);
    return *doors && doors_open_local(*doors, *plan, supervisor->doors, faults) && open_log(supervisor, *plan, faults);
}

static void tell_all(struct supervisor *supervisor)
{
    struct reload *reload = supervisor->reload;
    reload->waiting = 1; /* ourselves, so that nobody finishes it inside the loop */
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (!child->channel)
            continue;
        child_log(child);
        child_settings(child);
        child_order(child, SUPERVISOR_RELOAD);
        child->reloading = true;
        reload->waiting++;
    }
    if (--reload->waiting == 0)
        finish(supervisor);
}

static struct reload *reload_new(struct supervisor *supervisor, reload_done_fn *on_done, void *arg)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (!reload)
        return NULL;
    *reload = (struct reload){ .supervisor = supervisor, .on_done = on_done, .arg = arg, .faults = BUF_EMPTY(FAULTS_MAX),
                               .old_doors = supervisor->doors, .old_plan = supervisor->plan };
    loop_timer_init(supervisor->loop, &reload->late, on_late);
    loop_timer_set(&reload->late, ANSWER_MS);
    return reload;
}

void reload_start(struct supervisor *supervisor, reload_done_fn *on_done, void *arg)
{
    struct plan *plan = NULL;
    struct doors *doors = NULL;
    struct conf_faults faults;
    if (supervisor->stage >= STAGE_STOPPING) {
        supervisor->reloads++;
        on_done(arg, SPAN("the server is stopping\n"));
        return;
    }
    if (supervisor->stage == STAGE_STARTING || supervisor->reload) {
        if (!supervisor->next_reload || arg) { /* a signal has nobody to answer, so it never takes the place */
            supervisor->next_reload = on_done;
            supervisor->next_reload_arg = arg;
        }
        return;
    }
    supervisor->reloads++;
    notify_reloading();
    conf_faults_init(&faults, supervisor->path);
    if (prepare(supervisor, &plan, &doors, &faults) && (supervisor->reload = reload_new(supervisor, on_done, arg))) {
        warn_processes(supervisor, plan);
        limits_tell(supervisor, plan);
        supervisor->plan = plan;
        supervisor->doors = doors;
        tell_all(supervisor);
    } else {
        log_error(&supervisor->log, "reload-refused", LOG_SPAN("why", buf_span(&faults.text)));
        doors_unlink(doors, supervisor->doors);
        doors_free(doors);
        plan_free(plan);
        notify("READY=1");
        on_done(arg, faults.text.n ? buf_span(&faults.text) : SPAN("out of memory\n"));
    }
    conf_faults_done(&faults);
}

void reload_next(struct supervisor *supervisor)
{
    reload_done_fn *on_done = supervisor->next_reload;
    supervisor->next_reload = NULL;
    if (on_done)
        reload_start(supervisor, on_done, supervisor->next_reload_arg);
}

void reload_cancel(struct supervisor *supervisor)
{
    if (!supervisor->reload) {
        reload_next(supervisor); /* is told that we are stopping */
        return;
    }
    for (unsigned i = 0; i < supervisor->child_count; i++)
        supervisor->children[i].reloading = false;
    buf_add_str(&supervisor->reload->faults, "the server is stopping\n");
    finish(supervisor);
}
