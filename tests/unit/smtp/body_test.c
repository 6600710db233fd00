/* What smtp_body_skim() drops unseen must not change where a message ends. */
#include "smtp/body.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Octets up to the end of the message, or what there was; `ret_open`: BDAT's last line still needed its end. */
static size_t run(struct span in, size_t step, bool dots, bool skim, bool *ret_open)
{
    struct smtp_body body;
    size_t taken = 0;
    smtp_body_init(&body, dots);
    while (taken < in.n) {
        struct span part = span_head(span_from(in, taken), step), piece;
        size_t before = part.n;
        for (enum status status = STATUS_OK; status == STATUS_OK;) {
            if (skim)
                part = span_from(part, smtp_body_skim(&body, part));
            status = smtp_body_take(&body, &part, &piece);
            if (status == STATUS_CLOSED)
                return taken + before - part.n;
        }
        taken += before;
    }
    *ret_open = smtp_body_finish(&body).n > 0;
    return taken;
}

static void compare(struct span in, bool dots)
{
    bool open = false, skimmed_open = false;
    size_t end = run(in, in.n, dots, false, &open);
    for (size_t step = 1; step <= MIN(in.n, (size_t)9); step++) {
        assert_int_equal(run(in, step, dots, true, &skimmed_open), end);
        assert_int_equal(skimmed_open, open);
    }
    assert_int_equal(run(in, in.n, dots, true, &skimmed_open), end);
    assert_int_equal(skimmed_open, open);
}

/* Every text of up to nine octets of these four. */
static void test_short_texts(void **state)
{
    static const char letters[] = "a.\r\n";
    for (size_t n = 1; n <= 9; n++) {
        for (uint32_t text = 0; text < 1u << (2 * n); text++) {
            char octets[9];
            for (size_t i = 0; i < n; i++)
                octets[i] = letters[text >> (2 * i) & 3];
            compare(span_of(octets, n), true);
            if (n <= 7)
                compare(span_of(octets, n), false);
        }
    }
}

/* Long ones, over the blocks that are looked at together. */
static void test_long_texts(void **state)
{
    static const char letters[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\n.";
    uint32_t random = 1;
    for (unsigned turn = 0; turn < 20000; turn++) {
        char octets[400];
        for (size_t i = 0; i < sizeof(octets); i++) {
            random = random * 1664525 + 1013904223;
            octets[i] = letters[random >> 27];
        }
        size_t end = turn % 380;
        memcpy(octets + end, "\r\n.\r\n", 5);
        compare(span_of(octets, sizeof(octets)), true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_short_texts), cmocka_unit_test(test_long_texts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
