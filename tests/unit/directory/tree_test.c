#include "directory/tree.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static char folder[64], path[96];
static struct accounts *accounts;
static struct tree_node server, acme, domain, anna;

static void add(enum tree_kind kind, const struct tree_node *parent, const char *name, struct tree_node *ret)
{
    int64_t id;
    assert_int_equal(tree_add(accounts, kind, parent->id, span_str(name), SPAN(""), 1000, &id), STATUS_OK);
    assert_int_equal(tree_find(accounts, kind, span_str(name), ret), STATUS_OK);
    assert_int_equal(ret->id, id);
}

static int setup(void **state)
{
    strcpy(folder, "/tmp/goniec-tree-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/accounts.db", folder);
    if (accounts_open_to_change(path, -1, -1, &accounts) != STATUS_OK)
        return 1;
    accounts_set_who(accounts, SPAN("jan"));
    assert_int_equal(tree_find(accounts, TREE_SERVER, SPAN("any"), &server), STATUS_OK);
    add(TREE_CUSTOMER, &server, "acme", &acme);
    add(TREE_DOMAIN, &acme, "example.org", &domain);
    add(TREE_SENDER, &domain, "anna@example.org", &anna);
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    accounts_close(accounts);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static enum status add_below(enum tree_kind kind, int64_t parent)
{
    int64_t id;
    return tree_add(accounts, kind, parent, SPAN("new.example"), SPAN(""), 0, &id);
}

static void test_what_lies_where(void **state)
{
    assert_int_equal(add_below(TREE_SERVER, server.id), STATUS_DENIED);
    assert_int_equal(add_below(TREE_CUSTOMER, acme.id), STATUS_DENIED);
    assert_int_equal(add_below(TREE_DOMAIN, server.id), STATUS_DENIED);
    assert_int_equal(add_below(TREE_SENDER, server.id), STATUS_DENIED);
    assert_int_equal(add_below(TREE_SENDER, anna.id), STATUS_DENIED);
    assert_int_equal(add_below(TREE_SENDER, 4711), STATUS_NOT_FOUND);
    assert_int_equal(add_below(TREE_SENDER, acme.id), STATUS_OK);
    assert_int_equal(add_below(TREE_SENDER, domain.id), STATUS_EXISTS);
    assert_int_equal(tree_move(accounts, &domain, server.id, 0), STATUS_DENIED);
    assert_int_equal(tree_remove(accounts, &server, 0), STATUS_DENIED);
    struct tree_node node;
    assert_int_equal(tree_find(accounts, TREE_CUSTOMER, SPAN(TREE_DEFAULT), &node), STATUS_OK);
    assert_int_equal(tree_remove(accounts, &node, 0), STATUS_DENIED);
}

static void test_with_a_node_goes_what_is_below(void **state)
{
    struct tree_node node;
    assert_int_equal(tree_remove(accounts, &acme, 0), STATUS_OK);
    assert_int_equal(tree_find(accounts, TREE_DOMAIN, SPAN("example.org"), &node), STATUS_NOT_FOUND);
    assert_int_equal(tree_find(accounts, TREE_SENDER, SPAN("anna@example.org"), &node), STATUS_NOT_FOUND);
}

static void assert_suspended(const char *who, const char *reason)
{
    struct account account;
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), 0, &account), STATUS_OK);
    assert_int_equal(account.suspended, who != NULL);
    if (who) {
        assert_span(account.who, who);
        assert_span(account.reason, reason);
    }
}

static void test_suspended_anywhere_above(void **state)
{
    assert_suspended(NULL, NULL);
    assert_int_equal(tree_suspend(accounts, &anna, SPAN("stolen"), 5), STATUS_OK);
    assert_suspended("anna@example.org", "stolen");
    assert_int_equal(tree_suspend(accounts, &domain, SPAN("moved"), 5), STATUS_OK);
    assert_suspended("domain example.org", "moved");
    assert_int_equal(tree_suspend(accounts, &acme, SPAN("unpaid bill"), 5), STATUS_OK);
    assert_suspended("customer acme", "unpaid bill"); /* the highest is what has to be mended first */
    assert_int_equal(tree_suspend(accounts, &server, SPAN("maintenance"), 5), STATUS_OK);
    assert_suspended("server", "maintenance");
    assert_int_equal(tree_resume(accounts, &server, 6), STATUS_OK);
    assert_int_equal(tree_resume(accounts, &acme, 6), STATUS_OK);
    assert_int_equal(tree_resume(accounts, &domain, 6), STATUS_OK);
    assert_suspended("anna@example.org", "stolen");
    assert_int_equal(tree_resume(accounts, &anna, 6), STATUS_OK);
    assert_suspended(NULL, NULL);
}

static void test_a_sender_without_a_domain(void **state)
{
    struct tree_node web;
    struct account account;
    add(TREE_SENDER, &acme, "web-17", &web);
    assert_int_equal(accounts_find(accounts, SPAN("web-17"), 0, &account), STATUS_OK);
    assert_int_equal(account.domain, 0);
    assert_int_equal(account.customer, acme.id);
    assert_int_equal(tree_suspend(accounts, &acme, SPAN(""), 5), STATUS_OK);
    assert_int_equal(accounts_find(accounts, SPAN("web-17"), 0, &account), STATUS_OK);
    assert_true(account.suspended);
}

