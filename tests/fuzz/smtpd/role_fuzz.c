/* The whole process smtpd: clients that say anything on a plain door and behind a proxy's header, a directory that answers
 * as it likes or dies, a queue that gives or withholds. Every line that a client hears is a reply, every message that is
 * announced lies where it is said to lie, whole, and with addresses that are some.
 *
 * Octets: moods; then steps. */
#include "base/id.h"
#include "mail/address.h"
#include "process_inside.h"
#include "smtpd/smtpd.h"
#include "spool/reader.h"
#include "spool_inside.h"
#include "wire/smtpd_directory.h"
#include "wire/smtpd_queue.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>

enum { DOORS = 2, GUESTS = 4, SEGMENT = 48 * SPOOL_BLOCK, STEPS_MOST = 80 };

static struct choices choices;
static struct channel *queue, *directory;
static uint8_t moods;
static int listeners[DOORS] = { -1, -1 }, segments[8], body_file;
static struct sockaddr_in at[DOORS];
static uint32_t segment_count;

static struct guest {
    int fd;
    struct buf heard;
} guests[GUESTS];

/* -- the queue -- */

static void segment_give(void)
{
    struct spool_segment segment = { .number = ++segment_count, .epoch = 1, .salt = 7, .octets = SEGMENT, .use = SPOOL_MESSAGES };
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    if (segment_count >= ARRAY_LEN(segments))
        return;
    int fd = segments[segment_count] = memfd_create("segment", MFD_CLOEXEC);
    require(fd >= 0 && ftruncate(fd, SEGMENT) == 0 && spool_segment_write(&spool_ops_system, fd, NULL, &segment) == STATUS_OK);
    queue_segment_put(&body, &(struct queue_segment){ segment.number, 1, SEGMENT });
    channel_send_fds(queue, QUEUE_SEGMENT, buf_span(&body), &fd, 1);
}

static void body_give(struct span asked)
{
    struct writer_need_body need;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    require(writer_need_body_get(asked, &need));
    bool give = choose(&choices) % 4 != 3;
    if (body_file >= 0)
        close(body_file);
    body_file = memfd_create("body", MFD_CLOEXEC);
    queue_body_put(&body, &(struct queue_body){ need.token, give ? 77 : 0 });
    channel_send_fds(queue, QUEUE_BODY, buf_span(&body), &body_file, give ? 1 : 0);
}

static void check_address(struct span text, bool may_be_null)
{
    struct address address;
    require((may_be_null && text.n == 0) || address_parse(text, ADDRESS_POSTMASTER | ADDRESS_UTF8, &address) == STATUS_OK);
}

static void check_stored(struct span body)
{
    struct writer_enqueue told;
    struct writer_recipient one;
    struct spool_message message;
    AUTO(buf_done) struct buf record = BUF_EMPTY((size_t)1 << 20);
    require(writer_enqueue_get(body, &told) && told.segment <= segment_count && id_writer(told.id) == 3);
    struct spool_segment segment = { .number = told.segment, .epoch = 1, .salt = 7, .octets = SEGMENT, .use = SPOOL_MESSAGES };
    struct spool_place place = { told.segment, told.offset, told.length };
    require(spool_message_read(&spool_ops_system, segments[told.segment], &segment, place, &record, &message) == STATUS_OK);
    require(message.header.id == told.id && message.header.file == told.body && message.octets == told.octets);
    require(message.envelope.recipient_count == told.recipient_count && span_eq(message.envelope.sender, told.sender));
    check_address(told.sender, true);
    struct wire_reader reader = wire_read(told.recipients);
    for (uint32_t i = 0; i < told.recipient_count; i++) {
        require(writer_recipient_get(&reader, &one));
        check_address(one.address, false);
        require(span_eq(one.address, spool_envelope_recipient(&message.envelope, i).address));
    }
    require(wire_end(&reader) && told.account.n == 0);
    require(span_starts(message.headers, SPAN("Received: ")));
    if (!told.body)
        require(spool_message_check(&spool_ops_system, segments[told.segment], -1, &message) == STATUS_OK);
}

static void on_queue(void *arg, struct channel *channel, struct channel_message *message)
{
    switch (message->kind) {
    case WRITER_NEED_SEGMENT:
        require(message->body.n == 0);
        if (!(moods & 1))
            segment_give();
        break;
    case WRITER_NEED_BODY: body_give(message->body); break;
    case WRITER_ENQUEUE: check_stored(message->body); break;
    default: break;
    }
}

/* -- the directory -- */

