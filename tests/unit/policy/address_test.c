#include "policy/address.h"
#include "test.h"

static const struct row {
    const char *address;
    enum status status;
    const char *exact, *base, *wildcard;
} rows[] = {
    { "bob@example.org",               STATUS_OK, "bob@example.org", "bob@example.org", "*@example.org" },
    { "Bob@Example.ORG",               STATUS_OK, "bob@example.org", "bob@example.org", "*@example.org" },
    { "\"Bob\"@example.org",           STATUS_OK, "bob@example.org", "bob@example.org", "*@example.org" },
    { "\"b\\o\\b\"@example.org",       STATUS_OK, "bob@example.org", "bob@example.org", "*@example.org" },
    { "Bob+News@example.org",          STATUS_OK, "bob+news@example.org", "bob@example.org", "*@example.org" },
    { "bob+a+b@example.org",           STATUS_OK, "bob+a+b@example.org", "bob@example.org", "*@example.org" },
    { "bob+@example.org",              STATUS_OK, "bob+@example.org", "bob@example.org", "*@example.org" },
    { "+bob@example.org",              STATUS_OK, "+bob@example.org", "+bob@example.org", "*@example.org" },
    { "*@example.org",                 STATUS_OK, "*@example.org", "*@example.org", "*@example.org" },
    { "\"a b\"@example.org",           STATUS_OK, "\"a b\"@example.org", "\"a b\"@example.org", "*@example.org" },
    { "\"A@b\"@example.org",           STATUS_OK, "\"a@b\"@example.org", "\"a@b\"@example.org", "*@example.org" },
    { "bob@[192.0.2.1]",               STATUS_OK, "bob@[192.0.2.1]", "bob@[192.0.2.1]", "*@[192.0.2.1]" },
    { "zo\xc3\xab@example.org",        STATUS_OK, "zo\xc3\xab@example.org", "zo\xc3\xab@example.org", "*@example.org" },
    { "",                              STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob",                           STATUS_SYNTAX, NULL, NULL, NULL },
    { "@example.org",                  STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob@",                          STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob@a@example.org",             STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob smith@example.org",         STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob..smith@example.org",        STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob@example.org\r\n",           STATUS_SYNTAX, NULL, NULL, NULL },
    { "bob@exam ple.org",              STATUS_SYNTAX, NULL, NULL, NULL },
    { "zo\xeb@example.org",            STATUS_SYNTAX, NULL, NULL, NULL },
};

static void assert_text(struct span got, const char *want)
{
    if (!span_eq(got, span_str(want)))
        fail_msg("got %.*s, want %s", SPAN_ARGS(got), want);
}

static void test_keys(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_keys keys;
        if (policy_keys_make(span_str(rows[i].address), &keys) != rows[i].status)
            fail_msg("%s: another status", rows[i].address);
        if (rows[i].status != STATUS_OK)
            continue;
        assert_text(keys.exact, rows[i].exact);
        assert_text(keys.base, rows[i].base);
        assert_text(keys.wildcard, rows[i].wildcard);
        assert_text(keys.domain, rows[i].wildcard + 2);
    }
}

static void test_too_long(void **state)
{
    char text[1200];
    memset(text, 'a', sizeof text);
    memcpy(text + 300, "@example.org", 12);
    struct policy_keys keys;
    assert_int_equal(policy_keys_make(span_of(text, 312), &keys), STATUS_TOO_LONG);
    assert_int_not_equal(policy_keys_make(span_of(text, sizeof text), &keys), STATUS_OK);
    /* the longest there may be */
    memset(text, 'a', sizeof text);
    text[ADDRESS_LOCAL_MAX] = '@';
    for (size_t i = ADDRESS_LOCAL_MAX + 2; i < ADDRESS_MAX - 1; i += 2)
        text[i] = '.';
    assert_int_equal(policy_keys_make(span_of(text, ADDRESS_MAX), &keys), STATUS_OK);
    assert_int_equal(keys.exact.n, ADDRESS_MAX);
}

static void test_shown(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(100);
    policy_add_shown(&text, SPAN("a\r\nb\xc3\xab\x7f""c"), 50);
    assert_text(buf_span(&text), "a??b???c");
    buf_clear(&text);
    policy_add_shown(&text, SPAN("abcdef"), 3);
    assert_text(buf_span(&text), "abc...");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_too_long),
                                        cmocka_unit_test(test_shown) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
