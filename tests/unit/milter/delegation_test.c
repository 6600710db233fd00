#include "test.h"
#include "milter/delegation.h"

static const struct {
    const char *in;
    enum status status;
    enum delegation_word word;
    unsigned code;
    struct status_code enhanced;
    const char *text;
} rows[] = {
    { "action=DUNNO\n\n", STATUS_OK, DELEGATION_DUNNO, 0, { 0 }, "" },
    { "action=ok\r\n\r\n", STATUS_OK, DELEGATION_DUNNO, 0, { 0 }, "" },
    { "action=reject not \tyou\n\n", STATUS_OK, DELEGATION_REJECT, 554, { 5, 7, 1 }, "not  you" },
    { "action=REJECT 5.1.8 no such domain\n\n", STATUS_OK, DELEGATION_REJECT, 554, { 5, 1, 8 }, "no such domain" },
    { "action=REJECT 4.1.8 odd\n\n", STATUS_OK, DELEGATION_REJECT, 554, { 5, 7, 1 }, "4.1.8 odd" },
    { "action=550 5.7.1 no\n\n", STATUS_OK, DELEGATION_REJECT, 550, { 5, 7, 1 }, "no" },
    { "action=451 caf\xc3\xa9\n\n", STATUS_OK, DELEGATION_DEFER, 451, { 4, 0, 0 }, "caf??" },
    { "action=defer_if_permit Greylisted\n\n", STATUS_OK, DELEGATION_DEFER_IF_PERMIT, 450, { 4, 7, 1 }, "Greylisted" },
    { "action=DEFER_IF_REJECT x\n\n", STATUS_OK, DELEGATION_DUNNO, 0, { 0 }, "x" },
    { "action=PREPEND X-A: b\n\n", STATUS_OK, DELEGATION_PREPEND, 0, { 0 }, "X-A: b" },
    { "action=DISCARD\n\n", STATUS_OK, DELEGATION_DISCARD, 0, { 0 }, "" },
    { "action=HOLD\n\n", STATUS_OK, DELEGATION_HOLD, 0, { 0 }, "" },
    { "action=WARN hm\n\n", STATUS_OK, DELEGATION_WARN, 0, { 0 }, "hm" },
    { "other=1\naction=DUNNO\n\n", STATUS_OK, DELEGATION_DUNNO, 0, { 0 }, "" },
    { "action=250 fine\n\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "action=600 x\n\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "action=FILTER smtp:x\n\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "action=\n\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "action=OK\naction=REJECT\n\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "220 mx ESMTP\n", STATUS_SYNTAX, 0, 0, { 0 }, NULL },
    { "action=DUNNO\n", STATUS_AGAIN, 0, 0, { 0 }, NULL },
    { "action=DUN", STATUS_AGAIN, 0, 0, { 0 }, NULL },
    { "", STATUS_AGAIN, 0, 0, { 0 }, NULL },
};

static void each_answer_is_read_and_none_before_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct delegation_answer answer;
        struct span in = span_str(rows[i].in);
        enum status status = STATUS_AGAIN;
        size_t n = 0;
        while (status == STATUS_AGAIN && n < in.n) {
            struct span part = span_head(in, ++n);
            status = delegation_take(&part, &answer);
            assert_int_equal(part.n, status == STATUS_OK ? 0 : n);
        }
        assert_int_equal(status, rows[i].status);
        if (!rows[i].text)
            continue;
        assert_int_equal(n, in.n);
        assert_int_equal(answer.word, rows[i].word);
        assert_int_equal(answer.code, rows[i].code);
        assert_memory_equal(&answer.enhanced, &rows[i].enhanced, sizeof answer.enhanced);
        assert_span(span_of(answer.text, answer.text_n), rows[i].text);
    }
}

static void an_answer_without_end_is_too_long(void **state)
{
    (void)state;
    static char flood[DELEGATION_ANSWER_MAX + 2];
    struct delegation_answer answer;
    memset(flood, '=', sizeof flood);
    for (size_t every = 7; every <= sizeof flood; every *= 30) {
        for (size_t i = every; i < sizeof flood; i += every)
            flood[i] = '\n';
        struct span in = span_of(flood, sizeof flood);
        assert_int_equal(delegation_take(&in, &answer), STATUS_TOO_LONG);
    }
}

static void no_value_begins_another_line(void **state)
{
    (void)state;
    const struct delegation_attribute attributes[] = {
        { "request", SPAN("smtpd_access_policy") }, { "sender", SPAN("a\n\nb=\0c\r") }, { "size", SPAN_NONE },
    };
    struct buf out = BUF_EMPTY(1000);
    delegation_ask(&out, attributes, ARRAY_LEN(attributes));
    assert_span(buf_span(&out), "request=smtpd_access_policy\nsender=a??b=?c?\nsize=\n\n");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_is_read_and_none_before_its_end),
        cmocka_unit_test(an_answer_without_end_is_too_long),
        cmocka_unit_test(no_value_begins_another_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
