/* The whole process delivery: leases of records that a taken over smtpd wrote as it liked, a queue that dies, and servers
 * that answer anything. Each lease has at most one outcome, about its own recipients; and a server never hears a line that
 * is no command of ours, whatever stands in the record.
 *
 * Octets: what the server offers; then steps. */
#include "delivery/delivery.h"
#include "net/address.h"
#include "process_inside.h"
#include "spool/envelope.h"
#include "spool/log.h"
#include <errno.h>
#include <sys/mman.h>

enum { SEGMENT = 40 * SPOOL_BLOCK, LEASES = 32, GUESTS = 8, STEPS_MOST = 60 };

static struct choices choices;
static struct channel *queue;
static struct spool_log store;
static int segment_fd = -1;
static uint8_t offers;
static uint64_t last_id;
static bool queue_lost;

/* Nobody is trusted, and nothing read for it. */
enum status __wrap_tls_trust_system(struct buf *ret);
enum status __wrap_tls_trust_system(struct buf *ret) { return STATUS_NOT_FOUND; }

/* -- the queue -- */

static struct lease {
    uint64_t number;
    uint32_t recipients; /* a bit each; of the indexes below 32 */
    bool open;
} leases[LEASES];
static unsigned lease_count;

static struct lease *lease_find(uint64_t number)
{
    for (unsigned i = 0; i < MIN(lease_count, (unsigned)LEASES); i++)
        if (leases[i].open && leases[i].number == number)
            return &leases[i];
    return NULL;
}

static void take_outcome(struct span body)
{
    struct lease_outcome outcome;
    struct outcome_recipient one;
    require(lease_outcome_get(body, &outcome) && outcome.trouble <= TROUBLE_LOCAL);
    struct wire_reader reader = wire_read(outcome.recipients);
    struct lease *lease = lease_find(outcome.lease);
    require(lease || outcome.lease & LEASE_HELD_BIT || lease_count > LEASES);
    for (uint32_t i = 0; i < outcome.recipient_count; i++) {
        require(outcome_recipient_get(&reader, &one) && one.result <= OUTCOME_RELAYED);
        require(!lease || one.index >= 32 || lease->recipients >> one.index & 1);
        require(span_is_utf8(one.text));
    }
    require(wire_end(&reader));
    if (lease)
        lease->open = false;
}

static void on_word(void *arg, struct channel *channel, struct channel_message *message)
{
    struct lease_credit credit;
    struct lease_resolved resolved;
    struct lease_returned returned;
    static struct lease_held held;
    switch (message->kind) {
    case LEASE_CREDIT: require(lease_credit_get(message->body, &credit)); break;
    case LEASE_RESOLVED: require(lease_resolved_get(message->body, &resolved) && resolved.result <= RESOLVE_FAILED); break;
    case LEASE_OUTCOME: take_outcome(message->body); break;
    case LEASE_HELD: require(lease_held_get(message->body, &held)); break;
    case LEASE_RETURNED: require(lease_returned_get(message->body, &returned)); break;
    case LEASE_LEAVING: channel_send(channel, LEASE_LEFT, SPAN_NONE); break;
    default: require(false);
    }
}

static void on_queue_lost(void *arg, struct channel *channel, enum status why) { queue_lost = true; }

static void say_fd(uint16_t kind, struct buf *body, int fd)
{
    channel_send_fds(queue, kind, buf_span(body), &fd, 1);
    buf_done(body);
}

static void queue_begin(void)
{
    static const struct channel_events events = { on_word, on_queue_lost };
    struct buf body = BUF_EMPTY(64);
    queue_lost = false;
    memset(leases, 0, sizeof leases);
    lease_count = 0;
    queue = channel_new(inside.loop, inside_peer(ROLE_QUEUE, 0, 1), &events, NULL);
    require(queue != NULL);
    lease_segment_put(&body, &(struct lease_segment){ 3, 1 });
    say_fd(LEASE_SEGMENT, &body, segment_fd);
    inside_turns(3);
}

