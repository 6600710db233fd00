#include "limits/store.h"
#include "limits_house.h"
#include <stdlib.h>

static const struct limits_tree_setup plain;
enum { SENDERS = 40 };

/* Some senders with their domain, and a file that follows what they do. */
struct world {
    struct limits_tree *tree;
    struct limits_store store;
    struct buf file;
    struct house_node houses[SENDERS + 1];
    char names[SENDERS][16];
    struct limits_node chains[SENDERS][2];
    uint64_t seed;
};

static struct limits_tree *tree_new(void)
{
    struct limits_tree *tree = limits_tree_new(&plain);
    assert_non_null(tree);
    return tree;
}

static void begin(struct world *world)
{
    *world = (struct world){ .tree = tree_new(), .file = BUF_EMPTY(64u << 20), .seed = 42 };
    struct limits_node domain = house_node(&world->houses[SENDERS], LIMITS_DOMAIN, "example.org", "messages 5000/1d");
    for (unsigned i = 0; i < SENDERS; i++) {
        snprintf(world->names[i], sizeof world->names[i], "sender %u", i);
        world->chains[i][0] = house_node(&world->houses[i], LIMITS_SENDER, world->names[i],
                                         "messages 60/1h burst 20; messages 500/1d; queued 9");
        world->chains[i][1] = domain;
    }
}

static void end(struct world *world)
{
    limits_tree_free(world->tree);
    buf_done(&world->file);
}

static void some_work(struct world *world, int64_t at)
{
    for (unsigned i = 0; i < 10; i++) {
        world->seed = world->seed * 6364136223846793005u + 1442695040888963407u;
        unsigned who = (unsigned)(world->seed >> 33) % SENDERS;
        uint64_t n = 1 + (world->seed >> 50) % 4;
        uint64_t granted = house_take(world->tree, world->chains[who], 2, LIMITS_MESSAGES, n, at);
        if ((world->seed >> 20) % 5 == 0 && granted) {
            struct limits_request request = house_request(world->chains[who], 2, LIMITS_MESSAGES, granted, at);
            limits_tree_undo(world->tree, &request, HOUSE_BEGIN + at - (int64_t)((world->seed >> 40) % 3000));
        }
    }
}

static void write_batch(struct world *world, int64_t at)
{
    assert_int_equal(limits_store_changes(&world->store, world->tree, HOUSE_BEGIN + at, HOUSE_BEGIN + at, &world->file),
                     STATUS_OK);
}

static struct limits_reading read_at(struct limits_tree *tree, const struct limits_node *node, unsigned rule, int64_t at)
{
    struct limits_reading reading;
    limits_tree_read(tree, node, &node->rules[rule], HOUSE_BEGIN + at, &reading);
    return reading;
}

/* What pace lets out later is let out at the same times by who comes after a kill. */
static void test_a_run_goes_on(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct house_node house;
    struct limits_node shop = house_node(&house, LIMITS_SENDER, "shop", "messages 10/1h pace");
    struct limits_verdict before, after;
    begin(world);
    for (unsigned i = 0; i < 17; i++)
        assert_int_equal(house_take(world->tree, &shop, 1, LIMITS_MESSAGES, 1, i * 100), 1);
    write_batch(world, 2000);
    struct limits_tree *again = tree_new();
    struct limits_store store = { 0 };
    limits_store_replay(&store, again, buf_span(&world->file), HOUSE_BEGIN + 2000, HOUSE_BEGIN + 2000);
    assert_int_equal(read_at(again, &shop, 0, 2000).late, 7);
    for (int64_t at = 2000; at < 3 * HOUSE_HOUR; at += 10 * HOUSE_MINUTE) {
        struct limits_request request = house_request(&shop, 1, LIMITS_MESSAGES, 1, at);
        limits_tree_take(world->tree, &request, &before);
        limits_tree_take(again, &request, &after);
        assert_in_range(after.wait_ms, MAX(before.wait_ms - 1000, 0), before.wait_ms + 1000);
    }
    limits_tree_free(again);
    end(world);
    free(world);
}

