#include "cli/story.h"
#include "test.h"
#include <stdlib.h>

#define AT(clock, event) "{\"time\":\"2026-11-23T" clock ".123Z\",\"level\":\"info\",\"role\":\"x\",\"pid\":1,\"event\":\"" event "\""
#define ME ",\"id\":\"0000000000001\""

static const char *const lines[] = {
    AT("14:20:08", "deferred") ME ",\"recipient\":\"bob@example.com\",\"host\":\"mx.example.com\",\"address\":\"192.0.2.25:25\","
        "\"code\":451,\"status\":\"4.7.1\",\"text\":\"4.7.1 Greylisted\"}",
    AT("14:20:07", "accepted") ME ",\"from\":\"anna@example.org\",\"to\":\"bob@example.com\",\"octets\":4096,"
        "\"account\":\"anna@example.org\",\"client\":\"192.0.2.7\",\"tls\":true}",
    AT("14:20:08", "waiting") ME ",\"domain\":\"example.com\",\"until\":1795443907000}",
    "not JSON at all",
    AT("14:20:09", "delivered") ",\"id\":\"0000000000002\",\"recipient\":\"other@example.com\"}",
    AT("14:25:07", "failed") ME ",\"recipient\":\"bob@example.com\",\"host\":\"mx.example.com\",\"code\":550,"
        "\"status\":\"5.1.1\",\"text\":\"No\\u001b[2J such\\u0000\\r\\nuser \\u009b\"}",
    AT("14:25:08", "accepted") ",\"id\":\"0000000000003\",\"about\":\"0000000000001\",\"to\":\"anna@example.org\",\"octets\":9}",
    AT("14:25:08", "reported") ME ",\"why\":\"failed\",\"report\":\"0000000000003\"}",
    AT("14:25:08", "odd-event") ME ",\"recipients\":3,\"empty\":\"\",\"yes\":true}",
    AT("14:25:09", "done") ME "}",
};

