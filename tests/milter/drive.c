/* Gives one message to a milter over its Unix socket, as the server would, and says on standard output what came of it.
 *
 *   drive SOCKET LOGIN SENDER RECIPIENT... < MESSAGE      LOGIN may be empty
 *
 * Lines end by CRLF. Said are a line "STEP WORD CODE ENHANCED TEXT" for each verdict but "continue", a line for each change of
 * the envelope, and behind an empty line the message as the milter would have it. Ends with 1, and words, in any trouble. */
#include "mail/header.h"
#include "milter/edit.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
    int fd;
    struct milter milter;
    struct buf header, body;
    bool has_body; /* the milter gave one */
} drive;

static NORETURN void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void on_change(void *arg, const struct milter_change *change)
{
    (void)arg;
    static const char *const names[] = { [MILTER_CHANGE_SENDER] = "sender", [MILTER_ADD_RECIPIENT] = "add-recipient",
                                         [MILTER_DELETE_RECIPIENT] = "delete-recipient", [MILTER_QUARANTINE] = "quarantine" };
    if (change->kind <= MILTER_CHANGE_HEADER) {
        if (milter_edit(&drive.header, change) != STATUS_OK)
            fail("a change of the header cannot be made");
    } else if (change->kind == MILTER_REPLACE_BODY) {
        if (!drive.has_body)
            buf_clear(&drive.body);
        drive.has_body = true;
        buf_add(&drive.body, change->value);
    } else {
        printf("%s %.*s %.*s\r\n", names[change->kind], SPAN_ARGS(change->value), SPAN_ARGS(change->params));
    }
}

static void send_out(void)
{
    struct buf *out = &drive.milter.out;
    while (out->n) {
        ssize_t n = send(drive.fd, out->p, out->n, MSG_NOSIGNAL);
        if (n < 0)
            fail("the milter takes nothing");
        buf_drop(out, (size_t)n);
    }
}

/* Until the last command is answered. False: the verdict ends the message. */
static bool settle(const char *step)
{
    char octets[4096];
    struct milter *milter = &drive.milter;
    send_out();
    while (milter_want(milter) == MILTER_WANT_ANSWER) {
        struct pollfd poll_fd = { .fd = drive.fd, .events = POLLIN };
        int64_t wait = MAX(milter->deadline_ms - now(), 0);
        if (poll(&poll_fd, 1, (int)MIN(wait, 60000)) == 0) {
            milter_tick(milter, now());
            continue;
        }
        ssize_t n = read(drive.fd, octets, sizeof octets);
        if (n > 0)
            milter_feed(milter, span_of(octets, (size_t)n), now());
        else
            milter_lost(milter, n == 0 ? STATUS_CLOSED : STATUS_IO, now());
        send_out();
    }
    if (milter_want(milter) == MILTER_WANT_CLOSE)
        fail(milter->words);
    static const char *const words[] = { "continue", "accept", "discard", "reject", "tempfail", "shutdown" };
    const struct milter_verdict *verdict = &milter->verdict;
    if (verdict->word != MILTER_CONTINUE)
        printf("%s %s %u %u.%u.%u %.*s\r\n", step, words[verdict->word], verdict->code, verdict->enhanced.class,
               verdict->enhanced.subject, verdict->enhanced.detail, (int)verdict->text_n, verdict->text);
    return verdict->word <= MILTER_ACCEPT;
}

static bool give_header(void)
{
    struct header_field field;
    AUTO(buf_done) struct buf copy = BUF_EMPTY(HEADER_MAX);
    buf_add(&copy, buf_span(&drive.header));
    for (struct span rest = buf_span(&copy); header_next(&rest, &field);) {
        milter_header(&drive.milter, field.name, field.value, now());
        if (!settle("header"))
            return false;
    }
    milter_eoh(&drive.milter, now());
    return settle("eoh");
}

static bool give_message(char **recipients)
{
    struct milter *milter = &drive.milter;
    for (; *recipients; recipients++) {
        milter->macros[MILTER_MACRO_RCPT_ADDR] = span_str(*recipients);
        milter_rcpt(milter, span_str(*recipients), SPAN_NONE, now());
        settle("rcpt");
    }
    milter_data(milter, now());
    if (!settle("data") || !give_header())
        return false;
    AUTO(buf_done) struct buf body = BUF_EMPTY((size_t)64 << 20);
    buf_add(&body, buf_span(&drive.body));
    for (struct span rest = buf_span(&body); rest.n; rest = span_from(rest, MILTER_CHUNK_MAX)) {
        milter_body(milter, span_head(rest, MILTER_CHUNK_MAX), now());
        if (!settle("body"))
            return false;
    }
    milter_end(milter, now());
    return settle("end");
}

static void read_message(void)
{
    size_t octets, begin;
    AUTO(buf_done) struct buf message = BUF_EMPTY((size_t)64 << 20);
    if (buf_fill(&message, STDIN_FILENO) != STATUS_OK ||
        header_measure(buf_span(&message), HEADER_MAX, &octets, &begin) != STATUS_OK)
        fail("no message");
    drive.header = BUF_EMPTY(HEADER_MAX);
    drive.body = BUF_EMPTY((size_t)64 << 20);
    buf_add(&drive.header, span_head(buf_span(&message), octets));
    buf_add(&drive.body, span_from(buf_span(&message), begin));
}

static void meet(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    drive.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (drive.fd < 0 || connect(drive.fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("nobody listens");
}

int main(int count, char **words)
{
    static const struct milter_settings settings = { .actions = MILTER_MAY_ALL, .answer_ms = 10000, .end_ms = 10000,
                                                     .patience_ms = 20000, .body_max = 64u << 20 };
    static const struct milter_client client = { SPAN("client.example"), MILTER_IPV4, 4025, SPAN("192.0.2.1") };
    if (count < 5)
        fail("usage: drive SOCKET LOGIN SENDER RECIPIENT... < MESSAGE");
    read_message();
    meet(words[1]);
    struct milter *milter = &drive.milter;
    milter_init(milter, &settings, on_change, NULL, now());
    milter->macros[MILTER_MACRO_HOSTNAME] = SPAN("mx.example.org");
    milter->macros[MILTER_MACRO_DAEMON_NAME] = SPAN("submission");
    milter->macros[MILTER_MACRO_ID] = SPAN("0AXJ7");
    milter->macros[MILTER_MACRO_AUTH_AUTHEN] = span_str(words[2]);
    milter->macros[MILTER_MACRO_AUTH_TYPE] = words[2][0] ? SPAN("PLAIN") : SPAN_NONE;
    milter->macros[MILTER_MACRO_MAIL_ADDR] = span_str(words[3]);
    bool is_good = settle("agreement");
    milter_connect(milter, &client, now());
    is_good = is_good && settle("connect");
    if (is_good)
        milter_helo(milter, SPAN("client.example"), now());
    is_good = is_good && settle("helo");
    if (is_good)
        milter_mail(milter, span_str(words[3]), SPAN("BODY=8BITMIME"), now());
    is_good = is_good && settle("mail") && give_message(words + 4);
    if (!is_good)
        milter_abort(milter);
    milter_quit(milter);
    send_out();
    if (is_good)
        printf("\r\n%.*s\r\n%.*s", SPAN_ARGS(buf_span(&drive.header)), SPAN_ARGS(buf_span(&drive.body)));
    milter_done(milter);
    buf_done(&drive.header);
    buf_done(&drive.body);
    close(drive.fd);
    return 0;
}
