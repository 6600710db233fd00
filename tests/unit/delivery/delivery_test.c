/* The whole room at work: a queue at one end of a channel, servers of all moods on loopback at the other. */
#include "delivery_house.h"
#include <sys/resource.h>
#include <unistd.h>

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
    assert_non_null(strstr(buf_cstr(&house.said), "lease 1 trouble 1\n0 deferred 554 4.7.1 go away\n"));
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
    wait_for(&house, 2, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    buf_clear(&house.said);
    lease(&house, 3, "other.example", 1, false, BODY, 0);
    wait_for(&house, 3, "lease 3 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_string_equal(buf_cstr(&house.other.body), "Subject: x\r\n\r\nhello\r\n");
    house_close(&house);
}

/* A record whose flags do not tell of them: who wrote it would say commands behind them. */
static void dots_that_nobody_told_of_are_doubled(void **state)
{
    static char large[200000];
    for (size_t i = 0; i < sizeof large; i += 10)
        memcpy(large + i, i % 100 ? "abcdefgh\r\n" : ".bcdefgh\r\n", 10);
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, SPAN("\r\nx\r\n.\r\nRSET\r\n"), 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_string_equal(buf_cstr(&house.server.body), "Subject: x\r\n\r\nx\r\n..\r\nRSET");
    buf_clear(&house.said);
    lease(&house, 2, "a.example", 1, false, SPAN(".\r\nRSET\r\n"), 0);
    wait_for(&house, 2, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_string_equal(buf_cstr(&house.server.body), "Subject: x\r\n..\r\nRSET");
    buf_clear(&house.said);
    lease(&house, 3, "a.example", 1, false, span_of(large, sizeof large), 0);
    wait_for(&house, 3, "lease 3 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.server.body.n, 12 + sizeof large + sizeof large / 100 - 2);
    assert_int_equal(house.server.messages, 3);
    house_close(&house);
}

#define DAMAGED "the message was damaged on this server's disk and was not sent; please send it again"

static void a_large_message_that_the_disk_spoiled_is_not_sent(void **state)
{
    static char large[200000];
    for (size_t i = 0; i < sizeof large; i += 10)
        memcpy(large + i, "abcdefgh\r\n", 10);
    struct house house;
    house_open(&house, "");
    house.server.ehlo = "250-there\r\n250-PIPELINING\r\n250 CHUNKING";
    lease(&house, 1, "a.example", 2, false, span_of(large, sizeof large), 0);
    assert_int_equal(pwrite(house.store.fd, "X", 1, SPOOL_SEGMENT_FIRST + 100000), 1);
    wait_for(&house, 1, "lease 1 trouble 3\n0 failed 0 5.3.0 " DAMAGED "\n"
             "1 failed 0 5.3.0 " DAMAGED "\n");
    assert_int_equal(house.server.connections, 0);
    lease(&house, 2, "a.example", 1, false, span_of(large, sizeof large), 0); /* left while it is being read */
    while (house.delivery.job_count == 0)
        loop_turn(house.loop, 10);
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
             "lease 5 trouble 3\n0 failed 0 5.3.0 " DAMAGED "\n");
    assert_int_equal(house.credits, LEASES + 2);
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

/* 421 in the middle of a transaction, or a lost connection before its end: the next host gets the message at once. */
static void the_next_host_is_tried(void **state)
{
    static const char *const moods[] = { "421 4.3.2 going down", "!" };
    for (size_t i = 0; i < ARRAY_LEN(moods); i++) {
        struct house house;
        house_open(&house, "");
        char at[64];
        snprintf(at, sizeof at, "127.0.0.2:%u", net_address_port(&house.server.at));
        server_open_at(&house.third, house.loop, "250 there", at);
        house.third.rcpt = moods[i];
        lease(&house, 1, "two.test", 2, false, BODY, 0);
        for (int turn = 0; turn < 500 && house.outcomes < 1; turn++)
            loop_turn(house.loop, 10);
        assert_int_equal(house.third.connections, 1);
        assert_non_null(strstr(buf_cstr(&house.said), "\n0 delivered 250 2.0.0 queued as 4711\n"
                                                      "1 delivered 250 2.0.0 queued as 4711\n"));
        house_close(&house);
    }
}

/* Behind the end of data nobody knows: another host would make a second copy. */
static void a_lost_end_of_data_waits(void **state)
{
    struct house house;
    house_open(&house, "");
    char at[64];
    snprintf(at, sizeof at, "127.0.0.2:%u", net_address_port(&house.server.at));
    server_open_at(&house.third, house.loop, "250 there", at);
    house.third.end = "!";
    lease(&house, 1, "two.test", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 deferred 0 4.4.2 the server closed the connection while sending end of data; "
             "the message may arrive twice\n");
    assert_int_equal(house.server.connections, 0);
    house_close(&house);
}

static void mail_goes_to_a_socket(void **state)
{
    struct house house;
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/delivery-test-%d.sock", (int)getpid());
    house_open(&house, "");
    server_open_at(&house.third, house.loop, "250-there\r\n250 PIPELINING", path);
    struct lease_resolve ask = { .token = 1, .domain = SPAN("x.example"), .route = SPAN("") };
    char route[80];
    snprintf(route, sizeof route, "lmtp:%s", path + 5);
    ask.route = span_str(route);
    lease_resolve_put(channel_begin(house.queue, LEASE_RESOLVE), &ask);
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    lease_route(&house, 1, "x.example", 1, false, BODY, 0, route);
    char expected[300];
    snprintf(expected, sizeof expected, "resolved 1 0 %s \nlease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n", route);
    wait_for(&house, 2, expected);
    house_close(&house);
    unlink(path + 5);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static void what_nobody_takes_is_let_go(void **state)
{
    struct house house;
    bool drained = false;
    house_open(&house, "");
    house.other.greeting = "~";
    lease(&house, 1, "other.example", 1, false, BODY, 0);
    lease(&house, 2, "other.example", 1, false, BODY, 0); /* waits for the first one's connection */
    for (int i = 0; i < 500 && house.other.connections < 1; i++)
        loop_turn(house.loop, 10);
    delivery_drain(&house.delivery, set_true, &drained);
    for (int i = 0; i < 500 && !drained; i++)
        loop_turn(house.loop, 10);
    assert_true(drained);
    assert_string_equal(buf_cstr(&house.said), "returned 1\nreturned 2\n");
    house_close(&house);
}

/* The queue died: what a server is taking goes on, and the next queue is told about it first; all else is forgotten. */
static void the_next_queue_is_told_what_is_in_hand(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.end = "~";
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    lease(&house, 2, "a.example", 1, false, BODY, 0);
    resolve(&house, 7, "first.test");
    for (int i = 0; i < 500 && house.server.messages < 1; i++)
        loop_turn(house.loop, 10);
    another_queue(&house);
    assert_string_equal(buf_cstr(&house.said), "held 1 as 1 attempt 1 recipients 1 at a.example\n");
    assert_int_equal(house.credits, LEASES - 1);
    another_queue(&house); /* which dies at once */
    assert_string_equal(buf_cstr(&house.said), "held 1 as 2 attempt 1 recipients 1 at a.example\n");
    buf_clear(&house.said);
    house.outcomes = 0;
    say(house.server.last, "250 2.0.0 queued as 12");
    stream_flush(house.server.last->stream);
    wait_for(&house, 1, "lease 2 trouble 0\n0 delivered 250 2.0.0 queued as 12\n");
    assert_int_equal(house.credits, LEASES);
    house_close(&house);
}

/* An outcome that the queue has not confirmed may have died with it. */
static void the_next_queue_is_told_outcomes_again(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    wait_for(&house, 1, "lease 1 trouble 0\n0 delivered 250 2.0.0 queued as 4711\n");
    buf_clear(&house.said);
    lease(&house, 2, "a.example", 2, true, BODY, 0);
    wait_for(&house, 2, "lease 2 trouble 0\n1 failed 550 5.1.1 no such person\n0 delivered 250 2.0.0 queued as 4711\n");
    lease_settled_put(channel_begin(house.queue, LEASE_SETTLED), &(struct lease_settled){ 1 });
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    loop_turn(house.loop, 10);
    loop_turn(house.loop, 10);
    another_queue(&house);
    assert_string_equal(buf_cstr(&house.said), "held 2 as 2 attempt 1 recipients 2 at a.example\nlease 2 trouble 0\n"
                        "1 failed 550 5.1.1 no such person\n0 delivered 250 2.0.0 queued as 4711\n");
    assert_int_equal(house.credits, LEASES);
    lease_settled_put(channel_begin(house.queue, LEASE_SETTLED), &(struct lease_settled){ 1 });
    assert_int_equal(channel_end(house.queue), STATUS_OK);
    loop_turn(house.loop, 10);
    loop_turn(house.loop, 10);
    another_queue(&house);
    assert_string_equal(buf_cstr(&house.said), "");
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

static void few_connections_are_kept(void **state)
{
    struct house house;
    house_open(&house, ""); /* whose settings allow two */
    static const char *const domains[] = { "a.example", "b.example", "c.example", "d.example", "d.example" };
    for (unsigned i = 0; i < ARRAY_LEN(domains); i++) {
        lease(&house, i + 1, domains[i], 1, false, BODY, 0);
        for (int turns = 0; turns < 500 && house.outcomes <= i; turns++)
            loop_turn(house.loop, 10);
        assert_in_range(house.delivery.idle_count, 0, 2);
    }
    assert_int_equal(house.outcomes, 5);
    assert_int_equal(house.server.connections, 4); /* the last message found one */
    for (int turns = 0; turns < 500 && house.server.quits < 2; turns++)
        loop_turn(house.loop, 10);
    assert_int_equal(house.server.quits, 2);
    assert_int_equal(house.delivery.sites.n, 2);
    house_close(&house);
}

static void no_descriptor_is_no_fault_of_the_server(void **state)
{
    struct house house;
    house_open(&house, "");
    lease(&house, 1, "a.example", 1, false, BODY, 0);
    while (house.delivery.job_count == 0)
        loop_turn(house.loop, 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, before.rlim_max }), 0);
    for (int i = 0; i < 500 && house.outcomes < 1; i++)
        loop_turn(house.loop, 10);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_non_null(strstr(buf_cstr(&house.said), "lease 1 trouble 3\n0 deferred 0 4.4.1 "));
    assert_int_equal(house.delivery.hosts.map.n, 0);
    house_close(&house);
}

static void what_waits_for_a_dead_server_is_given_back(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.greeting = "554 5.7.1 go away";
    for (unsigned i = 1; i <= 4; i++)
        lease(&house, i, "a.example", 1, false, BODY, 0);
    for (int i = 0; i < 500 && house.credits < LEASES + 4; i++)
        loop_turn(house.loop, 10);
    assert_string_equal(buf_cstr(&house.said), "lease 1 trouble 1\n0 deferred 554 4.7.1 go away\n"
                        "returned 2\nreturned 3\nreturned 4\n");
    assert_int_equal(house.credits, LEASES + 4);
    house_close(&house);
}

static void nobody_waits_long_behind_a_silent_server(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.greeting = "~";
    for (unsigned i = 1; i <= 3; i++)
        lease(&house, i, "a.example", 1, false, BODY, 0);
    for (int i = 0; i < 1000 && house.delivery.job_count != 1; i++)
        loop_turn(house.loop, 10);
    for (int i = 0; i < 500 && house.said.n < 22; i++)
        loop_turn(house.loop, 10);
    assert_string_equal(buf_cstr(&house.said), "returned 2\nreturned 3\n");
    house_close(&house);
}

/* Of eight places half may be taken by such servers; then those go that have waited longest. */
static void silent_servers_do_not_take_every_place(void **state)
{
    struct house house;
    house_open(&house, "");
    house.server.greeting = "~";
    static const char *const domains[] = { "a.example", "b.example", "c.example", "d.example", "e.example", "f.example" };
    for (unsigned i = 0; i < ARRAY_LEN(domains); i++)
        lease(&house, i + 1, domains[i], 1, false, BODY, 0);
    for (int i = 0; i < 2000 && house.outcomes < 2; i++)
        loop_turn(house.loop, 10);
    loop_turn(house.loop, 10);
    assert_int_equal(house.outcomes, 2);
    assert_int_equal(house.delivery.opening_count, LEASES / 2);
    assert_non_null(strstr(buf_cstr(&house.said), "lease 1 trouble 1\n0 deferred 0 4.4.1 127.0.0.1:"));
    assert_non_null(strstr(buf_cstr(&house.said), "lease 2 trouble 1\n"));
    assert_non_null(strstr(buf_cstr(&house.said), "and too many other servers let us wait\n"));
    house_close(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_out_and_the_connection_stays),
        cmocka_unit_test(ways_without_a_connection),
        cmocka_unit_test(dots_that_nobody_told_of_are_doubled),
        cmocka_unit_test(a_dead_server_defers),
        cmocka_unit_test(a_kept_connection_that_breaks_is_no_failure),
        cmocka_unit_test(unfriendly_greetings),
        cmocka_unit_test(too_many_recipients_go_in_two),
        cmocka_unit_test(a_large_message_comes_whole),
        cmocka_unit_test(a_large_message_that_the_disk_spoiled_is_not_sent),
        cmocka_unit_test(utf8_goes_where_it_is_taken),
        cmocka_unit_test(leases_of_what_is_not_there_are_given_back),
        cmocka_unit_test(mail_goes_by_mx),
        cmocka_unit_test(the_queue_learns_sites),
        cmocka_unit_test(tls_is_used_where_it_is_offered),
        cmocka_unit_test(broken_tls_is_done_without),
        cmocka_unit_test(a_login_wants_a_good_certificate),
        cmocka_unit_test(the_next_host_is_tried),
        cmocka_unit_test(a_lost_end_of_data_waits),
        cmocka_unit_test(mail_goes_to_a_socket),
        cmocka_unit_test(what_nobody_takes_is_let_go),
        cmocka_unit_test(the_next_queue_is_told_what_is_in_hand),
        cmocka_unit_test(the_next_queue_is_told_outcomes_again),
        cmocka_unit_test(routes_are_sites),
        cmocka_unit_test(few_connections_are_kept),
        cmocka_unit_test(what_waits_for_a_dead_server_is_given_back),
        cmocka_unit_test(nobody_waits_long_behind_a_silent_server),
        cmocka_unit_test(silent_servers_do_not_take_every_place),
        cmocka_unit_test(no_descriptor_is_no_fault_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