static void test_story(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct story story;
    assert_int_equal(story_init(&story, 1), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        story_add(&story, span_str(lines[i]));
    story_finish(&story);
    story_text(&story, 0, &text);
    assert_span(buf_span(&text),
        "Monday 23 November 2026\n"
        "  14:20:07  Accepted from anna@example.org for bob@example.com, 4.0 KiB\n"
        "            Login: anna@example.org; client: 192.0.2.7; encrypted\n"
        "  14:20:08  Not delivered yet to bob@example.com: mx.example.com (192.0.2.25:25) asks to try again later\n"
        "            It said: 451 4.7.1 Greylisted\n"
        "  14:20:08  Waits (example.com) until Mon 23 Nov 14:25:07 for the next attempt\n"
        "  14:25:07  Could not be delivered to bob@example.com: mx.example.com refused it\n"
        "            It said: 550 5.1.1 No?[2J such?  user ?\n"
        "            That means: This address does not exist at the recipient's provider.\n"
        "  14:25:08  A report about it was written for anna@example.org: 0000000000003\n"
        "  14:25:08  The sender was told that the message could not be delivered; the report is message 0000000000003\n"
        "  14:25:08  odd-event: recipients 3, yes \n"
        "  14:25:09  Nothing is left to be done for it.\n");
    assert_int_equal(json_array_size(story.reports), 1);
    assert_int_equal(story.broken, 1);
    story_done(&story);
}

static void test_other_names(void **state)
{
    static const char *const told[] = {
        AT("14:20:07", "accepted") ME ",\"from\":\"\",\"to\":\"b@c d@e\",\"recipients\":2,\"octets\":9}",
        AT("14:20:08", "host-failed") ME ",\"host\":\"mx\",\"address\":\"192.0.2.1:25\",\"code\":0,\"text\":\"refused\"}",
        AT("14:20:08", "deferred") ME ",\"recipient\":\"d@e\",\"host\":\"\",\"ip\":\"\",\"code\":0,\"reply\":\"refused\"}",
        AT("14:20:08", "delivered") ME ",\"recipient\":\"b@c\",\"host\":\"mx\",\"ip\":\"192.0.2.1\",\"port\":25,\"tls\":\"TLSv1.3\","
            "\"verified\":false,\"code\":250,\"status\":\"2.0.0\",\"reply\":\"Ok\",\"took_ms\":1500}",
        AT("14:20:09", "delayed") ME ",\"recipient\":\"d@e\",\"to\":\"a@b\",\"report\":\"0000000000003\"}",
    };
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct story story;
    assert_int_equal(story_init(&story, 1), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        story_add(&story, span_str(told[i]));
    story_finish(&story);
    story_text(&story, 0, &text);
    assert_span(buf_span(&text),
        "Monday 23 November 2026\n"
        "  14:20:07  Accepted from the null sender for b@c, d@e, 9 octets\n"
        "  14:20:08  mx (192.0.2.1:25) could not be used\n"
        "            The reason: refused\n"
        "  14:20:08  Not delivered yet to d@e: no server could take it\n"
        "            The reason: refused\n"
        "  14:20:08  Delivered to b@c: mx (192.0.2.1:25) took it in 1.5 s\n"
        "            It said: 250 2.0.0 Ok\n"
        "            Encrypted: TLSv1.3 (the server's certificate was not verified)\n"
        "  14:20:09  a@b was told that the message to d@e is late; the report is message 0000000000003\n"
        "            1 of 2 recipients are still to be reached.\n");
    assert_int_equal(json_array_size(story.reports), 1);
    story_done(&story);
}

static void test_now(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct story story;
    assert_int_equal(story_init(&story, 1), STATUS_OK);
    story_add(&story, span_str(lines[1]));
    story.now = json_loads("{\"recipients\": [{\"address\": \"x@y\", \"state\": \"waiting\", \"next\": \"2026-11-23T14:25:07.000Z\", \"attempts\": 2,"
                           "\"code\": 451, \"text\": \"later\\u001b\", \"host\": \"mx\"}, 5, {}], \"more\": true}", 0, NULL);
    assert_false(story_is_over(&story));
    story_finish(&story);
    story_text(&story, 0, &text);
    assert_non_null(strstr(buf_cstr(&text), "  Now in the queue:\n"
        "    x@y: waiting, next attempt Mon 23 Nov 14:25:07, attempts so far: 2\n"
        "            Last time mx: 451 later?\n"));
    assert_non_null(strstr(buf_cstr(&text), "    ... and more of them\n"));
    story_done(&story);
}

static void test_hostile_words(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct story story;
    assert_int_equal(story_init(&story, 1), STATUS_OK);
    story_add(&story, SPAN(AT("00:00:00", "failed") ME ",\"recipient\":\"a\\u001b]0;x\\u0007@b\",\"code\":550,\"status\":\"x\","
                           "\"text\":\"\\u009b2J\\r\\nGoniec: all is well\\u007f\"}"));
    story_add(&story, SPAN("{\"time\":\"\\u001b\",\"event\":\"\\u001b\",\"id\":\"0000000000001\",\"\\u001b\":\"\\u001b\"}"));
    story_add(&story, SPAN("{\"time\":5,\"event\":[],\"id\":\"0000000000001\",\"recipient\":{}}"));
    story_add(&story, SPAN("{\"id\":1}"));
    story_add(&story, SPAN("[]"));
    story_finish(&story);
    story_text(&story, 0, &text);
    for (size_t i = 0; i < text.n; i++)
        assert_true(text.p[i] == '\n' || (text.p[i] >= ' ' && text.p[i] != 0x7F) || (unsigned char)text.p[i] >= 0xA0);
    assert_true(span_find_span(buf_span(&text), SPAN("\nGoniec")) == text.n);
    story_done(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_story), cmocka_unit_test(test_other_names),
                                        cmocka_unit_test(test_now),
                                        cmocka_unit_test(test_hostile_words) };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
