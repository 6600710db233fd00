/* Holds what the ledger and the disk say to the promises. */
#include "world.h"
#include "base/id.h"
#include "spool/verify.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* -- windows: between a peer's 250 and the record of it -- */

static bool happened(enum incident_kind kind, uint64_t what, int64_t from, int64_t to)
{
    for (size_t i = 0; i < world->incident_count; i++) {
        const struct incident *at = &world->incidents[i];
        if (at->kind == kind && at->ms >= from && at->ms <= to && (!what || at->what == what))
            return true;
    }
    return false;
}

enum { SOON_MS = 6000, LONG_MS = 120000, WELL_AGAIN_MS = 30000 };

/* What began while the disk was ill may need some time after it. */
static bool disk_was_ill(int64_t from, int64_t to)
{
    bool ill = false;
    int64_t since_ms = 0;
    for (size_t i = 0; i < world->incident_count; i++) {
        const struct incident *at = &world->incidents[i];
        if (at->kind == DISK_FAILS)
            ill = true, since_ms = at->ms;
        else if (at->kind == DISK_HEALS && ill && since_ms <= to && at->ms + WELL_AGAIN_MS >= from)
            return true;
        else if (at->kind == DISK_HEALS)
            ill = false;
    }
    return ill && since_ms <= to;
}

/* How long after a moment its record may still be missing on disk: a turn of each loop, the journal's second, a sync. */
static int64_t slack_ms(int64_t ms) { return disk_was_ill(ms, ms + SOON_MS) ? LONG_MS : SOON_MS; }

/* While the journal could not be written, the window was open all the time. */
static int64_t window_end(int64_t ms)
{
    int64_t end = ms + slack_ms(ms);
    for (size_t i = 0; i < world->incident_count; i++) {
        const struct incident *at = &world->incidents[i];
        if (at->kind == JOURNAL_TROUBLE && at->ms <= end)
            end = INT64_MAX;
        else if (at->kind == JOURNAL_WORKS && at->ms >= ms && end == INT64_MAX)
            end = MAX(at->ms, ms) + slack_ms(at->ms);
    }
    return end;
}

/* What the queue knew at `ms` may be unknown to the next one. */
static bool queue_forgot(int64_t ms)
{
    int64_t end = window_end(ms);
    return happened(POWER_CUT, 0, ms, end) || happened(KILLED_ALL, 0, ms, end) || happened(KILLED_QUEUE, 0, ms, end);
}

/* What was on its way when its sender died arrives a little later, and a slow server reads it whenever it likes. */
static int64_t handed_ms(const struct sent *sent, int64_t came_ms) { return sent->left_ms ? MIN(sent->left_ms, came_ms) : came_ms; }
static int64_t handed_over_ms(const struct sent *sent) { return handed_ms(sent, sent->end_ms); }

/* The death of its sender may be noted a moment after the fact. */
enum { NOTED_MS = 1000 };
static int64_t reasons_from_ms(const struct sent *sent) { return handed_over_ms(sent) - (sent->left_ms ? NOTED_MS : 0); }

/* Its connection was cut before the record was safe, or held before that, whose end is a cut. */
static bool was_cut(const struct sent *sent, int64_t until)
{
    int64_t from = reasons_from_ms(sent);
    return happened(CONNECTION_CUT, sent->connection, from, until) ||
           (happened(CONNECTION_HELD, sent->connection, 0, until) && happened(CONNECTION_CUT, sent->connection, from, INT64_MAX));
}

static bool outcome_forgot(const struct sent *sent)
{
    int64_t from = reasons_from_ms(sent), end = window_end(sent->ms);
    return sent->how == HOW_UNSURE || sent->left_ms || happened(KILLED_DELIVERY, 0, from, end) || happened(KILLED_ALL, 0, from, end) ||
           happened(POWER_CUT, 0, from, end) || was_cut(sent, sent->ms + slack_ms(sent->ms)) ||
           happened(LEASES_UNTOLD, 0, from, INT64_MAX) || world->plan.memory;
}

/* A delivery process that dies alone leaves a queue that says so. */
static bool log_says_so(uint64_t id, const struct sent *sent, int64_t until)
{
    int64_t from = reasons_from_ms(sent), end = sent->left_ms ? sent->left_ms + NOTED_MS : window_end(sent->ms);
    if (sent->how == HOW_UNSURE || world->plan.memory || !happened(KILLED_DELIVERY, 0, from, end) ||
        happened(KILLED_ALL, 0, from, until) || happened(POWER_CUT, 0, from, until) ||
        happened(KILLED_QUEUE, 0, from - slack_ms(from), until) || was_cut(sent, end))
        return true;
    return happened(LEASE_LOST, id, from, until) || happened(LEASES_UNTOLD, 0, from, until);
}