static void verdict_tell(uint64_t token)
{
    static const uint8_t verdicts[] = { VERDICT_YES, VERDICT_YES, VERDICT_NO, VERDICT_LATER };
    AUTO(buf_done) struct buf body = BUF_EMPTY(8192);
    uint8_t how = choose(&choices);
    if (how >= 250) /* never */
        return;
    tell_verdict_put(&body, &(struct tell_verdict){ token, how >= 240 ? how : verdicts[how & 3], how & 4 ? choose_text(&choices, 255) : SPAN_NONE });
    channel_send(directory, TELL_VERDICT, buf_span(&body));
}

static void on_directory(void *arg, struct channel *channel, struct channel_message *message)
{
    struct ask_may_send may;
    struct ask_is_recipient is;
    require(message->kind != ASK_AUTH_START); /* in clear */
    if (message->kind == ASK_MAY_SEND) {
        require(ask_may_send_get(message->body, &may));
        verdict_tell(may.token);
    } else if (message->kind == ASK_IS_RECIPIENT) {
        require(ask_is_recipient_get(message->body, &is));
        verdict_tell(is.token);
    }
}

static void on_peer_gone(void *arg, struct channel *channel, enum status why)
{
    channel_free(channel);
    if (channel == queue)
        queue = NULL;
    if (channel == directory)
        directory = NULL;
}

static void queue_begin(void)
{
    static const struct channel_events events = { on_queue, on_peer_gone };
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    channel_free(queue);
    queue = channel_new(inside.loop, inside_peer(ROLE_QUEUE, 0, 1), &events, NULL);
    require(queue != NULL);
    queue_welcome_put(&body, &(struct queue_welcome){ 3, 0 });
    channel_send(queue, QUEUE_WELCOME, buf_span(&body));
}

static void directory_begin(void)
{
    static const struct channel_events events = { on_directory, on_peer_gone };
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    channel_free(directory);
    directory = channel_new(inside.loop, inside_peer(ROLE_DIRECTORY, 0, 1), &events, NULL);
    require(directory != NULL);
    tell_mechanisms_put(&body, &(struct tell_mechanisms){ SPAN("PLAIN LOGIN") });
    channel_send(directory, TELL_MECHANISMS, buf_span(&body));
}

/* -- clients -- */