static void say(const struct tree_node *node, const char *name, const char *value)
{
    struct span text = span_str(value);
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    const struct tree_setting *setting = tree_setting_find(span_str(name));
    assert_non_null(setting);
    assert_true(tree_value_check(setting, text, &why));
    assert_int_equal(tree_set(accounts, node, setting, &text, value[0] ? 1 : 0, 0), STATUS_OK);
}

static void assert_holds(const char *name, const char *value)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(512);
    assert_int_equal(tree_effective(accounts, anna.id, tree_setting_find(span_str(name)), &text), STATUS_OK);
    assert_string_equal(buf_cstr(&text), value);
}

static void test_children_inherit(void **state)
{
    assert_holds("language", "en");
    say(&server, "language", "pl");
    assert_holds("language", "pl");
    say(&domain, "language", "en");
    assert_holds("language", "en");
    const struct tree_setting *language = tree_setting_find(SPAN("language"));
    assert_int_equal(tree_set(accounts, &domain, language, NULL, 0, 0), STATUS_OK);
    assert_holds("language", "pl");
}

static void test_parents_cap(void **state)
{
    assert_holds("from", "own");
    say(&anna, "from", "any"); /* nobody above says anything */
    assert_holds("from", "any");
    say(&acme, "from", "customer");
    assert_holds("from", "customer");
    say(&domain, "from", "domain");
    assert_holds("from", "domain");
    say(&anna, "from", "own");
    assert_holds("from", "own");
    say(&server, "priority", "5");
    assert_holds("priority", "5");
    say(&acme, "priority", "9");
    assert_holds("priority", "5");
    say(&anna, "priority", "2");
    assert_holds("priority", "2");
}

static void test_values_are_checked(void **state)
{
    static const struct { const char *name, *value; bool good; } rows[] = {
        { "language", "pl", true }, { "language", "PL", false }, { "language", "", false }, { "from", "domain", true },
        { "from", "all", false }, { "priority", "9", true }, { "priority", "10", false }, { "limit", "recipients 300/1h", true },
        { "limit", "", false }, { "limit", "a\nb", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        const struct tree_setting *setting = tree_setting_find(span_str(rows[i].name));
        assert_int_equal(tree_value_check(setting, span_str(rows[i].value), &why), rows[i].good);
        assert_int_equal(why.n > 0, !rows[i].good);
    }
    assert_null(tree_setting_find(SPAN("colour")));
}

static void keep_audit(void *arg, const struct tree_audit *audit)
{
    buf_printf(arg, "%lld %.*s %.*s %.*s %.*s [%.*s]\n", (long long)audit->at_ms, SPAN_ARGS(audit->who), SPAN_ARGS(audit->action),
               SPAN_ARGS(audit->kind), SPAN_ARGS(audit->name), SPAN_ARGS(audit->detail));
}

static void test_audit(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    assert_int_equal(tree_begin(accounts), STATUS_OK); /* what is taken back was never done */
    assert_int_equal(tree_suspend(accounts, &acme, SPAN("a mistake"), 1500), STATUS_OK);
    tree_rollback(accounts);
    assert_int_equal(tree_begin(accounts), STATUS_OK);
    assert_int_equal(tree_suspend(accounts, &acme, SPAN("unpaid bill"), 2000), STATUS_OK);
    say(&acme, "language", "pl");
    assert_int_equal(tree_commit(accounts), STATUS_OK);
    assert_int_equal(tree_audit(accounts, SPAN("acme"), 0, 10, keep_audit, &text), STATUS_OK);
    assert_string_equal(buf_cstr(&text), "0 jan set customer acme [language: pl]\n"
                                         "2000 jan suspend customer acme [unpaid bill]\n"
                                         "1000 jan add customer acme [server server]\n");
    buf_clear(&text);
    assert_int_equal(tree_audit(accounts, SPAN_NONE, 1000, 2, keep_audit, &text), STATUS_OK);
    assert_string_equal(buf_cstr(&text), "2000 jan suspend customer acme [unpaid bill]\n"
                                         "1000 jan add sender anna@example.org [domain example.org]\n");
}

/* What is asked for each login and each message: counted, because a time says nothing on a busy machine. */
static void test_cost_of_questions(void **state)
{
    struct accounts *reader;
    struct account account;
    struct account_secret secrets[2];
    AUTO(buf_done) struct buf room = BUF_EMPTY(4096);
    size_t n;
    assert_int_equal(accounts_open(path, &reader), STATUS_OK);
    uint64_t before = accounts_cost(reader).statements;
    assert_int_equal(accounts_secrets(reader, SPAN("anna@example.org"), SPAN("x"), 2, &room, secrets, &n), STATUS_OK);
    assert_int_equal(accounts_find(reader, SPAN("anna@example.org"), 1, &account), STATUS_OK);
    accounts_turn_end(reader);
    assert_int_equal(accounts_cost(reader).statements - before, 4); /* two questions, BEGIN and COMMIT of the turn */
    accounts_close(reader);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_what_lies_where), CASE(test_with_a_node_goes_what_is_below),
                                        CASE(test_suspended_anywhere_above), CASE(test_a_sender_without_a_domain),
                                        CASE(test_children_inherit), CASE(test_parents_cap), CASE(test_values_are_checked),
                                        CASE(test_audit), CASE(test_cost_of_questions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
