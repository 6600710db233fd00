#include "limits/rule.h"
#include "test.h"

/* What is written, and how it is written back; NULL: the same. */
static const struct {
    const char *text, *back;
} good[] = {
    { "recipients 300/1h", NULL },
    { "recipients 300/1h burst 50 reject", NULL },
    { "messages 1000/1d each sender", NULL },
    { "bytes 2GiB/1d hold dry-run", NULL },
    { "queued 5000", NULL },
    { "queued-bytes 1GiB reject each customer", NULL },
    { "connections 20", NULL },
    { "connections 100/1min", NULL },
    { "new-recipients unlimited", NULL },
    { "messages 50/1min notify", NULL },
    { "failures 25/1h suspend", NULL },
    { "logins 100/1h", NULL },
    { "messages 300/1h pace whole local relayed", NULL },
    { "  Messages   300/h  DEFER ", "messages 300/1h" },
    { "messages 7/90min", "messages 7/90min" },
    { "messages 7/1h30min", "messages 7/90min" },
    { "messages 7/1w", "messages 7/7d" },
    { "bytes 1024KiB/min", "bytes 1MiB/1min" },
    { "messages 10/1h dry-run reject", "messages 10/1h reject dry-run" },
    { "messages 1/31d burst 1", NULL },
};

static const struct {
    const char *text, *why; /* what the complaint has in it */
} bad[] = {
    { "", "what is counted" },
    { "mails 300/1h", "\"mails\" is none of messages, recipients, bytes" },
    { "messages", "the amount of messages: is missing, like 300/1h" },
    { "messages 300", "the time is missing, like 300/1h, or unlimited" },
    { "bytes 300", "like 2GiB/1h" },
    { "messages 0/1h", "allowed is 1 to" },
    { "messages -5/1h", "allowed is 1 to" },
    { "messages 10k/1h", "the amount of messages: \"10k\": a whole number is needed" },
    { "bytes 2GX/1h", "the amount of bytes: \"2GX\": a size is written like 25MiB" },
    { "bytes 9TiB/1h", "or unlimited" },
    { "messages 99999999999999999999/1h", "a whole number is needed" },
    { "messages 300/", "the time of messages: \"\": written like 1h" },
    { "messages 300/hour", "the time of messages: \"hour\": written like 1h" },
    { "messages 300/10", "written like 1h, 15min or 1d" },
    { "messages 300/32d", "allowed is 1s to 31d" },
    { "messages 300/10ms", "allowed is 1s to 31d" },
    { "queued 500/1h", "leave the time out, like 5000" },
    { "messages 300/1h burst", "the burst of messages" },
    { "messages 300/1h burst 301", "the burst of messages is more than the amount" },
    { "messages 300/1h burst x", "the burst of messages: \"x\"" },
    { "queued 500 burst 5", "only what is counted over a time" },
    { "messages unlimited burst 5", "only what is counted over a time" },
    { "messages 300/1h drop", "\"drop\" is not known; after the amount may stand" },
    { "messages 300/1h defer hold", "\"hold\": the limit has an action already" },
    { "messages 300/1h each", "each: \"\" is none of credential" },
    { "messages 300/1h each server", "each: \"server\" is none of" },
};

static void test_good(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(256), back = BUF_EMPTY(256);
        struct limits_rule rule, again;
        if (limits_rule_parse(span_str(good[i].text), &rule, &why) != STATUS_OK)
            fail_msg("%s: %s", good[i].text, buf_cstr(&why));
        limits_rule_write(&rule, &back);
        assert_span(buf_span(&back), good[i].back ? good[i].back : good[i].text);
        assert_int_equal(limits_rule_parse(buf_span(&back), &again, &why), STATUS_OK);
        assert_memory_equal(&rule, &again, sizeof rule);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(256);
        struct limits_rule rule = { .amount = 77 };
        assert_int_equal(limits_rule_parse(span_str(bad[i].text), &rule, &why), STATUS_SYNTAX);
        assert_int_equal(rule.amount, 77);
        assert_false(why.failed);
        if (!strstr(buf_cstr(&why), bad[i].why))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, buf_cstr(&why), bad[i].why);
    }
}

/* A set from texts; ended by NULL. */
struct written {
    struct limits_rule rules[8];
    struct limits_set set;
};

static struct limits_set write_set(struct written *written, const char *const *texts)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(256);
    size_t n = 0;
    for (; texts[n]; n++)
        assert_int_equal(limits_rule_parse(span_str(texts[n]), &written->rules[n], &why), STATUS_OK);
    return (struct limits_set){ written->rules, n };
}

static void check_rules(enum limits_kind kind, const struct limits_set *sets, size_t n, const char *want)
{
    struct limits_rule rules[8];
    AUTO(buf_done) struct buf got = BUF_EMPTY(1024);
    size_t count = limits_rules_of(kind, sets, n, rules, ARRAY_LEN(rules));
    assert_true(count <= ARRAY_LEN(rules));
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&got, i ? "; " : "");
        limits_rule_write(&rules[i], &got);
    }
    assert_string_equal(buf_cstr(&got), want);
}

static void test_inherited(void **state)
{
    struct written own, domain, server;
    struct limits_set none = { NULL, 0 };
    struct limits_set sets[] = {
        write_set(&own, (const char *const[]){ "messages 5000/1d", "messages 9/1min reject", NULL }),
        write_set(&domain, (const char *const[]){ "recipients 300/1h each sender", "messages 9000/1d", NULL }),
        write_set(&server, (const char *const[]){ "recipients 100/1h each sender", "queued 50 each domain",
                                                  "messages 20000/1d each customer", NULL }),
        limits_presets(),
    };
    /* The nearest that speaks of a thing decides about all of it; totals of parents are the parents'. */
    check_rules(LIMITS_SENDER, sets, ARRAY_LEN(sets),
                "messages 5000/1d; messages 9/1min reject; recipients 300/1h; new-recipients 200/1d");
    struct limits_set parent[] = { sets[1], sets[2], sets[3] };
    check_rules(LIMITS_DOMAIN, parent, ARRAY_LEN(parent), "messages 9000/1d; queued 50");
    struct limits_set bare[] = { none, sets[3] };
    check_rules(LIMITS_SENDER, bare, ARRAY_LEN(bare), "messages 1000/1d; new-recipients 200/1d");
    check_rules(LIMITS_DOMAIN, bare, ARRAY_LEN(bare), "");
}

static void test_lifted(void **state)
{
    struct written own;
    struct limits_rule one;
    struct limits_set sets[] = {
        write_set(&own, (const char *const[]){ "messages unlimited", NULL }),
        limits_presets(),
    };
    check_rules(LIMITS_SENDER, sets, ARRAY_LEN(sets), "new-recipients 200/1d");
    struct limits_set none[] = { { NULL, 0 }, limits_presets() };
    assert_int_equal(limits_rules_of(LIMITS_SENDER, none, 2, &one, 1), 2); /* and only one is written */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_inherited),
        cmocka_unit_test(test_lifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