static void segment_begin(void)
{
    struct spool_segment segment = { .number = 3, .epoch = 1, .salt = 99, .octets = SEGMENT, .use = SPOOL_MESSAGES };
    if (segment_fd < 0)
        segment_fd = memfd_create("segment", MFD_CLOEXEC);
    require(segment_fd >= 0 && ftruncate(segment_fd, 0) == 0 && ftruncate(segment_fd, SEGMENT) == 0);
    require(spool_segment_write(&spool_ops_system, segment_fd, NULL, &segment) == STATUS_OK);
    spool_log_init(&store, &spool_ops_system);
    require(spool_log_open(&store, dup(segment_fd)) == STATUS_OK);
}

/* -- leases -- */

static const char *const domains[] = { "lmtp.example", "smtp.example", "login.example", "gone.example", "no.example",
                                       "keep.example", "[127.0.0.1]", "nowhere.example" };

static void grant_send(struct spool_place place, uint32_t recipients, const char *domain, uint64_t body, uint8_t lies)
{
    static struct lease_grant grant;
    last_id++;
    grant = (struct lease_grant){ .lease = last_id << 8, .id = last_id, .segment = place.segment, .offset = place.offset,
                                  .length = place.length, .body = body, .attempt = 1, .connections = 2, .domain = span_str(domain),
                                  .site = span_str(domain), .recipient_count = MIN(MAX(recipients, 1u), 8u) };
    for (uint32_t i = 0; i < grant.recipient_count; i++)
        grant.recipients[i] = lies & 1 ? choose(&choices) : i;
    if (lies & 2)
        grant.offset = (uint32_t)choose_octets(&choices, 2) * 8;
    if (lies & 4)
        grant.length = (uint32_t)choose_octets(&choices, 3);
    if (lies & 8)
        grant.route = choose_text(&choices, 40);
    if (lies & 16)
        grant.segment = choose(&choices);
    struct lease *lease = &leases[lease_count++ % LEASES];
    *lease = (struct lease){ .number = grant.lease, .open = true };
    for (uint32_t i = 0; i < grant.recipient_count; i++)
        if (grant.recipients[i] < 32)
            lease->recipients |= 1u << grant.recipients[i];
    lease_grant_put(channel_begin(queue, LEASE_GRANT), &grant);
    (void)channel_end(queue);
}

static bool record_store(struct span envelope, struct span headers, struct span content, struct spool_body_ref file,
                         struct spool_place *ret)
{
    struct spool_append append = { .id = last_id + 1, .kind = SPOOL_KIND_MESSAGE, .envelope = envelope, .headers = headers,
                                   .body = &content, .body_count = 1, .file = file };
    if (!spool_log_fits(&store, 0, &append) || spool_log_commit(&store, &append) != STATUS_OK)
        return false;
    *ret = append.place;
    return true;
}

static int body_file(struct span octets)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, octets.p, octets.n) == (ssize_t)octets.n);
    struct buf body = BUF_EMPTY(64);
    lease_body_put(&body, &(struct lease_body){ 5 });
    say_fd(LEASE_BODY, &body, fd);
    return fd;
}

/* A message with an envelope that is one; its words are the smtpd's. */
static void lease_one(uint8_t what)
{
    const char *domain = domains[what & 7];
    struct spool_recipient list[4];
    char names[4][300];
    struct span local = choose_text(&choices, 40), sender = choose_text(&choices, 40);
    uint8_t how = choose(&choices), lies = what & 128 ? choose(&choices) : 0;
    for (unsigned i = 0; i < ARRAY_LEN(list); i++) {
        snprintf(names[i], sizeof names[i], "%.*s%u@%s", SPAN_ARGS(local), i, domain);
        list[i] = (struct spool_recipient){ .address = span_str(names[i]), .notify = how & 15, .orcpt = i == 1 ? choose_text(&choices, 20) : SPAN_NONE };
    }
    struct spool_envelope envelope = { .flags = choose(&choices), .ret = how % 3, .account = SPAN("anna"), .sender = sender,
                                       .envid = choose_text(&choices, 10), .recipients = list, .recipient_count = 1 + (what >> 3 & 3) };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(65536);
    require(spool_envelope_encode(&envelope, &stored) == STATUS_OK);
    struct span headers = SPAN("Subject: x\r\n"), content = choose_text(&choices, 255);
    struct spool_body_ref file = { 0 };
    struct spool_place place;
    if (what & 64) {
        file = (struct spool_body_ref){ .number = 5, .octets = content.n + (lies >> 5), .check = crc32c(0, content.p, content.n) };
        close(body_file(content));
    }
    if (record_store(buf_span(&stored), headers, content, file, &place))
        grant_send(place, envelope.recipient_count, domain, file.number, lies);
}

