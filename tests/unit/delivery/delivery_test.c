/* The whole room at work: a queue at one end of a channel, servers of all moods on loopback at the other. */
#include "test.h"
#include "delivery/delivery.h"
#include "delivery/session.h"
#include "name_server.h"
#include "net/listen.h"
#include "net/tls.h"
#include "spool/log.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENT_OCTETS (1u << 20)

/* ---- a server ---- */

struct server {
    struct listener *listener;
    struct net_address at;
    const char *greeting;
    const char *ehlo;         /* whole reply */
    const char *mail, *rcpt, *data, *end; /* replies; NULL: the usual. "!" hangs up */
    bool drops_first;         /* hang up on the first connection's MAIL */
    struct tls_server *tls;   /* STARTTLS works; breaks_tls: it is answered by 220 and nonsense */
    bool breaks_tls;
    bool was_tls;             /* the last message came over TLS */
    unsigned connections, messages, quits;
    struct buf body;          /* of the last message, with its dots */
    struct loop *loop;
};

struct visit {
    struct server *server;
    struct stream *stream;
    bool in_data, begins_tls, is_broken;
    size_t chunk;
    unsigned number;
};

static void say(struct visit *visit, const char *reply)
{
    if (reply[0] == '!') {
        stream_free(visit->stream);
        visit->stream = NULL;
        return;
    }
    stream_write(visit->stream, span_str(reply));
    stream_write(visit->stream, SPAN("\r\n"));
}

static const char *or_else(const char *given, const char *usual)
{
    return given ? given : usual;
}

static void on_line(struct visit *visit, struct span line)
{
    struct server *server = visit->server;
    if (span_starts(line, SPAN("EHLO")) || span_starts(line, SPAN("LHLO"))) {
        say(visit, server->ehlo);
    } else if (span_starts(line, SPAN("MAIL"))) {
        say(visit, server->drops_first && visit->number == 1 ? "!" : or_else(server->mail, "250 sender ok"));
    } else if (span_starts(line, SPAN("RCPT TO:<no"))) {
        say(visit, "550 5.1.1 no such person");
    } else if (span_starts(line, SPAN("RCPT"))) {
        say(visit, or_else(server->rcpt, "250 recipient ok"));
    } else if (span_starts(line, SPAN("DATA"))) {
        visit->in_data = server->data == NULL;
        buf_clear(&server->body);
        say(visit, or_else(server->data, "354 go"));
    } else if (span_starts(line, SPAN("BDAT "))) {
        visit->chunk = (size_t)strtoul(line.p + 5, NULL, 10);
        buf_clear(&server->body);
    } else if (span_starts(line, SPAN("STARTTLS")) && (server->tls || server->breaks_tls)) {
        say(visit, "220 go");
        visit->begins_tls = server->tls != NULL;
        visit->is_broken = server->breaks_tls;
    } else if (visit->is_broken) {
        say(visit, "!");
    } else if (span_starts(line, SPAN("QUIT"))) {
        server->quits++;
        say(visit, "221 bye");
    } else {
        say(visit, "250 fine");
    }
}

static void on_body(struct visit *visit)
{
    visit->server->messages++;
    visit->server->was_tls = stream_is_tls(visit->stream);
    say(visit, or_else(visit->server->end, "250 2.0.0 queued as 4711"));
}

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct visit *visit = arg;
    struct span left = input, line;
    while (visit->stream && left.n) {
        if (visit->chunk) {
            size_t n = MIN(visit->chunk, left.n);
            buf_add(&visit->server->body, span_head(left, n));
            left = span_from(left, n);
            visit->chunk -= n;
            if (visit->chunk == 0)
                on_body(visit);
            continue;
        }
        if (visit->in_data) { /* nothing follows before our answer */
            struct buf *body = &visit->server->body;
            buf_add(body, left);
            left = SPAN_NONE;
            if (!span_ends_case(buf_span(body), SPAN("\r\n.\r\n")))
                continue;
            body->n -= 5;
            visit->in_data = false;
            on_body(visit);
            continue;
        }
        size_t end = span_find_span(left, SPAN("\r\n"));
        if (end == left.n)
            break;
        line = span_head(left, end);
        left = span_from(left, end + 2);
        on_line(visit, line);
    }
    if (visit->stream && visit->is_broken && left.n) /* a ClientHello, which is no line */
        say(visit, "!");
    if (!visit->stream) {
        free(visit);
        return;
    }
    stream_consume(stream, input.n - left.n);
    if (visit->begins_tls)
        assert_int_equal(stream_start_tls_server(stream, visit->server->tls), STATUS_OK);
    visit->begins_tls = false;
}

