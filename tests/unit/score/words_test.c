#include "score/score.h"
#include "test.h"

static const struct {
    enum score_part part;
    struct score_reason reason;
    const char *english, *polish;
} rows[] = {
    { SCORE_STRANGERS, { 25, 312, 4, 1200, "" },
      "wrote to 312 addresses never written to before in 20 min, usually 4 a day (+25)",
      "adresów, na które nigdy wcześniej nie pisano, w ciągu 20 min: 312, zwykle na dobę: 4 (+25)" },
    { SCORE_VOLUME, { 7, 1200, 2.46, 3600, "" },
      "wrote to 1200 recipients in 60 min, usually 2.5 at this hour of the week (+7)",
      "odbiorców w ciągu 60 min: 1200, zwykle o tej porze tygodnia: 2,5 (+7)" },
    { SCORE_FAILURES, { 3, 12, 0, 86400, "" }, "12 recipients failed for good in 24 h, usually 0 a day (+3)",
      "adresatów niedoręczonych na stałe w ciągu 24 h: 12, zwykle na dobę: 0 (+3)" },
    { SCORE_COUNTRY, { 10, 1, 0, 86400, "NG" }, "mail came from a country never seen before: NG (+10)",
      "poczta z kraju, z którego nigdy wcześniej nie pisano: NG (+10)" },
    { SCORE_HOUR, { 8, 3, 0, 0, "" }, "mail at 3:00 UTC, an hour at which this sender never writes (+8)",
      "poczta o 3:00 UTC, o której to godzinie ten nadawca nigdy nie pisze (+8)" },
};

static void check(const struct score_verdict *verdict, enum score_language language, const char *want)
{
    AUTO(buf_done) struct buf words = BUF_EMPTY(4096);
    score_words(verdict, language, &words);
    assert_string_equal(buf_cstr(&words), want);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct score_verdict verdict = { 0 };
        verdict.reasons[rows[i].part] = rows[i].reason;
        check(&verdict, SCORE_ENGLISH, rows[i].english);
        check(&verdict, SCORE_POLISH, rows[i].polish);
    }
}

static void test_order(void **state)
{
    struct score_verdict verdict = { 0 };
    check(&verdict, SCORE_ENGLISH, "");
    verdict.reasons[SCORE_AT_ONCE] = (struct score_reason){ 20, 22, 1, 3600, "" };
    verdict.reasons[SCORE_PER_MESSAGE] = (struct score_reason){ 5, 40, 1, 0, "" };
    verdict.reasons[SCORE_NETWORKS] = (struct score_reason){ 10, 9, 0, 86400, "" };
    verdict.reasons[SCORE_TEXT] = (struct score_reason){ 12, 85, 3, 0, "" };
    check(&verdict, SCORE_ENGLISH,
          "mail came from 22 networks in 60 min, usually 1 (+20); the same text went to 85 addresses never written to before, "
          "usually to 3 at most (+12); mail came from 9 networks never seen before in 24 h, usually 0 a day (+10); 40 "
          "recipients per message, usually 1 (+5)");
    assert_string_equal(score_part_name(SCORE_AT_ONCE), "at-once");
    assert_string_equal(score_step_name(SCORE_HOLD), "hold");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_order) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
