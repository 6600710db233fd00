#include "limits_house.h"

struct warned {
    unsigned n, percent;
    char name[64];
    uint64_t count;
};

static void on_warning(void *arg, const struct limits_warning *warning)
{
    struct warned *warned = arg;
    warned->n++;
    warned->percent = warning->percent;
    warned->count = warning->count;
    snprintf(warned->name, sizeof warned->name, "%.*s", SPAN_ARGS(warning->node->name));
}

static struct limits_tree *new_tree(size_t most_octets, struct warned *warned)
{
    struct limits_tree_setup setup = { most_octets, warned ? on_warning : NULL, warned };
    struct limits_tree *tree = limits_tree_new(&setup);
    assert_non_null(tree);
    return tree;
}

static uint64_t count_at(struct limits_tree *tree, const struct limits_node *node, unsigned rule, int64_t after_ms)
{
    struct limits_reading reading;
    limits_tree_read(tree, node, &node->rules[rule], HOUSE_BEGIN + after_ms, &reading);
    return reading.count;
}

/* A parent caps its children; what is refused at one node counts at none. */
static void test_chain(void **state)
{
    struct house_node houses[4];
    struct limits_node domain = house_node(&houses[2], LIMITS_DOMAIN, "example.org", "recipients 10/1h");
    struct limits_node server = house_node(&houses[3], LIMITS_SERVER, "", "recipients 1000/1h; messages 5/1h");
    struct limits_node anna[] = { house_node(&houses[0], LIMITS_SENDER, "anna@example.org", "recipients 8/1h"), domain,
                                  server };
    struct limits_node bob[] = { house_node(&houses[1], LIMITS_SENDER, "bob@example.org", "recipients 8/1h"), domain,
                                 server };
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_verdict verdict;
    assert_int_equal(house_take(tree, anna, 3, LIMITS_RECIPIENTS, 7, 0), 7);
    struct limits_request request = house_request(bob, 3, LIMITS_RECIPIENTS, 7, 5 * HOUSE_MINUTE);
    limits_tree_ask(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 3);
    limits_tree_take(tree, &request, &verdict); /* the first ones pass */
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_LIMITED);
    assert_int_equal(verdict.granted, 3);
    assert_ptr_equal(verdict.node, &bob[1]);
    assert_ptr_equal(verdict.rule, &houses[2].rules[0]);
    assert_int_equal(verdict.count, 10);
    /* When anna's seven are an hour old the domain has room for seven, and bob for five. */
    assert_in_range(verdict.clear_wall_ms, HOUSE_BEGIN + HOUSE_HOUR, HOUSE_BEGIN + HOUSE_HOUR + HOUSE_MINUTE);
    assert_int_equal(verdict.clear_wall_ms % HOUSE_MINUTE, 0);
    assert_int_equal(verdict.room_then, 5);
    for (unsigned i = 0; i < 50; i++) /* trying again makes nothing worse */
        assert_int_equal(house_take(tree, bob, 3, LIMITS_RECIPIENTS, 1, 6 * HOUSE_MINUTE + i), 0);
    assert_int_equal(count_at(tree, &bob[0], 0, 7 * HOUSE_MINUTE), 3);
    assert_int_equal(count_at(tree, &anna[2], 0, 7 * HOUSE_MINUTE), 10);
    assert_int_equal(house_take(tree, bob, 3, LIMITS_RECIPIENTS, 99, HOUSE_HOUR + HOUSE_MINUTE), 5);
    assert_int_equal(house_take(tree, anna, 3, LIMITS_MESSAGES, 9, 0), 5); /* another thing, another count */
    limits_tree_free(tree);
}

/* What comes too fast is put off: in order, never more than the amount in any hour, and not later than it must. */
static void test_pace_lets_out_evenly(void **state)
{
    enum { MAIL = 400, AMOUNT = 50 };
    static int64_t out[MAIL];
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct house_node house;
        struct limits_node node = house_node(&house, LIMITS_SENDER, "shop", "recipients 50/1h pace");
        struct limits_tree *tree = new_tree(0, NULL);
        int64_t at = 0;
        uint64_t random = seed;
        for (unsigned i = 0; i < MAIL; i++) {
            struct limits_verdict verdict;
            random = random * 6364136223846793005u + 1442695040888963407u;
            at += (int64_t)((random >> 40) % (seed % 2 ? 20000 : 140000));
            struct limits_request request = house_request(&node, 1, LIMITS_RECIPIENTS, 1, at);
            limits_tree_take(tree, &request, &verdict);
            assert_int_equal(verdict.outcome, LIMITS_VERDICT_PASS);
            assert_int_equal(verdict.granted, 1);
            assert_true((verdict.wait_ms > 0) == (verdict.late_rule == &house.rules[0]));
            out[i] = at + verdict.wait_ms;
            assert_true(i == 0 || out[i] >= out[i - 1]); /* nobody overtakes */
            if (i >= AMOUNT)
                assert_true(out[i] - out[i - AMOUNT] >= HOUSE_HOUR - 1);
        }
        /* Not slower than the limit: what has to wait goes within its share of the time and two windows. */
        assert_true(out[MAIL - 1] <= MAX(at, (int64_t)MAIL * HOUSE_HOUR / AMOUNT) + 2 * HOUSE_HOUR);
        limits_tree_free(tree);
    }
}

