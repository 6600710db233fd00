#include "directory/sasl.h"
#include "test.h"

static const struct scram_bindings no_bindings;

static const struct row {
    const char *mechanism;
    struct span messages[2]; /* p NULL: none given */
    enum sasl_step steps[2];
    const char *login, *password;
} rows[] = {
    { "PLAIN", { SPAN("\0anna\0secret") }, { SASL_CREDENTIALS }, "anna", "secret" },
    { "plain", { SPAN("anna\0anna\0secret") }, { SASL_CREDENTIALS }, "anna", "secret" },
    { "PLAIN", { SPAN("Anna\0anna\0secret") }, { SASL_CREDENTIALS }, "anna", "secret" },
    { "PLAIN", { SPAN_NONE, SPAN("\0anna\0secret") }, { SASL_CHALLENGE, SASL_CREDENTIALS }, "anna", "secret" },
    { "PLAIN", { SPAN("bob\0anna\0secret") }, { SASL_DENIED }, NULL, NULL },
    { "PLAIN", { SPAN("") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("anna") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("\0anna") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("\0anna\0") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("\0\0secret") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("\0anna\0sec\0ret") }, { SASL_BROKEN }, NULL, NULL },
    { "PLAIN", { SPAN("\0\0\0") }, { SASL_BROKEN }, NULL, NULL },
    { "LOGIN", { SPAN("anna"), SPAN("secret") }, { SASL_CHALLENGE, SASL_CREDENTIALS }, "anna", "secret" },
    { "LOGIN", { SPAN(""), SPAN_NONE }, { SASL_BROKEN }, NULL, NULL },
    { "LOGIN", { SPAN("anna"), SPAN("") }, { SASL_CHALLENGE, SASL_BROKEN }, NULL, NULL },
    { "LOGIN", { SPAN("an\0na"), SPAN_NONE }, { SASL_BROKEN }, NULL, NULL },
};

static void play(const struct row *row)
{
    struct sasl sasl;
    assert_int_equal(sasl_begin(span_str(row->mechanism), &no_bindings, &sasl), STATUS_OK);
    enum sasl_step step = SASL_CHALLENGE;
    for (size_t i = 0; i < 2 && step == SASL_CHALLENGE; i++) {
        step = sasl_feed(&sasl, row->messages[i].p != NULL, row->messages[i]);
        if (step != row->steps[i])
            fail_msg("row %td, message %zu: step %d", row - rows, i, (int)step);
    }
    if (row->login) {
        assert_span(buf_span(&sasl.login), row->login);
        assert_span(buf_span(&sasl.password), row->password);
    }
    sasl_done(&sasl);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        play(&rows[i]);
}

static void test_challenges(void **state)
{
    struct sasl sasl;
    assert_int_equal(sasl_begin(SPAN("LOGIN"), &no_bindings, &sasl), STATUS_OK);
    assert_int_equal(sasl_feed(&sasl, false, SPAN_NONE), SASL_CHALLENGE);
    assert_span(sasl.challenge, "Username:");
    assert_int_equal(sasl_feed(&sasl, true, SPAN("anna")), SASL_CHALLENGE);
    assert_span(sasl.challenge, "Password:");
    assert_int_equal(sasl_feed(&sasl, true, SPAN("secret")), SASL_CREDENTIALS);
    sasl_done(&sasl);
    assert_int_equal(sasl_begin(SPAN("CRAM-MD5"), &no_bindings, &sasl), STATUS_NOT_FOUND);
    assert_int_equal(sasl_begin(SPAN(""), &no_bindings, &sasl), STATUS_NOT_FOUND);
}

static void test_too_long(void **state)
{
    static char text[SASL_FIELD_MAX + 1];
    memset(text, 'x', sizeof text);
    struct sasl sasl;
    assert_int_equal(sasl_begin(SPAN("LOGIN"), &no_bindings, &sasl), STATUS_OK);
    assert_int_equal(sasl_feed(&sasl, true, span_of(text, sizeof text)), SASL_BROKEN);
    sasl_done(&sasl);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_challenges),
                                        cmocka_unit_test(test_too_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
