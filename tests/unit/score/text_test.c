#include "score/text.h"
#include "test.h"

static const char letter[] =
    "Dear %s, thank you for your order number %d. We have received your payment and are packing the goods today. The parcel "
    "will leave our warehouse tomorrow morning, and the courier will call you before he comes. If anything is missing or "
    "broken, write to us within two weeks and we shall send you another one or give your money back. With kind regards, your "
    "friends from the garden shop in Lower Street.";

static uint64_t print_of(const char *text, size_t piece)
{
    struct score_text state = SCORE_TEXT_EMPTY;
    struct span left = span_str(text);
    while (left.n) {
        score_text_feed(&state, span_head(left, piece));
        left = span_from(left, piece);
    }
    return score_text_take(&state);
}

static void test_names(void **state)
{
    static const char *const names[] = { "Anna", "Mr. Jan Kowalski", "customer", "Za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87 G\xc4\x99\xc5\x9bl\xc4\x85", "Dr. Maria Anna Nowak" };
    char first[1024], text[1024];
    snprintf(first, sizeof first, letter, "John", 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(text, sizeof text, letter, names[i], 100000 + (int)i);
        assert_true(score_text_is_near(print_of(first, 4096), print_of(text, 4096)));
    }
}

static void test_pieces(void **state)
{
    for (size_t piece = 1; piece < 100; piece += 7)
        assert_int_equal(print_of(letter, piece), print_of(letter, 4096));
}

static void test_others(void **state)
{
    static const char *const others[] = {
        "Your mailbox is almost full. To keep receiving messages please confirm your account by the link below within one day, "
        "otherwise it will be closed and all your messages will be lost. The administrator of the mail system.",
        "Hello, attached is the invoice for the repair of the roof. Please pay it until the end of the month to the account "
        "that is written on it. If you have any questions, call me in the afternoon.",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(score_text_is_near(print_of(letter, 4096), print_of(others[i], 4096)));
    assert_false(score_text_is_near(print_of(others[0], 4096), print_of(others[1], 4096)));
}

static void test_little(void **state)
{
    assert_int_equal(print_of("OK, thanks. See you on Monday!", 100), 0);
    assert_int_equal(print_of("", 1), 0);
    assert_false(score_text_is_near(0, 0));
}

/* A text that never ends costs no more than its first words. */
static void test_long(void **state)
{
    struct score_text text = SCORE_TEXT_EMPTY;
    for (unsigned i = 0; i < 100000; i++)
        score_text_feed(&text, SPAN("one more word "));
    assert_int_equal(text.words, SCORE_TEXT_WORDS);
    assert_true(score_text_take(&text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_pieces), cmocka_unit_test(test_others),
        cmocka_unit_test(test_little), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