static void check_heard(struct guest *guest)
{
    size_t end;
    while ((end = span_find(buf_span(&guest->heard), '\n')) < guest->heard.n) {
        struct span line = span_head(buf_span(&guest->heard), end + 1);
        require(line.n >= 6 && line.n <= 514 && line.p[line.n - 2] == '\r');
        for (unsigned i = 0; i < 3; i++)
            require(ascii_digit(line.p[i]));
        require(line.p[0] >= '2' && line.p[0] <= '5' && (line.p[3] == ' ' || line.p[3] == '-'));
        for (size_t i = 4; i + 2 < line.n; i++)
            require((unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7F);
        buf_drop(&guest->heard, end + 1);
    }
}

static void guest_end(struct guest *guest)
{
    if (guest->fd < 0)
        return;
    setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    close(guest->fd);
    buf_done(&guest->heard);
    guest->fd = -1;
}

static void guests_read(void)
{
    char octets[4096];
    for (struct guest *guest = guests; guest < guests + GUESTS; guest++) {
        ssize_t n = guest->fd >= 0 ? recv(guest->fd, octets, sizeof octets, MSG_DONTWAIT) : -1;
        if (n > 0)
            buf_add(&guest->heard, span_of(octets, (size_t)n));
        if (guest->fd >= 0)
            check_heard(guest);
        if (n == 0)
            guest_end(guest);
    }
}

static void guest_begin(struct guest *guest, unsigned door)
{
    guest_end(guest);
    *guest = (struct guest){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .heard = BUF_EMPTY((size_t)4 << 20) };
    require(guest->fd >= 0);
    if (connect(guest->fd, (const struct sockaddr *)&at[door], sizeof at[door]) != 0 && errno != EINPROGRESS)
        guest_end(guest);
}

static const char *const phrases[] = {
    "EHLO c.example\r\n", "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@here.example>\r\n", "DATA\r\n", "Subject: x\r\n\r\nhi\r\n.\r\n",
    "RSET\r\n", "MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x\r\n", "RCPT TO:<k@else.example> NOTIFY=SUCCESS,DELAY\r\n",
    "BDAT 20\r\nSubject: x\r\n\r\nhi\r\n\r\n", "BDAT 0 LAST\r\n", "HELO x\r\n", "PROXY TCP4 192.0.2.9 127.0.0.1 5 25\r\n", "QUIT\r\n",
    "AUTH PLAIN AGEAYg==\r\n", "STARTTLS\r\n",
    "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@here.example>\r\nRCPT TO:<d@else.example>\r\nDATA\r\nFrom: a@b\r\nTo: c\r\n\r\n..x\r\n.\r\n",
};

static void guest_step(struct guest *guest, uint8_t what)
{
    if (guest->fd < 0 || what == 31) {
        guest_begin(guest, what & 1);
        return;
    }
    struct span text = what < 16 ? span_str(phrases[what]) : choose_text(&choices, 255);
    AUTO(buf_done) struct buf large = BUF_EMPTY((size_t)1 << 20);
    if (what == 30) /* a message over the size of what a log keeps */
        for (unsigned i = 0; i < 128; i++)
            buf_add_str(&large, "0123456789012345678901234567890123456789012345678901234567890123\r\n");
    if (large.n)
        text = buf_span(&large);
    size_t half = what == 29 ? text.n / 2 : text.n;
    (void)!send(guest->fd, text.p, half, MSG_NOSIGNAL | MSG_DONTWAIT);
    inside_turns(2);
    if (half < text.n)
        (void)!send(guest->fd, text.p + half, text.n - half, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* -- the run -- */

static void other_step(uint8_t what)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1024);
    switch (what & 7) {
    case 0: inside_pass(INT64_C(1) << (what >> 3) % 20); break;
    case 1: queue_begin(); break;
    case 2: directory_begin(); break;
    case 3:
        queue_state_put(&body, &(struct queue_state){ what >> 3 & 1, SPAN("full") });
        if (queue)
            channel_send(queue, QUEUE_STATE, buf_span(&body));
        break;
    case 4:
        if (queue)
            segment_give();
        break;
    case 5:
        if (directory)
            channel_send(directory, (uint16_t)(30 + (what >> 3) % 8), choose_text(&choices, 60));
        break;
    case 6:
        if (queue)
            channel_send(queue, (uint16_t)((what >> 3) % 8), choose_text(&choices, 60));
        break;
    default: channel_send(inside.supervisor, what >> 3 & 1 ? SUPERVISOR_RELOAD : SUPERVISOR_DRAIN, SPAN_NONE); break;
    }
}

static void listeners_give(void)
{
    for (uint32_t i = 0; i < DOORS; i++) {
        AUTO(buf_done) struct buf body = BUF_EMPTY(64);
        socklen_t n = sizeof at[i];
        at[i] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        require(bind(listeners[i], (struct sockaddr *)&at[i], n) == 0 && listen(listeners[i], 16) == 0);
        require(getsockname(listeners[i], (struct sockaddr *)&at[i], &n) == 0);
        supervisor_listener_put(&body, &(struct supervisor_listener){ i });
        channel_send_fds(inside.supervisor, SUPERVISOR_LISTENER, buf_span(&body), &listeners[i], 1);
        close(listeners[i]);
    }
}

static void drive(void)
{
    static const char more[] = "listen:\n- { address: '127.0.0.1:1', service: relay, tls: none }\n"
                               "- { address: '127.0.0.1:2', service: relay, tls: none, proxy-from: [127.0.0.0/8] }\n"
                               "spool: { big-body: 4KiB }\nrelay: { networks: [127.0.0.0/8], domains: [{ name: here.example }] }\n";
    (void)!inside_start(inside_end, span_str(more)); /* its doors open when queue and directory are there */
    listeners_give();
    queue_begin();
    directory_begin();
    inside_turns(6);
    require(!inside.failed);
    for (int steps = 0; !choices_over(&choices) && steps < STEPS_MOST; steps++) {
        uint8_t what = choose(&choices);
        if (what < 224)
            guest_step(&guests[what >> 5 & 3], what & 31);
        else
            other_step((uint8_t)((what & 31) | choose(&choices) << 3));
        inside_turns(3);
        guests_read();
    }
    for (unsigned i = 0; i < GUESTS; i++)
        guest_end(&guests[i]);
    moods = 0;
    if (queue) /* what still waits for a place goes down with a process, but here it would look like a leak */
        segment_give();
    inside_turns(6);
    channel_free(queue);
    channel_free(directory);
    queue = directory = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices = choices_of(data, MIN(size, (size_t)8192));
    moods = choose(&choices);
    inside_begin();
    segment_count = 0;
    body_file = -1;
    for (size_t i = 0; i < ARRAY_LEN(segments); i++)
        segments[i] = -1;
    for (unsigned i = 0; i < GUESTS; i++)
        guests[i].fd = -1;
    inside_run(smtpd_main, drive);
    for (size_t i = 0; i < ARRAY_LEN(segments); i++)
        if (segments[i] >= 0)
            close(segments[i]);
    if (body_file >= 0)
        close(body_file);
    return 0;
}