static int by_handing_over(const void *a, const void *b)
{
    int64_t x = handed_over_ms(a), y = handed_over_ms(b);
    return x < y ? -1 : x > y;
}

/* All but one of them need a reason. */
static void check_twice(uint64_t id, const char *to, const struct sent *all, unsigned count)
{
    const struct sent *sure = NULL;
    struct sent sent[WORLD_SENDS];
    count = MIN(count, (unsigned)WORLD_SENDS);
    memcpy(sent, all, count * sizeof *sent);
    qsort(sent, count, sizeof *sent, by_handing_over);
    for (unsigned i = 0; i < count; i++) {
        if (!outcome_forgot(&sent[i]) && sure)
            kernel_fail("%s got it twice without a reason: at %lld ms and at %lld ms", to, (long long)sure->ms, (long long)sent[i].ms);
        if (!outcome_forgot(&sent[i]))
            sure = &sent[i];
        if (i + 1 < count && !log_says_so(id, &sent[i], sent[i + 1].ms + slack_ms(sent[i + 1].ms)))
            kernel_fail("%s got it twice, and the log does not say why: at %lld ms and at %lld ms", to, (long long)sent[i].ms,
                        (long long)sent[i + 1].ms);
        world->totals.twice += i > 0;
    }
}

/* -- each recipient's fate -- */

static void check_held(const struct letter *letter, const struct rcpt *rcpt)
{
    for (unsigned i = 0; rcpt->held_from && i < MIN(rcpt->sent_count, (unsigned)WORLD_SENDS); i++) {
        int64_t ms = handed_over_ms(&rcpt->sent[i]);
        if (ms > rcpt->held_from + 1000 && ms < rcpt->held_to && !queue_forgot(rcpt->held_from))
            kernel_fail("%s was held and got letter %u all the same", rcpt->address, letter->number);
    }
}

/* What the operator was told is synced: no restart undoes it. But who still has the lease may send it, and what was on its way
 * when its sender died arrives. */
static bool may_pass_delete(uint64_t id, const struct sent *sent)
{
    int64_t from = reasons_from_ms(sent), end = sent->end_ms;
    return happened(LEASES_UNTOLD, 0, 0, end) || happened(LEASE_LOST, id, 0, end) || happened(POWER_CUT, 0, from, end) ||
           happened(KILLED_ALL, 0, from, end) || happened(KILLED_DELIVERY, 0, from, end) || world->plan.memory;
}

static void check_deleted(const struct letter *letter, const struct rcpt *rcpt)
{
    if (rcpt->deleted != DELETED_YES || rcpt->sent_count == 0 || rcpt->sent_count > WORLD_SENDS)
        return;
    for (unsigned i = 0; i < rcpt->sent_count; i++) {
        const struct sent *sent = &rcpt->sent[i];
        if (handed_over_ms(sent) > rcpt->deleted_ms ? !may_pass_delete(letter->id, sent) : !outcome_forgot(sent))
            kernel_fail("%s was deleted from letter %u, and got it", rcpt->address, letter->number);
    }
}

/* Both ends at once need a reason, too. */
static void check_both(const struct letter *letter, const struct rcpt *rcpt)
{
    if (!rcpt->bounced || !rcpt->sent_count || world->plan.memory)
        return;
    int64_t bounced_ms = rcpt->bounced_ms[0];
    const struct sent *first = &rcpt->sent[0];
    bool on_its_way = handed_ms(first, first->mail_ms) < bounced_ms; /* its server may have read it after all patience */
    if (!(on_its_way && outcome_forgot(first)) && !(first->ms >= bounced_ms && queue_forgot(bounced_ms)))
        kernel_fail("%s got letter %u, and its sender was told that he did not", rcpt->address, letter->number);
}

static void check_bounced(const struct letter *letter, const struct rcpt *rcpt)
{
    for (unsigned i = 0; i + 1 < rcpt->bounced && i + 1 < ARRAY_LEN(rcpt->bounced_ms); i++)
        if (!queue_forgot(rcpt->bounced_ms[i]) && !world->plan.memory)
            kernel_fail("the failure of letter %u for %s was told twice", letter->number, rcpt->address);
    bool known = letter->sender[0]; /* a server that refuses all reports does not say whom it meant */
    if (rcpt->bounced && known && !rcpt->expired && !rcpt->refused && !world->domains[rcpt->domain].gone && !letter->damaged)
        kernel_fail("letter %u bounced for %s, whom nobody refused", letter->number, rcpt->address);
}