static void test_pace_has_an_end_and_an_undo(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "shop", "recipients 10/1h hold");
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_verdict verdict;
    struct limits_reading reading;
    limits_tree_set_wait(tree, 2 * HOUSE_HOUR);
    struct limits_request request = house_request(&node, 1, LIMITS_RECIPIENTS, 1, 0);
    unsigned taken = 0;
    for (;; taken++) {
        limits_tree_take(tree, &request, &verdict);
        if (verdict.outcome != LIMITS_VERDICT_PASS)
            break;
        assert_true(verdict.wait_ms <= 2 * HOUSE_HOUR);
    }
    assert_in_range(taken, 20, 21); /* ten now, ten within the next hour, and who comes at its end */
    assert_ptr_equal(verdict.rule, &house.rules[0]);
    assert_in_range(verdict.clear_wall_ms, HOUSE_BEGIN + 1, HOUSE_BEGIN + 10 * HOUSE_MINUTE);
    limits_tree_read(tree, &node, &house.rules[0], HOUSE_BEGIN, &reading);
    assert_int_equal(reading.late, taken - 10);
    limits_tree_undo(tree, &request, HOUSE_BEGIN); /* the last one's place is free */
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_PASS);
    limits_tree_read(tree, &node, &house.rules[0], HOUSE_BEGIN + 90 * HOUSE_MINUTE, &reading);
    assert_in_range(reading.count, 5, 6); /* of the run; those of now have gone */
    limits_tree_sweep(tree, HOUSE_BEGIN + 90 * HOUSE_MINUTE, 10);
    limits_tree_read(tree, &node, &house.rules[0], HOUSE_BEGIN + 95 * HOUSE_MINUTE, &reading);
    assert_true(reading.late > 0);
    limits_tree_sweep(tree, HOUSE_BEGIN + 5 * HOUSE_HOUR, 10); /* though nobody has looked since */
    assert_int_equal(limits_tree_totals(tree).nodes, 0);
    limits_tree_free(tree);
}

/* What is alone more than the limit, and what has happened already, is not put off. */
static void test_what_is_not_put_off(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "a", "bytes 1000B/1h pace; logins 1/1h pace; failures 1/1h pace; "
                                                                     "recipients 2/1h defer; messages 1/1h pace");
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_verdict verdict;
    struct limits_request request = house_request(&node, 1, LIMITS_BYTES, 1001, 0);
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_LIMITED);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_LOGINS, 2, 0), 1);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_FAILURES, 1, 0), 1);
    request = house_request(&node, 1, LIMITS_FAILURES, 1, HOUSE_MINUTE);
    limits_tree_ask(tree, &request, &verdict); /* may one more be sent by who has failed enough? later */
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_PASS);
    assert_in_range(verdict.wait_ms, 58 * HOUSE_MINUTE, 60 * HOUSE_MINUTE);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_RECIPIENTS, 3, 0), 2);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 1, 0), 1);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 1, 0), 1);
    limits_tree_free(tree);
}

static void test_flags(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "a", "recipients 10/1h; messages 10/1h local relayed");
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_verdict verdict;
    struct limits_request request = house_request(&node, 1, LIMITS_RECIPIENTS, 100, 0);
    unsigned outside[] = { LIMITS_EXEMPT, LIMITS_LOCAL, LIMITS_RELAYED, LIMITS_LOCAL | LIMITS_RELAYED };
    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        request.flags = outside[i];
        limits_tree_take(tree, &request, &verdict);
        assert_int_equal(verdict.outcome, LIMITS_VERDICT_PASS);
    }
    assert_int_equal(limits_tree_totals(tree).nodes, 0);
    request.flags = LIMITS_WHOLE; /* all or nothing */
    request.n = 11;
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 0);
    assert_true(verdict.clear_wall_ms == LIMITS_NEVER);
    request.n = 6;
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 6);
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 0);
    assert_int_equal(count_at(tree, &node, 0, 0), 6);
    request = house_request(&node, 1, LIMITS_MESSAGES, 100, 0);
    request.flags = LIMITS_LOCAL | LIMITS_RELAYED;
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 10);
    request.flags = LIMITS_EXEMPT;
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 100);
    limits_tree_free(tree);
}

