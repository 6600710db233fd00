#include "smtpd/clients.h"
#include "test.h"

static void test_count(void **state)
{
    struct clients clients = CLIENTS_EMPTY;
    struct client *a = clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 2);
    assert_non_null(a);
    assert_ptr_equal(clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 2), a);
    assert_null(clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 2));
    assert_ptr_not_equal(clients_enter(&clients, SPAN("\x01\x02\x03\x05"), 2), a);
    clients_leave(&clients, a);
    assert_ptr_equal(clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 2), a);
    clients_leave(&clients, NULL);
    clients_done(&clients);
}

/* Whoever has mail in memory is remembered, also when the connection is gone. */
static void test_memory(void **state)
{
    struct clients clients = CLIENTS_EMPTY;
    struct client *a = clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 0);
    clients_hold(&clients, a, 100);
    clients_hold(&clients, a, 50);
    clients_leave(&clients, a);
    assert_ptr_equal(clients_enter(&clients, SPAN("\x01\x02\x03\x04"), 0), a);
    assert_int_equal(a->held, 150);
    clients_leave(&clients, a);
    clients_let_go(&clients, a, 100);
    assert_int_equal(a->held, 50);
    clients_let_go(&clients, a, 50);
    assert_int_equal(clients.all.n, 0);
    clients_hold(&clients, NULL, 1);
    clients_let_go(&clients, NULL, 1);
    clients_done(&clients);
}

/* One /64 is one client, whatever comes behind it. */
static void test_ipv6(void **state)
{
    struct clients clients = CLIENTS_EMPTY;
    struct client *a = clients_enter(&clients, SPAN("\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1"), 1);
    assert_non_null(a);
    assert_null(clients_enter(&clients, SPAN("\x20\x01\x0d\xb8\0\0\0\1\1\1\1\1\1\1\1\1"), 1));
    assert_non_null(clients_enter(&clients, SPAN("\x20\x01\x0d\xb8\0\0\0\2\0\0\0\0\0\0\0\1"), 1));
    clients_leave(&clients, a);
    assert_int_equal(clients.all.n, 1);
    clients_done(&clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_count), cmocka_unit_test(test_memory), cmocka_unit_test(test_ipv6) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
