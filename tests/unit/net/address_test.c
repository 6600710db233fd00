#include "test.h"
#include "net/address.h"

static void reads_and_prints(void **state)
{
    static const struct { const char *text; uint16_t preset; const char *printed; } rows[] = {
        { "192.0.2.1:25", 0, "192.0.2.1:25" },
        { "192.0.2.1", 53, "192.0.2.1:53" },
        { "192.0.2.1", 0, NULL },
        { "[::1]:25", 0, "[::1]:25" },
        { "::1", 25, "[::1]:25" },
        { "2001:db8::25", 26, "[2001:db8::25]:26" },
        { "[2001:DB8::1]", 53, "[2001:db8::1]:53" },
        { "[::ffff:192.0.2.9]:1", 0, "192.0.2.9:1" },
        { "unix:/run/x.sock", 0, "unix:/run/x.sock" },
        { "unix:", 0, NULL },
        { "localhost:25", 0, NULL },
        { "192.0.2.1:65536", 0, NULL },
        { "192.0.2.1:", 0, NULL },
        { "192.0.2.256:1", 0, NULL },
        { "[::1]25", 5, NULL },
        { "", 5, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_address address;
        char text[NET_ADDRESS_TEXT];
        enum status status = net_address_parse(span_str(rows[i].text), rows[i].preset, &address);
        if ((status == STATUS_OK) != (rows[i].printed != NULL))
            fail_msg("\"%s\": %s", rows[i].text, status_text(status));
        if (rows[i].printed)
            assert_string_equal(net_address_text(&address, text), rows[i].printed);
    }
}

static void knows_octets_and_loopback(void **state)
{
    struct net_address four, mapped, six, none = NET_ADDRESS_NONE;
    char text[NET_ADDRESS_TEXT];
    assert_int_equal(net_address_parse(SPAN("127.9.9.9:1"), 0, &four), STATUS_OK);
    assert_int_equal(net_address_parse(SPAN("[::ffff:127.9.9.9]:2"), 0, &mapped), STATUS_OK);
    assert_int_equal(net_address_parse(SPAN("[::1]:2"), 0, &six), STATUS_OK);
    assert_true(net_address_same_ip(&four, &mapped));
    assert_false(net_address_same_ip(&four, &six));
    assert_false(net_address_same_ip(&none, &none));
    assert_true(net_address_is_loopback(&four) && net_address_is_loopback(&mapped) && net_address_is_loopback(&six));
    assert_int_equal(net_address_octets(&six).n, 16);
    assert_string_equal(net_address_ip_text(&mapped, text), "127.9.9.9");
    assert_string_equal(net_address_text(&none, text), "unknown");
    net_address_set_port(&six, 4000);
    assert_int_equal(net_address_port(&six), 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),
        cmocka_unit_test(knows_octets_and_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