/* The tightest rule is told; of equally tight ones the most severe. Rules alike count each for itself. */
static void test_several_rules(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "a",
                                         "messages 5/1min; messages 7/1h hold; messages 7/1d reject; "
                                         "messages 6/1d notify; messages 3/1d reject dry-run");
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_verdict verdict;
    struct limits_request request = house_request(&node, 1, LIMITS_MESSAGES, 6, 0);
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 5);
    assert_ptr_equal(verdict.rule, &house.rules[0]);
    assert_ptr_equal(verdict.dry_rule, &house.rules[4]);
    request.now_ms += 2 * HOUSE_MINUTE;
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 2);
    assert_ptr_equal(verdict.rule, &house.rules[2]);
    assert_int_equal(verdict.rule->action, LIMITS_REJECT);
    assert_int_equal(count_at(tree, &node, 2, 2 * HOUSE_MINUTE), 7);
    assert_int_equal(count_at(tree, &node, 3, 2 * HOUSE_MINUTE), 7); /* only watched: goes over */
    assert_int_equal(count_at(tree, &node, 4, 2 * HOUSE_MINUTE), 3); /* tried: as if it held */
    limits_tree_free(tree);
}

static void test_undo(void **state)
{
    struct house_node houses[2];
    struct limits_node chain[] = { house_node(&houses[0], LIMITS_SENDER, "a", "bytes 1MiB/1h; queued 3"),
                                   house_node(&houses[1], LIMITS_SERVER, "", "bytes 2MiB/1h") };
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_request request = house_request(chain, 2, LIMITS_BYTES, 700000, 0);
    assert_int_equal(house_take(tree, chain, 2, LIMITS_BYTES, 700000, 0), 700000);
    request.now_ms += 5000;
    limits_tree_undo(tree, &request, HOUSE_BEGIN);
    assert_int_equal(count_at(tree, &chain[0], 0, 5000), 0);
    assert_int_equal(count_at(tree, &chain[1], 0, 5000), 0);
    /* A level goes down by it. */
    assert_int_equal(house_take(tree, chain, 2, LIMITS_QUEUED, 5, 0), 3);
    struct limits_verdict verdict;
    request = house_request(chain, 2, LIMITS_QUEUED, 1, HOUSE_HOUR);
    limits_tree_take(tree, &request, &verdict);
    assert_true(verdict.granted == 0 && verdict.clear_wall_ms == 0 && verdict.count == 3);
    limits_tree_undo(tree, &request, HOUSE_BEGIN);
    limits_tree_take(tree, &request, &verdict);
    assert_int_equal(verdict.granted, 1);
    request.n = 1000;
    limits_tree_undo(tree, &request, HOUSE_BEGIN);
    assert_int_equal(house_take(tree, chain, 2, LIMITS_QUEUED, 5, 0), 3);
    limits_tree_free(tree);
}

static void test_set_level(void **state)
{
    struct house_node house;
    struct limits_node node = house_node(&house, LIMITS_SENDER, "a", "connections 9/1h; connections 5; queued 7");
    struct limits_tree *tree = new_tree(0, NULL);
    assert_true(limits_tree_set_level(tree, &node, LIMITS_CONNECTIONS, 4, HOUSE_BEGIN));
    assert_int_equal(count_at(tree, &node, 0, 0), 0); /* those opened in an hour are no level */
    assert_int_equal(count_at(tree, &node, 1, 0), 4);
    assert_int_equal(count_at(tree, &node, 2, 0), 0);
    assert_int_equal(house_take(tree, &node, 1, LIMITS_CONNECTIONS, 3, 0), 1);
    assert_true(limits_tree_set_level(tree, &node, LIMITS_CONNECTIONS, 0, HOUSE_BEGIN));
    assert_int_equal(house_take(tree, &node, 1, LIMITS_CONNECTIONS, 99, 0), 5);
    limits_tree_sweep(tree, HOUSE_BEGIN + 9 * HOUSE_HOUR, SIZE_MAX);
    assert_int_equal(limits_tree_totals(tree).nodes, 1); /* what is there is not idle */
    limits_tree_free(tree);
}

