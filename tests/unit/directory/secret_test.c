#include "directory/secret.h"
#include "test.h"

#define PASSWORD "correct horse"

/* Made by other programs, cheap on purpose. */
static const struct row {
    const char *stored, *form;
} rows[] = {
    { "$y$j75$cBUomSlLX6qjfA2ace69d0$RPDpgsv6Q2WWDWy7JYqcrlM.XzszY4evWnaYlfkzoaC", "yescrypt" },
    { "$2b$04$0S7aSvRN0bcbuDYBq4hXVujYLSjeY3oheoJ9wRynxe6ji2n2LDajm", "bcrypt" },
    { "$2y$04$VynkfNkcwUazqI0kS9J6qek3kwOzTD3Q16.hEwgQfFsSlF6fLvw0a", "bcrypt" },
    { "$2a$04$/GpWRo8W7FNq8dSrDkj7M.drJ2MHYXITjUxw4wj5TUkTgWG7xZUY2", "bcrypt" },
    { "$6$rounds=1000$Qr1JGPg.NAcEjGfy$Kx5Ml1ELmeyvEv7reE1.aBsv1hYtb2iMnMwEXs/JkDLp0ApxmuJys1OAji5800K.SJs/sPyvwc0l0lCvBi"
      "d7O1", "sha512-crypt" },
    { "$5$rounds=1000$8fvpDwtlqpyAVt1I$BpVsUIeLWb/6NGSkh6prC5HcM4x63Q.OojZtC6DTuQ7", "sha256-crypt" },
    { "$argon2id$v=19$m=512,t=1,p=1$MA17mB/YZwrlxCKCeyVvLA$SVN8shuE1+6KD77OYiALpAqypEtoAvg+nMtlq5ZB89Y", "argon2id" },
    { "$argon2i$v=19$m=1024,t=3,p=1$fAtOFKkZ71L4xASmidBxZA$r8oBMPKf0P7tMGeYZkxhVOmiRiqTZgOTz/2poA1bffI", "argon2i" },
};

static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span stored = span_str(rows[i].stored);
        assert_string_equal(secret_form(stored), rows[i].form);
        if (secret_check(stored, SPAN(PASSWORD)) != STATUS_OK)
            fail_msg("%s: the right password", rows[i].stored);
        static const struct span wrong[] = {
            SPAN(""), SPAN("correct hors"), SPAN("correct horse "), SPAN("Correct horse"), SPAN("correct horse\0"),
            SPAN("correct horse\0x"), SPAN("\0"),
        };
        for (size_t j = 0; j < ARRAY_LEN(wrong); j++)
            if (secret_check(stored, wrong[j]) != STATUS_DENIED)
                fail_msg("%s: wrong password %zu", rows[i].stored, j);
        /* every shortened form is either refused or nobody's: never opens */
        for (size_t n = 0; n < stored.n; n += 7)
            assert_int_not_equal(secret_check(span_head(stored, n), SPAN(PASSWORD)), STATUS_OK);
    }
}

static void test_long_password(void **state)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    struct span stored = span_str(rows[0].stored);
    assert_int_equal(secret_check(stored, span_of(text, SECRET_PASSWORD_MAX)), STATUS_DENIED);
    assert_int_equal(secret_check(stored, span_of(text, SECRET_PASSWORD_MAX + 1)), STATUS_DENIED);
    assert_int_equal(secret_check(stored, span_of(text, sizeof text)), STATUS_DENIED);
}

static void test_unknown_forms(void **state)
{
    static const char *const forms[] = { "", "*", "!", "x", "$1$abc$def", "plaintext", "$9$", "abcdefghijklm", "$argon2d$v=19" };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        assert_null(secret_form(span_str(forms[i])));
        assert_int_equal(secret_check(span_str(forms[i]), SPAN(PASSWORD)), STATUS_SYNTAX);
    }
}

static void test_make(void **state)
{
    AUTO(buf_done) struct buf one = BUF_EMPTY(SECRET_STORED_MAX), two = BUF_EMPTY(SECRET_STORED_MAX);
    assert_int_equal(secret_make(SPAN("pass w\xc3\xb6rd"), &one), STATUS_OK);
    assert_int_equal(secret_make(SPAN("pass w\xc3\xb6rd"), &two), STATUS_OK);
    assert_string_equal(secret_form(buf_span(&one)), "yescrypt");
    assert_false(span_eq(buf_span(&one), buf_span(&two))); /* salted */
    assert_int_equal(secret_check(buf_span(&one), SPAN("pass w\xc3\xb6rd")), STATUS_OK);
    assert_int_equal(secret_check(buf_span(&one), SPAN("pass word")), STATUS_DENIED);
    buf_done(&two);
}

static void test_complaints(void **state)
{
    assert_non_null(secret_complaint(SPAN("")));
    assert_true(secret_is_short(SPAN("1234567")));
    assert_true(secret_is_short(SPAN("\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6"))); /* four characters */
    assert_false(secret_is_short(SPAN("12345678")));
    assert_non_null(secret_complaint(SPAN("12345678\n")));
    assert_non_null(secret_complaint(SPAN("12345678\xff")));
    assert_null(secret_complaint(SPAN("12345678")));
}

static void test_import(void **state)
{
    struct span form;
    assert_int_equal(secret_import(SPAN("{BLF-CRYPT}$2y$04$abc"), &form), STATUS_OK);
    assert_span(form, "$2y$04$abc");
    assert_int_equal(secret_import(SPAN("$6$salt$hash"), &form), STATUS_OK);
    assert_int_equal(secret_import(SPAN("{PLAIN}secret"), &form), STATUS_SYNTAX);
    assert_int_equal(secret_import(SPAN("$6$salt$hash\n"), &form), STATUS_SYNTAX);
    assert_int_equal(secret_import(SPAN("anna:$6$salt$hash"), &form), STATUS_SYNTAX);
}

/* What an unknown login is checked against has to be a form that crypt(3) really computes. */
static void test_nobody(void **state)
{
    assert_string_equal(secret_form(secret_nobody()), "yescrypt");
    assert_int_equal(secret_check(secret_nobody(), SPAN("x")), STATUS_DENIED);
    AUTO(buf_done) struct buf own = BUF_EMPTY(SECRET_STORED_MAX);
    assert_int_equal(secret_make(SPAN("12345678"), &own), STATUS_OK);
    assert_true(span_starts(buf_span(&own), span_head(secret_nobody(), 7))); /* "$y$j9T$": the same cost */
}

int main(void)
{
    if (secret_init() != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_long_password), cmocka_unit_test(test_unknown_forms),
        cmocka_unit_test(test_make), cmocka_unit_test(test_complaints), cmocka_unit_test(test_import),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
