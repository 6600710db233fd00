#include "limits/share.h"
#include "limits_house.h"

static const struct limits_tree_setup plain;
enum { A, B, C };

struct machine {
    struct limits_tree *tree;
    struct house_node house;
    struct limits_node node;
};

static void begin(struct machine *machine, const char *rules)
{
    machine->tree = limits_tree_new(&plain);
    assert_non_null(machine->tree);
    machine->node = house_node(&machine->house, LIMITS_SENDER, "anna", rules);
    limits_share_all(machine->tree);
}

static void end(struct machine *machine) { limits_tree_free(machine->tree); }

static uint64_t take(struct machine *machine, uint64_t n, int64_t at)
{
    return house_take(machine->tree, &machine->node, 1, LIMITS_MESSAGES, n, at);
}

/* Tells all that changed; how many nodes. */
static unsigned tell(struct machine *from, unsigned number, struct machine *to, int64_t age, int64_t at)
{
    unsigned n = 0;
    for (;; n++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(LIMITS_SHARE_KEY_MOST), value = BUF_EMPTY(LIMITS_SHARE_VALUE_MOST);
        if (!limits_share_next(from->tree, HOUSE_BEGIN + at - age, &key, &value))
            return n;
        assert_int_equal(limits_share_set(to->tree, number, buf_span(&key), age, buf_span(&value), HOUSE_BEGIN + at), STATUS_OK);
    }
}

static void test_together(void **state)
{
    struct machine a, b;
    begin(&a, "messages 10/1h");
    begin(&b, "messages 10/1h");
    assert_int_equal(take(&a, 4, 0), 4);
    assert_int_equal(tell(&a, A, &b, 0, 10), 1);
    assert_int_equal(tell(&a, A, &b, 0, 10), 0); /* nothing changed */
    assert_int_equal(take(&b, 10, 20), 6);
    assert_int_equal(tell(&b, B, &a, 0, 30), 1);
    assert_int_equal(take(&a, 1, 40), 0);
    struct limits_request request = house_request(&b.node, 1, LIMITS_MESSAGES, 1, 1000);
    struct limits_verdict verdict;
    limits_tree_ask(b.tree, &request, &verdict);
    assert_int_equal(verdict.count, 10);
    assert_in_range(verdict.clear_wall_ms, HOUSE_BEGIN + HOUSE_HOUR, HOUSE_BEGIN + HOUSE_HOUR + HOUSE_HOUR / 50 + HOUSE_MINUTE);
    assert_int_equal(take(&b, 10, HOUSE_HOUR + HOUSE_HOUR / 50), 10); /* both are over */
    end(&a);
    end(&b);
}

static void test_told_again_is_not_counted_again(void **state)
{
    struct machine a, b;
    begin(&a, "messages 10/1h");
    begin(&b, "messages 10/1h");
    take(&a, 3, 0);
    tell(&a, A, &b, 0, 0);
    for (int i = 0; i < 3; i++) {
        limits_share_all(a.tree);
        assert_int_equal(tell(&a, A, &b, 0, 10), 1);
    }
    assert_int_equal(take(&b, 10, 20), 7);
    end(&a);
    end(&b);
}

static void test_undone_and_forgotten(void **state)
{
    struct machine a, b;
    begin(&a, "messages 10/1h");
    begin(&b, "messages 10/1h");
    take(&a, 10, 0);
    tell(&a, A, &b, 0, 1);
    assert_int_equal(take(&b, 1, 2), 0);
    struct limits_request request = house_request(&a.node, 1, LIMITS_MESSAGES, 4, 3);
    limits_tree_undo(a.tree, &request, HOUSE_BEGIN);
    tell(&a, A, &b, 0, 4);
    assert_int_equal(take(&b, 10, 5), 4);
    assert_true(limits_tree_forget(a.tree, LIMITS_SENDER, SPAN("anna")));
    tell(&a, A, &b, 0, 6);
    assert_int_equal(take(&b, 10, 7), 6); /* what it counted itself stays */
    end(&a);
    end(&b);
}

static void test_age(void **state)
{
    struct machine a, b;
    begin(&a, "messages 10/1h");
    begin(&b, "messages 10/1h");
    take(&a, 10, 0);
    tell(&a, A, &b, HOUSE_HOUR / 2, HOUSE_HOUR / 2); /* the clock of B is half an hour ahead when it hears of it */
    assert_int_equal(take(&b, 1, HOUSE_HOUR / 2), 0);
    assert_int_equal(take(&b, 1, HOUSE_HOUR + HOUSE_HOUR / 50), 1);
    end(&a);
    end(&b);
}