static void on_end(void *arg, struct stream *stream, enum status why)
{
    stream_free(stream);
    free(arg);
}

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    static const struct stream_events events = { .on_readable = on_readable, .on_end = on_end };
    struct server *server = arg;
    struct visit *visit = calloc(1, sizeof *visit);
    visit->server = server;
    visit->number = ++server->connections;
    visit->stream = stream_new(server->loop, fd, &events, visit);
    say(visit, server->greeting);
    if (!visit->stream)
        free(visit);
    else
        stream_flush(visit->stream);
}

static void server_open(struct server *server, struct loop *loop, const char *ehlo)
{
    static const struct listener_events events = { on_accept, NULL };
    int fd;
    *server = (struct server){ .greeting = "220 there", .ehlo = ehlo, .loop = loop, .body = BUF_EMPTY(1u << 20) };
    assert_int_equal(net_address_parse(SPAN("127.0.0.1:0"), 1, &server->at), STATUS_OK);
    net_address_set_port(&server->at, 0);
    assert_int_equal(listen_open(&server->at, &(struct listen_options){ 0 }, &fd), STATUS_OK);
    assert_int_equal(net_address_local(fd, &server->at), STATUS_OK);
    server->listener = listener_new(loop, fd, &events, server);
}

static void server_close(struct server *server)
{
    listener_free(server->listener);
    buf_done(&server->body);
}

/* ---- the house around it ---- */

struct house {
    struct loop *loop;
    struct log log;
    struct delivery delivery;
    struct channel *queue;
    struct spool_log store;
    struct server server, other;
    struct name_server names;
    struct buf said;          /* what the queue was told, one line each */
    unsigned credits, outcomes;
};

static void tell_outcome(struct house *house, struct span body)
{
    static const char *const words[] = { "delivered", "deferred", "failed", "caught", "relayed" };
    struct lease_outcome outcome;
    assert_true(lease_outcome_get(body, &outcome));
    struct wire_reader reader = wire_read(outcome.recipients);
    buf_printf(&house->said, "lease %d trouble %d\n", (int)outcome.lease, outcome.trouble);
    for (uint32_t i = 0; i < outcome.recipient_count; i++) {
        struct outcome_recipient one;
        assert_true(outcome_recipient_get(&reader, &one));
        buf_printf(&house->said, "%u %s %d %d.%d.%d %.*s\n", one.index, words[one.result], one.code, one.enhanced[0],
                   one.enhanced[1], one.enhanced[2], SPAN_ARGS(one.text));
    }
    assert_true(wire_end(&reader));
    house->outcomes++;
}

static void on_word(void *arg, struct channel *channel, struct channel_message *message)
{
    struct house *house = arg;
    struct lease_credit credit;
    struct lease_resolved resolved;
    switch (message->kind) {
    case LEASE_CREDIT:
        assert_true(lease_credit_get(message->body, &credit));
        house->credits += credit.more;
        break;
    case LEASE_RESOLVED:
        assert_true(lease_resolved_get(message->body, &resolved));
        buf_printf(&house->said, "resolved %d %d %.*s %.*s\n", (int)resolved.token, resolved.result,
                   SPAN_ARGS(resolved.site), SPAN_ARGS(resolved.text));
        house->outcomes++;
        break;
    case LEASE_OUTCOME: tell_outcome(house, message->body); break;
    default: fail_msg("kind %d", message->kind);
    }
}

static void on_gone(void *arg, struct channel *channel, enum status why)
{
    fail_msg("the channel ended: %s", status_text(why));
}

static const struct name_row name_rows[] = {
    { "first.test", DNS_MX, "10 dead.test,20 live.test" }, { "dead.test", DNS_A, "127.0.0.3" },
    { "live.test", DNS_A, "127.0.0.1" },                   { "live.test", DNS_AAAA, "!" },
    { "lone.test", DNS_A, "127.0.0.1" },                   { "null.test", DNS_MX, "0 " },
    { "dry.test", DNS_MX, "10 dry.test" },                 { "dry.test", DNS_A, "" },
    { "slow.test", DNS_MX, "!" },                          { "lost.test", DNS_MX, "10 lost.test" },
    { "lost.test", DNS_A, "!" },
};