/* What was undone is taken off the youngest entry, so a few may clear a little earlier or later. */
static void check_same(struct world *world, struct limits_tree *other, int64_t at)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        for (unsigned rule = 0; rule < 2; rule++) {
            struct limits_reading a = read_at(world->tree, &world->chains[i][0], rule, at);
            struct limits_reading b = read_at(other, &world->chains[i][0], rule, at);
            if (b.count + 4 < a.count || b.count > a.count + 4)
                fail_msg("sender %u rule %u: %llu, replayed %llu", i, rule, (unsigned long long)a.count,
                         (unsigned long long)b.count);
        }
    }
}

static void test_replay(void **state)
{
    struct world world;
    begin(&world);
    int64_t at = 0;
    for (unsigned second = 0; second < 900; second++, at += 1000) {
        some_work(&world, at);
        write_batch(&world, at);
    }
    assert_false(limits_store_is_dirty(world.tree));
    struct limits_tree *again = tree_new();
    struct limits_store store = { 0 };
    at += 5000;
    size_t good = limits_store_replay(&store, again, buf_span(&world.file), HOUSE_BEGIN + at, HOUSE_BEGIN + at);
    assert_int_equal(good, world.file.n);
    assert_true(store.last == world.store.last && store.last > 100);
    assert_int_equal(limits_tree_totals(again).nodes, limits_tree_totals(world.tree).nodes);
    for (unsigned i = 0; i < SENDERS; i++)
        for (unsigned rule = 0; rule < 2; rule++)
            assert_int_equal(read_at(world.tree, &world.chains[i][0], rule, at).count,
                             read_at(again, &world.chains[i][0], rule, at).count);
    for (; at < 30 * HOUSE_HOUR; at += 7 * HOUSE_MINUTE)
        check_same(&world, again, at);
    limits_tree_sweep(again, HOUSE_BEGIN + at, SIZE_MAX);
    assert_int_equal(limits_tree_totals(again).nodes, 0);
    limits_tree_free(again);
    end(&world);
}

/* Cut anywhere or with an octet spoiled: what is before is good, what is behind is cut off. */
static void test_torn(void **state)
{
    struct world world;
    begin(&world);
    size_t ends[20];
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        some_work(&world, i * 1000);
        write_batch(&world, i * 1000);
        ends[i] = world.file.n;
    }
    for (size_t cut = 0; cut < world.file.n; cut += 7) {
        unsigned whole = 0;
        while (ends[whole] <= cut)
            whole++;
        size_t want = whole ? ends[whole - 1] : 0;
        struct limits_tree *tree = tree_new();
        struct limits_store store = { 0 };
        assert_int_equal(limits_store_replay(&store, tree, span_of(world.file.p, cut), HOUSE_BEGIN, HOUSE_BEGIN), want);
        assert_int_equal(store.last, whole);
        limits_tree_free(tree);
        tree = tree_new();
        world.file.p[cut] ^= 0x10;
        assert_int_equal(limits_store_replay(&store, tree, buf_span(&world.file), HOUSE_BEGIN, HOUSE_BEGIN), want);
        world.file.p[cut] ^= 0x10;
        limits_tree_free(tree);
    }
    /* Good batches of an older life of the file do not follow on ours. */
    struct limits_tree *tree = tree_new();
    struct limits_store store = { 0 };
    AUTO(buf_done) struct buf mixed = BUF_EMPTY(1 << 20);
    buf_add(&mixed, span_of(world.file.p + ends[4], ends[9] - ends[4]));
    buf_add(&mixed, span_of(world.file.p, ends[2]));
    assert_int_equal(limits_store_first(buf_span(&mixed)), 6);
    assert_int_equal(limits_store_replay(&store, tree, buf_span(&mixed), HOUSE_BEGIN, HOUSE_BEGIN), ends[9] - ends[4]);
    limits_tree_free(tree);
    end(&world);
}

