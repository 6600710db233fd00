#include "conf/network.h"
#include "test.h"

static void networks(void **state UNUSED)
{
    static const struct {
        const char *network, *again, *inside, *outside;
    } rows[] = {
        { "192.0.2.0/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
        { "192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6" },
        { "10.0.0.0/9", "10.0.0.0/9", "10.127.255.255", "10.128.0.0" },
        { "0.0.0.0/0", "0.0.0.0/0", "255.1.2.3", "::1" },
        { "::/0", "::/0", "192.0.2.1", NULL },
        { "2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::" },
        { "[::1]/128", "::1/128", "::1", "::2" },
        { "::ffff:192.0.2.0/120", NULL, NULL, NULL }, /* seen as IPv4, which has 32 bits */
        { "192.0.2.0/33", NULL, NULL, NULL },
        { "192.0.2.1/24", NULL, NULL, NULL },
        { "192.0.2.0/", NULL, NULL, NULL },
        { "192.0.2.0/+4", NULL, NULL, NULL },
        { "192.0.2/24", NULL, NULL, NULL },
        { "[192.0.2.1]", NULL, NULL, NULL },
        { "", NULL, NULL, NULL },
        { "/", NULL, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_network network;
        struct conf_ip ip;
        char text[CONF_ADDRESS_TEXT_SIZE];
        assert_int_equal(conf_network_parse(span_str(rows[i].network), &network), rows[i].again != NULL);
        if (!rows[i].again)
            continue;
        assert_string_equal(conf_network_text(&network, text), rows[i].again);
        assert_true(conf_ip_parse(span_str(rows[i].inside), &ip));
        assert_true(conf_network_has(&network, &ip));
        if (rows[i].outside) {
            assert_true(conf_ip_parse(span_str(rows[i].outside), &ip));
            assert_false(conf_network_has(&network, &ip));
        }
    }
}

static void addresses(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        { "192.0.2.1:25", true }, { "[2001:db8::1]:65535", true }, { "[::]:0", true },
        { "192.0.2.1", false },   { "192.0.2.1:65536", false },    { "::1:25", false },
        { "[::1]25", false },     { "localhost:25", false },       { ":25", false },
        { "[192.0.2.1]:25", false }, { "192.0.2.1:", false },      { "192.0.2.1:+25", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_address address, again;
        struct sockaddr_storage storage;
        char text[CONF_ADDRESS_TEXT_SIZE];
        assert_int_equal(conf_address_parse(span_str(rows[i].text), &address), rows[i].good);
        if (!rows[i].good)
            continue;
        assert_string_equal(conf_address_text(&address, text), rows[i].text);
        assert_true(conf_address_sockaddr(&address, &storage) > 0);
        assert_true(conf_address_from((struct sockaddr *)&storage, &again));
        assert_true(conf_ip_eq(&address.ip, &again.ip) && address.port == again.port);
    }
}

static void ip_4_on_a_6_socket(void **state UNUSED)
{
    struct conf_ip a, b;
    assert_true(conf_ip_parse(SPAN("::ffff:192.0.2.1"), &a));
    assert_true(conf_ip_parse(SPAN("192.0.2.1"), &b));
    assert_true(conf_ip_eq(&a, &b));
    struct sockaddr other = { .sa_family = AF_UNIX };
    assert_false(conf_ip_from(&other, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(networks), cmocka_unit_test(addresses),
                                        cmocka_unit_test(ip_4_on_a_6_socket) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
