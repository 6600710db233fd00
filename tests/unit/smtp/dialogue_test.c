/* The client's machine and the server's machine talk to each other, their octets cut at random: what is sent arrives,
 * once, and both agree about every recipient. */
#include "test.h"
#include "smtp/client.h"
#include "smtp/dots.h"
#include "smtp/server.h"
#include <stdlib.h>

enum { RECIPIENTS = 4, MESSAGES = 3 };

struct table {
    struct smtp_client client;
    struct smtp_server server;
    struct buf to_server, to_client; /* on the wire */
    struct span body;                /* what is sent */
    struct buf arriving;             /* what the server got of it */
    unsigned arrived;
    enum smtp_result results[RECIPIENTS];
    unsigned result_count;
    uint64_t random;
    int64_t now_ms;
};

static unsigned dice(struct table *table, unsigned sides)
{
    table->random = table->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(table->random >> 33) % sides;
}

static void on_result(void *arg, size_t i, const struct smtp_client_result *result)
{
    struct table *table = arg;
    assert_int_equal(table->results[i], SMTP_PENDING);
    table->results[i] = result->result;
    table->result_count++;
}

static void answer(struct table *table, const struct address *to)
{
    if (span_starts(to->local, SPAN("no")))
        smtp_server_answer(&table->server, 550, STATUS_CODE(5, 1, 1), SPAN("Nobody"));
    else if (span_starts(to->local, SPAN("later")))
        smtp_server_answer(&table->server, 450, STATUS_CODE(4, 2, 0), SPAN("Later"));
    else
        smtp_server_accept(&table->server);
}

static void act(struct table *table, const struct smtp_server_event *event)
{
    struct smtp_server *server = &table->server;
    switch (event->kind) {
    case SMTP_EVENT_MAIL: answer(table, &event->mail.from); break;
    case SMTP_EVENT_RCPT: answer(table, &event->rcpt.to); break;
    case SMTP_EVENT_DATA:
        buf_clear(&table->arriving);
        smtp_server_accept(server);
        break;
    case SMTP_EVENT_BODY: buf_add(&table->arriving, event->octets); break;
    case SMTP_EVENT_END:
        assert_true(span_eq(buf_span(&table->arriving), table->body));
        table->arrived++;
        smtp_server_accept(server);
        break;
    case SMTP_EVENT_AUTH:
        assert_true(span_eq(event->octets, SPAN("\0user\0secret")));
        smtp_server_accept(server);
        break;
    case SMTP_EVENT_STARTTLS: smtp_server_accept(server); break;
    case SMTP_EVENT_CLOSE: fail_msg("the server closes: %s", smtp_close_text(event->why));
    default: break;
    }
}

/* Some octets arrive at the server. */
static void serve(struct table *table)
{
    size_t n = MIN(table->to_server.n, (size_t)dice(table, 200) + 1);
    struct span in = span_head(buf_span(&table->to_server), n);
    struct smtp_server_event event = { 0 };
    bool secure = false;
    while (smtp_server_next(&table->server, &in, &event) != SMTP_EVENT_MORE) {
        secure |= event.kind == SMTP_EVENT_STARTTLS;
        act(table, &event);
    }
    buf_drop(&table->to_server, n - in.n);
    buf_add(&table->to_client, buf_span(&table->server.out));
    buf_clear(&table->server.out);
    if (secure) {
        smtp_server_secured(&table->server);
        table->server.offers &= ~(unsigned)SMTP_OFFER_TLS;
    }
}

static void hear(struct table *table)
{
    size_t n = MIN(table->to_client.n, (size_t)dice(table, 100) + 1);
    smtp_client_feed(&table->client, span_head(buf_span(&table->to_client), n), ++table->now_ms);
    buf_drop(&table->to_client, n);
    if (smtp_client_want(&table->client) == SMTP_WANT_TLS)
        smtp_client_tls(&table->client, true, NULL, table->now_ms);
}

static void speak(struct table *table)
{
    struct smtp_client *client = &table->client;
    buf_add(&table->to_server, buf_span(&client->out));
    buf_clear(&client->out);
    if (client->send == SMTP_SEND_RAW) {
        buf_add(&table->to_server, table->body);
    } else if (client->send == SMTP_SEND_DOTTED) {
        struct smtp_dots dots;
        smtp_dots_init(&dots);
        assert_int_equal(smtp_dots_add(&dots, table->body, &table->to_server), STATUS_OK);
        buf_add(&table->to_server, smtp_dots_end(&dots));
    }
    if (client->send != SMTP_SEND_NOTHING)
        smtp_client_body_sent(client, table->now_ms);
}

