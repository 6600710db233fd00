#include "policy/recipient.h"
#include "conf/parse.h"
#include "test.h"

static const char text[] =
    "domains:\n"
    "  - { name: example.org, recipients: [Anna, \"info@example.org\"] }\n"
    "  - { name: all.example, recipients: [\"*\"] }\n"
    "  - name: accounts.example\n";

static const struct row {
    const char *address;
    enum policy_recipient verdict;
} rows[] = {
    { "anna@example.org",          POLICY_RECIPIENT_KNOWN },
    { "ANNA@Example.org",          POLICY_RECIPIENT_KNOWN },
    { "\"anna\"@example.org",      POLICY_RECIPIENT_KNOWN },
    { "anna+news@example.org",     POLICY_RECIPIENT_KNOWN },
    { "info@example.org",          POLICY_RECIPIENT_KNOWN },
    { "info+x@example.org",        POLICY_RECIPIENT_KNOWN },
    { "bob@example.org",           POLICY_RECIPIENT_ASK },
    { "annab@example.org",         POLICY_RECIPIENT_ASK },
    { "ann@example.org",           POLICY_RECIPIENT_ASK },
    { "anna@accounts.example",     POLICY_RECIPIENT_ASK },
    { "any.thing@all.example",     POLICY_RECIPIENT_KNOWN },
    { "postmaster@example.org",    POLICY_RECIPIENT_KNOWN },
    { "PostMaster@accounts.example", POLICY_RECIPIENT_KNOWN },
    { "postmaster",                POLICY_RECIPIENT_KNOWN },
    { "POSTMASTER",                POLICY_RECIPIENT_KNOWN },
    { "anna@example.com",          POLICY_RECIPIENT_ELSEWHERE },
    { "anna@sub.example.org",      POLICY_RECIPIENT_ELSEWHERE },
    { "anna@example.org.",         POLICY_RECIPIENT_INVALID },
    { "postmaster@example.com",    POLICY_RECIPIENT_ELSEWHERE },
    { "bob%example.com@example.org", POLICY_RECIPIENT_ASK }, /* an ordinary, unknown local part: nothing is rewritten */
    { "example.com!bob@example.org", POLICY_RECIPIENT_ASK },
    { "\"bob@example.com\"@example.org", POLICY_RECIPIENT_ASK },
    { "bob@example.com@example.org", POLICY_RECIPIENT_INVALID },
    { "@example.org:bob@example.com", POLICY_RECIPIENT_INVALID },
    { "anna@[127.0.0.1]",          POLICY_RECIPIENT_ELSEWHERE },
    { "anna",                      POLICY_RECIPIENT_INVALID },
    { "",                          POLICY_RECIPIENT_INVALID },
};

static void test_rows(void **state)
{
    struct conf_faults faults;
    conf_faults_init(&faults, "test");
    struct conf *conf = conf_parse(&policy_settings_section, span_str(text), 0, &faults);
    if (!conf)
        fail_msg("%s", buf_cstr(&faults.text));
    const struct policy_settings *settings = conf_values(conf);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (policy_recipient_check(settings, span_str(rows[i].address)) != rows[i].verdict)
            fail_msg("%s: another verdict", rows[i].address);
    assert_true(policy_domain_is_listed(settings, SPAN("EXAMPLE.org")));
    assert_false(policy_domain_is_listed(settings, SPAN("org")));
    conf_free(conf);
    conf_faults_done(&faults);
}

/* Nothing listed: everything is elsewhere, whatever it looks like. */
static void test_default_denies(void **state)
{
    struct policy_settings none = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!span_eq_case(span_str(rows[i].address), SPAN("postmaster")))
            assert_true(policy_recipient_check(&none, span_str(rows[i].address)) >= POLICY_RECIPIENT_ELSEWHERE);
}

static void test_settings_refused(void **state)
{
    static const char *const bad[] = {
        "domains: [ { name: example.org, recipients: [\"anna@example.com\"] } ]",
        "domains: [ { name: example.org, recipients: [\"an na\"] } ]",
        "domains: [ { name: example.org, recipients: [\"**@example.org@\"] } ]",
        "domains: [ { recipients: [anna] } ]",
        "networks: [ 127.0.0.1/33 ]",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf_faults faults;
        conf_faults_init(&faults, "test");
        assert_null(conf_parse(&policy_settings_section, span_str(bad[i]), 0, &faults));
        assert_int_equal(faults.count, 1);
        conf_faults_done(&faults);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_default_denies),
                                        cmocka_unit_test(test_settings_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