static void test_warnings(void **state)
{
    struct house_node houses[2];
    struct limits_node chain[] = { house_node(&houses[0], LIMITS_SENDER, "anna", "messages 10/1h; messages 9/1h dry-run"),
                                   house_node(&houses[1], LIMITS_DOMAIN, "example.org", "messages 20/1d") };
    struct warned warned = { 0 };
    struct limits_tree *tree = new_tree(0, &warned);
    house_take(tree, chain, 2, LIMITS_MESSAGES, 7, 0);
    assert_int_equal(warned.n, 0);
    house_take(tree, chain, 2, LIMITS_MESSAGES, 1, 0);
    assert_true(warned.n == 1 && warned.percent == 80 && warned.count == 8);
    assert_string_equal(warned.name, "anna");
    house_take(tree, chain, 2, LIMITS_MESSAGES, 1, 0); /* said once */
    assert_int_equal(warned.n, 1);
    house_take(tree, chain, 2, LIMITS_MESSAGES, 5, 0);
    assert_true(warned.n == 2 && warned.percent == 100 && warned.count == 10);
    house_take(tree, chain, 2, LIMITS_MESSAGES, 5, 59 * HOUSE_MINUTE);
    assert_int_equal(warned.n, 2);
    house_take(tree, chain, 2, LIMITS_MESSAGES, 8, 62 * HOUSE_MINUTE); /* a new window; and 18 of the domain's 20 */
    assert_int_equal(warned.n, 4);
    assert_string_equal(warned.name, "example.org");
    limits_tree_free(tree);
}

/* A raised amount goes on with what was counted; a rule that is no more is forgotten when there are too many. */
static void test_changed_rules(void **state)
{
    struct house_node house;
    struct limits_tree *tree = new_tree(0, NULL);
    struct limits_node node = house_node(&house, LIMITS_SENDER, "a", "messages 5/1h");
    assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 9, 0), 5);
    node = house_node(&house, LIMITS_SENDER, "a", "recipients 5/1h; messages 8/1h");
    assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 9, 0), 3);
    for (unsigned i = 2; i < 100; i++) {
        char text[64];
        snprintf(text, sizeof text, "messages 8/1h; messages 5/%us", i);
        node = house_node(&house, LIMITS_SENDER, "a", text);
        assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 1, 0), 0);
    }
    assert_int_equal(count_at(tree, &node, 0, 0), 8);
    assert_true(limits_tree_forget(tree, LIMITS_SENDER, SPAN("a")));
    assert_false(limits_tree_forget(tree, LIMITS_SENDER, SPAN("a")));
    assert_false(limits_tree_forget(tree, LIMITS_DOMAIN, SPAN("a")));
    assert_int_equal(house_take(tree, &node, 1, LIMITS_MESSAGES, 1, 0), 1);
    limits_tree_free(tree);
}

/* Full: nobody sends without a counter, and nobody who counts is forgotten; the idle ones make room. */
static void test_full(void **state)
{
    struct house_node house;
    struct limits_tree *tree = new_tree(64 << 10, NULL);
    struct limits_verdict verdict;
    char name[32];
    unsigned n = 0;
    for (;; n++) {
        snprintf(name, sizeof name, "sender %u", n);
        struct limits_node node = house_node(&house, LIMITS_SENDER, name, "messages 5/1h");
        struct limits_request request = house_request(&node, 1, LIMITS_MESSAGES, 4, n);
        limits_tree_take(tree, &request, &verdict);
        if (verdict.outcome != LIMITS_VERDICT_PASS)
            break;
        assert_in_range(limits_tree_totals(tree).octets, 1, 64 << 10);
    }
    assert_in_range(n, 100, 1000);
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_FULL);
    assert_int_equal(verdict.granted, 0);
    assert_true(limits_tree_totals(tree).refused_full > 0);
    struct limits_node first = house_node(&house, LIMITS_SENDER, "sender 0", "messages 5/1h");
    assert_int_equal(house_take(tree, &first, 1, LIMITS_MESSAGES, 4, HOUSE_MINUTE), 1);
    struct limits_node late = house_node(&house, LIMITS_SENDER, "late", "messages 5/1h");
    assert_int_equal(house_take(tree, &late, 1, LIMITS_MESSAGES, 4, 2 * HOUSE_HOUR), 4);
    limits_tree_sweep(tree, HOUSE_BEGIN + 2 * HOUSE_HOUR, SIZE_MAX);
    assert_int_equal(limits_tree_totals(tree).nodes, 1);
    char longest[LIMITS_NAME_MOST + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct limits_node wrong = house_node(&house, LIMITS_SENDER, longest, "messages 5/1h");
    assert_int_equal(house_take(tree, &wrong, 1, LIMITS_MESSAGES, 1, 2 * HOUSE_HOUR), 0);
    limits_tree_free(tree);
}

