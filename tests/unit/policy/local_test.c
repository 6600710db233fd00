#include "policy/local.h"
#include "test.h"

static const struct policy_local_user users[] = {
    { SPAN("www1"), SPAN_NONE, SPAN("shop@example.org") },
    { SPAN("1002"), SPAN_NONE, SPAN("forum@example.org") },
    { SPAN("www-data"), SPAN("/docker/aa"), SPAN("one@example.org") },
    { SPAN_NONE, SPAN("/docker/"), SPAN("box@example.org") },
};
static const struct span trusted[] = { SPAN("root"), SPAN("900") }, shared[] = { SPAN("root") };

static struct policy_local settings(struct span fallback, enum policy_local_unknown unknown)
{
    return (struct policy_local){
        .listen = true, .domain = SPAN("example.org"), .users = { (void *)(uintptr_t)users, ARRAY_LEN(users) },
        .trusted = { trusted, ARRAY_LEN(trusted) }, .shared = { shared, ARRAY_LEN(shared) }, .fallback = fallback, .unknown = unknown,
    };
}

static const struct row {
    unsigned uid;
    const char *name, *cgroup, *fallback;
    enum policy_local_unknown unknown;
    enum policy_local_rights rights;
    const char *account;
    bool is_mapped;
} rows[] = {
    { 1001, "www1",     "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_ACCOUNT, "shop@example.org",  true },
    { 1002, "www2",     "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_ACCOUNT, "forum@example.org", true },
    { 1002, "",         "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_ACCOUNT, "forum@example.org", true },
    { 33,   "www-data", "/docker/aa", "", POLICY_LOCAL_OWN,    POLICY_LOCAL_ACCOUNT, "one@example.org",   true },
    { 33,   "www-data", "/docker/aa/b", "", POLICY_LOCAL_OWN,  POLICY_LOCAL_ACCOUNT, "one@example.org",   true },
    { 33,   "www-data", "/docker/aab", "", POLICY_LOCAL_OWN,   POLICY_LOCAL_ACCOUNT, "box@example.org",   true },
    { 77,   "",         "/docker/x",  "", POLICY_LOCAL_OWN,    POLICY_LOCAL_ACCOUNT, "box@example.org",   true },
    { 33,   "www-data", "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_NAMES,   "",                  false },
    { 33,   "www-data", "/dock",      "", POLICY_LOCAL_ANY,    POLICY_LOCAL_FREE,    "",                  false },
    { 33,   "www-data", "",           "", POLICY_LOCAL_REFUSE, POLICY_LOCAL_NOBODY,  "",                  false },
    { 33,   "www-data", "",           "webs", POLICY_LOCAL_REFUSE, POLICY_LOCAL_ACCOUNT, "webs",          false },
    { 0,    "root",     "",           "webs", POLICY_LOCAL_REFUSE, POLICY_LOCAL_FREE, "webs",             false },
    { 900,  "panel",    "",           "", POLICY_LOCAL_REFUSE, POLICY_LOCAL_FREE,    "",                  false },
    { 1001, "",         "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_NAMES,   "",                  false }, /* no name, no row */
    { 5,    "1002",     "",           "", POLICY_LOCAL_OWN,    POLICY_LOCAL_NAMES,   "",                  false }, /* digits are a uid */
};

static void test_find(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_local local = settings(span_str(rows[i].fallback), rows[i].unknown);
        struct policy_local_facts facts = { rows[i].uid, span_str(rows[i].name), span_str(rows[i].cgroup) };
        struct policy_local_who who;
        policy_local_find(&local, &facts, &who);
        if (who.rights != rows[i].rights || who.is_mapped != rows[i].is_mapped || !span_eq(who.account, span_str(rows[i].account)))
            fail_msg("row %zu: rights %d, account %.*s", i, who.rights, SPAN_ARGS(who.account));
    }
}

static const struct own {
    const char *name, *address;
    bool in_header, owns;
} owns[] = {
    { "www1", "www1@web.example.org",         false, true },
    { "www1", "WWW1@web.EXAMPLE.org",         false, true },
    { "www1", "www1+shop@web.example.org",    false, true },
    { "www1", "uid-1001@web.example.org",     false, true },
    { "www1", "www1@example.org",             false, true },
    { "www1", "www1@elsewhere.example",       true,  false },
    { "www1", "www2@web.example.org",         true,  false },
    { "www1", "uid-1002@web.example.org",     true,  false },
    { "www1", "root@web.example.org",         false, false },
    { "www1", "root@web.example.org",         true,  true },
    { "www1", "root@example.net",             true,  false },
    { "",     "@web.example.org",             true,  false },
    { "",     "uid-1001@web.example.org",     true,  true },
    { "a b",  "uid-1001@web.example.org",     true,  true },
    { "a@b",  "a@b",                          true,  false },
    { "www1", "www1",                         true,  false },
    { "www1", "",                             true,  false },
};

static void test_owns(void **state)
{
    struct policy_local local = settings(SPAN_NONE, POLICY_LOCAL_OWN);
    for (size_t i = 0; i < ARRAY_LEN(owns); i++) {
        struct policy_local_facts facts = { 1001, span_str(owns[i].name), SPAN_NONE };
        if (policy_local_owns(&local, &facts, SPAN("web.example.org"), span_str(owns[i].address), owns[i].in_header) != owns[i].owns)
            fail_msg("%s as %s", owns[i].name, owns[i].address);
    }
}

static void test_words(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    struct policy_local_facts facts = { 33, SPAN("www-data"), SPAN_NONE };
    policy_local_account(33, SPAN("web.example.org"), &text);
    assert_string_equal(buf_cstr(&text), "uid-33@web.example.org");
    buf_clear(&text);
    policy_local_refusal(&facts, SPAN("web.example.org"), SPAN("boss@example.net"), &text);
    assert_string_equal(buf_cstr(&text), "the user www-data (uid 33) may not send as boss@example.net, only as www-data@web.example.org; "
                                         "the administrator can give it an account (setting local.users)");
    assert_false(text.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_owns), cmocka_unit_test(test_words) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