static void house_open(struct house *house, const char *more)
{
    static const struct channel_events events = { on_word, on_gone };
    *house = (struct house){ .loop = loop_new(), .said = BUF_EMPTY(1u << 20) };
    log_init(&house->log, -1, "delivery", LOG_DEBUG);
    server_open(&house->server, house->loop, "250-there\r\n250 PIPELINING");
    server_open(&house->other, house->loop, "250 there");
    name_server_open(&house->names, house->loop, name_rows, ARRAY_LEN(name_rows));

    char text[NET_ADDRESS_TEXT], other[NET_ADDRESS_TEXT], resolver[NET_ADDRESS_TEXT];
    net_address_text(&house->names.at, resolver);
    AUTO(buf_done) struct buf settings = BUF_EMPTY(1u << 16);
    net_address_text(&house->server.at, text);
    net_address_text(&house->other.at, other);
    buf_printf(&settings, "hostname: me.example\ndns: { resolvers: ['%s'] }\ndelivery: { port: %u, ip: %s }\nroutes:\n"
               "- { domain: gone.example, via: discard }\n- { domain: no.example, via: reject, text: Not here }\n"
               "- { domain: keep.example, via: catch }\n- { domain: other.example, via: 'smtp://%s' }\n"
               "- { domain: lmtp.example, via: 'lmtp://%s' }\n- { domain: self.example, via: 'smtp://127.0.0.1:9' }\n"
               "- { domain: login.test, via: 'smtp://u:p@%s' }\n- { domain: lax.test, via: 'smtp://%s', user: u, password: p, tls: required }\n"
               "- { domain: dead.example, via: 'smtp://127.0.0.1:1' }\n- { domain: '*.example', via: 'smtp://%s' }\n"
               "listen: [ { address: '127.0.0.1:9', service: relay } ]\n%s", resolver, net_address_port(&house->server.at),
               more[0] ? "both" : "ipv4", other, text, text, text, text, more);
    struct conf_faults faults;
    conf_faults_init(&faults, "test");
    struct delivery_config *config;
    enum status status = delivery_config_new(house->loop, buf_span(&settings), SPAN_NONE, &faults, &config);
    if (status != STATUS_OK)
        fail_msg("%s", buf_cstr(&faults.text));
    conf_faults_done(&faults);
    delivery_init(&house->delivery, house->loop, &house->log, config);

    int pair[2];
    assert_int_equal(channel_pair(pair), STATUS_OK);
    delivery_set_queue(&house->delivery, pair[0]);
    house->queue = channel_new(house->loop, pair[1], &events, house);

    int fd = memfd_create("segment", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, SEGMENT_OCTETS), 0);
    struct spool_segment segment = { .number = 3, .epoch = 1, .salt = 99, .octets = SEGMENT_OCTETS, .use = SPOOL_MESSAGES };
    assert_int_equal(spool_segment_write(&spool_ops_system, fd, &segment), STATUS_OK);
    spool_log_init(&house->store, &spool_ops_system);
    int mine = dup(fd);
    assert_int_equal(spool_log_open(&house->store, fd), STATUS_OK);
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_segment_put(&body, &(struct lease_segment){ 3, 1 });
    channel_send_fds(house->queue, LEASE_SEGMENT, buf_span(&body), &mine, 1);
    close(mine);
}

static void house_close(struct house *house)
{
    delivery_done(&house->delivery);
    channel_free(house->queue);
    for (int i = 0; i < 20; i++)
        loop_turn(house->loop, 1);
    server_close(&house->server);
    server_close(&house->other);
    name_server_close(&house->names);
    spool_log_done(&house->store);
    buf_done(&house->said);
    log_done(&house->log);
    loop_free(house->loop);
}

