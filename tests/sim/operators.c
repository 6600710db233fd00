/* Operators: what goniec queue asks of the queue, over its control socket, in the middle of everything else. */
#include "talk.h"
#include "base/id.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 4 << 20, PATIENCE_MS = 120000 };

static int dial(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/run/control.sock" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A line that may be long. */
static bool line_get(struct talk *talk, struct buf *ret)
{
    buf_clear(ret);
    for (;;) {
        struct span some = talk_octets(talk, 1);
        if (!some.n)
            return false;
        if (some.p[0] == '\n')
            return true;
        buf_add(ret, some);
    }
}

static bool has(struct span line, struct span what) { return span_find_span(line, what) < line.n; }

bool operator_ask(const char *request, void (*on_line)(void *arg, struct span line), void *arg)
{
    int fd = dial();
    if (fd < 0)
        return false;
    struct talk *talk = calloc(1, sizeof *talk);
    struct buf line = BUF_EMPTY(ANSWER_MAX);
    bool answered = false, failed = false;
    talk_init(talk, fd, PATIENCE_MS);
    if (talk_say(talk, "%s\n", request))
        while (!answered && line_get(talk, &line)) {
            answered = has(buf_span(&line), SPAN("\"done\"")) || has(buf_span(&line), SPAN("{\"error\""));
            failed = has(buf_span(&line), SPAN("{\"error\""));
            /* The reader of JSON calls a word for which it finds no memory an invalid one. */
            bool known = (world->plan.memory && (has(buf_span(&line), SPAN("memory")) || has(buf_span(&line), SPAN("one JSON object")))) ||
                         has(buf_span(&line), SPAN("the journal cannot be written")) ||
                         has(buf_span(&line), SPAN("the queue is stopping"));
            if (failed && !known)
                kernel_fail("the queue does not understand its operator: %s: %s", request, buf_cstr(&line));
            if (on_line)
                on_line(arg, buf_span(&line));
        }
    close(fd);
    buf_done(&line);
    free(talk);
    return answered && !failed;
}

static uint64_t number_behind(struct span line, struct span name)
{
    size_t at = span_find_span(line, name);
    return at < line.n ? strtoull(line.p + at + name.n, NULL, 10) : 0;
}

static void on_status(void *arg, struct span line)
{
    struct operator_status *status = arg;
    status->messages = number_behind(line, SPAN("\"messages\":"));
    status->recipients = number_behind(line, SPAN("\"recipients\":"));
}

bool operator_status(struct operator_status *ret)
{
    return operator_ask("{\"op\":\"status\"}", on_status, ret);
}

/* Whoever holds one by name meanwhile holds it no more. */
void operator_release_all(void)
{
    for (uint32_t i = 1; i <= world->letter_count; i++)
        for (unsigned j = 0; j < world->letters[i]->rcpt_count; j++) {
            struct rcpt *rcpt = &world->letters[i]->rcpts[j];
            if (rcpt->held_to == INT64_MAX)
                rcpt->held_to = kernel_now_ms();
        }
    operator_ask("{\"op\":\"release\",\"filter\":{\"all\":true},\"why\":\"the end\"}", NULL, NULL);
}

/* -- what they do in the middle -- */

static void on_done(void *arg, struct span line)
{
    *(uint64_t *)arg = number_behind(line, SPAN("\"recipients\":"));
}

/* One recipient, by name: how many were changed, and whether that is certain. */
static bool ask_one(const char *op, const struct rcpt *rcpt, const char *more, uint64_t *ret)
{
    char request[400];
    snprintf(request, sizeof request, "{\"op\":\"%s\",\"filter\":{\"recipient\":\"%s\"},\"why\":\"sim\"%s}", op, rcpt->address, more);
    *ret = 0;
    return operator_ask(request, on_done, ret);
}

static void delete_one(struct rcpt *rcpt)
{
    uint64_t n;
    int64_t began_ms = kernel_now_ms();
    enum deleted before = rcpt->deleted; /* who asked before us and was not answered may have done it */
    rcpt->deleted = MAX(before, DELETED_MAYBE);
    bool sure = ask_one("delete", rcpt, "", &n);
    if (sure && n) {
        rcpt->deleted = DELETED_YES;
        rcpt->deleted_ms = kernel_now_ms();
    } else if (sure && before == DELETED_NO && rcpt->deleted == DELETED_MAYBE) {
        rcpt->deleted = DELETED_NO;
    } else if (rcpt->deleted != DELETED_YES) {
        rcpt->deleted_ms = began_ms;
    }
}

static void hold_one(struct rcpt *rcpt)
{
    uint64_t n;
    if (rcpt->held_from)
        return;
    bool sure = ask_one("hold", rcpt, "", &n);
    if (sure && n) {
        rcpt->held_from = kernel_now_ms();
        rcpt->held_to = INT64_MAX;
    }
    kernel_sleep_ms(between(0, world->plan.trouble_ms / 10));
    if (rcpt->held_to == INT64_MAX)
        rcpt->held_to = kernel_now_ms();
    ask_one("release", rcpt, "", &n);
}

static void reroute_one(struct rcpt *rcpt)
{
    char via[80];
    uint64_t n;
    const struct host *host = &world->hosts[kernel_below(world->host_count)];
    snprintf(via, sizeof via, ",\"via\":\"smtp://%u.%u.%u.%u:25?tls=none\"", host->ip >> 24, host->ip >> 16 & 255, host->ip >> 8 & 255,
             host->ip & 255);
    ask_one("reroute", rcpt, one_in(3) ? ",\"via\":\"\"" : via, &n);
}

static void hurry(void)
{
    char request[200];
    snprintf(request, sizeof request, "{\"op\":\"retry\",\"filter\":{\"domain\":\"%s\"}}",
             world->domains[kernel_below(world->domain_count)].name);
    operator_ask(one_in(2) ? request : "{\"op\":\"retry\",\"filter\":{\"all\":true}}", NULL, NULL);
}

static void look(void)
{
    operator_ask(one_in(2) ? "{\"op\":\"list\",\"filter\":{\"all\":true},\"limit\":50}"
                           : "{\"op\":\"show\",\"filter\":{\"state\":\"waiting\"},\"limit\":20}", NULL, NULL);
}

/* Of a letter that was promised, lately more often. */
static struct rcpt *somebody(void)
{
    for (int i = 0; i < 20 && world->letter_count; i++) {
        uint32_t back = (uint32_t)kernel_below(one_in(2) ? MIN(world->letter_count, 10u) : world->letter_count);
        struct letter *letter = ledger_letter(world->letter_count - back);
        if (letter && letter->answer == ANSWER_TAKEN) {
            struct rcpt *rcpt = &letter->rcpts[kernel_below(letter->rcpt_count)];
            if (rcpt->accepted)
                return rcpt;
        }
    }
    return NULL;
}

static void run(void *arg)
{
    while (!world->over) {
        kernel_sleep_ms(between(10, world->plan.trouble_ms * 100 / (20 * (int64_t)world->plan.operators)));
        struct rcpt *rcpt = somebody();
        if (!rcpt || world->over)
            continue;
        switch (kernel_below(8)) {
        case 0: case 1: delete_one(rcpt); break;
        case 2: case 3: hold_one(rcpt); break;
        case 4: reroute_one(rcpt); break;
        case 5: case 6: hurry(); break;
        default: look(); break;
        }
    }
}

void operators_start(void)
{
    for (unsigned i = 0; world->plan.operators && i < 2; i++)
        kernel_fiber("operator", run, NULL);
}