static void run_until_ready(struct table *table)
{
    for (int turns = 0; turns < 1000000; turns++) {
        speak(table);
        if (smtp_client_want(&table->client) == SMTP_WANT_MESSAGE && table->to_client.n == 0 && table->to_server.n == 0)
            return;
        if (smtp_client_want(&table->client) == SMTP_WANT_CLOSE)
            fail_msg("closed: %.*s", (int)table->client.failure.text_n, table->client.failure.text);
        if (dice(table, 2))
            serve(table);
        else
            hear(table);
    }
    fail_msg("they talk for ever");
}

/* One message to some of each kind. */
static void send_one(struct table *table, struct span sender)
{
    static const char *const names[] = { "anna@b.org", "no@b.org", "later@b.org", "jan@b.org" };
    struct smtp_client_recipient recipients[RECIPIENTS];
    unsigned before = table->arrived, good = 0, first = dice(table, RECIPIENTS), count = 1 + dice(table, RECIPIENTS);
    enum smtp_result expected[RECIPIENTS];
    bool refused = span_starts(sender, SPAN("no"));
    for (unsigned i = 0; i < count; i++) {
        unsigned kind = (first + i) % RECIPIENTS;
        recipients[i] = (struct smtp_client_recipient){ .address = span_str(names[kind]), .notify = SMTP_NOTIFY_FAILURE };
        expected[i] = refused || kind == 1 ? SMTP_FAILED : kind == 2 ? SMTP_DEFERRED : SMTP_DELIVERED;
        good += expected[i] == SMTP_DELIVERED;
        table->results[i] = SMTP_PENDING;
    }
    struct smtp_client_message message = { .sender = sender, .octets = table->body.n, .envid = SPAN("e1"),
                                           .recipients = recipients, .recipient_count = count };
    table->result_count = 0;
    smtp_client_send(&table->client, &message, table->now_ms);
    run_until_ready(table);
    assert_int_equal(table->result_count, count);
    assert_memory_equal(table->results, expected, count * sizeof expected[0]);
    assert_int_equal(table->arrived - before, good > 0);
}

static void play(uint64_t seed, struct span body, bool no_pipelining, bool no_chunking, bool tls)
{
    struct smtp_server_settings server = { .hostname = SPAN("there.example"), .mechanisms = SPAN("PLAIN LOGIN"),
                                           .max_recipients = 100, .max_errors = 1000, .max_idle_commands = 100 };
    struct smtp_client_settings client = {
        .hostname = SPAN("me.example"), .times = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, .no_pipelining = no_pipelining,
        .no_chunking = no_chunking, .tls = tls ? SMTP_TLS_MUST : SMTP_TLS_MAY,
        .username = tls ? SPAN("user") : SPAN_NONE, .password = SPAN("secret"),
    };
    struct table table = { .to_server = BUF_EMPTY(1u << 22), .to_client = BUF_EMPTY(1u << 20),
                           .arriving = BUF_EMPTY(1u << 22), .body = body, .random = seed };
    smtp_server_init(&table.server, &server, tls ? SMTP_OFFER_TLS | SMTP_OFFER_AUTH | SMTP_NEED_TLS | SMTP_NEED_LOGIN : 0);
    smtp_server_greet(&table.server, 0);
    smtp_client_init(&table.client, &client, false, on_result, &table, 0);
    for (int i = 0; i < 3; i++) { /* the greeting */
        serve(&table);
        hear(&table);
    }
    run_until_ready(&table);
    for (int i = 0; i < MESSAGES; i++) {
        send_one(&table, SPAN("a@a.org"));
        send_one(&table, i % 2 ? SPAN("no@a.org") : SPAN_NONE);
    }
    smtp_client_done(&table.client);
    smtp_server_done(&table.server);
    buf_done(&table.to_server);
    buf_done(&table.to_client);
    buf_done(&table.arriving);
}

static void what_is_sent_arrives_once(void **state)
{
    static char large[100000];
    for (size_t i = 0; i < sizeof large; i += 20)
        memcpy(large + i, i % 200 ? "0123456789abcdefgh\r\n" : ".123456789.bcdefgh\r\n", 20);
    const struct span bodies[] = { SPAN("Subject: x\r\n\r\nhello\r\n"), SPAN(".\r\n..\r\n.x\r\n\r\n.\r\n"),
                                   span_of(large, sizeof large) };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (unsigned kind = 0; kind < 8; kind++) {
            for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
                play(seed * 1000 + kind, bodies[i], kind & 1, kind & 2, kind & 4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_sent_arrives_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
