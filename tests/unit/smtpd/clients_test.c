#include "smtpd/clients.h"
#include "test.h"

#define ONE SPAN("\x01\x02\x03\x04")
#define NEIGHBOUR SPAN("\x01\x02\x03\x05")
#define ELSEWHERE SPAN("\x01\x02\x04\x05")

static struct tally tally;
static struct clients clients;

static int setup(void **state)
{
    clients = CLIENTS_EMPTY(&tally);
    return tally_alone(&tally) == STATUS_OK ? 0 : 1;
}

static int teardown(void **state)
{
    clients_done(&clients);
    tally_unmap(&tally);
    return 0;
}

static struct client *enter(struct span octets, const struct client_limits *limits)
{
    struct client *client = NULL;
    assert_int_equal(clients_enter(&clients, octets, limits, 5000, &client), REFUSAL_NONE);
    assert_non_null(client);
    return client;
}

static void refuse(struct span octets, const struct client_limits *limits, enum refusal why)
{
    struct client *client = NULL;
    assert_int_equal(clients_enter(&clients, octets, limits, 5000, &client), why);
    assert_null(client);
}

static void test_count(void **state)
{
    static const struct client_limits limits = { .connections = 2, .network_connections = 3, .ip4_bits = 24, .ip6_bits = 48 };
    struct client *a = enter(ONE, &limits), *b;
    assert_ptr_equal(enter(ONE, &limits), a);
    refuse(ONE, &limits, REFUSAL_ADDRESS);
    b = enter(NEIGHBOUR, &limits);
    assert_ptr_not_equal(a, b);
    refuse(NEIGHBOUR, &limits, REFUSAL_NETWORK);
    refuse(SPAN("\x01\x02\x03\xff"), &limits, REFUSAL_NETWORK);
    assert_int_equal(clients.all.n, 2); /* who was refused leaves nothing behind */
    enter(ELSEWHERE, &limits);
    clients_leave(&clients, a);
    assert_ptr_equal(enter(NEIGHBOUR, &limits), b);
    refuse(ONE, &limits, REFUSAL_NETWORK);
    clients_leave(&clients, NULL);
}

/* Who is not counted may have any number, and takes no room from those who are. */
static void test_uncounted(void **state)
{
    static const struct client_limits limits = { .connections = 1, .ip4_bits = 24 };
    struct client *a = enter(ONE, NULL);
    enter(ONE, NULL);
    assert_ptr_equal(enter(ONE, &limits), a);
    refuse(ONE, &limits, REFUSAL_ADDRESS);
    for (unsigned i = 0; i < 3; i++)
        clients_leave(&clients, a);
    assert_int_equal(clients.all.n, 0);
    enter(ONE, &limits);
}

static void test_rate(void **state)
{
    static const struct client_limits limits = { .rate = { 3, 1000 }, .network_rate = { 5, 1000 }, .ip4_bits = 24 };
    for (unsigned i = 0; i < 3; i++)
        clients_leave(&clients, enter(ONE, &limits));
    refuse(ONE, &limits, REFUSAL_OFTEN);
    for (unsigned i = 0; i < 2; i++)
        clients_leave(&clients, enter(NEIGHBOUR, &limits));
    refuse(NEIGHBOUR, &limits, REFUSAL_NETWORK_OFTEN);
    clients_leave(&clients, enter(ELSEWHERE, &limits));
    assert_int_equal(clients.all.n, 0);
}

/* Whoever has mail in memory is remembered, also when the connection is gone. */
static void test_memory(void **state)
{
    struct client *a = enter(ONE, NULL);
    clients_hold(&clients, a, 100);
    clients_hold(&clients, a, 50);
    clients_leave(&clients, a);
    assert_ptr_equal(enter(ONE, NULL), a);
    assert_int_equal(a->held, 150);
    clients_leave(&clients, a);
    clients_let_go(&clients, a, 100);
    assert_int_equal(a->held, 50);
    clients_let_go(&clients, a, 50);
    assert_int_equal(clients.all.n, 0);
    clients_hold(&clients, NULL, 1);
    clients_let_go(&clients, NULL, 1);
}

/* One /64 is one client, whatever comes behind it; the network around it is larger. */
static void test_ipv6(void **state)
{
    static const struct client_limits limits = { .connections = 1, .network_connections = 2, .ip4_bits = 24, .ip6_bits = 48 };
    struct client *a = enter(SPAN("\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1"), &limits);
    refuse(SPAN("\x20\x01\x0d\xb8\0\0\0\1\1\1\1\1\1\1\1\1"), &limits, REFUSAL_ADDRESS);
    enter(SPAN("\x20\x01\x0d\xb8\0\0\0\2\0\0\0\0\0\0\0\1"), &limits);
    refuse(SPAN("\x20\x01\x0d\xb8\0\0\0\3\0\0\0\0\0\0\0\1"), &limits, REFUSAL_NETWORK);
    enter(SPAN("\x20\x01\x0d\xb8\0\1\0\3\0\0\0\0\0\0\0\1"), &limits);
    clients_leave(&clients, a);
    assert_int_equal(clients.all.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_count, setup, teardown), cmocka_unit_test_setup_teardown(test_uncounted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate, setup, teardown),  cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