static void check_promise(const struct letter *letter, const struct rcpt *rcpt)
{
    struct totals *totals = &world->totals;
    totals->accepted++;
    totals->delivered += rcpt->sent_count > 0;
    totals->bounced += rcpt->bounced > 0;
    totals->deleted += rcpt->deleted == DELETED_YES;
    totals->silent += rcpt->silent > 0 && !rcpt->sent_count && !rcpt->bounced;
    bool is_known_silent = rcpt->silent || (world->plan.memory && (rcpt->refused || rcpt->expired || world->domains[rcpt->domain].gone));
    bool may_be_silent = is_known_silent && (rcpt->notify == 'n' || !letter->sender[0]);
    bool is_told = rcpt->bounced || (rcpt->told && world->plan.memory); /* for its line in the log there may have been no memory */
    if (!rcpt->sent_count && !is_told && rcpt->deleted == DELETED_NO && !may_be_silent && !letter->damaged) {
        char id[ID_TEXT_SIZE];
        kernel_fail("LOST: letter %u (%s), promised at %lld ms, never came to %s, and nobody was told", letter->number,
                    id_text(letter->id, id), (long long)letter->answer_ms, rcpt->address);
    }
}

static void check_letter(const struct letter *letter)
{
    world->totals.letters++;
    for (unsigned i = 0; i < letter->rcpt_count; i++) {
        const struct rcpt *rcpt = &letter->rcpts[i];
        if (!rcpt->accepted)
            continue;
        check_twice(letter->id, rcpt->address, rcpt->sent, rcpt->sent_count);
        check_held(letter, rcpt);
        check_deleted(letter, rcpt);
        check_both(letter, rcpt);
        check_bounced(letter, rcpt);
        if (letter->answer == ANSWER_TAKEN)
            check_promise(letter, rcpt);
        else if (letter->answer == ANSWER_REFUSED && rcpt->sent_count)
            world->totals.refused_delivered++;
    }
    bool quiet = !world->plan.kills && !world->plan.power && !world->plan.disk && !world->plan.memory;
    if (letter->answer == ANSWER_REFUSED && letter->logged && quiet && !letter->without_queue)
        kernel_fail("letter %u was refused and kept all the same", letter->number);
}

static void check_report(const struct report *report)
{
    char id[ID_TEXT_SIZE];
    bool is_over = report->arrived || report->dropped || report->bounced || report->deleted != DELETED_NO || report->damaged;
    if (!is_over)
        kernel_fail("LOST: the report %s about letter %u, which was stored at %lld ms, never came", id_text(report->id, id),
                    report->about, (long long)report->logged_ms);
    if (report->arrived > 1)
        check_twice(report->id, "a sender's report", report->sent, report->arrived);
}

/* A sync that failed may have written all the same: what was refused because of it is found by the next start. So is what
 * the queue could not be told, as the log says. */
static bool may_turn_up(const struct letter *letter)
{
    bool unknown = letter && letter->answer != ANSWER_TAKEN && !letter->logged;
    int64_t from = letter && letter->answer_ms ? letter->answer_ms - LONG_MS : 0, to = letter && letter->answer_ms ? letter->answer_ms : INT64_MAX;
    return unknown && (world->plan.memory || disk_was_ill(from, to) || happened(STORED_UNTOLD, letter->id, 0, INT64_MAX));
}

static const struct letter *report_letter(const struct report *report)
{
    for (int i = 0; report && i < 4; i++) { /* a report of a report */
        if (report->about)
            return ledger_letter(report->about);
        report = ledger_report(report->about_id);
    }
    return NULL;
}

/* Was one of them handed over then or later? */
static bool since(const struct sent *sent, unsigned count, int64_t ms)
{
    for (unsigned i = 0; i < count; i++)
        if (handed_over_ms(&sent[i]) >= ms)
            return true;
    return false;
}

void verdict_nothing_since(int64_t ms)
{
    for (uint32_t i = 1; i <= world->letter_count; i++)
        for (unsigned j = 0; j < world->letters[i]->rcpt_count; j++) {
            const struct rcpt *rcpt = &world->letters[i]->rcpts[j];
            unsigned n = MIN(rcpt->sent_count, (unsigned)WORLD_SENDS);
            if (since(rcpt->sent, n, ms) && !may_turn_up(world->letters[i]))
                kernel_fail("after a stop letter %u was delivered again to %s", i, rcpt->address);
        }
    for (size_t i = 0; i < world->report_count; i++) {
        const struct report *report = &world->reports[i];
        unsigned n = MIN(report->arrived, (unsigned)WORLD_SENDS);
        if (since(report->sent, n, ms) && !may_turn_up(report_letter(report)))
            kernel_fail("after a stop a report about letter %u was delivered again", report->about);
    }
}

