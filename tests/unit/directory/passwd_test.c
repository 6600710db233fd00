#include "directory/passwd.h"
#include "test.h"

#define SIX "$6$0k.CXH1hWJVrOItn$FW1a7nwPLi5jBLG8xrQZwhXW8t6Q/RuuDC4L8zN8qSeVABooPbRUxWx0tM5ZW./a5AmjmzedEZuOCJ/UnaK8g."

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        enum status status;
        const char *user, *stored, *networks;
    } cases[] = {
        { "anna:" SIX, STATUS_OK, "anna", SIX, "" },
        { " anna@example.org:{SHA512-CRYPT}" SIX ":1000:1000::/home/anna::userdb_mail=maildir:/x allow_nets=192.0.2.0/24,::1", STATUS_OK,
          "anna@example.org", SIX, "192.0.2.0/24,::1" },
        { "anna:" SIX ":::::allow_nets=192.0.2.1", STATUS_OK, "anna", SIX, "" }, /* that is the shell */
        { "anna:" SIX "::::::nologin", STATUS_OK, "anna", "", "" },
        { "anna:" SIX "::::::nologin=y allow_nets=::1", STATUS_OK, "anna", "", "::1" },
        { "anna:", STATUS_OK, "anna", "", "" },
        { "anna:!:::", STATUS_OK, "anna", "", "" },
        { "anna:*", STATUS_OK, "anna", "", "" },
        { "", STATUS_NOT_FOUND, "", "", "" },
        { "  ", STATUS_NOT_FOUND, "", "", "" },
        { "# anna:" SIX, STATUS_NOT_FOUND, "", "", "" },
        { "anna", STATUS_SYNTAX, "anna", "", "" },
        { ":" SIX, STATUS_SYNTAX, "", "", "" },
        { "anna:secret", STATUS_SYNTAX, "anna", "", "" },
        { "anna:{PLAIN}secret", STATUS_SYNTAX, "anna", "", "" },
        { "anna:$apr1$12345678$abcdefghijklmnopqrstuv", STATUS_SYNTAX, "anna", "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct passwd_line line;
        const char *why = NULL;
        assert_int_equal(passwd_line_read(span_str(cases[i].line), &line, &why), cases[i].status);
        assert_true((why != NULL) == (cases[i].status == STATUS_SYNTAX));
        assert_span(line.user, cases[i].user);
        assert_span(line.stored, cases[i].stored);
        assert_span(line.networks, cases[i].networks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