static void lease_forged(void)
{
    struct span envelope = choose_text(&choices, 255), headers = choose_text(&choices, 60), content = choose_text(&choices, 60);
    struct spool_place place;
    if (record_store(envelope, headers, content, (struct spool_body_ref){ 0 }, &place))
        grant_send(place, 1, domains[choose(&choices) & 7], 0, choose(&choices));
}

/* -- servers: as they should be, unless the input says otherwise -- */

static struct guest {
    int fd;
    struct buf in;
    bool lmtp, in_data;
    uint64_t chunk;
    bool chunk_last;
    unsigned accepted;
} guests[GUESTS];
static int listeners[2] = { -1, -1 }; /* LMTP on a path, SMTP on a port */
static uint16_t port;

static void guest_end(struct guest *guest)
{
    close(guest->fd);
    guest->fd = -1;
    buf_done(&guest->in);
}

/* Every fourth answer is what the input likes, while it lasts. */
static void guest_say(struct guest *guest, const char *usual)
{
    struct span text = span_str(usual);
    if (choices.left.n && choose(&choices) % 4 == 0) {
        text = choose_text(&choices, 120);
        if (text.n == 0) {
            guest_end(guest);
            return;
        }
    }
    (void)!send(guest->fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void guest_end_of_message(struct guest *guest)
{
    unsigned answers = guest->lmtp ? guest->accepted : 1;
    guest->accepted = 0;
    while (answers-- && guest->fd >= 0)
        guest_say(guest, "250 2.0.0 taken\r\n");
}

static void say_offers(struct guest *guest)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1024);
    static const char *const lines[] = { "PIPELINING", "CHUNKING", "DSN", "8BITMIME", "SMTPUTF8", "SIZE 100", "LIMITS RCPTMAX=2", "AUTH PLAIN LOGIN" };
    buf_add_str(&text, "250-there\r\n");
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
        if (offers >> i & 1)
            buf_printf(&text, "250-%s\r\n", lines[i]);
    buf_add_str(&text, "250 ENHANCEDSTATUSCODES\r\n");
    guest_say(guest, buf_cstr(&text));
}

