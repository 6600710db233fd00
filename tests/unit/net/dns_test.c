/* Questions through libunbound to a name server on loopback that lives in the same loop. */
#include "test.h"
#include "net/dns.h"
#include <errno.h>
#include <unistd.h>

static struct loop *loop;
static struct loop_fd server;
static struct net_address server_at;
static unsigned asked; /* questions that reached the server */
static bool silent;

static void put(char **at, const char *p, size_t n)
{
    memcpy(*at, p, n);
    *at += n;
}

/* Answers MX with 10 mx.example, A with 192.0.2.5, names beginning with "no" with NXDOMAIN, with "bad" with SERVFAIL,
 * with "mute" not at all. */
static void on_question(struct loop_fd *watch, unsigned ready)
{
    char packet[1500];
    struct net_address from = { .n = sizeof(from.as) };
    ssize_t n = recvfrom(watch->fd, packet, 512, 0, &from.as.any, &from.n);
    if (n < 17 || silent)
        return;
    asked++;
    if (!memcmp(packet + 13, "mute", 4))
        return;
    size_t name = 12;
    while (packet[name])
        name += (unsigned char)packet[name] + 1u;
    char type = packet[name + 2];
    char *at = packet + name + 5;
    bool none = !memcmp(packet + 13, "no", 2), bad = !memcmp(packet + 13, "bad", 3);
    bool answer = !none && !bad && (type == DNS_MX || type == DNS_A);
    memcpy(packet + 2, none ? "\x85\x83" : bad ? "\x85\x82" : "\x85\x80", 2);
    memcpy(packet + 6, answer ? "\0\1\0\0\0\0" : "\0\0\0\0\0\0", 6);
    if (answer && type == DNS_MX)
        put(&at, "\xc0\x0c\0\x0f\0\1\0\0\1\x2c\0\x0e\0\x0a\2mx\7example\0", 26);
    else if (answer)
        put(&at, "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\5", 16);
    assert_true(sendto(watch->fd, packet, (size_t)(at - packet), 0, &from.as.any, from.n) > 0);
}

static int set_up(void **state)
{
    loop = loop_new();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(net_address_parse(SPAN("127.0.0.1:0"), 0, &server_at), STATUS_OK);
    assert_int_equal(bind(fd, &server_at.as.any, server_at.n), 0);
    assert_int_equal(net_address_local(fd, &server_at), STATUS_OK);
    assert_int_equal(loop_fd_add(loop, &server, fd, LOOP_READ, on_question), STATUS_OK);
    asked = 0;
    silent = false;
    return 0;
}

static int tear_down(void **state)
{
    loop_fd_remove(&server);
    close(server.fd);
    loop_free(loop);
    return 0;
}

static struct dns *start(int64_t timeout_ms)
{
    char error[128];
    struct dns *dns;
    struct dns_settings settings = { .resolvers = &server_at, .count = 1, .cache = 1 << 20, .timeout_ms = timeout_ms };
    assert_int_equal(dns_new(loop, &settings, error, sizeof(error), &dns), STATUS_OK);
    return dns;
}

struct seen {
    bool done;
    enum status status;
    unsigned count;
    struct dns_record first;
    uint32_t ttl_s;
};

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct seen *seen = arg;
    assert_false(seen->done);
    *seen = (struct seen){ .done = true, .status = answer->status, .count = answer->count, .ttl_s = answer->ttl_s };
    if (answer->count)
        seen->first = answer->records[0];
}

static struct seen ask(struct dns *dns, struct span name, enum dns_type type)
{
    struct seen seen = { 0 };
    assert_non_null(dns_ask(dns, name, type, on_answer, &seen));
    assert_false(seen.done); /* never inside the call */
    for (int i = 0; i < 2000 && !seen.done; i++)
        loop_turn(loop, 10);
    assert_true(seen.done);
    return seen;
}

static void answers_and_caches(void **state)
{
    struct dns *dns = start(5000);
    struct seen mx = ask(dns, SPAN("One.example."), DNS_MX);
    assert_int_equal(mx.status, STATUS_OK);
    assert_int_equal(mx.count, 1);
    assert_int_equal(mx.first.preference, 10);
    assert_string_equal(mx.first.name, "mx.example");
    assert_in_range(mx.ttl_s, 299, 300);

    struct seen a = ask(dns, SPAN("two.example"), DNS_A);
    assert_int_equal(a.count, 1);
    unsigned before = asked;
    a = ask(dns, SPAN("two.example"), DNS_A);
    assert_int_equal(a.count, 1);
    assert_int_equal(asked, before);

    assert_int_equal(ask(dns, SPAN("two.example"), DNS_AAAA).status, STATUS_OK);
    assert_int_equal(ask(dns, SPAN("no.example"), DNS_MX).status, STATUS_NOT_FOUND);
    assert_int_equal(ask(dns, SPAN("bad.example"), DNS_MX).status, STATUS_IO);
    assert_int_equal(ask(dns, SPAN("not a name"), DNS_MX).status, STATUS_SYNTAX);
    assert_int_equal(dns_open(dns), 0);
    dns_free(dns);
}

static void gives_up_in_time(void **state)
{
    struct dns *dns = start(30);
    silent = true;
    assert_int_equal(ask(dns, SPAN("three.example"), DNS_MX).status, STATUS_TIMEOUT);
    dns_free(dns); /* libunbound still waits for the server */
}

static void forgets_what_is_cancelled(void **state)
{
    struct dns *dns = start(5000);
    struct seen seen = { 0 };
    dns_cancel(dns_ask(dns, SPAN("four.example"), DNS_MX, on_answer, &seen));
    assert_int_equal(ask(dns, SPAN("five.example"), DNS_MX).status, STATUS_OK);
    assert_false(seen.done);
    assert_non_null(dns_ask(dns, SPAN("six.example"), DNS_MX, on_answer, &seen));
    dns_free(dns);
    assert_false(seen.done);
}

static unsigned answered;
static void on_many(void *arg, const struct dns_answer *answer)
{
    assert_int_equal(answer->status, STATUS_OK);
    answered++;
}

static void asks_many_at_once(void **state)
{
    struct dns *dns = start(20000);
    answered = 0;
    for (unsigned i = 0; i < 300; i++) {
        char name[64];
        snprintf(name, sizeof(name), "host%u.example", i);
        assert_non_null(dns_ask(dns, span_str(name), DNS_A, on_many, NULL));
    }
    for (int i = 0; i < 5000 && answered < 300; i++)
        loop_turn(loop, 10);
    assert_int_equal(answered, 300);
    dns_free(dns);
}

static unsigned forgone;
static void on_mute(void *arg, const struct dns_answer *answer)
{
    forgone++;
}

/* More of them than may be on their way at once. */
static void silent_names_hold_up_nobody(void **state)
{
    struct dns *dns = start(600000);
    forgone = answered = 0;
    for (unsigned i = 0; i < 3 * DNS_QUICK_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "mute%u.example", i);
        assert_non_null(dns_ask(dns, span_str(name), DNS_MX, on_mute, NULL));
    }
    for (unsigned i = 0; i < 200; i++) {
        char name[64];
        snprintf(name, sizeof(name), "good%u.example", i);
        assert_non_null(dns_ask(dns, span_str(name), DNS_A, on_many, NULL));
    }
    for (int i = 0; i < 5000 && answered < 200; i++)
        loop_turn(loop, 10);
    assert_int_equal(answered, 200);
    assert_int_equal(forgone, 0);
    assert_int_equal(dns_open(dns), 3 * DNS_QUICK_MAX);
    dns_free(dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_and_caches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_up_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_what_is_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_names_hold_up_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
