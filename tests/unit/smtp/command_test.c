#include "smtp/base64.h"
#include "smtp/command.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_rows(void **state)
{
    static const struct {
        struct span input;
        enum status status;
        enum smtp_verb verb;
        const char *args, *rest;
    } rows[] = {
        { SPAN("mail FROM:<a@b>\r\nRCPT"), STATUS_OK, SMTP_VERB_MAIL, "FROM:<a@b>", "RCPT" },
        { SPAN("QUIT\r\n"), STATUS_OK, SMTP_VERB_QUIT, "", "" },
        { SPAN("QUIT  \r\n"), STATUS_OK, SMTP_VERB_QUIT, "", "" },
        { SPAN("noop  a b \r\nX"), STATUS_OK, SMTP_VERB_NOOP, "a b", "X" },
        { SPAN("\r\n"), STATUS_OK, SMTP_VERB_UNKNOWN, "", "" },
        { SPAN(" NOOP\r\n"), STATUS_OK, SMTP_VERB_UNKNOWN, "NOOP", "" },
        { SPAN("NOOPS\r\n"), STATUS_OK, SMTP_VERB_UNKNOWN, "", "" },
        { SPAN("GET / HTTP/1.1\r\n"), STATUS_OK, SMTP_VERB_FOREIGN, "/ HTTP/1.1", "" },
        { SPAN("NOOP \x01\r\n"), STATUS_OK, SMTP_VERB_UNKNOWN, "\x01", "" },
        { SPAN(""), STATUS_AGAIN, 0, NULL, NULL },
        { SPAN("NOOP"), STATUS_AGAIN, 0, NULL, NULL },
        { SPAN("NOOP\r"), STATUS_AGAIN, 0, NULL, NULL },
        { SPAN("NOOP\rQUIT\r\n"), STATUS_SYNTAX, 0, NULL, NULL },
        { SPAN("NOOP\nQUIT\r\n"), STATUS_SYNTAX, 0, NULL, NULL },
        { SPAN("NOOP\r\r\n"), STATUS_SYNTAX, 0, NULL, NULL },
        { SPAN("\n"), STATUS_SYNTAX, 0, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span in = rows[i].input;
        struct smtp_command command = { 0 };
        assert_int_equal(smtp_command_take(&in, &command), rows[i].status);
        if (rows[i].status != STATUS_OK) {
            assert_int_equal(in.n, rows[i].input.n);
            continue;
        }
        assert_int_equal(command.verb, rows[i].verb);
        assert_true(span_eq(command.args, span_str(rows[i].args)));
        assert_true(span_eq(in, span_str(rows[i].rest)));
    }
}

/* The longest line that fits, and one octet more; AUTH may be longer. */
static void test_lengths(void **state)
{
    static char line[SMTP_SASL_LINE_MAX + 1];
    struct smtp_command command;
    for (unsigned auth = 0; auth < 2; auth++) {
        size_t most = auth ? SMTP_SASL_LINE_MAX : SMTP_COMMAND_MAX;
        memset(line, 'x', sizeof line);
        memcpy(line, auth ? "AUTH " : "NOOP ", 5);
        memcpy(line + most - 2, "\r\n", 2);
        struct span in = span_of(line, most);
        assert_int_equal(smtp_command_take(&in, &command), STATUS_OK);
        memcpy(line + most - 2, "x\r\n", 3);
        in = span_of(line, most - 1);
        assert_int_equal(smtp_command_take(&in, &command), STATUS_AGAIN);
        in = span_of(line, most + 1);
        assert_int_equal(smtp_command_take(&in, &command), STATUS_TOO_LONG);
    }
}

static void test_base64(void **state)
{
    static const struct {
        const char *text, *plain; /* plain NULL: not base64 */
    } rows[] = {
        { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg==", "foob" }, { "+/+/", "\xfb\xff\xbf" },
        { "Z", NULL }, { "Zg", NULL }, { "Zg=", NULL }, { "Zh==", NULL }, { "Zm9=", NULL }, { "====", NULL },
        { "Zg==Zg==", NULL }, { "Z g=", NULL }, { "Zm=v", NULL }, { "-_-_", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf plain = BUF_EMPTY(100), text = BUF_EMPTY(100);
        enum status status = base64_decode(span_str(rows[i].text), &plain);
        assert_int_equal(status, rows[i].plain ? STATUS_OK : STATUS_SYNTAX);
        if (!rows[i].plain)
            continue;
        assert_true(span_eq(buf_span(&plain), span_str(rows[i].plain)));
        assert_int_equal(base64_encode(buf_span(&plain), &text), STATUS_OK);
        assert_true(span_eq(buf_span(&text), span_str(rows[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_lengths), cmocka_unit_test(test_base64) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
