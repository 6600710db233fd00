/* The room with a queue at one end of a channel, servers and a name server at the other, and a segment of messages. */
#pragma once
#include "test.h"
#include "delivery/delivery.h"
#include "delivery/session.h"
#include "moody_server.h"
#include "name_server.h"
#include "spool/log.h"
#include <fcntl.h>
#include <sys/mman.h>

#define SEGMENT_OCTETS (1u << 20)
#define LEASES 8

struct house {
    struct loop *loop;
    struct log log;
    struct delivery delivery;
    struct channel *queue;
    struct spool_log store;
    struct server server, other, third; /* third: only where a test opens it */
    struct name_server names;
    struct buf said;          /* what the queue was told, one line each */
    unsigned credits, outcomes;
};

static inline void tell_outcome(struct house *house, struct span body)
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

static inline void tell_held(struct house *house, struct span body)
{
    static struct lease_held held;
    assert_true(lease_held_get(body, &held));
    buf_printf(&house->said, "held %d as %d attempt %u recipients %u at %.*s\n", (int)held.id, (int)held.lease, held.attempt,
               held.recipient_count, SPAN_ARGS(held.site));
}

static inline void tell_returned(struct house *house, struct span body)
{
    struct lease_returned returned;
    assert_true(lease_returned_get(body, &returned));
    buf_printf(&house->said, "returned %d\n", (int)returned.lease);
}

static inline void on_word(void *arg, struct channel *channel, struct channel_message *message)
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
    case LEASE_HELD: tell_held(house, message->body); break;
    case LEASE_RETURNED: tell_returned(house, message->body); break;
    case LEASE_LEAVING: channel_send(channel, LEASE_LEFT, SPAN_NONE); break;
    default: fail_msg("kind %d", message->kind);
    }
}

static inline void on_gone(void *arg, struct channel *channel, enum status why)
{
    fail_msg("the channel ended: %s", status_text(why));
}

/* The queue dies and another takes its place. */
static inline void another_queue(struct house *house)
{
    static const struct channel_events events = { on_word, on_gone };
    int pair[2];
    channel_free(house->queue);
    for (int i = 0; i < 500 && house->delivery.queue; i++)
        loop_turn(house->loop, 10);
    buf_clear(&house->said);
    house->credits = 0;
    assert_int_equal(channel_pair(pair), STATUS_OK);
    delivery_set_queue(&house->delivery, pair[0]);
    house->queue = channel_new(house->loop, pair[1], &events, house);
    for (int i = 0; i < 500 && house->delivery.greets; i++)
        loop_turn(house->loop, 10);
    loop_turn(house->loop, 10);
}

static const struct name_row name_rows[] = {
    { "first.test", DNS_MX, "10 dead.test,20 live.test" }, { "dead.test", DNS_A, "127.0.0.3" },
    { "live.test", DNS_A, "127.0.0.1" },                   { "live.test", DNS_AAAA, "!" },
    { "lone.test", DNS_A, "127.0.0.1" },                   { "null.test", DNS_MX, "0 " },
    { "dry.test", DNS_MX, "10 dry.test" },                 { "dry.test", DNS_A, "" },
    { "slow.test", DNS_MX, "!" },                          { "lost.test", DNS_MX, "10 lost.test" },
    { "lost.test", DNS_A, "!" },                            { "two.test", DNS_MX, "10 moody.test,20 live.test" },
    { "moody.test", DNS_A, "127.0.0.2" },
};

static inline void house_open(struct house *house, const char *more)
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
    buf_printf(&settings, "hostname: me.example\ndns: { resolvers: ['%s'] }\ndelivery: { port: %u, ip: %s, refuse-networks: [], idle-connections: 2, leases: %d }\nroutes:\n"
               "- { domain: gone.example, via: discard }\n- { domain: no.example, via: reject, text: Not here }\n"
               "- { domain: keep.example, via: catch }\n- { domain: other.example, via: 'smtp://%s' }\n"
               "- { domain: lmtp.example, via: 'lmtp://%s' }\n- { domain: self.example, via: 'smtp://127.0.0.1:9' }\n"
               "- { domain: login.test, via: 'smtp://u:p@%s' }\n- { domain: lax.test, via: 'smtp://%s', user: u, password: p, tls: required }\n"
               "- { domain: dead.example, via: 'smtp://127.0.0.1:1' }\n- { domain: '*.example', via: 'smtp://%s' }\n"
               "listen: [ { address: '127.0.0.1:9', service: relay } ]\n%s", resolver, net_address_port(&house->server.at),
               more[0] ? "both" : "ipv4", LEASES, other, text, text, text, text, more);
    struct conf_faults faults;
    conf_faults_init(&faults, "test");
    struct delivery_config *config;
    enum status status = delivery_config_new(house->loop, buf_span(&settings), &(struct delivery_files){ 0 }, &faults, &config);
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
    assert_int_equal(spool_segment_write(&spool_ops_system, fd, NULL, &segment), STATUS_OK);
    spool_log_init(&house->store, &spool_ops_system);
    int mine = dup(fd);
    assert_int_equal(spool_log_open(&house->store, fd), STATUS_OK);
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_segment_put(&body, &(struct lease_segment){ 3, 1 });
    channel_send_fds(house->queue, LEASE_SEGMENT, buf_span(&body), &mine, 1);
    close(mine);
}

static inline void house_close(struct house *house)
{
    delivery_done(&house->delivery);
    channel_free(house->queue);
    for (int i = 0; i < 20; i++)
        loop_turn(house->loop, 1);
    server_close(&house->server);
    server_close(&house->other);
    if (house->third.listener)
        server_close(&house->third);
    name_server_close(&house->names);
    spool_log_done(&house->store);
    buf_done(&house->said);
    log_done(&house->log);
    loop_free(house->loop);
}

/* Stores a message to so many recipients of `domain` ("r0@...", the second one "no1@..." when `bad`), leases it. */
static inline void lease_route(struct house *house, uint64_t number, const char *domain, unsigned count, bool bad,
                        struct span content, uint32_t flags, const char *route)
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
    grant->route = span_str(route);
    grant->recipient_count = count;
    lease_grant_put(channel_begin(house->queue, LEASE_GRANT), grant);
    assert_int_equal(channel_end(house->queue), STATUS_OK);
    free(grant);
}

static inline void lease(struct house *house, uint64_t number, const char *domain, unsigned count, bool bad, struct span content,
                  uint32_t flags)
{
    lease_route(house, number, domain, count, bad, content, flags, "");
}

static inline void wait_for(struct house *house, unsigned outcomes, const char *said)
{
    for (int i = 0; i < 5000 && house->outcomes < outcomes; i++)
        loop_turn(house->loop, 10);
    assert_string_equal(buf_cstr(&house->said), said);
}

