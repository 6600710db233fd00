#include "directory/rows.h"
#include "directory/tree.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

#define NOW INT64_C(1795440000000)

struct copy {
    struct accounts *to;
    bool gone;
    unsigned n;
};

static struct accounts *open_new(const char *name)
{
    struct accounts *accounts;
    unlink(name);
    assert_int_equal(accounts_open_to_change(name, -1, -1, &accounts), STATUS_OK);
    return accounts;
}

static bool put(void *arg, const char *table, const char *key, const char *row)
{
    struct copy *copy = arg;
    copy->n++;
    if ((row == NULL) == copy->gone)
        assert_int_equal(accounts_rows_put(copy->to, table, key, row), STATUS_OK);
    return true;
}

static unsigned carry(struct accounts *from, struct accounts *to, bool all, int64_t revision)
{
    struct copy copy = { to, true, 0 };
    assert_int_equal(accounts_rows_begin(to, all), STATUS_OK);
    assert_int_equal(accounts_rows_changed(from, all, put, &copy), STATUS_OK);
    copy.gone = false;
    assert_int_equal(accounts_rows_changed(from, all, put, &copy), STATUS_OK);
    assert_int_equal(accounts_rows_end(to, true, "set", revision), STATUS_OK);
    return copy.n / 2;
}

static int64_t row_of(struct accounts *accounts, const char *login)
{
    struct account account;
    return accounts_find(accounts, span_str(login), 0, &account) == STATUS_OK ? account.row : 0;
}

static void test_changes_are_carried(void **state)
{
    struct accounts *a = open_new("rows_a.db"), *b = open_new("rows_b.db");
    assert_int_equal(accounts_add(a, SPAN("anna@example.org"), SPAN("$y$x"), SPAN_NONE, NOW), STATUS_OK);
    assert_int_equal(accounts_add(b, SPAN("other@example.net"), SPAN("$y$x"), SPAN_NONE, NOW), STATUS_OK);
    assert_true(carry(a, b, true, 1) >= 4);
    assert_int_equal(row_of(b, "anna@example.org"), row_of(a, "anna@example.org"));
    assert_int_equal(row_of(b, "other@example.net"), 0);

    assert_int_equal(accounts_hold(a), STATUS_OK);
    assert_int_equal(accounts_add(a, SPAN("bob@example.org"), SPAN("$y$y"), SPAN_NONE, NOW), STATUS_OK);
    assert_int_equal(accounts_alias_add(a, SPAN("bob@example.org"), SPAN("b@example.org"), NOW), STATUS_OK);
    assert_int_equal(accounts_remove(a, SPAN("anna@example.org"), NOW), STATUS_OK);
    assert_true(accounts_hold_is_good(a));
    carry(a, b, false, 2);
    assert_int_equal(accounts_release(a, true), STATUS_OK);
    accounts_turn_end(b);
    assert_true(row_of(b, "bob@example.org") != 0 && row_of(b, "bob@example.org") == row_of(a, "bob@example.org"));
    assert_int_equal(accounts_has_address(b, SPAN("b@example.org")), STATUS_OK);
    assert_int_equal(row_of(b, "anna@example.org"), 0);
    accounts_turn_end(b);
    AUTO(buf_done) struct buf id = BUF_EMPTY(64);
    int64_t revision;
    assert_int_equal(accounts_rows_state(b, &id, &revision), STATUS_OK);
    assert_span(buf_span(&id), "set");
    assert_int_equal(revision, 2);
    accounts_close(a);
    accounts_close(b);
}

static void test_a_hold_that_is_not_wanted_leaves_nothing(void **state)
{
    struct accounts *a = open_new("rows_a.db");
    assert_int_equal(accounts_hold(a), STATUS_OK);
    assert_int_equal(tree_begin(a), STATUS_OK);
    assert_int_equal(accounts_add(a, SPAN("anna@example.org"), SPAN("$y$x"), SPAN_NONE, NOW), STATUS_OK);
    tree_rollback(a); /* as a dry run does */
    assert_false(accounts_hold_is_good(a));
    assert_int_equal(accounts_release(a, true), STATUS_DENIED);
    assert_int_equal(row_of(a, "anna@example.org"), 0);
    accounts_close(a);
}

static void test_rows_that_are_none(void **state)
{
    static const char *const rows[] = { "", "no json", "[]", "{}", "{\"id\":\"x\"}", "{\"id\":9,\"kind\":\"planet\",\"name\":\"x\"}", "null" };
    struct accounts *a = open_new("rows_a.db");
    assert_int_equal(accounts_add(a, SPAN("anna@example.org"), SPAN("$y$x"), SPAN_NONE, NOW), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(accounts_rows_begin(a, false), STATUS_OK);
        assert_int_not_equal(accounts_rows_put(a, "nodes", "[9]", rows[i]), STATUS_OK);
        assert_int_equal(accounts_rows_end(a, false, "set", 1), STATUS_DENIED);
    }
    assert_int_equal(accounts_rows_begin(a, false), STATUS_OK);
    assert_int_equal(accounts_rows_put(a, "sqlite_master", "[1]", NULL), STATUS_OK); /* no table of ours: nothing */
    assert_int_equal(accounts_rows_put(a, "nodes", "[\"x' OR 1=1 --\"]", NULL), STATUS_OK);
    assert_int_equal(accounts_rows_end(a, true, "set", 1), STATUS_OK);
    assert_true(row_of(a, "anna@example.org") != 0);
    accounts_close(a);
}

int main(void)
{
    char folder[] = "/tmp/goniec-rows-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_changes_are_carried), cmocka_unit_test(test_a_hold_that_is_not_wanted_leaves_nothing),
                                        cmocka_unit_test(test_rows_that_are_none) };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const files[] = { "rows_a.db", "rows_b.db", "rows_a.db-wal", "rows_a.db-shm", "rows_b.db-wal", "rows_b.db-shm" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(files[i]);
    rmdir(folder);
    return result;
}