/* Stores a message to so many recipients of `domain` ("r0@...", the second one "no1@..." when `bad`), leases it. */
static void lease(struct house *house, uint64_t number, const char *domain, unsigned count, bool bad, struct span content,
                  uint32_t flags)
{
    struct spool_recipient recipients[8];
    char names[8][64];
    struct lease_grant *grant = calloc(1, sizeof *grant);
    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s%u@%s", bad && i == 1 ? "no" : "r", i, domain);
        recipients[i] = (struct spool_recipient){ .address = span_str(names[i]), .notify = SPOOL_NOTIFY_SUCCESS * (i == 2) };
        grant->recipients[i] = i;
    }
    struct spool_envelope envelope = { .sender = SPAN("a@a.org"), .recipients = recipients, .recipient_count = count, .flags = flags };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(1u << 16);
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    struct spool_append append = { .id = number, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&stored),
                                   .headers = SPAN("Subject: x\r\n"), .body = &content, .body_count = 1 };
    assert_int_equal(spool_log_commit(&house->store, &append), STATUS_OK);
    grant->lease = grant->id = number;
    grant->segment = append.place.segment, grant->offset = append.place.offset, grant->length = append.place.length;
    grant->attempt = 1, grant->connections = 1;
    grant->site = grant->domain = span_str(domain);
    grant->recipient_count = count;
    lease_grant_put(channel_begin(house->queue, LEASE_GRANT), grant);
    assert_int_equal(channel_end(house->queue), STATUS_OK);
    free(grant);
}

static void wait_for(struct house *house, unsigned outcomes, const char *said)
{
    for (int i = 0; i < 5000 && house->outcomes < outcomes; i++)
        loop_turn(house->loop, 10);
    assert_string_equal(buf_cstr(&house->said), said);
}

#define BODY SPAN("\r\nhello\r\n")

static void a_message_goes_out_and_the_connection_stays(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    lease(&house, 2, "a.example", 3, true, SPAN("\r\n.hello\r\n.\r\n"), SPOOL_LEADING_DOTS);
    wait_for(&house, 2, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n"
             "lease 2 trouble 0\n1 failed 550 5.1.1 no such person\n0 delivered 250 2.0.0 queued as 4711\n"
             "2 relayed 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.server.connections, 1);
    assert_int_equal(house.server.messages, 2);
    assert_string_equal(buf_cstr(&house.server.body), "Subject: x\r\n\r\n..hello\r\n..");
    house_close(&house);
}

static void ways_without_a_connection(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "gone.example", 1, false, BODY, 0);
    lease(&house, 2, "no.example", 1, false, BODY, 0);
    lease(&house, 3, "keep.example", 1, false, BODY, 0);
    lease(&house, 4, "self.example", 1, false, BODY, 0);
    wait_for(&house, 4, "lease 1 trouble 0\n0 delivered 250 2.0.0 thrown away, as a route says\n"
             "lease 2 trouble 0\n0 failed 550 5.7.1 Not here\nlease 3 trouble 0\n0 caught 0 2.0.0 kept here, as a route says\n"
             "lease 4 trouble 0\n0 failed 0 5.4.6 mail for self.example loops back to this server\n");
    house_close(&house);
}

static void a_dead_server_defers(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "dead.example", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 1\n0 deferred 0 4.4.1 127.0.0.1:1: cannot connect: Connection refused\n");
    house_close(&house);
}

static void a_kept_connection_that_breaks_is_no_failure(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    buf_clear(&house.said);
    house.server.drops_first = true;
    lease(&house, 2, "a.example", 1, false, BODY, 0);
    wait_for(&house, 2, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.server.connections, 2);
    house_close(&house);
}

static void unfriendly_greetings(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.greeting = "554 5.7.1 go away";
    house.other.greeting = "450 later";
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    lease(&house, 2, "other.example", 1, false, BODY, 0);
    for (int i = 0; i < 500 && house.outcomes < 2; i++)
        loop_turn(house.loop, 10);
    assert_non_null(strstr(buf_cstr(&house.said), "lease 1 trouble 0\n0 failed 554 5.7.1 go away\n"));
    assert_non_null(strstr(buf_cstr(&house.said), "lease 2 trouble 1\n0 deferred 450 4.0.0 later\n"));
    house_close(&house);
}

