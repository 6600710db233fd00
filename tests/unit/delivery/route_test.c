#include "test.h"
#include "delivery/route.h"

static const struct {
    const char *via;
    enum status status;
    enum route_kind kind;
    const char *host;
    uint16_t port;
    const char *user, *password, *key;
} rows[] = {
    { "mx", STATUS_OK, ROUTE_MX, "", 0, "", "", "" },
    { "discard", STATUS_OK, ROUTE_DISCARD, "", 0, "", "", "discard" },
    { "smtp://relay.example.org", STATUS_OK, ROUTE_HOST, "relay.example.org", 25, "", "", "smtp://relay.example.org:25/o" },
    { "smtp://Relay.Example.org:587/", STATUS_OK, ROUTE_HOST, "relay.example.org", 587, "", "", "smtp://relay.example.org:587/o" },
    { "smtp://10.0.0.1:2525", STATUS_OK, ROUTE_HOST, "10.0.0.1", 2525, "", "", "smtp://10.0.0.1:2525/o" },
    { "smtp://[2001:db8::1]:2525", STATUS_OK, ROUTE_HOST, "2001:db8::1", 2525, "", "", "smtp://2001:db8::1:2525/o" },
    { "smtps://u%40x.org:p%3a%25@h.org", STATUS_OK, ROUTE_HOST, "h.org", 465, "u@x.org", "p:%", "smtps://u@x.org@h.org:465/v" },
    { "smtp://u:p@h.org?tls=required", STATUS_OK, ROUTE_HOST, "h.org", 25, "u", "p", "smtp://u@h.org:25/r" },
    { "lmtp://127.0.0.1:24", STATUS_OK, ROUTE_HOST, "127.0.0.1", 24, "", "", "lmtp://127.0.0.1:24/n" },
    { "lmtp:/run/lmtp", STATUS_OK, ROUTE_SOCKET, "/run/lmtp", 0, "", "", "lmtp:/run/lmtp" },
    { "", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://h:0", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://h:99999", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://h:", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://u%4@h", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://u%0d%0a:p@h", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://:p@h", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://h?tls=perhaps", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://[::1", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "smtp://a b", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "lmtp:run", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
    { "http://h", STATUS_SYNTAX, 0, NULL, 0, NULL, NULL, NULL },
};

static void ways_are_read(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(1000);
        struct route route;
        char key[ROUTE_KEY_MAX];
        assert_int_equal(route_parse(span_str(rows[i].via), &route, &why), rows[i].status);
        if (rows[i].status != STATUS_OK) {
            assert_true(why.n > 0);
            continue;
        }
        assert_int_equal(route.kind, rows[i].kind);
        assert_string_equal(route.host, rows[i].host);
        assert_int_equal(route.port, rows[i].port);
        assert_string_equal(route.user, rows[i].user);
        assert_string_equal(route.password, rows[i].password);
        assert_span(route_key(&route, key), rows[i].key);
    }
}

static void the_first_rule_that_fits_holds(void **state)
{
    struct delivery_route rules[] = {
        { .domain = SPAN("a.org"), .via = SPAN("discard") },
        { .domain = SPAN("*.a.org"), .via = SPAN("smtp://h:26"), .user = SPAN("u"), .password = SPAN("p") },
        { .domain = SPAN("b.org"), .via = SPAN("mx"), .tls = DELIVERY_TLS_REQUIRED },
        { .domain = SPAN("c.org"), .via = SPAN("reject"), .text = SPAN("no") },
    };
    struct delivery_root root = { .routes = { rules, ARRAY_LEN(rules) }, .delivery = { .port = 2525 } };
    struct route route;
    assert_int_equal(route_find(&root, SPAN("A.org"), SPAN_NONE, &route), STATUS_OK);
    assert_int_equal(route.kind, ROUTE_DISCARD);
    assert_int_equal(route_find(&root, SPAN("x.a.org"), SPAN_NONE, &route), STATUS_OK);
    assert_string_equal(route.host, "h");
    assert_string_equal(route.user, "u");
    assert_int_equal(route.tls, DELIVERY_TLS_VERIFIED);
    assert_int_equal(route_find(&root, SPAN("xa.org"), SPAN_NONE, &route), STATUS_OK);
    assert_int_equal(route.kind, ROUTE_MX);
    assert_int_equal(route.port, 2525);
    assert_int_equal(route.tls, DELIVERY_TLS_OPPORTUNISTIC);
    assert_int_equal(route_find(&root, SPAN("b.org"), SPAN_NONE, &route), STATUS_OK);
    assert_int_equal(route.tls, DELIVERY_TLS_REQUIRED);
    assert_int_equal(route_find(&root, SPAN("c.org"), SPAN_NONE, &route), STATUS_OK);
    assert_span(route.text, "no");
    assert_int_equal(route_find(&root, SPAN("c.org"), SPAN("smtp://other"), &route), STATUS_OK);
    assert_string_equal(route.host, "other");
    assert_int_equal(route_find(&root, SPAN("c.org"), SPAN("nonsense"), &route), STATUS_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_are_read),
        cmocka_unit_test(the_first_rule_that_fits_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
