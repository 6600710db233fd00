/* Letters that directory wants sent: composed, stored in our own log, delivered like any message. */
#include "intake/intake.h"
#include "mail/notice.h"
#include "queue/role_priv.h"
#include <stdlib.h>

#define NOTICES_MOST 100 /* being stored at once; more are dropped, and the log has what they say */
#define NOTICE_OCTETS_MAX ((size_t)128 << 10)

struct notice_job {
    struct list link;
    struct queue_role *role;
    struct intake intake;
};

static void job_free(struct notice_job *job)
{
    list_remove(&job->link);
    job->role->report_count--;
    intake_done(&job->intake);
    free(job);
}

static void on_stored(struct intake *intake, enum status status)
{
    struct notice_job *job = intake->arg;
    struct queue_role *role = job->role;
    if (status == STATUS_OK)
        status = role_own_stored(role, intake);
    if (status == STATUS_OK)
        log_info(role_log(role), "notice", LOG_ID(intake->id), LOG_SPAN("to", intake_recipient_of(intake, 0)));
    else
        log_error(role_log(role), "notice-not-stored", LOG_SPAN("to", intake_recipient_of(intake, 0)), LOG_STR("why", status_text(status)));
    job_free(job);
    loop_later(&role->reports_task); /* a report may have waited for this one's place, and the end of everything for its own */
}

static enum status store(struct notice_job *job, const struct backlog_notice *notice)
{
    struct queue_role *role = job->role;
    AUTO(buf_done) struct buf text = BUF_EMPTY(NOTICE_OCTETS_MAX);
    struct intake_facts facts = { .hostname = buf_span(&role->hostname), .is_report = true, .id = id_next(&role->ids, role_now(role)),
                                  .now_wall_ms = role_now(role) };
    struct notice letter = { .hostname = facts.hostname, .postmaster = buf_span(&role->postmaster),
                             .to = notice->to.n ? notice->to : buf_span(&role->postmaster), .subject = notice->subject,
                             .text = notice->text, .id = facts.id, .now_wall_ms = facts.now_wall_ms };
    enum status status = notice_write(&letter, &text, &facts.utf8);
    if (status == STATUS_OK)
        status = intake_sender(&job->intake, SPAN_NONE);
    if (status == STATUS_OK)
        status = intake_recipient(&job->intake, letter.to, SPAN_NONE, NOTIFY_NEVER);
    if (status == STATUS_OK)
        status = intake_take(&job->intake, buf_span(&text));
    if (status == STATUS_OK)
        status = intake_header(&job->intake, &facts);
    if (status == STATUS_OK)
        status = intake_compose(&job->intake, &facts);
    return status == STATUS_OK ? intake_store(&job->intake, role->writer, NULL, on_stored) : status;
}

void notices_send(struct queue_role *role, const struct backlog_notice *notice)
{
    bool full = role->report_count >= NOTICES_MOST || role->draining;
    struct notice_job *job = full ? NULL : calloc(1, sizeof *job);
    enum status status = full ? STATUS_FULL : STATUS_MEMORY;
    if (job) {
        job->role = role;
        list_add_last(&role->notices, &job->link);
        role->report_count++;
        intake_init(&job->intake, NOTICE_OCTETS_MAX);
        job->intake.arg = job;
        status = store(job, notice);
    }
    if (status == STATUS_OK)
        return;
    log_warning(role_log(role), "notice-not-stored", LOG_SPAN("to", notice->to), LOG_STR("why", status_text(status)));
    if (job)
        job_free(job);
}

void notices_close(struct queue_role *role)
{
    for (LIST_EACH(link, &role->notices))
        job_free(CONTAINER(link, struct notice_job, link));
}
