#include "delivery/hops.h"
#include "name_server.h"

static const struct name_row names[] = {
    { "plain.example", DNS_MX, "20 b.example,10 a.example" },
    { "same.example", DNS_MX, "5 a.example,5 b.example" },
    { "null.example", DNS_MX, "0 " },
    { "nulls.example", DNS_MX, "0 ,5 " },
    { "none.example", DNS_A, "192.0.2.9" },
    { "empty.example", DNS_TXT, "" },
    { "bad.example", DNS_MX, "!" },
    { "xn--d-uga0v4h.example", DNS_MX, "10 a.example" },
    { "loop.example", DNS_MX, "10 me.example,20 b.example" },
    { "backup.example", DNS_MX, "10 a.example,20 me.example,20 c.example,30 b.example" },
    { "a.example", DNS_A, "192.0.2.1" },
    { "a.example", DNS_AAAA, "2001:db8::1" },
    { "half.example", DNS_A, "192.0.2.3" },
    { "half.example", DNS_AAAA, "!" },
    { "worse.example", DNS_A, "!" },
};

struct seen {
    struct loop *loop;
    struct name_server server;
    struct dns *dns;
    bool done;
    char text[400];
};

static void on_hops(void *arg, struct hops *hops)
{
    struct seen *seen = arg;
    AUTO(buf_done) struct buf out = BUF_EMPTY(2000);
    seen->done = true;
    if (hops->trouble.result != HOPS_OK) {
        struct status_code code = hops->trouble.enhanced;
        buf_printf(&out, "%s %d %u.%u.%u", hops->trouble.result == HOPS_FAILED ? "failed" : "deferred", hops->trouble.code,
                   code.class, code.subject, code.detail);
    }
    for (unsigned i = 0; i < hops->count; i++)
        buf_printf(&out, "%s%s", i ? " " : "", hops->list[i].name);
    if (hops->trouble.result == HOPS_OK) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(2000);
        struct span site = hops_key(hops, &key);
        buf_printf(&out, "%s %.*s", hops->is_implicit ? " (itself)" : "", SPAN_ARGS(site));
    }
    snprintf(seen->text, sizeof seen->text, "%s", buf_cstr(&out));
    hops_free(hops);
}

static void on_addresses(void *arg, const struct hop_addresses *found)
{
    struct seen *seen = arg;
    size_t n = 0;
    char text[NET_ADDRESS_TEXT];
    seen->done = true;
    snprintf(seen->text, sizeof seen->text, "%s", found->trouble.result == HOPS_OK ? "" : found->trouble.result == HOPS_FAILED ? "failed" : "deferred");
    for (unsigned i = 0; i < found->count; i++)
        n += (size_t)snprintf(seen->text + n, sizeof seen->text - n, "%s%s", i ? " " : "", net_address_text(&found->list[i], text));
}

static void wait_for(struct seen *seen, const char *expected)
{
    for (int i = 0; i < 1000 && !seen->done; i++)
        loop_turn(seen->loop, 10);
    assert_true(seen->done);
    seen->done = false;
    assert_string_equal(seen->text, expected);
}

static void open_all(struct seen *seen)
{
    char error[256];
    *seen = (struct seen){ .loop = loop_new() };
    name_server_open(&seen->server, seen->loop, names, ARRAY_LEN(names));
    struct dns_settings settings = { .resolvers = &seen->server.at, .count = 1, .cache = 1 << 20, .timeout_ms = 5000 };
    assert_int_equal(dns_new(seen->loop, &settings, error, sizeof error, &seen->dns), STATUS_OK);
}

static void close_all(struct seen *seen)
{
    dns_free(seen->dns);
    name_server_close(&seen->server);
    loop_free(seen->loop);
}

static void servers_of_a_domain(void **state)
{
    static const struct {
        const char *domain, *expected;
    } rows[] = {
        { "plain.example", "a.example b.example mx:a.example,b.example" },
        { "null.example", "failed 556 5.1.10" },
        { "nulls.example", "failed 556 5.1.10" },
        { "none.example", "none.example (itself) mx:none.example" },
        { "empty.example", "empty.example (itself) mx:empty.example" },
        { "missing.example", "failed 0 5.1.2" },
        { "bad.example", "deferred 0 4.4.3" },
        { "\xc5\x82\xc3\xb3" "d\xc5\xba.example", "a.example mx:a.example" },
        { "\xf0\x9f.example", "failed 0 5.1.2" },
        { "loop.example", "failed 0 5.4.6" },
        { "backup.example", "a.example mx:a.example" },
    };
    struct seen seen;
    open_all(&seen);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_non_null(hops_ask(seen.dns, span_str(rows[i].domain), SPAN("Me.example"), i, on_hops, &seen));
        wait_for(&seen, rows[i].expected);
    }
    close_all(&seen);
}

static void equals_are_shuffled_but_one_site(void **state)
{
    struct seen seen;
    open_all(&seen);
    unsigned first_a = 0;
    for (unsigned i = 0; i < 40; i++) {
        assert_non_null(hops_ask(seen.dns, SPAN("same.example"), SPAN("me.example"), i * 7919, on_hops, &seen));
        while (!seen.done)
            loop_turn(seen.loop, 10);
        seen.done = false;
        assert_non_null(strstr(seen.text, " mx:a.example,b.example"));
        first_a += seen.text[0] == 'a';
    }
    assert_in_range(first_a, 5, 35);
    close_all(&seen);
}

static void addresses_of_a_host(void **state)
{
    static const struct {
        const char *host;
        bool want6, want4;
        const char *expected;
    } rows[] = {
        { "a.example", true, true, "[2001:db8::1]:26 192.0.2.1:26" },
        { "a.example", true, false, "[2001:db8::1]:26" },
        { "a.example", false, true, "192.0.2.1:26" },
        { "half.example", true, true, "192.0.2.3:26" },
        { "worse.example", true, true, "deferred" },
        { "missing.example", true, true, "failed" },
        { "none.example", true, false, "failed" },
    };
    struct seen seen;
    open_all(&seen);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_non_null(hops_ask_addresses(seen.dns, span_str(rows[i].host), 26, rows[i].want6, rows[i].want4, on_addresses, &seen));
        wait_for(&seen, rows[i].expected);
    }
    hops_cancel(hops_ask_addresses(seen.dns, SPAN("a.example"), 25, true, true, on_addresses, &seen));
    close_all(&seen);
}

static void literals(void **state)
{
    struct net_address address;
    char text[NET_ADDRESS_TEXT];
    assert_true(hops_literal(SPAN("[192.0.2.1]"), 25, &address));
    assert_string_equal(net_address_text(&address, text), "192.0.2.1:25");
    assert_true(hops_literal(SPAN("[IPv6:2001:db8::1]"), 2525, &address));
    assert_string_equal(net_address_text(&address, text), "[2001:db8::1]:2525");
    assert_false(hops_literal(SPAN("example.org"), 25, &address));
    assert_false(hops_literal(SPAN("[]"), 25, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_of_a_domain),
        cmocka_unit_test(equals_are_shuffled_but_one_site),
        cmocka_unit_test(addresses_of_a_host),
        cmocka_unit_test(literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
