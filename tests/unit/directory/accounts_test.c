#include "directory/accounts.h"
#include "directory/tree.h"
#include "test.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static int setup(void **state)
{
    strcpy(folder, "/tmp/goniec-accounts-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/accounts.db", folder);
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static struct accounts *open_to_change(void)
{
    struct accounts *accounts;
    if (accounts_open_to_change(path, -1, -1, &accounts) != STATUS_OK)
        fail_msg("%s", accounts_why(accounts));
    return accounts;
}

static void assert_stored(struct accounts *accounts, const char *stored)
{
    AUTO(buf_done) struct buf room = BUF_EMPTY(4096);
    struct account_secret secrets[4];
    size_t n;
    assert_int_equal(accounts_secrets(accounts, SPAN("anna@example.org"), SPAN("word"), 4, &room, secrets, &n), STATUS_OK);
    assert_int_equal(n, 1);
    assert_span(secrets[0].stored, stored);
}

static void test_life_of_an_account(void **state)
{
    struct accounts *writer = open_to_change(), *reader;
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    assert_int_equal(accounts_open(path, &reader), STATUS_OK);

    struct account account;
    AUTO(buf_done) struct buf any = BUF_EMPTY(SECRET_STORED_MAX);
    assert_int_equal(accounts_find(reader, SPAN("anna@example.org"), 0, &account), STATUS_NOT_FOUND);
    assert_int_equal(accounts_any_stored(reader, 77, &any), STATUS_NOT_FOUND);
    accounts_turn_end(reader);

    assert_int_equal(accounts_add(writer, SPAN("anna@example.org"), SPAN("$y$1"), SPAN("Anna"), 1000), STATUS_OK);
    assert_int_equal(accounts_add(writer, SPAN("anna@example.org"), SPAN("$y$2"), SPAN(""), 1000), STATUS_EXISTS);
    assert_int_equal(accounts_find(reader, SPAN("anna@example.org"), 0, &account), STATUS_OK);
    assert_false(account.suspended);
    assert_stored(reader, "$y$1");
    assert_int_equal(accounts_any_stored(reader, UINT64_MAX, &any), STATUS_OK);
    assert_span(buf_span(&any), "$y$1");

    /* within a turn the view stands still; the next one sees the change */
    assert_int_equal(accounts_set_stored(writer, SPAN("anna@example.org"), SPAN("$y$3"), 2000), STATUS_OK);
    assert_stored(reader, "$y$1");
    accounts_turn_end(reader);
    assert_stored(reader, "$y$3");
    accounts_turn_end(reader);

    assert_int_equal(accounts_remove(writer, SPAN("anna@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_remove(writer, SPAN("anna@example.org"), 0), STATUS_NOT_FOUND);
    assert_int_equal(accounts_set_stored(writer, SPAN("anna@example.org"), SPAN("x"), 0), STATUS_NOT_FOUND);
    assert_int_equal(accounts_find(reader, SPAN("anna@example.org"), 0, &account), STATUS_NOT_FOUND);
    accounts_close(reader);
    accounts_close(writer);
}

static void count(void *arg, struct span address)
{
    ++*(size_t *)arg;
}

static void test_aliases(void **state)
{
    struct accounts *accounts = open_to_change();
    assert_int_equal(accounts_add(accounts, SPAN("anna@example.org"), SPAN("$y$1"), SPAN(""), 0), STATUS_OK);
    assert_int_equal(accounts_add(accounts, SPAN("bob@example.org"), SPAN("$y$1"), SPAN(""), 0), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("info@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("info@example.org"), 0), STATUS_EXISTS);
    assert_int_equal(accounts_alias_add(accounts, SPAN("bob@example.org"), SPAN("info@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("*@shop.example"), 0), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("eve@example.org"), SPAN("x@example.org"), 0), STATUS_NOT_FOUND);

    struct account anna, bob;
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), 0, &anna), STATUS_OK);
    assert_int_equal(accounts_find(accounts, SPAN("bob@example.org"), 0, &bob), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, anna.row, SPAN("info@example.org")), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, anna.row, SPAN("*@shop.example")), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, bob.row, SPAN("*@shop.example")), STATUS_NOT_FOUND);
    assert_int_equal(accounts_has_address(accounts, SPAN("info@example.org")), STATUS_OK);
    assert_int_equal(accounts_has_address(accounts, SPAN("anna@example.org")), STATUS_OK);
    assert_int_equal(accounts_has_address(accounts, SPAN("x@example.org")), STATUS_NOT_FOUND);

    size_t seen = 0, total = 0;
    assert_int_equal(accounts_aliases(accounts, anna.row, 1, count, &seen, &total), STATUS_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(total, 2);

    /* with the account its aliases go, and nobody else's */
    assert_int_equal(accounts_remove(accounts, SPAN("anna@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, anna.row, SPAN("info@example.org")), STATUS_NOT_FOUND);
    assert_int_equal(accounts_owns(accounts, bob.row, SPAN("info@example.org")), STATUS_OK);
    assert_int_equal(accounts_alias_remove(accounts, SPAN("bob@example.org"), SPAN("info@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_alias_remove(accounts, SPAN("bob@example.org"), SPAN("info@example.org"), 0),
                     STATUS_NOT_FOUND);
    accounts_close(accounts);
}

static void test_no_file(void **state)
{
    struct accounts *accounts;
    assert_int_equal(accounts_open(path, &accounts), STATUS_NOT_FOUND);
    accounts_close(accounts);
    assert_int_not_equal(access(path, F_OK), 0); /* reading makes nothing */
    assert_int_not_equal(accounts_open_to_change("/nowhere/at/all.db", -1, -1, &accounts), STATUS_OK);
    assert_non_null(strstr(accounts_why(accounts), "/nowhere/at/all.db"));
    accounts_close(accounts);
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_other_files(void **state)
{
    struct accounts *accounts;
    write_file("this is a letter to my aunt and no database, whatever its name says; it goes on for more than a "
               "hundred octets, as letters do");
    assert_int_equal(accounts_open(path, &accounts), STATUS_DAMAGED);
    accounts_close(accounts);
    assert_int_equal(accounts_open_to_change(path, -1, -1, &accounts), STATUS_DAMAGED);
    accounts_close(accounts);
    write_file("");
    assert_int_equal(accounts_open(path, &accounts), STATUS_NOT_FOUND); /* no tables yet */
    accounts_close(accounts);
}

/* As the first version left them: logins with and without a domain, a quoted one, a disabled one, shared aliases. */
static const char version_1[] =
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, password TEXT NOT NULL,"
    " name TEXT NOT NULL DEFAULT '', enabled INTEGER NOT NULL DEFAULT 1, created INTEGER NOT NULL DEFAULT 0,"
    " changed INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE aliases (address TEXT NOT NULL, account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,"
    " PRIMARY KEY (address, account)) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX aliases_of ON aliases (account, address);"
    "INSERT INTO accounts VALUES (1, 'anna@example.org', '$y$1', 'Anna', 1, 10, 20), (3, 'bob@example.org', '$y$2', '', 0, 11, 21),"
    " (7, '\"a@b\"@shop.example', '$y$3', '', 1, 12, 22), (9, 'web-17', '$y$4', 'Web', 1, 13, 23);"
    "INSERT INTO aliases VALUES ('info@example.org', 1), ('info@example.org', 3), ('*@shop.example', 9);"
    "PRAGMA user_version = 1; PRAGMA application_id = 1735356009;";

static void run(const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_below(struct accounts *accounts, const char *login, const char *domain)
{
    struct tree_node chain[TREE_DEPTH_MAX], node;
    size_t n, at = 1;
    assert_int_equal(tree_find(accounts, TREE_SENDER, span_str(login), &node), STATUS_OK);
    assert_int_equal(tree_chain(accounts, node.id, chain, &n), STATUS_OK);
    if (domain)
        assert_span(chain[at++].name, domain);
    assert_span(chain[at++].name, TREE_DEFAULT);
    assert_int_equal(chain[at++].kind, TREE_SERVER);
    assert_int_equal(n, at);
}

static void test_first_version_is_brought_up_to_date(void **state)
{
    struct accounts *accounts;
    struct account account;
    struct tree_node bob;
    run(version_1);
    assert_int_equal(accounts_open(path, &accounts), STATUS_OK); /* reading is enough: a server is started on it */
    assert_below(accounts, "anna@example.org", "example.org");
    assert_below(accounts, "\"a@b\"@shop.example", "shop.example");
    assert_below(accounts, "web-17", NULL);
    assert_stored(accounts, "$y$1");
    assert_int_equal(accounts_find(accounts, SPAN("web-17"), 0, &account), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, account.row, SPAN("*@shop.example")), STATUS_OK);
    assert_int_equal(accounts_owns(accounts, account.row, SPAN("info@example.org")), STATUS_NOT_FOUND);
    assert_int_equal(accounts_find(accounts, SPAN("bob@example.org"), 0, &account), STATUS_OK);
    assert_true(account.suspended);
    assert_span(account.reason, "disabled");
    assert_int_equal(accounts_owns(accounts, account.row, SPAN("info@example.org")), STATUS_OK);
    assert_int_equal(tree_find(accounts, TREE_SENDER, SPAN("bob@example.org"), &bob), STATUS_OK);
    assert_int_equal(bob.created_ms, 11);
    assert_int_equal(bob.suspended_ms, 21);
    accounts_close(accounts);
    accounts = open_to_change(); /* once is enough */
    assert_stored(accounts, "$y$1");
    accounts_close(accounts);
}

static void test_a_step_that_fails_changes_nothing(void **state)
{
    struct accounts *accounts;
    run(version_1);
    run("CREATE TABLE audit (somebody TEXT)"); /* in the way of a step's end */
    assert_int_not_equal(accounts_open(path, &accounts), STATUS_OK);
    assert_non_null(strstr(accounts_why(accounts), "audit"));
    accounts_close(accounts);
    run("DROP TABLE audit; UPDATE accounts SET name = 'still there' WHERE login = 'web-17'");
    assert_int_equal(accounts_open(path, &accounts), STATUS_OK);
    accounts_close(accounts);
}

static void test_a_newer_version_is_refused(void **state)
{
    struct accounts *accounts = open_to_change();
    accounts_close(accounts);
    run("PRAGMA user_version = 99");
    assert_int_equal(accounts_open(path, &accounts), STATUS_EXISTS);
    assert_non_null(strstr(accounts_why(accounts), "newer"));
    accounts_close(accounts);
    assert_int_equal(accounts_open_to_change(path, -1, -1, &accounts), STATUS_EXISTS);
    assert_non_null(strstr(accounts_why(accounts), "newer"));
    accounts_close(accounts);
}

static void test_login_keys(void **state)
{
    static const struct { const char *login, *key; } good[] = {
        { "Anna@Example.org", "anna@example.org" }, { "ROOT", "root" }, { "\"anna\"@example.org", "anna@example.org" },
        { "web-17", "web-17" }, { "zo\xc3\xab", "zo\xc3\xab" },
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(ACCOUNTS_LOGIN_MAX);
        assert_int_equal(accounts_login_key(span_str(good[i].login), &key), STATUS_OK);
        assert_span(buf_span(&key), good[i].key);
    }
    static const char *const bad[] = { "", "an na", "anna\n", "\x7f", "anna\xff", "\tanna" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(ACCOUNTS_LOGIN_MAX);
        assert_int_equal(accounts_login_key(span_str(bad[i]), &key), STATUS_SYNTAX);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_life_of_an_account), CASE(test_aliases), CASE(test_no_file),
                                        CASE(test_other_files), CASE(test_first_version_is_brought_up_to_date),
                                        CASE(test_a_step_that_fails_changes_nothing), CASE(test_a_newer_version_is_refused), cmocka_unit_test(test_login_keys) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
