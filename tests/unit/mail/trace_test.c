/* The small writers: dates, xtext, status codes, Received, Message-ID. */
#include "mail/date.h"
#include "mail/message_id.h"
#include "mail/received.h"
#include "mail/status_code.h"
#include "mail/xtext.h"
#include "test.h"

static void test_date(void **state)
{
    char text[DATE_TEXT_SIZE];
    assert_string_equal(date_text(0, text), "Thu, 01 Jan 1970 00:00:00 +0000");
    assert_string_equal(date_text(INT64_C(1795443607999), text), "Mon, 23 Nov 2026 14:20:07 +0000");
    assert_string_equal(date_text(-1, text), "Wed, 31 Dec 1969 23:59:59 +0000");
    assert_string_equal(date_text(INT64_C(951782400000), text), "Tue, 29 Feb 2000 00:00:00 +0000");
    assert_string_equal(date_text(INT64_MAX, text), "Fri, 31 Dec 9999 23:59:59 +0000");
    assert_string_equal(date_text(INT64_MIN, text), "Mon, 01 Jan 1900 00:00:00 +0000");
}

static void test_xtext(void **state)
{
    static const struct { const char *in; bool good; const char *plain; } rows[] = {
        { "anna@example.org", true, "anna@example.org" },
        { "anna+2Bx+3Dy@a", true, "anna+x=y@a" },
        { "", true, "" },
        { "a+20b", true, "a b" },
        { "a+2bb", false, NULL },
        { "a+2", false, NULL },
        { "a+", false, NULL },
        { "a=b", false, NULL },
        { "a b", false, NULL },
        { "a\xC5", false, NULL },
        { "a\x01", false, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf plain = BUF_EMPTY(100);
        AUTO(buf_done) struct buf again = BUF_EMPTY(100);
        assert_int_equal(xtext_check(span_str(rows[i].in)), rows[i].good);
        assert_int_equal(xtext_decode(span_str(rows[i].in), &plain), rows[i].good ? STATUS_OK : STATUS_SYNTAX);
        if (!rows[i].good)
            continue;
        assert_span(buf_span(&plain), rows[i].plain);
        assert_int_equal(xtext_encode(buf_span(&plain), &again), STATUS_OK);
        assert_span(buf_span(&again), rows[i].in);
    }
}

static void test_orcpt(void **state)
{
    static const struct { const char *in; bool ascii, utf8; } rows[] = {
        { "rfc822;a@b", true, true },
        { "RFC822;a+2Bc@b", true, true },
        { "rfc822;", false, false },
        { ";a@b", false, false },
        { "rfc822", false, false },
        { "rfc 822;a@b", false, false },
        { "rfc822;a=b", false, false },
        { "rfc822;\xC5\xBC@b", false, false },
        { "utf-8;\xC5\xBC@b", false, true },
        { "utf-8;\\x{17C}@b", true, true },
        { "utf-8;\\x{17c}@b", false, false },
        { "utf-8;\\x{}@b", false, false },
        { "utf-8;\\x{1", false, false },
        { "utf-8;\\y@b", false, false },
        { "utf-8;a+b", false, false },
        { "utf-8;\xC5@b", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(xtext_orcpt_check(span_str(rows[i].in), false), rows[i].ascii);
        assert_int_equal(xtext_orcpt_check(span_str(rows[i].in), true), rows[i].utf8);
    }
}

static void test_status_code(void **state)
{
    static const struct { const char *in; bool good; const char *text, *rest; } rows[] = {
        { "5.1.1 No such user", true, "5.1.1", "No such user" },
        { "2.0.0", true, "2.0.0", "" },
        { "4.7.123 x", true, "4.7.123", "x" },
        { "4.7.1\r\n", true, "4.7.1", "\r\n" },
        { "3.1.1 x", false }, { "5.1 x", false }, { "5.1.1x", false }, { "5.1.", false }, { "5..1 x", false },
        { "5.1234.1 x", false }, { "5.1.1234", false }, { "", false }, { "5", false }, { "55.1.1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct status_code code = { 0 };
        char text[STATUS_CODE_TEXT_SIZE];
        struct span in = span_str(rows[i].in);
        assert_int_equal(status_code_take(&in, &code), rows[i].good);
        assert_span(in, rows[i].good ? rows[i].rest : rows[i].in);
        if (rows[i].good)
            assert_string_equal(status_code_text(code, text), rows[i].text);
    }
}

static void test_status_code_meanings(void **state)
{
    char text[STATUS_CODE_TEXT_SIZE];
    static const struct { int reply; const char *text; } rows[] = {
        { 550, "5.0.0" }, { 552, "5.2.2" }, { 421, "4.4.2" }, { 250, "2.0.0" }, { 451, "4.0.0" }, { 0, "5.0.0" },
        { -5, "5.0.0" }, { 999, "5.0.0" }, { 556, "5.1.10" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(status_code_text(status_code_from_reply(rows[i].reply), text), rows[i].text);
    assert_string_equal(status_code_text((struct status_code){ 0 }, text), "5.0.0");
    assert_string_equal(status_code_text(STATUS_CODE(65535, 65535, 65535), text), "65535.65535.65535");
    assert_non_null(strstr(status_code_meaning(STATUS_CODE(5, 1, 1)), "does not exist"));
    assert_non_null(strstr(status_code_meaning(STATUS_CODE(4, 2, 2)), "full"));
    assert_string_equal(status_code_meaning(STATUS_CODE(5, 99, 999)), status_code_meaning(STATUS_CODE(5, 0, 0)));
    for (uint16_t subject = 0; subject < 10; subject++)
        for (uint16_t detail = 0; detail < 40; detail++) {
            assert_true(strlen(status_code_meaning(STATUS_CODE(5, subject, detail))) > 10);
            assert_true(strlen(status_code_advice(STATUS_CODE(5, subject, detail))) > 10);
        }
}

static void test_with(void **state)
{
    assert_string_equal(received_with(false, false, false, false), "SMTP");
    assert_string_equal(received_with(true, false, false, false), "ESMTP");
    assert_string_equal(received_with(true, true, false, false), "ESMTPS");
    assert_string_equal(received_with(true, false, true, false), "ESMTPA");
    assert_string_equal(received_with(true, true, true, false), "ESMTPSA");
    assert_string_equal(received_with(true, true, true, true), "UTF8SMTPSA");
    assert_string_equal(received_with(true, false, false, true), "UTF8SMTP");
}

static void test_received(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    struct received received = {
        .helo = SPAN("laptop.lan"), .client_address = SPAN("192.0.2.7"), .hostname = SPAN("mail.example.org"),
        .with = SPAN("ESMTPSA"), .tls_version = SPAN("TLSv1.3"), .tls_cipher = SPAN("TLS_AES_256_GCM_SHA384"),
        .tls_bits = 256, .id = 1, .recipient = SPAN("bob@example.com"), .now_wall_ms = 0,
    };
    assert_int_equal(received_write(&received, &text), STATUS_OK);
    assert_span(buf_span(&text),
                "Received: from laptop.lan ([192.0.2.7])\r\n"
                "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits))\r\n"
                "\tby mail.example.org (goniec) with ESMTPSA id 0000000000001\r\n"
                "\tfor <bob@example.com>;\r\n"
                "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
    buf_clear(&text);
    received = (struct received){ .helo = SPAN("a\r\nSubject: (x"), .client_address = SPAN("2001:db8::1"),
        .client_name = SPAN("host.example.net"), .hostname = SPAN("m"), .with = SPAN("SMTP"), .id = 1 };
    assert_int_equal(received_write(&received, &text), STATUS_OK);
    assert_span(buf_span(&text), "Received: from a??Subject:??x (host.example.net [IPv6:2001:db8::1])\r\n"
                "\tby m (goniec) with SMTP id 0000000000001;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
    buf_clear(&text);
    received.hide_client = true;
    assert_int_equal(received_write(&received, &text), STATUS_OK);
    assert_true(span_find_span(buf_span(&text), SPAN("2001")) == text.n);
    assert_true(span_find_span(buf_span(&text), SPAN("host.example")) == text.n);
    assert_true(span_find_span(buf_span(&text), SPAN("Subject")) == text.n);
}

static void test_received_is_whole_or_nothing(void **state)
{
    for (size_t most = 0; most < 100; most++) {
        AUTO(buf_done) struct buf text = BUF_EMPTY(most);
        struct received received = { .hostname = SPAN("m"), .with = SPAN("SMTP"), .id = 1 };
        if (received_write(&received, &text) != STATUS_OK)
            assert_int_equal(text.n, 0);
    }
}

static void test_message_id(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(100);
    assert_int_equal(message_id_write(1, SPAN("m.example.org"), &text), STATUS_OK);
    assert_span(buf_span(&text), "<0000000000001.goniec@m.example.org>");
    assert_span(message_id_inner(buf_span(&text)), "0000000000001.goniec@m.example.org");
    assert_span(message_id_inner(SPAN(" (x) <a@b> ")), "a@b");
    assert_span(message_id_inner(SPAN(" a@b ")), "a@b");
    assert_span(message_id_inner(SPAN(" <a@b")), "<a@b");
    assert_span(message_id_inner(SPAN("")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date),     cmocka_unit_test(test_xtext),
        cmocka_unit_test(test_orcpt),    cmocka_unit_test(test_status_code),
        cmocka_unit_test(test_status_code_meanings), cmocka_unit_test(test_with),
        cmocka_unit_test(test_received), cmocka_unit_test(test_received_is_whole_or_nothing),
        cmocka_unit_test(test_message_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
