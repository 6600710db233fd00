#include "limits/new_recipients.h"
#include "test.h"

static struct span address(unsigned i)
{
    static char text[64];
    snprintf(text, sizeof text, "user.%u@Example%u.org", i, i % 97);
    return span_str(text);
}

static void add(struct limits_known *known, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_int_equal(limits_known_add(known, address(i)), STATUS_OK);
}

static unsigned have(const struct limits_known *known, unsigned from, unsigned to)
{
    unsigned n = 0;
    for (unsigned i = from; i < to; i++)
        n += limits_known_has(known, address(i));
    return n;
}

static void test_simple(void **state)
{
    struct limits_known known;
    limits_known_init(&known, 7, 1000);
    assert_false(limits_known_has(&known, SPAN("")));
    assert_false(limits_known_has(&known, SPAN("anna@example.org")));
    assert_int_equal(limits_known_add(&known, SPAN("Anna@example.org")), STATUS_OK);
    assert_true(limits_known_has(&known, SPAN("anna@EXAMPLE.org")));
    assert_false(limits_known_has(&known, SPAN("anna@example.orgs")));
    limits_known_remove(&known, SPAN("anna@example.org"));
    limits_known_remove(&known, SPAN("bob@example.org"));
    assert_false(limits_known_has(&known, SPAN("anna@example.org")));
    limits_known_done(&known);
    assert_int_equal(limits_known_octets(&known), 0);
}

/* The last half of the ceiling is always known, the memory bounded, and a stranger is a stranger. */
static void test_generations(void **state)
{
    struct limits_known known;
    limits_known_init(&known, 99, LIMITS_KNOWN_MOST);
    for (unsigned i = 0; i < 100000; i += 1000) {
        add(&known, i, i + 1000);
        unsigned from = i + 1000 > LIMITS_KNOWN_MOST / 2 ? i + 1000 - LIMITS_KNOWN_MOST / 2 : 0;
        assert_int_equal(have(&known, from, i + 1000), i + 1000 - from);
        assert_int_equal(limits_known_add(&known, SPAN("friend@example.org")), STATUS_OK);
        assert_true(limits_known_octets(&known) <= 128 * 1024);
        assert_true(known.young.n + known.old.n <= LIMITS_KNOWN_MOST);
    }
    assert_true(limits_known_has(&known, SPAN("friend@example.org"))); /* who is written to stays */
    assert_int_equal(have(&known, 0, 50000), 0);
    assert_in_range(have(&known, 1000000, 3000000), 0, 60); /* of 2,000,000, 9 are to be expected with 20,000 */
    limits_known_done(&known);
}

static void test_remove_among_many(void **state)
{
    struct limits_known known;
    limits_known_init(&known, 1, 3000);
    add(&known, 0, 2000);
    for (unsigned i = 0; i < 2000; i += 3)
        limits_known_remove(&known, address(i));
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(limits_known_has(&known, address(i)), i % 3 != 0);
    limits_known_done(&known);
}

static void test_octets(void **state)
{
    struct limits_known known, again;
    AUTO(buf_done) struct buf octets = BUF_EMPTY(1 << 20), small = BUF_EMPTY(1000);
    limits_known_init(&known, 5, 3000);
    limits_known_init(&again, 5, 3000);
    assert_int_equal(limits_known_encode(&known, &octets), STATUS_OK);
    assert_int_equal(octets.n, 4);
    assert_int_equal(limits_known_decode(&again, buf_span(&octets)), STATUS_OK);
    add(&known, 0, 2000);
    add(&known, 0, 400); /* who is written to again is there once */
    buf_clear(&octets);
    assert_int_equal(limits_known_encode(&known, &small), STATUS_FULL);
    assert_int_equal(small.n, 0);
    assert_int_equal(limits_known_encode(&known, &octets), STATUS_OK);
    assert_int_equal(octets.n, 4 + 4 * 2000);
    assert_int_equal(limits_known_decode(&again, buf_span(&octets)), STATUS_OK);
    assert_int_equal(have(&again, 0, 2000), 2000);
    add(&again, 2000, 3000); /* the old ones go first, as they would have */
    assert_int_equal(have(&again, 2000, 3000), 1000);
    assert_int_equal(have(&again, 0, 400), 400);
    octets.p[100] ^= 1;
    assert_int_equal(limits_known_decode(&again, buf_span(&octets)), STATUS_DAMAGED);
    assert_int_equal(limits_known_decode(&again, span_head(buf_span(&octets), 3)), STATUS_DAMAGED);
    assert_int_equal(limits_known_decode(&again, SPAN_NONE), STATUS_DAMAGED);
    assert_int_equal(have(&again, 2000, 3000), 1000);
    limits_known_done(&again);
    limits_known_init(&again, 6, 3000); /* with another key it says nothing */
    octets.p[100] ^= 1;
    assert_int_equal(limits_known_decode(&again, buf_span(&octets)), STATUS_OK);
    assert_in_range(have(&again, 0, 2000), 0, 2);
    limits_known_done(&again);
    limits_known_done(&known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_remove_among_many),
        cmocka_unit_test(test_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