static void too_many_recipients_go_in_two(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.ehlo = "250-there\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2";
    lease(&house, 1, "a.example", 5, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n1 delivered 250 2.0.0 queued as 4711\n"
             "2 relayed 250 2.0.0 queued as 4711\n3 delivered 250 2.0.0 queued as 4711\n4 delivered 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.server.messages, 3);
    assert_int_equal(house.server.connections, 1);
    house_close(&house);
}

static void a_large_message_comes_whole(void **state)
{
    static char large[200000];
    for (size_t i = 0; i < sizeof large; i += 10)
        memcpy(large + i, i % 100 ? "abcdefgh\r\n" : ".bcdefgh\r\n", 10);
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, span_of(large, sizeof large), SPOOL_LEADING_DOTS);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.server.body.n, 12 + sizeof large + sizeof large / 100 - 2);

    house.other.ehlo = "250-there\r\n250-PIPELINING\r\n250 CHUNKING";
    house.other.mail = NULL;
    buf_clear(&house.said);
    lease(&house, 2, "other.example", 1, false, span_of(large, sizeof large), SPOOL_LEADING_DOTS);
    lease(&house, 3, "other.example", 1, false, BODY, 0);
    wait_for(&house, 3, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n"
             "lease 3 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_string_equal(buf_cstr(&house.other.body), "Subject: x\r\n\r\nhello\r\n");
    house_close(&house);
}

static void utf8_goes_where_it_is_taken(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, BODY, SPOOL_SMTPUTF8);
    lease(&house, 2, "a.example", 1, false, SPAN("Subject: \xc5\xba\r\n\r\nhello\r\n"), SPOOL_SMTPUTF8);
    lease(&house, 3, "a.example", 1, false, SPAN("\r\nhello \xc5\xba\r\n"), SPOOL_SMTPUTF8 | SPOOL_8BIT);
    wait_for(&house, 3, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\nlease 2 trouble 0\n"
             "0 failed 0 5.6.7 the message needs SMTPUTF8, which the recipient's server does not offer\n"
             "lease 3 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    house_close(&house);
}

static void leases_of_what_is_not_there_are_given_back(void **state)
{
    struct house house;
    house_open(&house, "");
    struct lease_grant *grant = calloc(1, sizeof *grant);
    grant->lease = 5, grant->segment = 77, grant->length = 100, grant->recipient_count = 1, grant->connections = 1;
    grant->site = grant->domain = SPAN("a.example");
    lease_grant_put(channel_begin(house.queue, LEASE_GRANT), grant);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    grant->segment = 3, grant->offset = 4096;
    lease_grant_put(channel_begin(house.queue, LEASE_GRANT), grant);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    wait_for(&house, 2, "lease 5 trouble 3\n0 deferred 0 4.3.0 the queue named a segment or a body that it has not handed out\n"
             "lease 5 trouble 3\n0 deferred 0 4.3.0 the stored message is damaged\n");
    assert_int_equal(house.credits, 2000 + 2);
    free(grant);
    house_close(&house);
}

static void resolve(struct house *house, uint64_t token, const char *domain)
{
    struct lease_resolve resolve = { .token = token, .domain = span_str(domain), .route = SPAN("") };
    lease_resolve_put(channel_begin(house->queue, LEASE_RESOLVE), &resolve);
    assert_int_equal(channel_end(house->queue), STATUS_OK);
}