static void guest_command(struct guest *guest, struct span line)
{
    for (size_t i = 0; i < line.n; i++) /* the other server's parser, whoever wrote it, shall see one line */
        require((unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7F);
    if (span_starts(line, SPAN("EHLO ")) || span_starts(line, SPAN("LHLO ")) || span_starts(line, SPAN("HELO "))) {
        say_offers(guest);
    } else if (span_starts(line, SPAN("MAIL FROM:<"))) {
        guest->accepted = 0;
        guest_say(guest, "250 2.1.0 ok\r\n");
    } else if (span_starts(line, SPAN("RCPT TO:<"))) {
        guest->accepted++;
        guest_say(guest, "250 2.1.5 ok\r\n");
    } else if (span_eq(line, SPAN("DATA"))) {
        guest->in_data = true;
        guest_say(guest, "354 go\r\n");
    } else if (span_starts(line, SPAN("BDAT "))) {
        struct span number, rest = span_from(line, 5);
        require(span_cut(&rest, ' ', &number) && span_u64(number, UINT64_MAX, &guest->chunk));
        guest->chunk_last = span_eq(rest, SPAN("LAST"));
        if (guest->chunk == 0)
            guest_end_of_message(guest);
    } else if (span_starts(line, SPAN("AUTH "))) {
        guest_say(guest, span_starts(line, SPAN("AUTH PLAIN")) ? "235 in\r\n" : "334 VXNlcm5hbWU6\r\n");
    } else if (span_eq(line, SPAN("RSET")) || span_eq(line, SPAN("NOOP"))) {
        guest_say(guest, "250 ok\r\n");
    } else if (span_eq(line, SPAN("QUIT"))) {
        guest_say(guest, "221 bye\r\n");
    } else {
        require(line.n % 4 == 0 && line.n <= 1400 && span_find(line, ' ') == line.n); /* an answer of AUTH */
        guest_say(guest, "334 UGFzc3dvcmQ6\r\n");
    }
}

/* Takes one thing off the front of what was heard. False: not enough is there. */
static bool guest_step(struct guest *guest)
{
    struct span in = buf_span(&guest->in);
    if (guest->chunk) {
        size_t n = (size_t)MIN(guest->chunk, (uint64_t)in.n);
        buf_drop(&guest->in, n);
        guest->chunk -= n;
        if (guest->chunk == 0)
            guest_end_of_message(guest);
        return n > 0 && guest->fd >= 0;
    }
    size_t end = guest->in_data ? (span_starts(in, SPAN(".\r\n")) ? 0 : span_find_span(in, SPAN("\r\n.\r\n")) + 2)
                                : span_find_span(in, SPAN("\r\n"));
    if (end >= in.n)
        return false;
    if (guest->in_data) {
        guest->in_data = false;
        buf_drop(&guest->in, end + 3);
        guest_end_of_message(guest);
    } else {
        struct span line = fuzz_exact(span_head(in, end));
        buf_drop(&guest->in, end + 2);
        guest_command(guest, line);
        free((void *)(uintptr_t)line.p);
    }
    return guest->fd >= 0;
}

static void guest_read(struct guest *guest)
{
    char octets[4096];
    ssize_t n = recv(guest->fd, octets, sizeof octets, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        guest_end(guest);
        return;
    }
    /* A message that was answered early, or not at all, leaves its rest: what follows cannot be told apart here. */
    if (n > 0)
        buf_add(&guest->in, span_of(octets, (size_t)n));
    while (guest->fd >= 0 && guest_step(guest))
        ;
}

static void guests_turn(void)
{
    for (unsigned which = 0; which < 2; which++) {
        int fd = accept4(listeners[which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        for (unsigned i = 0; fd >= 0 && i < GUESTS; i++)
            if (guests[i].fd < 0) {
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
                guests[i] = (struct guest){ .fd = fd, .in = BUF_EMPTY((size_t)1 << 20), .lmtp = which == 0 };
                fd = -1;
                guest_say(&guests[i], "220 there\r\n");
            }
        if (fd >= 0)
            close(fd);
    }
    for (unsigned i = 0; i < GUESTS; i++)
        if (guests[i].fd >= 0)
            guest_read(&guests[i]);
}

static void listeners_open(void)
{
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof in;
    snprintf(path.sun_path, sizeof path.sun_path, "%s/l.sock", inside.folder);
    if (listeners[0] >= 0)
        close(listeners[0]);
    listeners[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    require(bind(listeners[0], (struct sockaddr *)&path, sizeof path) == 0 && listen(listeners[0], 16) == 0);
    if (listeners[1] >= 0)
        return;
    listeners[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    require(bind(listeners[1], (struct sockaddr *)&in, sizeof in) == 0 && listen(listeners[1], 16) == 0);
    require(getsockname(listeners[1], (struct sockaddr *)&in, &n) == 0);
    port = ntohs(in.sin_port);
}

/* -- the run -- */

static void queue_step(uint8_t what)
{
    struct buf body = BUF_EMPTY(4096);
    switch (what) {
    case 0: channel_free(queue); queue_begin(); break;
    case 1:
        lease_resolve_put(&body, &(struct lease_resolve){ choose(&choices), span_str(domains[choose(&choices) % 7]), choose_text(&choices, 40) });
        channel_send(queue, LEASE_RESOLVE, buf_span(&body));
        break;
    case 2:
        lease_settled_put(&body, &(struct lease_settled){ (uint32_t)choose_octets(&choices, 4) });
        channel_send(queue, LEASE_SETTLED, buf_span(&body));
        break;
    case 3:
        lease_segment_gone_put(&body, &(struct lease_segment_gone){ 3 });
        channel_send(queue, LEASE_SEGMENT_GONE, buf_span(&body));
        buf_clear(&body);
        lease_segment_put(&body, &(struct lease_segment){ 3, 1 });
        channel_send_fds(queue, LEASE_SEGMENT, buf_span(&body), &segment_fd, 1);
        break;
    default: channel_send(queue, LEASE_GRANT, choose_text(&choices, 255)); break;
    }
    buf_done(&body);
}

static void step(uint8_t what)
{
    if (what < 128) {
        lease_one((uint8_t)(what << 1) | (what >> 6));
    } else if (what < 160) {
        lease_forged();
    } else if (what < 176) {
        struct span octets = choose_text(&choices, 64);
        (void)!pwrite(segment_fd, octets.p, octets.n, SPOOL_BLOCK + (off_t)(choose_octets(&choices, 2) % (SEGMENT - 2 * SPOOL_BLOCK - 64)));
    } else if (what < 200) {
        queue_step(what % 5);
    } else if (what < 220) {
        struct guest *guest = &guests[what % GUESTS];
        if (guest->fd >= 0)
            guest_end(guest);
    } else if (what < 250) {
        inside_pass(INT64_C(1) << what % 20);
    } else {
        channel_send(inside.supervisor, what & 1 ? SUPERVISOR_DRAIN : SUPERVISOR_RELOAD, SPAN_NONE);
    }
}

static void drive(void)
{
    AUTO(buf_done) struct buf more = BUF_EMPTY(8192);
    buf_printf(&more,
               "dns: { resolvers: ['127.0.0.1:1'] }\n"
               "delivery: { refuse-networks: [], leases: 40, idle-connections: 3, tls: none, chunking: %s, port: 1 }\n"
               "routes:\n- { domain: lmtp.example, via: 'lmtp:%s/l.sock' }\n- { domain: smtp.example, via: 'smtp://127.0.0.1:%u' }\n"
               "- { domain: login.example, via: 'smtp://127.0.0.1:%u', user: u, password: p, tls: none }\n"
               "- { domain: gone.example, via: discard }\n- { domain: no.example, via: reject, text: Not here }\n"
               "- { domain: keep.example, via: catch }\n- { domain: nowhere.example, via: 'smtp://127.0.0.1:1' }\n",
               offers & 1 ? "no" : "yes", inside.folder, port, port);
    require(inside_start(inside_end, buf_span(&more)));
    queue_begin();
    for (int steps = 0; !choices_over(&choices) && steps < STEPS_MOST && !queue_lost; steps++) {
        step(choose(&choices));
        for (int i = 0; i < 4; i++) {
            inside_turns(1);
            guests_turn();
        }
    }
    for (int i = 0; i < 10; i++) {
        inside_turns(1);
        guests_turn();
    }
    channel_free(queue);
    for (unsigned i = 0; i < GUESTS; i++)
        if (guests[i].fd >= 0)
            guest_end(&guests[i]);
    inside_turns(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices = choices_of(data, MIN(size, (size_t)8192));
    offers = choose(&choices);
    inside_begin();
    segment_begin();
    listeners_open();
    for (unsigned i = 0; i < GUESTS; i++)
        guests[i].fd = -1;
    last_id = 0;
    inside_run(delivery_main, drive);
    spool_log_done(&store);
    return 0;
}
