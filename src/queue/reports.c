/* Reports to senders: composed from the record and what the core knows, stored in our own log like any message. */
#include "intake/intake.h"
#include "mail/dsn.h"
#include "queue/retry.h"
#include "queue/role_priv.h"
#include <stdlib.h>
#include <unistd.h>

#define REPORT_OCTETS_MAX ((size_t)64 << 20)
#define HEADER_OCTETS_MAX ((size_t)64 << 10) /* of the original's header */

struct original {
    struct buf record;          /* what spool_message borrows from */
    struct spool_message message;
    struct buf octets;          /* the beginning of it, or all */
    struct span header, body;
};

struct report_job {
    struct list link;
    struct queue_role *role;
    struct queue_report *report;
    struct original original;
    struct intake intake;
};

static void job_free(struct report_job *job)
{
    list_remove(&job->link);
    job->role->report_count--;
    intake_done(&job->intake);
    buf_done(&job->original.record);
    buf_done(&job->original.octets);
    free(job);
}

/* -- the original -- */

static void original_cut(struct original *original)
{
    struct span all = buf_span(&original->octets);
    size_t end = span_find_span(all, SPAN("\r\n\r\n"));
    original->header = span_head(all, MIN(end + 2, all.n));
    original->body = span_from(all, MIN(end + 4, all.n));
}

static enum status original_read(struct queue_role *role, const struct queue_message *message, struct original *ret)
{
    uint64_t return_max = (uint64_t)role_root(role)->dsn.return_octets;
    int fd, body_fd = -1;
    enum status status = disk_read(role, message, &ret->record, &ret->message, &fd);
    if (status != STATUS_OK)
        return status;
    if (message->body)
        status = spool_store_body_read_fd(role->store, message->body, &body_fd);
    uint64_t octets = ret->message.octets;
    uint64_t want = octets <= return_max ? octets : MIN(octets, HEADER_OCTETS_MAX);
    if (status == STATUS_OK)
        status = buf_reserve(&ret->octets, want);
    if (status == STATUS_OK)
        status = spool_message_pread(spool_store_ops(role->store), fd, body_fd, &ret->message, 0, ret->octets.p, want);
    if (status == STATUS_OK)
        ret->octets.n = want;
    close(fd);
    if (body_fd >= 0)
        close(body_fd);
    original_cut(ret);
    return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
}

/* -- the report -- */

static struct status_code code_of(const struct queue_report *report, const struct queue_words *words)
{
    struct status_code code = { words->enhanced[0], words->enhanced[1], words->enhanced[2] };
    if (code.class == 0 && words->code)
        code = status_code_from_reply(words->code);
    switch (report->kind) {
    case QUEUE_REPORT_DELIVERED:
    case QUEUE_REPORT_RELAYED:
        return code.class == 2 ? code : STATUS_CODE(2, 0, 0);
    case QUEUE_REPORT_DELAYED:
        return code.class == 4 ? code : STATUS_CODE(4, 4, 7);
    case QUEUE_REPORT_FAILED:
        break;
    }
    if (report->expired)
        return code.class == 4 ? code : STATUS_CODE(4, 4, 7);
    return code.class == 5 ? code : STATUS_CODE(5, 0, 0);
}

static const enum dsn_action actions[] = {
    [QUEUE_REPORT_FAILED] = DSN_FAILED, [QUEUE_REPORT_DELAYED] = DSN_DELAYED,
    [QUEUE_REPORT_DELIVERED] = DSN_DELIVERED, [QUEUE_REPORT_RELAYED] = DSN_RELAYED,
};

static bool recipient_fill(struct queue_role *role, const struct queue_report *report, const struct queue_told *told,
                           const struct spool_envelope *envelope, struct dsn_recipient *ret)
{
    if (told->index >= envelope->recipient_count)
        return false;
    struct spool_recipient recipient = spool_envelope_recipient(envelope, told->index);
    struct queue_words words = queue_reason_words(told->reason);
    *ret = (struct dsn_recipient){
        .address = recipient.address, .original = recipient.orcpt, .action = actions[report->kind],
        .status = code_of(report, &words), .remote_host = words.host, .remote_address = words.address,
        .reply = words.code, .text = words.text,
        .attempt_wall_ms = report->expired || report->kind == QUEUE_REPORT_DELAYED ? 0 : role_now(role),
        .retry_until_wall_ms = report->kind == QUEUE_REPORT_DELAYED
                                   ? queue_expires_ms(role->queue.settings, report->id) : 0,
    };
    return true;
}

