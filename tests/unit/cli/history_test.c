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

/* -- large ones: where a message's story begins -- */

#define LINES 12000 /* of 4 KiB: more than is searched before the place that the time tells */

static char large[80];

static void line_write(FILE *file, int64_t at_ms, const char *event, uint64_t number, bool torn)
{
    char id[ID_TEXT_SIZE], when[TIME_TEXT_SIZE];
    fprintf(file, "{\"time\":\"%s\",\"event\":\"%s\",\"id\":\"%s\",\"pad\":\"%04000d\"", time_iso(at_ms, when), event,
            id_text(number, id), 0);
    fputs(torn ? "" : "}\n", file);
}

static uint64_t id_at(int64_t at_ms) { return (uint64_t)(at_ms - INT64_C(1704067200000)) << 23 | 77; }

/* A minute later for each ten lines. */
static int64_t clock_at(unsigned line) { return START_MS + (int64_t)line * 6000; }

/* The lines `from` to before `to`. Those at the places are of the message: first "accepted", then "deferred". From the
 * line `back_at` on the clock is late by `back_ms`. */
static void large_write(const char *name, unsigned from, unsigned to, unsigned back_at, int64_t back_ms, uint64_t number,
                        const unsigned *places, unsigned n, bool torn)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    for (unsigned i = from; i < to; i++) {
        int64_t at_ms = clock_at(i) - (i >= back_at ? back_ms : 0);
        const char *event = "other";
        for (unsigned k = 0; k < n; k++)
            if (places[k] == i)
                event = k == 0 ? "accepted" : "deferred";
        bool own = *event != 'o';
        line_write(file, at_ms, event, own ? number : 1, torn && i == to - 1);
    }
    fclose(file);
}

static void check_large(uint64_t number, const char *events)
{
    struct history history;
    AUTO(buf_done) struct buf found = BUF_EMPTY(4096);
    assert_int_equal(history_open(&history, large), STATUS_OK);
    history_lines(&history, number, collect, &found);
    history_close(&history);
    assert_span(buf_span(&found), events);
}

static void test_large(void **state)
{
    const unsigned front[] = { 0, 5, LINES - 1 }, middle[] = { 8000, 8001, 11000 }, back[] = { LINES - 1 };
    snprintf(large, sizeof large, "%s/large", folder);
    large_write(large, 0, LINES, LINES, 0, id_at(clock_at(0)), front, 3, false);
    check_large(id_at(clock_at(0)), "accepted deferred deferred ");
    check_large(id_at(clock_at(0) - 86400000), "");
    check_large(id_at(clock_at(9000)), "");
    check_large(id_at(clock_at(LINES + 9000)), "");
    large_write(large, 0, LINES, LINES, 0, id_at(clock_at(8000)), middle, 3, false);
    check_large(id_at(clock_at(8000)), "accepted deferred deferred ");
    large_write(large, 0, LINES, LINES, 0, id_at(clock_at(LINES - 1)), back, 1, true); /* torn */
    check_large(id_at(clock_at(LINES - 1)), "accepted ");
    unlink(large);
}

/* Ids never go back, so those after a step of the clock tell a time that comes much later in the log. */
static void test_clock_back(void **state)
{
    const unsigned places[] = { 3000, 3001, 11500 };
    uint64_t number = id_at(clock_at(11000));
    large_write(large, 0, LINES, 2000, 600000, number, places, 3, false);
    check_large(number, "deferred accepted deferred "); /* the later part first */
    large_write(large, 0, LINES, 2000, 600000, number, places, 2, false); /* nothing where it is expected */
    check_large(number, "accepted deferred ");
    unlink(large);
}

static void test_large_rotated(void **state)
{
    const unsigned places[] = { 5500, 5999, 6000, 11999 };
    char older[96];
    uint64_t number = id_at(clock_at(5500));
    snprintf(older, sizeof older, "%s.1", large);
    large_write(older, 0, 6000, LINES, 0, number, places, 4, false);
    large_write(large, 6000, LINES, LINES, 0, number, places, 4, false);
    check_large(number, "accepted deferred deferred deferred ");
    number = id_at(clock_at(6000)); /* made just before the rotation, its first line stands in the new file */
    large_write(large, 6000, LINES, LINES, 0, number, places + 2, 2, false);
    check_large(number, "accepted deferred ");
    number = id_at(clock_at(11000)); /* the clock was wrong then */
    large_write(older, 0, 6000, LINES, 0, number, (const unsigned[]){ 100 }, 1, false);
    large_write(large, 6000, LINES, LINES, 0, number, (const unsigned[]){ 1, 11500 }, 2, false);
    check_large(number, "deferred accepted ");
    unlink(large);
    unlink(older);
}

static void test_field(void **state)
{
    const struct span line = SPAN( "{\"time\":\"x\",\"id\":\"1\",\"text\":\"a\\\"b,\\\"id\\\":\",\"cut\":\"abc");
    assert_span(history_field(line, "id"), "1");
    assert_span(history_field(line, "text"), "a\\\"b,\\\"id\\\":");
    assert_span(history_field(line, "cut"), "");
    assert_span(history_field(line, "none"), "");
}

/* Half a line of somebody who was killed, with the next event behind it: each of the two is told of by itself. */
static void test_torn(void **state)
{
    static const char *const torn[] = { "", "{\"ti", "{\"time\":\"2026-11-23T00:00:00.000Z\",\"event\":\"accepted\",\"id\":\"0N91",
                                        "{\"time\":\"2026-11-23T00:00:00.000Z\",\"event\":\"accepted\",\"id\":\"" };
    char name[80], id[ID_TEXT_SIZE], when[TIME_TEXT_SIZE];
    snprintf(name, sizeof name, "%s/torn", folder);
    id_text(id_of(1), id);
    for (size_t i = 0; i < ARRAY_LEN(torn); i++) {
        FILE *file = fopen(name, "w");
        struct history history;
        uint64_t found[2];
        struct span lines[4];
        AUTO(buf_done) struct buf seen = BUF_EMPTY(1024);
        assert_non_null(file);
        fprintf(file, "{\"time\":\"%s\",\"event\":\"first\",\"id\":\"x\"}\n", time_iso(START_MS, when));
        fprintf(file, "%s%s", torn[i], i == 3 ? id : "");
        fprintf(file, "{\"time\":\"%s\",\"event\":\"done\",\"id\":\"%s\",\"to\":\"anna@example.org\"}\n",
                time_iso(START_MS + 2000, when), id);
        fclose(file);
        assert_int_equal(history_open(&history, name), STATUS_OK);
        history_lines(&history, id_of(1), collect, &seen);
        assert_string_equal(buf_cstr(&seen), i == 3 ? "accepted done " : "done ");
        assert_int_equal(history_find(&history, SPAN("anna@example.org"), found, 2), 1);
        assert_int_equal(found[0], id_of(1));
        assert_int_equal(history_mentions(&history, SPAN("anna@example.org"), "done", lines, 4), 1);
        assert_true(span_starts(lines[0], SPAN("{\"time\":")) && span_ends_case(lines[0], SPAN("\"}")));
        history_close(&history);
    }
    unlink(name);
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
                                        cmocka_unit_test(test_mentions), cmocka_unit_test(test_large),
                                        cmocka_unit_test(test_clock_back), cmocka_unit_test(test_large_rotated),
                                        cmocka_unit_test(test_field), cmocka_unit_test(test_torn), cmocka_unit_test(test_none) };
    return cmocka_run_group_tests(tests, begin, end);
}
