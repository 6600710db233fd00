/* The event log, as somebody reads it who was not there. It is written past the simulated disk, so that what it says of a
 * power cut's last moments is still known. */
#include "world.h"
#include "base/id.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAIL_LINES = 60, TAIL_OCTETS = 600, LINE_OCTETS = 32 << 10, EVENTS_MAX = 256, PIDS = 16 };

struct writer {              /* lines may come in pieces */
    int pid;
    size_t n;
    char line[LINE_OCTETS];
};

static struct {
    struct writer writers[PIDS];
    char tail[TAIL_LINES][TAIL_OCTETS];
    unsigned tail_at;
    struct { char name[40]; uint64_t n; } events[EVENTS_MAX];
} story;

/* -- fields -- */

/* The value of "name":... as it stands; texts without their quotes, with their escapes. */
static struct span field(struct span line, const char *name)
{
    char key[64];
    int n = snprintf(key, sizeof key, "\"%s\":", name);
    size_t at = span_find_span(line, span_of(key, (size_t)n));
    struct span rest = span_from(line, at + (size_t)n);
    if (at == line.n)
        return SPAN_NONE;
    if (rest.n && rest.p[0] == '"') {
        rest = span_from(rest, 1);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '"')
            end += rest.p[end] == '\\' ? 2 : 1;
        return span_head(rest, end);
    }
    return span_head(rest, MIN(span_find(rest, ','), span_find(rest, '}')));
}

static uint64_t id_of(struct span line, const char *name)
{
    uint64_t id = 0;
    return id_parse(field(line, name), &id) ? id : 0;
}

/* -- what each event tells the ledger -- */

static void on_accepted(struct span line)
{
    struct letter *letter = NULL;
    struct span to = field(line, "to");
    uint64_t id = id_of(line, "id");
    ledger_rcpt(span_head(to, span_find(to, ' ')), &letter);
    if (!letter && world->plan.memory)
        return;
    if (!letter)
        kernel_fail("accepted, the log says, what nobody sent: %.*s", SPAN_ARGS(line));
    if (letter->id && letter->id != id)
        kernel_fail("letter %u has two ids in the log", letter->number);
    letter->id = id;
    letter->logged = true;
}

static void report_note(struct span line, enum report_kind kind)
{
    struct report *report = ledger_report_ref(id_of(line, "report"));
    struct letter *letter = ledger_letter_by_id(id_of(line, "id"));
    report->kind = kind;
    report->logged_ms = kernel_now_ms();
    report->about = letter ? letter->number : 0;
    report->about_id = id_of(line, "id");
    struct rcpt *rcpt = ledger_rcpt(field(line, "recipient"), NULL);
    if (rcpt && kind == REPORT_FAILED) {
        if (rcpt->bounced < ARRAY_LEN(rcpt->bounced_ms))
            rcpt->bounced_ms[rcpt->bounced] = kernel_now_ms();
        rcpt->bounced++;
    }
    struct report *about = letter ? NULL : ledger_report(report->about_id);
    if (about && kind == REPORT_FAILED)
        about->bounced++;
}

static void on_failed_report(struct span line) { report_note(line, REPORT_FAILED); }
static void on_delayed(struct span line) { report_note(line, REPORT_DELAYED); }
static void on_reported_delivered(struct span line) { report_note(line, REPORT_DELIVERED); }
static void on_reported_relayed(struct span line) { report_note(line, REPORT_RELAYED); }

/* Nobody is to be told: which recipients, the log leaves to its domain. */
static void on_dropped(struct span line)
{
    struct letter *letter = ledger_letter_by_id(id_of(line, "id"));
    struct report *report = ledger_report(id_of(line, "id"));
    struct span domain = field(line, "domain");
    if (report)
        report->dropped = true;
    for (unsigned i = 0; letter && i < letter->rcpt_count; i++)
        if (span_eq_case(span_str(world->domains[letter->rcpts[i].domain].name), domain)) {
            letter->rcpts[i].silent++;
            letter->rcpts[i].silent_ms = kernel_now_ms();
        }
}

#define HOUR_MS INT64_C(3600000)

/* All servers are well, and everything that waits has had its turn. */
static bool all_is_well(void)
{
    int64_t since_ms = world->calm_ms + 2 * world->plan.longest_retry_ms + HOUR_MS;
    return world->calm && kernel_now_ms() > since_ms && !world->plan.clock && !world->plan.memory && !world->plan.flips;
}

static void on_expired(struct span line)
{
    struct rcpt *rcpt = ledger_rcpt(field(line, "recipient"), NULL);
    if (rcpt)
        rcpt->expired = true;
    if (rcpt && strncmp(rcpt->address, "never", 5) != 0 && !rcpt->held_from && all_is_well())
        kernel_fail("%s was given up though his server took mail: nobody tried again", rcpt->address);
    if (field(line, "report").n)
        on_failed_report(line);
    else
        on_dropped(line);
}

static void on_delivered(struct span line)
{
    struct rcpt *rcpt = ledger_rcpt(field(line, "recipient"), NULL);
    if (rcpt)
        rcpt->logged_delivered_ms = kernel_now_ms();
}

