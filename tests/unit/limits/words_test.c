#include "limits/words.h"
#include "limits_house.h"

/* 13:20 UTC, one hour later by the clock on the wall. */
static const struct limits_moment moment = { HOUSE_BEGIN, 3600 * 1000 };

static void check_reply(const struct limits_verdict *verdict, const char *want)
{
    AUTO(buf_done) struct buf reply = BUF_EMPTY(1024);
    limits_words_reply(verdict, moment, &reply);
    assert_string_equal(buf_cstr(&reply), want);
}

/* As the wish for this room was written down. */
static void test_example(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "shop@example.org", "recipients 300/1h");
    struct limits_tree_setup setup = { 0 };
    struct limits_tree *tree = limits_tree_new(&setup);
    struct limits_verdict verdict;
    house_take(tree, &node, 1, LIMITS_RECIPIENTS, 12, -HOUSE_HOUR - 30000 + 60 * HOUSE_MINUTE - 50 * HOUSE_MINUTE);
    house_take(tree, &node, 1, LIMITS_RECIPIENTS, 288, -HOUSE_MINUTE);
    struct limits_request request = house_request(&node, 1, LIMITS_RECIPIENTS, 1, -HOUSE_MINUTE);
    limits_tree_take(tree, &request, &verdict);
    check_reply(&verdict, "450 4.7.1 limit of 300 recipients per hour for shop@example.org reached (300 in the last "
                          "60 min); room for 12 more at 14:30");
    limits_tree_free(tree);
}

static const struct {
    const char *rule;
    enum limits_kind kind;
    const char *name;
    uint64_t asked, count;
    int64_t clear_ms; /* after the moment, or as it is */
    uint64_t room;
    const char *want;
} rows[] = {
    { "messages 1000/1d reject", LIMITS_DOMAIN, "example.org", 1, 1000, 15 * HOUSE_HOUR, 7,
      "550 5.7.1 limit of 1000 messages per day for domain example.org reached (1000 in the last 24 h); room for 7 more at "
      "2026-11-24 05:20" },
    { "bytes 2GiB/1d", LIMITS_CUSTOMER, "7", 5000, 2147480000, 90 * HOUSE_MINUTE, 1600000,
      "450 4.7.1 limit of 2 GiB per day for customer 7 reached (1.9 GiB in the last 24 h); room for 1.5 MiB more at 15:50" },
    { "bytes 1MiB/1h", LIMITS_SENDER, "a@b", 3 << 20, 5, LIMITS_NEVER, 0,
      "552 5.3.4 limit of 1 MiB per hour for a@b reached (5 B in the last 60 min); this alone is more than the limit (3 MiB): "
      "send less at once" },
    { "messages 50/1min burst 5", LIMITS_CREDENTIAL, "web", 1, 9, 7000, 1,
      "450 4.7.1 limit of 50 messages per minute (at most 5 at once) for credential web reached (9 in the last 60 s); room for "
      "1 more at 14:20:07" },
    { "new-recipients 1/10min suspend", LIMITS_SENDER, "x\r\ny\xc5\x81\x1b", 1, 1, 7 * HOUSE_MINUTE, 1,
      "550 5.7.1 sending is suspended: limit of 1 new recipient in 10 min for x??y??? reached (1 in the last 10 min); room for "
      "1 more at 14:27" },
    { "queued 5000", LIMITS_SERVER, "mail", 1, 5000, 0, 0,
      "450 4.7.1 limit of 5000 queued messages for server mail reached (5000 now); room as soon as some of them are done" },
    { "queued-bytes 1GiB", LIMITS_SENDER, "a", 1, 1073741824, 0, 0,
      "450 4.7.1 limit of 1 GiB queued for a reached (1 GiB now); room as soon as some of them are done" },
    { "messages 9/7d hold", LIMITS_SENDER, "a", 1, 9, 3 * HOUSE_MINUTE, 2,
      "250 2.7.1 accepted and kept until there is room: limit of 9 messages in 7 d for a reached (9 in the last 7 d); room for 2 "
      "more at 14:23" },
    { "messages 9/1h pace", LIMITS_SENDER, "a", 1, 9, 3 * HOUSE_MINUTE, 2,
      "250 2.7.1 accepted, goes out when there is room: limit of 9 messages per hour for a reached (9 in the last 60 min); room "
      "for 2 more at 14:23" },
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct house_node house;
        struct limits_node node = house_node(&house, rows[i].kind, rows[i].name, rows[i].rule);
        int64_t clear = rows[i].clear_ms == 0 || rows[i].clear_ms == LIMITS_NEVER ? rows[i].clear_ms
                                                                                 : HOUSE_BEGIN + rows[i].clear_ms;
        struct limits_verdict verdict = { .outcome = LIMITS_VERDICT_LIMITED, .rule = node.rules, .node = &node,
                                          .asked = rows[i].asked, .count = rows[i].count, .clear_wall_ms = clear,
                                          .room_then = rows[i].room };
        check_reply(&verdict, rows[i].want);
    }
    struct limits_verdict full = { .outcome = LIMITS_VERDICT_FULL };
    check_reply(&full, "451 4.3.1 more senders are active than this server has memory to count; try again later (operator: "
                       "raise the memory for limits)");
    struct limits_verdict passed = { .outcome = LIMITS_VERDICT_PASS };
    check_reply(&passed, "");
}

static void check_warning(enum limits_kind kind, const char *name, const char *rule, uint64_t count, unsigned percent,
                          enum limits_language language, const char *subject, const char *text)
{
    struct house_node house;
    struct limits_node node = house_node(&house, kind, name, rule);
    struct limits_warning warning = { &node, node.rules, count, percent };
    AUTO(buf_done) struct buf got = BUF_EMPTY(1024);
    limits_words_warning_subject(&warning, language, &got);
    assert_string_equal(buf_cstr(&got), subject);
    buf_clear(&got);
    limits_words_warning(&warning, language, &got);
    assert_string_equal(buf_cstr(&got), text);
}

static void test_warnings(void **state)
{
    check_warning(LIMITS_SENDER, "shop@example.org", "recipients 300/1h", 240, 80, LIMITS_ENGLISH,
                  "80% of a limit used: shop@example.org",
                  "shop@example.org: limit of 300 recipients per hour is nearly reached (240 in the last 60 min).\n"
                  "What is over the limit is refused for now; mail programs and servers try again by themselves.\n"
                  "You are told this once in that time.\n");
    check_warning(LIMITS_DOMAIN, "żółw.example", "new-recipients 200/1d reject", 200, 100, LIMITS_POLISH,
                  "Limit wyczerpany: domeny żółw.example",
                  "domeny żółw.example: limit 200 nowych odbiorców na dobę jest wyczerpany (200 w ciągu ostatnich 24 h).\n"
                  "To, co przekracza limit, jest odmawiane, a nadawca dostaje o tym wiadomość.\n"
                  "Następna taka wiadomość najwcześniej po upływie tego czasu.\n");
    check_warning(LIMITS_SENDER, "a", "bytes 3GiB/1d notify", 2684354560, 80, LIMITS_POLISH,
                  "Wykorzystano 80% limitu: a",
                  "a: limit 3 GiB wysłanych danych na dobę jest prawie wyczerpany (2,5 GiB w ciągu ostatnich 24 h).\n"
                  "Niczego nie zatrzymuje; to tylko informacja.\n"
                  "Następna taka wiadomość najwcześniej po upływie tego czasu.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