void verdict_ledger(void)
{
    for (uint32_t i = 1; i <= world->letter_count; i++)
        check_letter(world->letters[i]);
    for (size_t i = 0; i < world->report_count; i++)
        check_report(&world->reports[i]);
}

/* -- the spool -- */

struct faults {
    unsigned n;
    char first[300];
};

static void on_fault(void *arg, const struct spool_fault *fault)
{
    struct faults *faults = arg;
    if (faults->n++ == 0)
        snprintf(faults->first, sizeof faults->first, "%s at %llu: %s", fault->name, (unsigned long long)fault->offset, fault->what);
}

void verdict_spool(const char *when)
{
    struct faults faults = { 0 };
    struct spool_verify verify = { .on_fault = on_fault, .arg = &faults };
    int dir = open("/state/spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return; /* it was never there, or the power cut came before its name was safe */
    close(dir);
    enum status status = spool_verify_run(&verify, "/state/spool");
    if (status != STATUS_OK)
        kernel_fail("%s the spool cannot be verified: %s", when, status_text(status));
    if (faults.n && !world->plan.flips)
        kernel_fail("%s the spool has %u faults, first: %s", when, faults.n, faults.first);
}

struct space {
    unsigned segments, messages, journals, bodies;
    uint64_t body_octets;
};

static void measure(void *arg, const char *path, uint64_t octets)
{
    struct space *space = arg;
    struct spool_segment segment;
    if (strstr(path, ".body")) {
        space->bodies++;
        space->body_octets += octets;
        return;
    }
    int fd = strstr(path, ".seg") ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (spool_segment_read(&spool_ops_system, fd, &segment) == STATUS_OK) {
        space->segments++;
        space->messages += segment.use == SPOOL_MESSAGES;
        space->journals += segment.use == SPOOL_JOURNAL;
    }
    close(fd);
}

/* With nothing in the queue: what is being written to, what is held ready, and a journal. */
void verdict_space(void)
{
    struct space space = { 0 };
    kernel_disk_each("/state/spool", measure, &space);
    unsigned writers = world->plan.smtpds + 1;
    if (space.messages > 3 * writers || space.journals > 3)
        kernel_fail("an empty queue keeps %u segments with messages and %u with its journal", space.messages, space.journals);
    if (space.body_octets)
        kernel_fail("an empty queue keeps %llu octets in %u body files", (unsigned long long)space.body_octets, space.bodies);
    if (space.segments > 16 + 3 * writers + 3)
        kernel_fail("an empty queue keeps %u segments", space.segments);
}

/* -- the end -- */

struct first {
    char line[400];
};

static void keep_first(void *arg, struct span line)
{
    struct first *first = arg;
    if (!first->line[0])
        snprintf(first->line, sizeof first->line, "%.*s", SPAN_ARGS(line));
}

static void stuck(const struct operator_status *status)
{
    struct first first = { 0 };
    operator_ask("{\"op\":\"list\",\"filter\":{\"all\":true},\"limit\":1}", keep_first, &first);
    kernel_fail("STUCK: %llu messages, %llu recipients are still in the queue, first: %s", (unsigned long long)status->messages,
                (unsigned long long)status->recipients, first.line);
}

void verdict_wait_until_empty(void)
{
    struct operator_status status = { 0 };
    int64_t began_ms = kernel_now_ms(), step_ms = 1000, most_ms = world->plan.expire_ms + 2 * INT64_C(86400000);
    most_ms += world->plan.clock ? 30 * INT64_C(86400000) : 0; /* a clock that was set back makes mail younger than it is */
    bool known = false;
    while (kernel_now_ms() - began_ms < most_ms) {
        known = operator_status(&status);
        if (known && status.messages == 0)
            return;
        /* What cannot be read, nobody can release; but while it is tried once more it is not held. */
        if (world->plan.flips && kernel_now_ms() - began_ms > 5 * INT64_C(3600000))
            operator_ask("{\"op\":\"delete\",\"filter\":{\"state\":\"held\"},\"why\":\"damaged\"}", NULL, NULL);
        operator_release_all();
        kernel_sleep_ms(step_ms);
        step_ms = MIN(2 * step_ms, INT64_C(1800000));
    }
    if (!known)
        kernel_fail("the queue answers nobody any more");
    stuck(&status);
}