static void mail_goes_by_mx(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "first.test", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    buf_clear(&house.said);
    lease(&house, 2, "lone.test", 1, false, BODY, 0);
    wait_for(&house, 2, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    buf_clear(&house.said);
    lease(&house, 3, "dry.test", 1, false, BODY, 0);
    wait_for(&house, 3, "lease 3 trouble 0\n0 failed 0 5.4.4 the host dry.test has no address\n");
    buf_clear(&house.said);
    lease(&house, 4, "lost.test", 1, false, BODY, 0);
    wait_for(&house, 4, "lease 4 trouble 1\n0 deferred 0 4.4.3 cannot find the address of lost.test: the name servers failed\n");
    buf_clear(&house.said);
    lease(&house, 5, "[127.0.0.1]", 1, false, BODY, 0);
    wait_for(&house, 5, "lease 5 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    house_close(&house);
}

static void the_queue_learns_sites(void **state)
{
    static const struct {
        const char *domain, *said;
    } asked[] = {
        { "first.test", "resolved 1 0 mx:dead.test,live.test \n" },
        { "lone.test", "resolved 2 0 mx:lone.test \n" },
        { "null.test", "resolved 3 2  the domain null.test takes no mail\n" },
        { "missing.test", "resolved 4 2  the domain missing.test does not exist\n" },
        { "slow.test", "resolved 5 1  cannot find the mail servers of slow.test: the name servers failed\n" },
    };
    struct house house;
    house_open(&house, "");
    for (unsigned i = 0; i < ARRAY_LEN(asked); i++) {
        buf_clear(&house.said);
        resolve(&house, i + 1, asked[i].domain);
        wait_for(&house, i + 1, asked[i].said);
    }
    house_close(&house);
}

static struct tls_server *make_tls(void)
{
    AUTO(buf_done) struct buf certificate = BUF_EMPTY(1u << 16);
    AUTO(buf_done) struct buf key = BUF_EMPTY(1u << 16);
    assert_int_equal(tls_self_signed("localhost", 10, &certificate, &key), STATUS_OK);
    struct tls_pair pair = { buf_span(&certificate), buf_span(&key) };
    struct tls_server_settings settings = { .pairs = &pair, .count = 1 };
    char error[TLS_ERROR_SIZE];
    struct tls_server *tls;
    assert_int_equal(tls_server_new(&settings, error, &tls), STATUS_OK);
    return tls;
}

static void tls_is_used_where_it_is_offered(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.ehlo = "250-there\r\n250-PIPELINING\r\n250 STARTTLS";
    house.server.tls = make_tls();
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_true(house.server.was_tls);
    tls_server_unref(house.server.tls);
    house_close(&house);
}

static void broken_tls_is_done_without(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.ehlo = "250-there\r\n250-PIPELINING\r\n250 STARTTLS";
    house.server.breaks_tls = true;
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_false(house.server.was_tls);
    assert_int_equal(house.server.connections, 2);
    house_close(&house);
}

/* A password goes to a server that is who it says it is, or nowhere. */
static void a_login_wants_a_good_certificate(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.ehlo = "250-there\r\n250-AUTH PLAIN\r\n250 STARTTLS";
    house.server.tls = make_tls();
    lease(&house, 1, "login.test", 1, false, BODY, 0);
    for (int i = 0; i < 500 && house.outcomes < 1; i++)
        loop_turn(house.loop, 10);
    assert_non_null(strstr(buf_cstr(&house.said), "lease 1 trouble 1\n0 deferred 0 4.7.5 "));
    assert_int_equal(house.server.messages, 0);
    buf_clear(&house.said);
    lease(&house, 2, "lax.test", 1, false, BODY, 0);
    wait_for(&house, 2, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    tls_server_unref(house.server.tls);
    house_close(&house);
}

static void routes_are_sites(void **state)
{
    struct house house;
    house_open(&house, "");
    struct lease_resolve resolve = { .token = 1, .domain = SPAN("gone.example"), .route = SPAN("") };
    lease_resolve_put(channel_begin(house.queue, LEASE_RESOLVE), &resolve);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    resolve = (struct lease_resolve){ .token = 2, .domain = SPAN("[192.0.2.1]"), .route = SPAN("") };
    lease_resolve_put(channel_begin(house.queue, LEASE_RESOLVE), &resolve);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    resolve = (struct lease_resolve){ .token = 3, .domain = SPAN("x.org"), .route = SPAN("smtp://u:p@h.example:26") };
    lease_resolve_put(channel_begin(house.queue, LEASE_RESOLVE), &resolve);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    wait_for(&house, 3, "resolved 1 0 discard \nresolved 2 0 [192.0.2.1] \nresolved 3 0 smtp://u@h.example:26/v \n");
    house_close(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_out_and_the_connection_stays),
        cmocka_unit_test(ways_without_a_connection),
        cmocka_unit_test(a_dead_server_defers),
        cmocka_unit_test(a_kept_connection_that_breaks_is_no_failure),
        cmocka_unit_test(unfriendly_greetings),
        cmocka_unit_test(too_many_recipients_go_in_two),
        cmocka_unit_test(a_large_message_comes_whole),
        cmocka_unit_test(utf8_goes_where_it_is_taken),
        cmocka_unit_test(leases_of_what_is_not_there_are_given_back),
        cmocka_unit_test(mail_goes_by_mx),
        cmocka_unit_test(the_queue_learns_sites),
        cmocka_unit_test(tls_is_used_where_it_is_offered),
        cmocka_unit_test(broken_tls_is_done_without),
        cmocka_unit_test(a_login_wants_a_good_certificate),
        cmocka_unit_test(routes_are_sites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
