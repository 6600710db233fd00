#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "test.h"
#include <stdlib.h>

#define MANY 10000

struct item {
    struct list link;
    struct map_node node;
    struct heap_node due;
    uint64_t key;
};

static bool is(const struct map_node *node, const void *key)
{
    return CONTAINER(node, struct item, node)->key == *(const uint64_t *)key;
}

static struct item *new_items(void)
{
    struct item *items = calloc(MANY, sizeof *items);
    assert_non_null(items);
    for (uint64_t i = 0; i < MANY; i++)
        items[i].key = i;
    return items;
}

static void test_map(void **state)
{
    struct item *items = new_items();
    struct map map = MAP_EMPTY;
    uint64_t key = 5;
    assert_null(map_find(&map, hash_u64(key), is, &key));
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(map_add(&map, &items[i].node, hash_u64(i)), STATUS_OK);
    for (uint64_t i = 0; i < MANY; i++)
        assert_ptr_equal(map_find(&map, hash_u64(i), is, &i), &items[i].node);
    size_t seen = 0;
    for (MAP_EACH(node, &map)) {
        seen++;
        if (CONTAINER(node, struct item, node)->key % 2)
            map_remove(&map, node);
    }
    assert_int_equal(seen, MANY);
    assert_int_equal(map.n, MANY / 2);
    key = 7;
    assert_null(map_find(&map, hash_u64(key), is, &key));
    map_done(&map);
    free(items);
}

static void test_heap(void **state)
{
    struct item *items = new_items();
    struct heap heap = HEAP_EMPTY;
    uint32_t random = 1;
    for (uint64_t i = 0; i < MANY; i++) {
        random = random * 1664525 + 1013904223;
        assert_int_equal(heap_set(&heap, &items[i].due, random % 1000), STATUS_OK);
    }
    for (uint64_t i = 0; i < MANY; i += 3)
        assert_int_equal(heap_set(&heap, &items[i].due, (int64_t)(i * 7 % 2000)), STATUS_OK);
    for (uint64_t i = 1; i < MANY; i += 3)
        heap_remove(&heap, &items[i].due);
    heap_remove(&heap, &items[1].due); /* again: nothing happens */
    int64_t last = -1;
    uint32_t taken = 0;
    for (struct heap_node *first; (first = heap_first(&heap)) != NULL; taken++) {
        assert_true(first->due >= last);
        last = first->due;
        heap_remove(&heap, first);
        assert_false(heap_has(first));
    }
    assert_int_equal(taken, MANY - (MANY + 1) / 3);
    heap_done(&heap);
    free(items);
}

static void test_list(void **state)
{
    struct list ring;
    struct item a, b, c;
    list_init(&ring);
    assert_null(list_take_first(&ring));
    list_init(&a.link);
    list_add_last(&ring, &b.link);
    list_add_last(&ring, &c.link);
    list_add_first(&ring, &a.link);
    struct item *order[] = { &a, &b, &c };
    size_t i = 0;
    for (LIST_EACH(link, &ring))
        assert_ptr_equal(link, &order[i++]->link);
    for (LIST_EACH(link, &ring))
        list_remove(link);
    assert_true(list_is_empty(&ring));
    assert_false(list_is_linked(&a.link));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_map), cmocka_unit_test(test_heap),
                                        cmocka_unit_test(test_list) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
