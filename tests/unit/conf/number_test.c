#include "conf/number.h"
#include "test.h"

#define BAD INT64_MIN

static void numbers(void **state UNUSED)
{
    static const struct {
        enum conf_kind kind;
        const char *text;
        int64_t number;
        const char *again;
    } rows[] = {
        { CONF_SIZE, "25MiB", 25 << 20, "25MiB" },
        { CONF_SIZE, "25 mib", 25 << 20, "25MiB" },
        { CONF_SIZE, "1MB", 1000000, "1000000" },
        { CONF_SIZE, "4096", 4096, "4KiB" },
        { CONF_SIZE, "4097B", 4097, "4097" },
        { CONF_SIZE, "0", 0, "0" },
        { CONF_SIZE, "25M", BAD, NULL },
        { CONF_SIZE, "1MiB1KiB", BAD, NULL },
        { CONF_SIZE, "9223372036854775808", BAD, NULL },
        { CONF_SIZE, "99999999999TiB", BAD, NULL },
        { CONF_SIZE, "", BAD, NULL },
        { CONF_SIZE, "-1", BAD, NULL },
        { CONF_TIME_MS, "5min", 300000, "5min" },
        { CONF_TIME_MS, "1h30min", 5400000, "90min" },
        { CONF_TIME_MS, "1 h 30 min", 5400000, "90min" },
        { CONF_TIME_MS, "5d", 432000000, "5d" },
        { CONF_TIME_MS, "2w", 1209600000, "14d" },
        { CONF_TIME_MS, "250ms", 250, "250ms" },
        { CONF_TIME_MS, "0", 0, "0" },
        { CONF_TIME_MS, "5", BAD, NULL },
        { CONF_TIME_MS, "5m", BAD, NULL },
        { CONF_TIME_MS, "1h5", BAD, NULL },
        { CONF_TIME_MS, "5MiB", BAD, NULL },
        { CONF_INTEGER, "-5", -5, "-5" },
        { CONF_INTEGER, "9223372036854775807", INT64_MAX, "9223372036854775807" },
        { CONF_INTEGER, "5s", BAD, NULL },
        { CONF_INTEGER, "-", BAD, NULL },
        { CONF_INTEGER, "0x5", BAD, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512), again = BUF_EMPTY(64);
        int64_t number;
        bool good = conf_number_parse(rows[i].kind, span_str(rows[i].text), &number, &why);
        assert_int_equal(good, rows[i].number != BAD);
        assert_int_equal(good, why.n == 0);
        if (!good)
            continue;
        assert_int_equal(number, rows[i].number);
        conf_number_write(rows[i].kind, number, &again);
        assert_string_equal(buf_cstr(&again), rows[i].again);
    }
}

static void rates(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t count, per_ms;
    } rows[] = {
        { "300/1h", 300, 3600000 }, { "20/min", 20, 60000 }, { "1 / 30s", 1, 30000 }, { "0/d", 0, 86400000 },
        { "300", BAD, 0 },          { "300/", BAD, 0 },      { "/1h", BAD, 0 },       { "300/0", BAD, 0 },
        { "300/x", BAD, 0 },        { "-1/h", BAD, 0 },      { "3/5", BAD, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        struct conf_rate rate;
        assert_int_equal(conf_rate_parse(span_str(rows[i].text), &rate, &why), rows[i].count != BAD);
        if (rows[i].count == BAD)
            continue;
        assert_int_equal(rate.count, rows[i].count);
        assert_int_equal(rate.per_ms, rows[i].per_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers), cmocka_unit_test(rates) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
