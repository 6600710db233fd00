#include "cli/search.h"
#include "test.h"
#include <stdlib.h>
#include <sys/mman.h>

#define OCTETS ((size_t)5 << 20)

static struct search search; /* large */

static bool is_at(struct span text, size_t at, struct span what)
{
    return text.p[at] == what.p[0] && span_starts(span_from(text, at), what);
}

/* Both directions find each place where it is, and no more. */
static void check(struct span text, size_t from, size_t to, struct span what)
{
    size_t n = 0, at = 0;
    search_init(&search, text, from, to, what);
    for (size_t next = from; what.n && next < to && next < text.n; next++)
        if (is_at(text, next, what)) {
            if (!search_next(&search, &at) || at != next)
                fail_msg("not found at %zu", next);
            n++;
        }
    assert_false(search_next(&search, &at));
    assert_false(search_next(&search, &at));
    size_t last = to;
    search_init(&search, text, from, to, what);
    for (; search_previous(&search, &at); n--) {
        if (at >= last || at < from || !is_at(text, at, what))
            fail_msg("found at %zu", at);
        last = at;
    }
    assert_int_equal(n, 0);
}

static void test_small(void **state)
{
    check(SPAN(""), 0, 0, SPAN("a"));
    check(SPAN("a"), 0, 1, SPAN(""));
    check(SPAN("a"), 0, 1, SPAN("a"));
    check(SPAN("a"), 0, 1, SPAN("ab"));
    check(SPAN("aaaa"), 0, 4, SPAN("aa"));
    check(SPAN("aaaa"), 1, 2, SPAN("aa"));
    check(SPAN("aaaa"), 3, 9, SPAN("aa"));
    check(SPAN("xxab"), 0, 4, SPAN("ab"));
}

static void test_random(void **state)
{
    char text[1500];
    unsigned seed = 7;
    for (unsigned round = 0; round < 500; round++) {
        size_t n = (size_t)rand_r(&seed) % sizeof text + 1, long_one = (size_t)rand_r(&seed) % 6 + 1;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)('a' + rand_r(&seed) % 3);
        char *exact = malloc(n); /* its borders are watched */
        assert_non_null(exact);
        memcpy(exact, text, n);
        size_t at = (size_t)rand_r(&seed) % n, from = (size_t)rand_r(&seed) % n;
        check(span_of(exact, n), 0, n, span_of(text + at, MIN(long_one, n - at)));
        check(span_of(exact, n), from, from + (size_t)rand_r(&seed) % n, span_of(text + at, MIN(long_one, n - at)));
        free(exact);
    }
}

/* By several threads, over the borders of pieces, with few and with very many hits. */
static void test_large(void **state)
{
    char *text = malloc(OCTETS);
    assert_non_null(text);
    for (size_t i = 0; i < OCTETS; i++)
        text[i] = (char)('a' + i * 7 % 26);
    for (size_t i = 1; i * 65536 < OCTETS; i++)
        memcpy(text + i * 65536 - i % 13, "A-RARE-WORD-X", 13);
    memcpy(text, "A-RARE-WORD-X", 13);
    memcpy(text + OCTETS - 13, "A-RARE-WORD-X", 13);
    check(span_of(text, OCTETS), 0, OCTETS, SPAN("A-RARE-WORD-X"));
    check(span_of(text, OCTETS), 1, OCTETS - 13, SPAN("A-RARE-WORD-X"));
    check(span_of(text, OCTETS), 0, OCTETS, SPAN("ahov"));
    check(span_of(text, OCTETS), 0, OCTETS, SPAN("none"));
    memset(text, 'a', OCTETS / 16);
    check(span_of(text, OCTETS), 0, OCTETS, SPAN("a"));
    free(text);
}

static void test_release(void **state)
{
    char *text = mmap(NULL, OCTETS - 5, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(text != MAP_FAILED);
    search_release(span_of(text, OCTETS - 5));
    search_release(span_of(text, 5));
    for (size_t i = 0; i < OCTETS - 5; i += 4096)
        assert_int_equal(text[i], 0);
    munmap(text, OCTETS - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_small), cmocka_unit_test(test_random),
                                        cmocka_unit_test(test_large), cmocka_unit_test(test_release) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
