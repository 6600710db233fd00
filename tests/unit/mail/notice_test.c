#include "mail/encode.h"
#include "mail/notice.h"
#include "test.h"

static void test_encoded_words(void **state)
{
    static const struct { const char *text, *words; } cases[] = {
        { "", "" },
        { "Limit reached: anna@example.org", "Limit reached: anna@example.org" },
        { "a\r\nBcc: x", "a??Bcc: x" },
        { "zażółć", "=?utf-8?Q?za=C5=BC=C3=B3=C5=82=C4=87?=" },
        { "ż?_=\n", "=?utf-8?Q?=C5=BC=3F=5F=3D=3F?=" },
        { "żżżżżżżżżżżżż", "=?utf-8?Q?=C5=BC=C5=BC=C5=BC=C5=BC=C5=BC=C5=BC=C5=BC=C5=BC=C5=BC?=\r\n"
                           " =?utf-8?Q?=C5=BC=C5=BC=C5=BC=C5=BC?=" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf_done) struct buf out = BUF_EMPTY(4096);
        encoded_words_add(&out, span_str(cases[i].text), 9);
        assert_span(buf_span(&out), cases[i].words);
    }
}

static void test_letter(void **state)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(1 << 16);
    bool utf8 = true;
    struct notice notice = { .hostname = SPAN("mail.example.org"), .postmaster = SPAN("postmaster@example.org"), .to = SPAN("anna@example.org"),
                             .subject = SPAN("Limit"), .text = SPAN("zażółć \n.\r=\n"), .id = 1, .now_wall_ms = 1790000000123 };
    assert_int_equal(notice_write(&notice, &out, &utf8), STATUS_OK);
    assert_false(utf8);
    struct span all = buf_span(&out);
    assert_true(span_starts(all, SPAN("From: \"Mail delivery\" <postmaster@example.org>\r\nTo: <anna@example.org>\r\nSubject: Limit\r\nDate: ")));
    assert_true(span_find_span(all, SPAN("\r\nAuto-Submitted: auto-generated\r\n")) < all.n);
    size_t body = span_find_span(all, SPAN("\r\n\r\n")) + 4;
    assert_span(span_from(all, body), "za=C5=BC=C3=B3=C5=82=C4=87\r\n.?=3D\r\n");
    assert_true(span_is_ascii(all));
}

/* What another process made up adds no line to the header, and no address. */
static void test_hostile(void **state)
{
    static const char *const addresses[] = { "", "a\r\nBcc: x@y", "a@b>, <c@d", "\xff@b", "a\n@b" };
    AUTO(buf_done) struct buf out = BUF_EMPTY(1 << 16);
    bool utf8;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct notice notice = { .hostname = SPAN("h"), .postmaster = SPAN("p@h"), .to = span_str(addresses[i]), .text = SPAN("x\n"), .id = 1 };
        assert_int_equal(notice_write(&notice, &out, &utf8), STATUS_SYNTAX);
        assert_int_equal(out.n, 0);
    }
    struct notice notice = { .hostname = SPAN("h"), .postmaster = SPAN("p@h"), .to = SPAN("a@b"), .text = SPAN("\xff"), .id = 1 };
    assert_int_equal(notice_write(&notice, &out, &utf8), STATUS_SYNTAX);
    notice.text = SPAN("x\n");
    notice.to = SPAN("ż@b");
    assert_int_equal(notice_write(&notice, &out, &utf8), STATUS_OK);
    assert_true(utf8);
    struct buf small = BUF_EMPTY(100);
    assert_int_equal(notice_write(&notice, &small, &utf8), STATUS_FULL);
    assert_int_equal(small.n, 0);
    buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_encoded_words), cmocka_unit_test(test_letter), cmocka_unit_test(test_hostile) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
