#include "policy/sender.h"
#include "test.h"

/* Anna owns info@, and everything at shop.example; the login "root" is no address. */
static const char *const owned[] = { "info@example.org", "*@shop.example", NULL };

static bool owns(void *arg, struct span key)
{
    unsigned *asked = arg;
    ++*asked;
    for (size_t i = 0; owned[i]; i++)
        if (span_eq(key, span_str(owned[i])))
            return true;
    return false;
}

static const struct row {
    const char *login, *address;
    bool in_header;
    enum status status;
} rows[] = {
    { "anna@example.org", "anna@example.org",       false, STATUS_OK },
    { "anna@example.org", "ANNA@EXAMPLE.ORG",       false, STATUS_OK },
    { "anna@example.org", "anna+shop@example.org",  false, STATUS_OK },
    { "anna@example.org", "\"anna\"@example.org",   true,  STATUS_OK },
    { "anna@example.org", "info@example.org",       true,  STATUS_OK },
    { "anna@example.org", "info+x@example.org",     true,  STATUS_OK },
    { "anna@example.org", "anybody@shop.example",   false, STATUS_OK },
    { "anna@example.org", "a+b@SHOP.example",       false, STATUS_OK },
    { "anna@example.org", "",                       false, STATUS_OK },     /* reports and receipts */
    { "anna@example.org", "",                       true,  STATUS_DENIED }, /* but From: names somebody */
    { "anna@example.org", "bob@example.org",        false, STATUS_DENIED },
    { "anna@example.org", "bob@sub.shop.example",   false, STATUS_DENIED }, /* a domain is not its subdomains */
    { "anna@example.org", "anna@example.org.evil",  false, STATUS_DENIED },
    { "anna@example.org", "*@example.org",          false, STATUS_DENIED },
    { "anna@example.org", "+anna@example.org",      false, STATUS_DENIED },
    { "anna+x@example.org", "anna@example.org",     false, STATUS_DENIED }, /* a detail does not own its base */
    { "anna+x@example.org", "anna+x@example.org",   false, STATUS_OK },
    { "*@example.org",    "bob@example.org",        false, STATUS_DENIED }, /* a login is never a pattern */
    { "root",             "info@example.org",       false, STATUS_OK },
    { "root",             "root@example.org",       false, STATUS_DENIED },
    { "",                 "bob@example.org",        false, STATUS_DENIED },
    { "anna@example.org", "anna",                   false, STATUS_SYNTAX },
    { "anna@example.org", "anna@@example.org",      false, STATUS_SYNTAX },
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_sender_question question = { span_str(rows[i].login), span_str(rows[i].address),
                                                   rows[i].in_header };
        unsigned asked = 0;
        enum status status = policy_sender_check(&question, owns, &asked);
        if (status != rows[i].status)
            fail_msg("%s as %s: %s", rows[i].login, rows[i].address, status_text(status));
        assert_true(asked <= 3);
    }
}

static void refuse(const char *login, const char *address, size_t count, size_t total, const char *want)
{
    static const struct span names[] = { { "anna@example.org", 16 }, { "info@example.org", 16 }, { "a@b", 3 } };
    struct policy_sender_question question = { span_str(login), span_str(address), true };
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    policy_sender_refusal(&question, names, count, total, &text);
    assert_false(text.failed);
    if (!span_eq(buf_span(&text), span_str(want)))
        fail_msg("%.*s", SPAN_ARGS(buf_span(&text)));
}

static void test_refusals(void **state)
{
    refuse("anna@example.org", "bob@example.org", 1, 1,
           "anna@example.org may not send as bob@example.org; it owns anna@example.org; "
           "ask the administrator to add an alias");
    refuse("anna@example.org", "bob@example.org", 2, 2,
           "anna@example.org may not send as bob@example.org; it owns anna@example.org and info@example.org; "
           "ask the administrator to add an alias");
    refuse("anna@example.org", "bob\r\n250 ok@example.org", 3, 9,
           "anna@example.org may not send as bob??250 ok@example.org; it owns anna@example.org, info@example.org, a@b "
           "and 6 more; ask the administrator to add an alias");
    refuse("root", "bob@example.org", 0, 0,
           "root may not send as bob@example.org; it owns no address; ask the administrator to add an alias");
    refuse("root", "", 0, 0,
           "root may not send without a From: address; it owns no address; ask the administrator to add an alias");
}

static void test_refusal_fits(void **state)
{
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    struct span name = span_of(longest, sizeof longest);
    struct span names[] = { name, name, name };
    struct policy_sender_question question = { name, name, false };
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX + 80);
    policy_sender_refusal(&question, names, 3, 1000000, &text);
    assert_false(text.failed);
    assert_true(text.n <= POLICY_REFUSAL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_refusals),
                                        cmocka_unit_test(test_refusal_fits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