static struct span reader_of(struct queue_role *role, const struct queue_report *report,
                             const struct spool_envelope *envelope)
{
    return report->to_postmaster || !envelope->sender.n ? buf_span(&role->postmaster) : envelope->sender;
}

static enum dsn_return return_of(const struct queue_report *report, const struct spool_envelope *envelope)
{
    if (report->kind != QUEUE_REPORT_FAILED || envelope->ret == SPOOL_RET_HDRS)
        return DSN_RETURN_HEADERS; /* RFC 3461 section 4.3: RET=FULL is for failures */
    return DSN_RETURN_FULL;
}

static enum status report_write(struct queue_role *role, const struct queue_report *report, struct original *original,
                                uint64_t id, struct buf *ret, bool *ret_utf8)
{
    const struct spool_envelope *envelope = &original->message.envelope;
    struct dsn_recipient *recipients = calloc(report->count, sizeof *recipients);
    if (!recipients)
        return STATUS_MEMORY;
    struct dsn dsn = {
        .hostname = buf_span(&role->hostname), .postmaster = buf_span(&role->postmaster),
        .to = reader_of(role, report, envelope), .report_id = id, .message_id = report->id,
        .now_wall_ms = role_now(role), .arrival_wall_ms = envelope->accepted_wall_ms, .envid = envelope->envid,
        .received_from = envelope->helo, .recipients = recipients, .recipient_count = report->count,
        .header = original->header, .body = original->body, .ret = return_of(report, envelope),
        .return_max = (size_t)role_root(role)->dsn.return_octets,
    };
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < report->count && status == STATUS_OK; i++)
        if (!recipient_fill(role, report, &report->told[i], envelope, &recipients[i]))
            status = STATUS_DAMAGED;
    if (status == STATUS_OK)
        status = dsn_write(&dsn, ret, ret_utf8);
    free(recipients);
    return status;
}

/* -- into our log -- */

static void log_report(const struct report_job *job)
{
    struct queue_role *role = job->role;
    const struct queue_report *report = job->report;
    const struct spool_envelope *envelope = &job->original.message.envelope;
    struct span to = intake_recipient_of(&job->intake, 0);
    static const char *const events[] = { [QUEUE_REPORT_FAILED] = "bounced", [QUEUE_REPORT_DELAYED] = "delayed",
                                          [QUEUE_REPORT_DELIVERED] = "reported-delivered",
                                          [QUEUE_REPORT_RELAYED] = "reported-relayed" };
    char text[ID_TEXT_SIZE];
    for (uint32_t i = 0; i < report->count; i++) {
        struct queue_words words = queue_reason_words(report->told[i].reason);
        log_info(role_log(role), report->expired ? "expired" : events[report->kind], LOG_ID(report->id),
                 LOG_SPAN("recipient", spool_envelope_recipient(envelope, report->told[i].index).address),
                 LOG_SPAN("to", to), LOG_STR("report", id_text(job->intake.id, text)), LOG_INT("code", words.code),
                 LOG_SPAN("text", words.text));
    }
}

/* The next start finds what is on disk; until then nobody would send it. So where there is no memory to take it in, that
 * start is now. */
enum status role_own_stored(struct queue_role *role, const struct intake *intake)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1u << 20);
    struct writer_enqueue told;
    intake_announce(intake, &body);
    if (body.failed || !writer_enqueue_get(buf_span(&body), &told))
        abort();
    struct queue_arrival arrival = { .id = told.id, .segment = told.segment, .offset = told.offset, .length = told.length,
                                     .flags = told.flags, .account = told.account, .sender = told.sender,
                                     .recipient_count = told.recipient_count, .recipients = told.recipients };
    enum status status = role_own_arrival(role, &arrival);
    if (status == STATUS_MEMORY)
        abort();
    return status;
}

static void on_stored(struct intake *intake, enum status status)
{
    struct report_job *job = intake->arg;
    struct queue_role *role = job->role;
    struct queue_report *report = job->report;
    if (status == STATUS_OK) {
        log_report(job);
        status = role_own_stored(role, &job->intake);
    } else {
        log_error(role_log(role), "report-not-stored", LOG_ID(report->id), LOG_STR("why", status_text(status)));
    }
    job_free(job);
    queue_reported(&role->queue, role_now(role), report, status);
    loop_later(&role->reports_task);
}

