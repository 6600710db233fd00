#include "mail/address.h"
#include "test.h"

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64 A32 A32
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D255 A63 "." A63 "." A63 "." A63

static void test_path(void **state)
{
    enum { N = ADDRESS_NULL, P = ADDRESS_POSTMASTER, U = ADDRESS_UTF8 };
    static const struct { const char *in; unsigned allow; enum status status; const char *local, *domain, *rest; } rows[] = {
        { "<a@b>", 0, STATUS_OK, "a", "b", "" },
        { "<a@b> SIZE=3", 0, STATUS_OK, "a", "b", " SIZE=3" },
        { "<anna.maria+x@Example.ORG>", 0, STATUS_OK, "anna.maria+x", "Example.ORG", "" },
        { "<>", N, STATUS_OK, "", "", "" },
        { "<> BODY=8BITMIME", N, STATUS_OK, "", "", " BODY=8BITMIME" },
        { "<>", 0, STATUS_SYNTAX },
        { "<", N, STATUS_SYNTAX },
        { "", N, STATUS_SYNTAX },
        { "a@b", 0, STATUS_SYNTAX },
        { "<a@b", 0, STATUS_SYNTAX },
        { "<a@b x>", 0, STATUS_SYNTAX },
        { "< a@b>", 0, STATUS_SYNTAX },
        { "<a@b >", 0, STATUS_SYNTAX },
        { "<a@b@c>", 0, STATUS_SYNTAX },
        { "<a%b@c>", 0, STATUS_OK, "a%b", "c", "" },
        { "<host!a@c>", 0, STATUS_OK, "host!a", "c", "" },
        { "<@x,@y.z:a@b>", 0, STATUS_OK, "a", "b", "" },
        { "<@x:a@b>", 0, STATUS_OK, "a", "b", "" },
        { "<@x,:a@b>", 0, STATUS_SYNTAX },
        { "<@x a@b>", 0, STATUS_SYNTAX },
        { "<@:a@b>", 0, STATUS_SYNTAX },
        { "<@x:>", N, STATUS_SYNTAX },
        { "<postmaster>", P, STATUS_OK, "postmaster", "", "" },
        { "<PostMaster>", P | N, STATUS_OK, "PostMaster", "", "" },
        { "<postmaster>", 0, STATUS_SYNTAX },
        { "<root>", P, STATUS_SYNTAX },
        { "<\"a b\"@c>", 0, STATUS_OK, "\"a b\"", "c", "" },
        { "<\"a>b\"@c> X", 0, STATUS_OK, "\"a>b\"", "c", " X" },
        { "<\"a\\\"b\"@c>", 0, STATUS_OK, "\"a\\\"b\"", "c", "" },
        { "<\"a@b\"@c>", 0, STATUS_OK, "\"a@b\"", "c", "" },
        { "<\"\"@c>", 0, STATUS_OK, "\"\"", "c", "" },
        { "<\"a\"b@c>", 0, STATUS_SYNTAX },
        { "<\"a@c>", 0, STATUS_SYNTAX },
        { "<\"a\\", 0, STATUS_SYNTAX },
        { "<\"a\tb\"@c>", 0, STATUS_SYNTAX },
        { "<\"a\nb\"@c>", 0, STATUS_SYNTAX },
        { "<\"a\rb\"@c>", 0, STATUS_SYNTAX },
        { "<\"a\x7F\"@c>", 0, STATUS_SYNTAX },
        { "<a..b@c>", 0, STATUS_SYNTAX },
        { "<.a@c>", 0, STATUS_SYNTAX },
        { "<a.@c>", 0, STATUS_SYNTAX },
        { "<@c>", 0, STATUS_SYNTAX },
        { "<a@>", 0, STATUS_SYNTAX },
        { "<a@b.>", 0, STATUS_SYNTAX },
        { "<a@.b>", 0, STATUS_SYNTAX },
        { "<a@b..c>", 0, STATUS_SYNTAX },
        { "<a@-b>", 0, STATUS_SYNTAX },
        { "<a@b->", 0, STATUS_SYNTAX },
        { "<a@b-c.x--y>", 0, STATUS_OK, "a", "b-c.x--y", "" },
        { "<a@web_1.local>", 0, STATUS_OK, "a", "web_1.local", "" },
        { "<a@b c>", 0, STATUS_SYNTAX },
        { "<a@b\\c>", 0, STATUS_SYNTAX },
        { "<a\x01@b>", 0, STATUS_SYNTAX },
        { "<a,b@c>", 0, STATUS_SYNTAX },
        { "<a@[192.0.2.1]>", 0, STATUS_OK, "a", "[192.0.2.1]", "" },
        { "<a@[192.0.2.256]>", 0, STATUS_SYNTAX },
        { "<a@[192.0.2]>", 0, STATUS_SYNTAX },
        { "<a@[192.0.2.1>", 0, STATUS_SYNTAX },
        { "<a@[]>", 0, STATUS_SYNTAX },
        { "<a@[IPv6:2001:db8::1]>", 0, STATUS_OK, "a", "[IPv6:2001:db8::1]", "" },
        { "<a@[2001:db8::1]>", 0, STATUS_SYNTAX },
        { "<a@[IPv6:2001:db8::1::2]>", 0, STATUS_SYNTAX },
        { "<a@[IPv6:]>", 0, STATUS_SYNTAX },
        { "<a@[x:y]>", 0, STATUS_SYNTAX },
        { "<" A64 "@b>", 0, STATUS_OK, A64, "b", "" },
        { "<" A64 A64 A64 A63 "@b>", 0, STATUS_OK, A64 A64 A64 A63, "b", "" },
        { "<" A64 A64 A64 A64 "@b>", 0, STATUS_TOO_LONG },
        { "<a@" D255 ">", 0, STATUS_OK, "a", D255, "" },
        { "<a@" D255 ".b>", 0, STATUS_TOO_LONG },
        { "<a@" A64 ">", 0, STATUS_SYNTAX },
        { "<\xC5\xBC@b>", U, STATUS_OK, "\xC5\xBC", "b", "" },
        { "<\xC5\xBC@b>", 0, STATUS_DENIED },
        { "<a@\xC5\xBC.pl>", U, STATUS_OK, "a", "\xC5\xBC.pl", "" },
        { "<a@\xC5\xBC.pl>", 0, STATUS_DENIED },
        { "<\"\xC5\xBC\"@b>", U, STATUS_OK, "\"\xC5\xBC\"", "b", "" },
        { "<\xC5@b>", U, STATUS_SYNTAX },
        { "<\xFF@b>", U, STATUS_SYNTAX },
        { "<a@\xC0\x80>", U, STATUS_SYNTAX },
        { "<a\xC2\x85@b>", U, STATUS_SYNTAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address = { .text = SPAN("untouched") };
        struct span in = span_str(rows[i].in);
        enum status status = address_path_take(&in, rows[i].allow, &address);
        if (status != rows[i].status)
            fail_msg("%s: %s, not %s", rows[i].in, status_text(status), status_text(rows[i].status));
        if (status == STATUS_OK) {
            assert_span(address.local, rows[i].local);
            assert_span(address.domain, rows[i].domain);
            assert_span(in, rows[i].rest);
        } else {
            assert_span(address.text, "untouched");
            assert_span(in, rows[i].in);
        }
    }
}

/* No prefix of a path is a path, however it was cut. */
static void test_path_is_cut(void **state)
{
    static const char whole[] = "<@one,@two:\"an na\".x@[IPv6:2001:db8::1]>", good[] = "<@one,@two:\"an na\"@[IPv6:2001:db8::1]>";
    struct address address;
    for (size_t n = 0; n < sizeof good - 1; n++) {
        struct span in = { good, n };
        assert_int_not_equal(address_path_take(&in, ADDRESS_NULL, &address), STATUS_OK);
    }
    struct span in = SPAN("<@one,@two:\"an na\"@[IPv6:2001:db8::1]>");
    assert_int_equal(address_path_take(&in, 0, &address), STATUS_OK);
    assert_span(address.text, "\"an na\"@[IPv6:2001:db8::1]");
    assert_true(address.is_literal && address.is_quoted && !address.is_utf8);
    in = span_str(whole);
    assert_int_equal(address_path_take(&in, 0, &address), STATUS_SYNTAX);
}

static void test_forms(void **state)
{
    static const struct { const char *in, *canonical, *base, *plain; } rows[] = {
        { "Anna@Example.ORG", "Anna@example.org", "Anna@example.org", "Anna" },
        { "\"anna\"@a", "anna@a", "anna@a", "anna" },
        { "\"an\\na\"@a", "anna@a", "anna@a", "anna" },
        { "\"an na\"@a", "\"an na\"@a", "\"an na\"@a", "an na" },
        { "\"a\\\"b\"@a", "\"a\\\"b\"@a", "\"a\\\"b\"@a", "a\"b" },
        { "\"a\\\\b\"@a", "\"a\\\\b\"@a", "\"a\\\\b\"@a", "a\\b" },
        { "\"a..b\"@a", "\"a..b\"@a", "\"a..b\"@a", "a..b" },
        { "\"\"@a", "\"\"@a", "\"\"@a", "" },
        { "anna+x@a", "anna+x@a", "anna@a", "anna+x" },
        { "anna+x+y@a", "anna+x+y@a", "anna@a", "anna+x+y" },
        { "anna+@a", "anna+@a", "anna@a", "anna+" },
        { "+x@a", "+x@a", "+x@a", "+x" },
        { "\"anna+x\"@a", "anna+x@a", "anna@a", "anna+x" },
        { "\"anna+x y\"@a", "\"anna+x y\"@a", "\"anna+x y\"@a", "anna+x y" },
        { "anna.+x@a", "anna.+x@a", "anna.+x@a", "anna.+x" },
        { "anna+a.b@a", "anna+a.b@a", "anna@a", "anna+a.b" },
        { "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]", "a@[ipv6:2001:db8::1]", "a" },
        { "postmaster", "postmaster", "postmaster", "postmaster" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[ADDRESS_MAX];
        struct address address = { 0 };
        assert_int_equal(address_parse(span_str(rows[i].in), ADDRESS_POSTMASTER, &address), STATUS_OK);
        assert_span(address_canonical(&address, text), rows[i].canonical);
        assert_span(address_base(&address, text), rows[i].base);
        assert_span(address_local_plain(&address, text), rows[i].plain);
    }
}

static void test_same(void **state)
{
    static const struct { const char *a, *b; bool eq, eq_case; } rows[] = {
        { "a@b", "a@B", true, true },
        { "A@b", "a@b", false, true },
        { "\"a\"@b", "a@b", true, true },
        { "a@b", "a@b.c", false, false },
        { "a+x@b", "a@b", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address a = { 0 }, b = { 0 };
        assert_int_equal(address_parse(span_str(rows[i].a), 0, &a), STATUS_OK);
        assert_int_equal(address_parse(span_str(rows[i].b), 0, &b), STATUS_OK);
        assert_int_equal(address_eq(&a, &b), rows[i].eq);
        assert_int_equal(address_eq_case(&a, &b), rows[i].eq_case);
    }
}

static void test_parse_and_domain(void **state)
{
    struct address address = { 0 };
    assert_int_equal(address_parse(SPAN("anna"), ADDRESS_LOCAL, &address), STATUS_OK);
    assert_span(address.domain, "");
    assert_int_equal(address_parse(SPAN("anna"), 0, &address), STATUS_SYNTAX);
    assert_int_equal(address_parse(SPAN("a@b "), 0, &address), STATUS_SYNTAX);
    assert_int_equal(address_parse(SPAN("a@b>"), 0, &address), STATUS_SYNTAX);
    assert_int_equal(address_parse(SPAN(""), 0, &address), STATUS_SYNTAX);
    assert_int_equal(address_parse(SPAN(""), ADDRESS_NULL, &address), STATUS_OK);
    assert_true(address_is_null(&address));
    assert_int_equal(address_domain_check(SPAN("Example.org"), 0), STATUS_OK);
    assert_int_equal(address_domain_check(SPAN("example.org."), 0), STATUS_SYNTAX);
    assert_int_equal(address_domain_check(SPAN("exa mple.org"), 0), STATUS_SYNTAX);
    assert_int_equal(address_domain_check(SPAN("a@b"), 0), STATUS_SYNTAX);
    assert_int_equal(address_domain_check(span_of("a\0b", 3), 0), STATUS_SYNTAX);
    assert_int_equal(address_domain_check(span_of("[192.0.2.1\0]", 12), 0), STATUS_SYNTAX);
    char text[ADDRESS_DOMAIN_MAX];
    assert_span(address_domain_lower(SPAN("Example.ORG"), text), "example.org");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),   cmocka_unit_test(test_path_is_cut),      cmocka_unit_test(test_forms),
        cmocka_unit_test(test_same),   cmocka_unit_test(test_parse_and_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
