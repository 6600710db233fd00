#include "cli/history.h"
#include "base/buf.h"
#include "base/time.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

#define START_MS INT64_C(1795443600000)

static char folder[] = "/tmp/history_test_XXXXXX";
static char path[64];

static uint64_t id_of(unsigned i) { return (uint64_t)(START_MS + i * 1000 - INT64_C(1704067200000)) << 23 | i; }

static void write_lines(const char *name, unsigned from, unsigned to)
{
    char id[ID_TEXT_SIZE], when[TIME_TEXT_SIZE];
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    for (unsigned i = from; i < to; i++) {
        id_text(id_of(i), id);
        fprintf(file, "{\"time\":\"%s\",\"event\":\"accepted\",\"id\":\"%s\",\"to\":\"r%u@example.com x\"}\n",
                time_iso(START_MS + i * 1000, when), id, i);
        if (i % 7 == 0)
            fprintf(file, "a line of something else\n");
        fprintf(file, "{\"time\":\"%s\",\"event\":\"done\",\"id\":\"%s\",\"from\":\"anna@example.org\"}\n",
                time_iso(START_MS + i * 1000 + 500, when), id);
    }
    fclose(file);
}

static int begin(void **state)
{
    char name[80];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/events.jsonl", folder);
    write_lines(path, 200, 300);
    snprintf(name, sizeof name, "%s.1", path);
    write_lines(name, 100, 200);
    snprintf(name, sizeof name, "%s-20261122", path);
    write_lines(name, 0, 100);
    snprintf(name, sizeof name, "%s.2.gz", path);
    write_lines(name, 0, 1);
    snprintf(name, sizeof name, "%s.empty", path);
    write_lines(name, 0, 0);
    return 0;
}

static int end(void **state)
{
    static const char *const names[] = { "", ".1", "-20261122", ".2.gz", ".empty" };
    char name[80];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(name, sizeof name, "%s%s", path, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static void collect(void *arg, struct span line)
{
    buf_add(arg, history_field(line, "event"));
    buf_add_char(arg, ' ');
}

static void test_lines(void **state)
{
    struct history history;
    assert_int_equal(history_open(&history, path), STATUS_OK);
    assert_int_equal(history.count, 3);
    assert_int_equal(history.compressed, 1);
    for (unsigned i = 0; i < 300; i++) {
        AUTO(buf_done) struct buf found = BUF_EMPTY(4096);
        history_lines(&history, id_of(i), collect, &found);
        assert_span(buf_span(&found), "accepted done ");
    }
    AUTO(buf_done) struct buf found = BUF_EMPTY(4096);
    history_lines(&history, 12345, collect, &found);
    history_lines(&history, id_of(300), collect, &found);
    assert_int_equal(found.n, 0);
    history_close(&history);
}

static void test_find(void **state)
{
    uint64_t ids[150];
    struct history history;
    assert_int_equal(history_open(&history, path), STATUS_OK);
    assert_int_equal(history_find(&history, SPAN("r5@example.com"), ids, 10), 1);
    assert_true(ids[0] == id_of(5));
    assert_int_equal(history_find(&history, SPAN("r5@example.co"), ids, 10), 0); /* no word of its own */
    assert_int_equal(history_find(&history, SPAN("5@example.com"), ids, 10), 0);
    assert_int_equal(history_find(&history, SPAN(""), ids, 10), 0);
    assert_int_equal(history_find(&history, SPAN("anna@example.org"), ids, 150), 150);
    for (unsigned i = 0; i < 150; i++)
        assert_true(ids[i] == id_of(150 + i));
    history_close(&history);
}

static void test_mentions(void **state)
{
    struct span lines[5];
    struct history history;
    assert_int_equal(history_open(&history, path), STATUS_OK);
    assert_int_equal(history_mentions(&history, SPAN("r205@example.com"), "accepted", lines, 5), 1);
    assert_span(history_field(lines[0], "to"), "r205@example.com x");
    assert_int_equal(history_mentions(&history, SPAN("r205@example.com"), "done", lines, 5), 0);
    assert_int_equal(history_mentions(&history, SPAN("anna@example.org"), "done", lines, 5), 5);
    assert_true(span_cmp(history_field(lines[0], "id"), history_field(lines[1], "id")) > 0);
    assert_int_equal(history_mentions(&history, SPAN("a@example.org"), "done", lines, 5), 0);
    assert_int_equal(history_mentions(&history, SPAN("anna@example.org"), "none", lines, 5), 0);
    history_close(&history);
}

static void test_field(void **state)
{
    const struct span line = SPAN( "{\"time\":\"x\",\"id\":\"1\",\"text\":\"a\\\"b,\\\"id\\\":\",\"cut\":\"abc");
    assert_span(history_field(line, "id"), "1");
    assert_span(history_field(line, "text"), "a\\\"b,\\\"id\\\":");
    assert_span(history_field(line, "cut"), "");
    assert_span(history_field(line, "none"), "");
}

static void test_none(void **state)
{
    struct history history;
    char name[80];
    snprintf(name, sizeof name, "%s/none", folder);
    assert_int_equal(history_open(&history, name), STATUS_NOT_FOUND);
    history_close(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_find),
                                        cmocka_unit_test(test_mentions),
                                        cmocka_unit_test(test_field), cmocka_unit_test(test_none) };
    return cmocka_run_group_tests(tests, begin, end);
}