enum status role_own_arrival(struct queue_role *role, const struct queue_arrival *arrival)
{
    struct queue_log_segment *segment = queue_segment_find(&role->queue, arrival->segment);
    enum status status = queue_arrived(&role->queue, role_now(role), arrival);
    if (status == STATUS_OK && segment)
        segment->known = MAX(segment->known, arrival->offset);
    else
        log_error(role_log(role), "announcement-refused", LOG_ID(arrival->id), LOG_STR("why", status_text(status)));
    return status;
}

static enum status store(struct report_job *job)
{
    struct queue_role *role = job->role;
    struct original *original = &job->original;
    AUTO(buf_done) struct buf text = BUF_EMPTY(REPORT_OCTETS_MAX);
    struct span to = reader_of(role, job->report, &original->message.envelope);
    struct intake_facts facts = { .hostname = buf_span(&role->hostname), .is_report = true,
                                  .id = id_next(&role->ids, role_now(role)), .now_wall_ms = role_now(role) };
    enum status status = report_write(role, job->report, original, facts.id, &text, &facts.utf8);
    facts.body_8bit = status == STATUS_OK && !span_is_ascii(buf_span(&text));
    if (status == STATUS_OK)
        status = intake_sender(&job->intake, SPAN_NONE);
    if (status == STATUS_OK)
        status = intake_recipient(&job->intake, to, SPAN_NONE, NOTIFY_NEVER);
    if (status == STATUS_OK)
        status = intake_take(&job->intake, buf_span(&text));
    if (status == STATUS_OK)
        status = intake_header(&job->intake, &facts);
    if (status == STATUS_OK)
        status = intake_compose(&job->intake, &facts);
    if (status == STATUS_OK)
        status = intake_store(&job->intake, role->writer, NULL, on_stored);
    return status;
}

/* OK: on_stored follows. */
static enum status report_begin(struct queue_role *role, struct queue_report *report,
                                const struct queue_message *message)
{
    struct report_job *job = calloc(1, sizeof *job);
    if (!job)
        return STATUS_MEMORY;
    *job = (struct report_job){ .role = role, .report = report };
    job->original.record = job->original.octets = BUF_EMPTY(REPORT_OCTETS_MAX);
    list_add_last(&role->report_jobs, &job->link);
    role->report_count++;
    intake_init(&job->intake, REPORT_OCTETS_MAX);
    job->intake.arg = job;
    enum status status = original_read(role, message, &job->original);
    if (status == STATUS_OK)
        status = store(job);
    if (status != STATUS_OK)
        job_free(job);
    return status;
}

static void report_do(struct queue_role *role, struct queue_report *report)
{
    struct queue_message *message = queue_message_find(&role->queue, report->id);
    enum status status = STATUS_OK; /* a message that is gone is no longer late */
    if (message) {
        status = report_begin(role, report, message);
        if (status == STATUS_OK)
            return;
        log_error(role_log(role), "report-failed", LOG_ID(report->id), LOG_STR("why", status_text(status)),
                  LOG_INT("tries", report->tries));
    }
    queue_reported(&role->queue, role_now(role), report, status);
}

static void on_task(struct loop_task *task)
{
    struct queue_role *role = CONTAINER(task, struct queue_role, reports_task);
    while (role->report_count < ROLE_REPORTS_MAX) {
        struct list *link = list_take_first(&role->reports);
        if (!link)
            break;
        report_do(role, CONTAINER(link, struct queue_report, link));
    }
    role_drain_check(role);
}

/* Not at once: the core is in the middle of something. */
void on_act_report(void *arg, struct queue_report *report)
{
    struct queue_role *role = arg;
    list_add_last(&role->reports, &report->link);
    loop_later(&role->reports_task);
}

void reports_init(struct queue_role *role)
{
    loop_task_init(role->process.loop, &role->reports_task, on_task);
}

/* Reports whose shares the core still has are freed with these. */
static void report_forget(struct queue_role *role, struct queue_report *report)
{
    list_remove(&report->link);
    if (report->kind == QUEUE_REPORT_DELAYED)
        queue_report_free(&role->queue, report);
}

void reports_close(struct queue_role *role)
{
    for (LIST_EACH(link, &role->report_jobs)) {
        struct report_job *job = CONTAINER(link, struct report_job, link);
        report_forget(role, job->report);
        job_free(job);
    }
    for (LIST_EACH(link, &role->reports))
        report_forget(role, CONTAINER(link, struct queue_report, link));
}