/* However little memory there is: all nodes of a chain count, or none; looking for room takes none of its own away. */
static void test_little_memory(void **state)
{
    struct house_node houses[3];
    struct limits_node chain[] = { house_node(&houses[0], LIMITS_SENDER, "anna", "messages 5/1h; messages 50/1d"),
                                   house_node(&houses[1], LIMITS_DOMAIN, "example.org", "messages 50/1h"),
                                   house_node(&houses[2], LIMITS_SERVER, "", "messages 500/1h; queued 3") };
    unsigned passed = 0, full = 0;
    for (size_t most = 200; most < 4000; most += 8) {
        struct limits_tree *tree = new_tree(most, NULL);
        uint64_t granted = house_take(tree, chain, 3, LIMITS_MESSAGES, 4, 0);
        assert_true(granted == 0 || granted == 4);
        *(granted ? &passed : &full) += 1;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(count_at(tree, &chain[i], 0, 0), granted);
        limits_tree_free(tree);
    }
    assert_true(passed > 50 && full > 50);
}

/* Random requests within one hour beside plain sums: what a node counts is what passed below it, and never more than it may. */
static void test_sums(void **state)
{
    enum { SENDERS = 12 };
    struct house_node houses[SENDERS + 3];
    struct limits_node server = house_node(&houses[SENDERS], LIMITS_SERVER, "", "recipients 900/1h");
    struct limits_node domains[] = { house_node(&houses[SENDERS + 1], LIMITS_DOMAIN, "a", "recipients 450/1h"),
                                     house_node(&houses[SENDERS + 2], LIMITS_DOMAIN, "b", "recipients 700/1h") };
    struct limits_tree *tree = new_tree(0, NULL);
    uint64_t sums[SENDERS] = { 0 }, seed = 88172645463325252u;
    char names[SENDERS][16];
    struct limits_node chains[SENDERS][3];
    for (unsigned i = 0; i < SENDERS; i++) {
        snprintf(names[i], sizeof names[i], "sender %u", i);
        chains[i][0] = house_node(&houses[i], LIMITS_SENDER, names[i], "recipients 100/1h");
        chains[i][1] = domains[i % 2];
        chains[i][2] = server;
    }
    for (unsigned step = 0; step < 3000; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned i = (unsigned)(seed >> 33) % SENDERS;
        uint64_t n = 1 + (seed >> 50) % 9, of_domain[2] = { 0 };
        int64_t at = step * 1000;
        uint64_t granted = house_take(tree, chains[i], 3, LIMITS_RECIPIENTS, n, at);
        assert_true(granted <= n);
        sums[i] += granted;
        if (granted && (seed >> 20) % 8 == 0) {
            struct limits_request request = house_request(chains[i], 3, LIMITS_RECIPIENTS, granted, at);
            limits_tree_undo(tree, &request, HOUSE_BEGIN + at);
            sums[i] -= granted;
        }
        for (unsigned k = 0; k < SENDERS; k++) {
            of_domain[k % 2] += sums[k];
            assert_true(sums[k] <= 100);
        }
        assert_int_equal(count_at(tree, &chains[i][0], 0, at), sums[i]);
        assert_int_equal(count_at(tree, &domains[0], 0, at), of_domain[0]);
        assert_int_equal(count_at(tree, &domains[1], 0, at), of_domain[1]);
        assert_int_equal(count_at(tree, &server, 0, at), of_domain[0] + of_domain[1]);
        assert_true(of_domain[0] <= 450 && of_domain[1] <= 700 && of_domain[0] + of_domain[1] <= 900);
    }
    assert_int_equal(count_at(tree, &server, 0, 3000 * 1000), 900);
    limits_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),         cmocka_unit_test(test_pace_lets_out_evenly),
        cmocka_unit_test(test_pace_has_an_end_and_an_undo),
        cmocka_unit_test(test_what_is_not_put_off),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_several_rules), cmocka_unit_test(test_undo),
        cmocka_unit_test(test_warnings),      cmocka_unit_test(test_changed_rules),
        cmocka_unit_test(test_full),          cmocka_unit_test(test_sums),
        cmocka_unit_test(test_set_level),     cmocka_unit_test(test_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