static void test_idle_nodes_go(void **state)
{
    struct machine a, b;
    begin(&a, "messages 10/1h");
    begin(&b, "messages 10/1h");
    size_t empty = limits_tree_totals(b.tree).octets;
    take(&a, 10, 0);
    tell(&a, A, &b, 0, 0);
    limits_tree_sweep(b.tree, HOUSE_BEGIN + HOUSE_MINUTE, 10);
    assert_int_equal(limits_tree_totals(b.tree).nodes, 1); /* the others' count is one, too */
    limits_tree_sweep(b.tree, HOUSE_BEGIN + 2 * HOUSE_HOUR, 10);
    assert_int_equal(limits_tree_totals(b.tree).nodes, 0);
    assert_in_range(limits_tree_totals(b.tree).octets, empty, empty + 4096); /* the map's buckets */
    end(&a);
    end(&b);
}

static void test_paces_with_its_part(void **state)
{
    struct machine a, b;
    struct limits_verdict verdict;
    begin(&a, "messages 60/1h pace");
    begin(&b, "messages 60/1h pace");
    take(&a, 60, 0);
    tell(&a, A, &b, 0, 1);
    struct limits_request request = house_request(&b.node, 1, LIMITS_MESSAGES, 1, 2);
    limits_tree_take(b.tree, &request, &verdict);
    assert_int_equal(verdict.outcome, LIMITS_VERDICT_PASS);
    limits_tree_take(b.tree, &request, &verdict);
    limits_tree_take(b.tree, &request, &verdict);
    assert_true(verdict.wait_ms >= 2 * 2 * HOUSE_MINUTE - HOUSE_MINUTE); /* one every two minutes, not each minute */
    end(&a);
    end(&b);
}

static void test_many_machines(void **state)
{
    struct machine one, all;
    begin(&all, "messages 100/1h");
    for (unsigned i = 0; i < LIMITS_MACHINES_MOST; i++) {
        begin(&one, "messages 100/1h");
        take(&one, 2, 0);
        tell(&one, i, &all, 0, 1);
        end(&one);
    }
    assert_int_equal(take(&all, 100, 2), 100 - 2 * LIMITS_MACHINES_MOST);
    end(&all);
}

static void test_what_is_wrong_changes_nothing(void **state)
{
    struct machine a;
    begin(&a, "messages 10/1h");
    char counter[8 + 12] = { LIMITS_MESSAGES, 0, 1, 0 };
    uint32_t per = 3600000;
    memcpy(counter + 4, &per, 4);
    counter[12] = 3;
    struct span key = SPAN("\1anna"), value = span_of(counter, sizeof counter);
    assert_int_equal(limits_share_set(a.tree, 0, key, 0, value, HOUSE_BEGIN), STATUS_OK);
    for (size_t n = 1; n < value.n; n++)
        assert_int_equal(limits_share_set(a.tree, 0, key, 0, span_head(value, n), HOUSE_BEGIN), STATUS_SYNTAX);
    assert_int_equal(limits_share_set(a.tree, LIMITS_MACHINES_MOST, key, 0, value, HOUSE_BEGIN), STATUS_SYNTAX);
    assert_int_equal(limits_share_set(a.tree, 0, SPAN("\7anna"), 0, value, HOUSE_BEGIN), STATUS_SYNTAX);
    assert_int_equal(limits_share_set(a.tree, 0, SPAN_NONE, 0, value, HOUSE_BEGIN), STATUS_SYNTAX);
    counter[0] = LIMITS_WHAT_COUNT;
    assert_int_equal(limits_share_set(a.tree, 0, key, 0, value, HOUSE_BEGIN), STATUS_SYNTAX);
    assert_int_equal(take(&a, 10, 1), 7);
    end(&a);
}

static void test_memory(void **state)
{
    struct limits_tree *tree = limits_tree_new(&(struct limits_tree_setup){ .most_octets = 20000 });
    char counter[8 + 12] = { LIMITS_MESSAGES, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9 };
    enum status status = STATUS_OK;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        size_t n = (size_t)snprintf(key, sizeof key, "\1node%d", i);
        status = limits_share_set(tree, 1, span_of(key, n), 0, span_of(counter, sizeof counter), HOUSE_BEGIN);
    }
    assert_int_equal(status, STATUS_MEMORY);
    assert_true(limits_tree_totals(tree).octets <= 20000);
    limits_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together), cmocka_unit_test(test_told_again_is_not_counted_again), cmocka_unit_test(test_undone_and_forgotten),
        cmocka_unit_test(test_age), cmocka_unit_test(test_idle_nodes_go), cmocka_unit_test(test_paces_with_its_part),
        cmocka_unit_test(test_many_machines), cmocka_unit_test(test_what_is_wrong_changes_nothing), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