/* The other file of the pair takes over while counting goes on; a kill at any batch loses nothing. */
static void test_rewrite(void **state)
{
    struct world world;
    begin(&world);
    for (unsigned i = 0; i < 50; i++) {
        some_work(&world, i * 1000);
        write_batch(&world, i * 1000);
    }
    assert_true(limits_tree_forget(world.tree, LIMITS_SENDER, SPAN("sender 3")));
    struct buf old = buf_take(&world.file);
    world.file = BUF_EMPTY(64u << 20);
    limits_store_rewrite(world.tree);
    assert_false(limits_store_is_rewritten(world.tree));
    some_work(&world, 50000);
    write_batch(&world, 50000);
    assert_true(limits_store_is_rewritten(world.tree));
    some_work(&world, 51000);
    write_batch(&world, 51000);
    for (unsigned with_old = 0; with_old < 2; with_old++) {
        struct limits_tree *again = tree_new();
        struct limits_store store = { 0 };
        if (with_old)
            assert_int_equal(limits_store_replay(&store, again, buf_span(&old), HOUSE_BEGIN + 51000, HOUSE_BEGIN + 51000),
                             old.n);
        limits_store_replay(&store, again, buf_span(&world.file), HOUSE_BEGIN + 51000, HOUSE_BEGIN + 51000);
        assert_int_equal(store.last, 52);
        for (unsigned i = 0; i < SENDERS; i++)
            for (unsigned rule = 0; rule < 2; rule++)
                assert_int_equal(read_at(world.tree, &world.chains[i][0], rule, 52000).count,
                                 read_at(again, &world.chains[i][0], rule, 52000).count);
        limits_tree_free(again);
    }
    buf_done(&old);
    end(&world);
}

static void test_clock_and_warnings(void **state)
{
    struct world world;
    begin(&world);
    assert_int_equal(house_take(world.tree, world.chains[0], 2, LIMITS_MESSAGES, 20, 0), 20);
    write_batch(&world, 0);
    for (unsigned back = 0; back < 2; back++) { /* the wall clock is set back over the restart: no time has passed */
        struct limits_tree *again = tree_new();
        struct limits_store store = { 0 };
        int64_t wall = HOUSE_BEGIN + (back ? -400 * 24 * HOUSE_HOUR : HOUSE_MINUTE);
        limits_store_replay(&store, again, buf_span(&world.file), wall, wall);
        struct limits_reading reading;
        limits_tree_read(again, &world.chains[0][0], &world.chains[0][0].rules[0], wall, &reading);
        assert_int_equal(reading.count, 20);
        assert_int_equal(reading.room, back ? 0 : 1); /* of the burst, one is back after a minute */
        limits_tree_read(again, &world.chains[0][0], &world.chains[0][0].rules[0], wall + HOUSE_HOUR + HOUSE_MINUTE, &reading);
        assert_int_equal(reading.count, 0); /* but time goes on */
        limits_tree_free(again);
    }
    struct limits_tree *late = tree_new();
    struct limits_store store = { 0 };
    limits_store_replay(&store, late, buf_span(&world.file), INT64_MAX / 4, INT64_MAX / 4);
    assert_int_equal(limits_tree_totals(late).nodes > 0, true);
    limits_tree_sweep(late, INT64_MAX / 4, SIZE_MAX);
    assert_int_equal(limits_tree_totals(late).nodes, 0);
    limits_tree_free(late);
    end(&world);
}

static void test_no_room(void **state)
{
    struct world world;
    begin(&world);
    some_work(&world, 0);
    struct buf small = BUF_EMPTY(64);
    assert_int_equal(limits_store_changes(&world.store, world.tree, HOUSE_BEGIN, HOUSE_BEGIN, &small), STATUS_FULL);
    assert_int_equal(small.n, 0);
    assert_int_equal(world.store.last, 0);
    assert_true(limits_store_is_dirty(world.tree));
    write_batch(&world, 0);
    assert_true(world.file.n > 0);
    size_t n = world.file.n;
    write_batch(&world, 0); /* nothing changed */
    assert_int_equal(world.file.n, n);
    buf_done(&small);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_clock_and_warnings),
        cmocka_unit_test(test_a_run_goes_on),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