static void on_without_queue(struct span line)
{
    struct letter *letter = ledger_letter_by_id(id_of(line, "id"));
    ledger_incident(STORED_UNTOLD, id_of(line, "id")); /* whose letter it is may be known only when it arrives */
    if (letter)
        letter->without_queue = true;
}

static void on_untold(struct span line) { ledger_incident(LEASES_UNTOLD, 0); }
static void on_lease_lost(struct span line) { ledger_incident(LEASE_LOST, id_of(line, "id")); }
static void on_trouble(struct span line) { ledger_incident(JOURNAL_TROUBLE, 0); }
static void on_trouble_over(struct span line) { ledger_incident(JOURNAL_WORKS, 0); }

/* What one process of ours never has reason to say of another, whatever the weather; but where there is no memory, less may
 * be said than was meant. */
static void on_never(struct span line)
{
    if (!world->plan.memory)
        kernel_fail("this should never be logged: %.*s", SPAN_ARGS(line));
}

/* Our own records: what a disk gives wrongly when it fails is not taken for what was written, and what it does not give is
 * not taken for what is not there. Only rotten octets explain it. */
static void on_damage(struct span line)
{
    if (!world->plan.flips)
        on_never(line);
}

/* The disk did not give it. */
static void on_disk_failing(struct span line)
{
    if (!world->plan.disk)
        on_damage(line);
}

static void on_spool_damage(struct span line)
{
    static const char *const failing[] = { "cannot be read", "cannot be made", "cannot be opened", "cannot be stamped", "cannot be written" };
    struct span what = field(line, "what");
    for (size_t i = 0; i < ARRAY_LEN(failing); i++)
        if (span_find_span(what, span_str(failing[i])) < what.n) {
            on_disk_failing(line);
            return;
        }
    on_damage(line);
}

/* A record whose file is gone was promised to nobody. */
static void on_body_missing(struct span line)
{
    const struct letter *letter = ledger_letter_by_id(id_of(line, "id"));
    if (letter && letter->answer == ANSWER_TAKEN)
        on_damage(line);
}

static const struct {
    const char *event;
    void (*act)(struct span line);
} acts[] = {
    { "accepted", on_accepted }, { "bounced", on_failed_report }, { "expired", on_expired }, { "delayed", on_delayed },
    { "reported-delivered", on_reported_delivered }, { "reported-relayed", on_reported_relayed },
    { "dropped", on_dropped }, { "delivered", on_delivered }, { "stored-without-queue", on_without_queue },
    { "leases-untold", on_untold }, { "lease-lost", on_lease_lost }, { "journal-trouble", on_trouble },
    { "journal-works-again", on_trouble_over },
    { "peer-broke-format", on_never }, { "announcement-refused", on_never }, { "unknown-order", on_never },
    { "segment-refused", on_disk_failing }, { "record-unusable", on_damage }, { "spool-damage", on_spool_damage },
    { "entry-unreadable", on_damage }, { "record-missing", on_damage }, { "entry-lost", on_damage },
    { "segment-unread", on_disk_failing }, { "body-not-its-own", on_damage }, { "outcomes-dropped", on_never },
    { "body-missing", on_body_missing },
};

/* -- lines -- */

static void count(struct span event)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        if (story.events[i].name[0] && !span_eq(event, span_str(story.events[i].name)))
            continue;
        if (!story.events[i].name[0])
            snprintf(story.events[i].name, sizeof story.events[i].name, "%.*s", SPAN_ARGS(event));
        story.events[i].n++;
        return;
    }
}

static void on_line(struct span line)
{
    struct span event = field(line, "event");
    snprintf(story.tail[story.tail_at++ % TAIL_LINES], TAIL_OCTETS, "%.*s", SPAN_ARGS(line));
    if (kernel_traces())
        kernel_trace("log: %.*s", SPAN_ARGS(line));
    count(event);
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (span_eq(event, span_str(acts[i].event)))
            acts[i].act(line);
}

static struct writer *writer_of(int pid)
{
    struct writer *oldest = &story.writers[0];
    for (unsigned i = 0; i < PIDS; i++) {
        if (story.writers[i].pid == pid)
            return &story.writers[i];
        if (story.writers[i].pid < oldest->pid)
            oldest = &story.writers[i];
    }
    oldest->n = 0; /* of one that died in the middle of a line */
    oldest->pid = pid;
    return oldest;
}

static void on_write(void *arg, int pid, const void *p, size_t n)
{
    struct writer *writer = writer_of(pid);
    for (const char *c = p; n--; c++)
        if (*c == '\n') {
            on_line(span_of(writer->line, writer->n));
            writer->n = 0;
        } else if (writer->n < LINE_OCTETS) {
            writer->line[writer->n++] = *c;
        }
}

int story_sink(void) { return kernel_sink(on_write, NULL); }
void story_start(void) { memset(&story, 0, sizeof story); }

uint64_t story_count(const char *event)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        if (strcmp(story.events[i].name, event) == 0)
            return story.events[i].n;
    return 0;
}

void story_tail(FILE *to)
{
    for (unsigned i = 0; i < TAIL_LINES; i++)
        if (story.tail[(story.tail_at + i) % TAIL_LINES][0])
            fprintf(to, "%s\n", story.tail[(story.tail_at + i) % TAIL_LINES]);
}
