#include "directory/backlog.h"
#include "directory/tree.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static char folder[64], path[96];
static struct accounts *accounts;
static struct loop *loop;
static struct log events;
static struct directory_service *service;
static struct buf told;    /* the names of the list, and where it begins and ends */
static unsigned lists;
static struct buf levels;

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    struct backlog_stay stay;
    struct backlog_stayer one;
    assert_int_equal(kind, BACKLOG_STAY);
    assert_true(backlog_stay_get(body, &stay));
    struct wire_reader reader = wire_read(stay.entries);
    if (stay.which & BACKLOG_STAY_FIRST)
        buf_clear(&told);
    for (uint32_t i = 0; i < stay.count; i++) {
        assert_true(backlog_stayer_get(&reader, &one));
        buf_printf(&told, "%.*s (%.*s)\n", SPAN_ARGS(one.account), SPAN_ARGS(one.why));
    }
    assert_true(wire_end(&reader));
    lists += (stay.which & BACKLOG_STAY_LAST) != 0;
}

static void on_level(void *arg, struct span account, uint64_t messages, uint64_t octets, uint32_t failures)
{
    buf_printf(&levels, "%.*s %u %u %u\n", SPAN_ARGS(account), (unsigned)messages, (unsigned)octets, failures);
}

static struct tree_node node(enum tree_kind kind, const char *name)
{
    struct tree_node ret;
    assert_int_equal(tree_find(accounts, kind, span_str(name), &ret), STATUS_OK);
    return ret;
}

static void add(enum tree_kind kind, int64_t parent, const char *name)
{
    int64_t id;
    assert_int_equal(tree_add(accounts, kind, parent, span_str(name), SPAN(""), 1000, &id), STATUS_OK);
}

static int setup(void **state)
{
    strcpy(folder, "/tmp/goniec-backlog-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/accounts.db", folder);
    told = levels = BUF_EMPTY(1u << 20);
    lists = 0;
    log_init(&events, -1, "directory", LOG_ERROR);
    loop = loop_new();
    struct directory_limits limits = { .threads = 1, .waiting = 10, .remember_ms = 1000, .signers = 1 };
    service = directory_service_new(loop, &events, path, &limits);
    if (accounts_open_to_change(path, -1, -1, &accounts) != STATUS_OK)
        return 1;
    add(TREE_CUSTOMER, node(TREE_SERVER, "server").id, "acme");
    add(TREE_DOMAIN, node(TREE_CUSTOMER, "acme").id, "example.org");
    add(TREE_SENDER, node(TREE_DOMAIN, "example.org").id, "anna@example.org");
    add(TREE_SENDER, node(TREE_DOMAIN, "example.org").id, "bob@example.org");
    add(TREE_SENDER, node(TREE_CUSTOMER, "default").id, "web");
    return service ? 0 : 1;
}

static int teardown(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-salts" };
    directory_service_free(service);
    loop_free(loop);
    log_done(&events);
    accounts_close(accounts);
    buf_done(&told);
    buf_done(&levels);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static void suspend(enum tree_kind kind, const char *name, const char *why)
{
    struct tree_node at = node(kind, name);
    assert_int_equal(tree_suspend(accounts, &at, span_str(why), 2000), STATUS_OK);
}

static void resume(enum tree_kind kind, const char *name)
{
    struct tree_node at = node(kind, name);
    assert_int_equal(tree_resume(accounts, &at, 3000), STATUS_OK);
}

static void wait_list(unsigned number)
{
    while (lists < number)
        loop_turn(loop, 5000);
    assert_int_equal(lists, number);
}

static void expect(const char *text)
{
    assert_true(span_eq(buf_span(&told), span_str(text)));
}

static void test_who_is_told(void **state)
{
    suspend(TREE_SENDER, "bob@example.org", "spam");
    struct directory_backlog *backlog = directory_backlog_new(service, on_answer, NULL);
    assert_int_equal(lists, 1);
    expect("bob@example.org (the sender is suspended: spam)\n");
    suspend(TREE_DOMAIN, "example.org", "moved");
    wait_list(2);
    expect("anna@example.org (domain example.org is suspended: moved)\n"
           "bob@example.org (domain example.org is suspended: moved)\n");
    suspend(TREE_CUSTOMER, "acme", "unpaid");
    wait_list(3);
    resume(TREE_DOMAIN, "example.org");
    resume(TREE_SENDER, "bob@example.org");
    suspend(TREE_SENDER, "web", "hacked");
    wait_list(4);
    expect("anna@example.org (customer acme is suspended: unpaid)\n"
           "bob@example.org (customer acme is suspended: unpaid)\nweb (the sender is suspended: hacked)\n");
    resume(TREE_CUSTOMER, "acme");
    resume(TREE_SENDER, "web");
    wait_list(5);
    expect("");
    directory_backlog_free(backlog);
}

static void test_many(void **state)
{
    char name[32];
    suspend(TREE_SERVER, "server", "holidays");
    assert_int_equal(tree_begin(accounts), STATUS_OK);
    for (int i = 0; i < 2 * WIRE_BACKLOG_MAX - 3; i++) { /* with the three there are: two messages that are full */
        snprintf(name, sizeof name, "w%d", i);
        add(TREE_SENDER, node(TREE_CUSTOMER, "default").id, name);
    }
    assert_int_equal(tree_commit(accounts), STATUS_OK);
    struct directory_backlog *backlog = directory_backlog_new(service, on_answer, NULL);
    assert_int_equal(lists, 1);
    unsigned lines = 0;
    for (size_t i = 0; i < told.n; i++)
        lines += told.p[i] == '\n';
    assert_int_equal(lines, 2 * WIRE_BACKLOG_MAX);
    directory_backlog_free(backlog);
}

static void feed(struct directory_backlog *backlog, const char *account, uint64_t messages, uint32_t failures, enum status expected)
{
    AUTO(buf_done) struct buf entries = BUF_EMPTY(8192), body = BUF_EMPTY(8192);
    backlog_level_put(&entries, &(struct backlog_level){ span_str(account), messages, messages * 10, failures });
    backlog_levels_put(&body, &(struct backlog_levels){ 1, buf_span(&entries) });
    assert_int_equal(directory_backlog_feed(backlog, BACKLOG_LEVELS, buf_span(&body)), expected);
}

static void test_levels(void **state)
{
    directory_service_on_level(service, on_level, NULL);
    struct directory_backlog *backlog = directory_backlog_new(service, on_answer, NULL);
    feed(backlog, "anna@example.org", 3, 0, STATUS_OK);
    feed(backlog, "web", 1, 2, STATUS_OK);
    feed(backlog, "web", 0, 0, STATUS_OK);
    feed(backlog, "", 1, 0, STATUS_SYNTAX);
    assert_int_equal(directory_backlog_feed(backlog, BACKLOG_STAY, SPAN("")), STATUS_SYNTAX);
    assert_int_equal(directory_backlog_feed(backlog, BACKLOG_LEVELS, SPAN("\1\0\0\0")), STATUS_SYNTAX);
    directory_backlog_free(backlog); /* that queue has gone: nobody knows of anything that waits */
    assert_true(span_eq(buf_span(&levels), SPAN("anna@example.org 3 30 0\nweb 1 10 2\nweb 0 0 0\nanna@example.org 0 0 0\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
