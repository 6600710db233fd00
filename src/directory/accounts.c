#include "directory/accounts_priv.h"
#include "policy/address.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const texts[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN",
    [ST_COMMIT] = "COMMIT",
    [ST_FIND] = "SELECT id, enabled, password FROM accounts WHERE login = ?1",
    [ST_ANY] = "SELECT id, enabled, password FROM accounts WHERE id >= ?1 % (SELECT max(id) + 1 FROM accounts)"
               " ORDER BY id LIMIT 1",
    [ST_OWNS] = "SELECT 1 FROM aliases WHERE account = ?1 AND address = ?2",
    [ST_HAS] = "SELECT 1 FROM accounts WHERE login = ?1 UNION ALL SELECT 1 FROM aliases WHERE address = ?1 LIMIT 1",
    [ST_ALIASES] = "SELECT address FROM aliases WHERE account = ?1 ORDER BY address LIMIT ?2",
    [ST_ALIAS_COUNT] = "SELECT count(*) FROM aliases WHERE account = ?1",
    [ST_LIST] = "SELECT id, login, name, password, enabled, created, changed,"
                " (SELECT count(*) FROM aliases WHERE account = id) FROM accounts ORDER BY login",
    [ST_LIST_ONE] = "SELECT id, login, name, password, enabled, created, changed,"
                    " (SELECT count(*) FROM aliases WHERE account = id) FROM accounts WHERE login = ?1",
    [ST_ADD] = "INSERT INTO accounts (login, password, name, created, changed) VALUES (?1, ?2, ?3, ?4, ?4)",
    [ST_SET_STORED] = "UPDATE accounts SET password = ?2, changed = ?3 WHERE login = ?1",
    [ST_SET_ENABLED] = "UPDATE accounts SET enabled = ?2, changed = ?3 WHERE login = ?1",
    [ST_REMOVE] = "DELETE FROM accounts WHERE login = ?1",
    [ST_ALIAS_ADD] = "INSERT INTO aliases (address, account) VALUES (?2, (SELECT id FROM accounts WHERE login = ?1))",
    /* Of a slice: the last one, how many there were, and whether anybody is without a verifier. */
    [ST_NO_VERIFIER] = "SELECT max(id), count(*), max(enabled AND instr(password, 'SCRAM-SHA-256') = 0) FROM"
                       " (SELECT id, enabled, password FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2)",
    [ST_GENERATION] = "PRAGMA data_version",
    [ST_ALIAS_REMOVE] = "DELETE FROM aliases WHERE address = ?2 AND"
                        " account = (SELECT id FROM accounts WHERE login = ?1)",
};

enum status accounts_fail(struct accounts *accounts, int code, const char *doing)
{
    snprintf(accounts->why, sizeof accounts->why, "%s: %s", doing,
             accounts->db ? sqlite3_errmsg(accounts->db) : sqlite3_errstr(code));
    switch (code & 0xff) {
    case SQLITE_NOMEM: return STATUS_MEMORY;
    case SQLITE_FULL: return STATUS_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return STATUS_TIMEOUT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return STATUS_DAMAGED;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: return STATUS_DENIED;
    default: return STATUS_IO;
    }
}

sqlite3_stmt *accounts_statement(struct accounts *accounts, enum statement which)
{
    sqlite3_stmt **statement = &accounts->statements[which];
    if (*statement) {
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
        return *statement;
    }
    int code = sqlite3_prepare_v3(accounts->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK)
        accounts_fail(accounts, code, "preparing a question");
    return *statement;
}

void accounts_bind(sqlite3_stmt *statement, int at, struct span text)
{
    /* Every caller's text outlives its statement's step. */
    sqlite3_bind_text(statement, at, text.p ? text.p : "", (int)text.n, SQLITE_STATIC);
}

struct span accounts_column(sqlite3_stmt *statement, int at)
{
    const void *p = sqlite3_column_text(statement, at);
    return p ? span_of(p, (size_t)sqlite3_column_bytes(statement, at)) : SPAN_NONE;
}

enum status accounts_open_flags(const char *path, int flags, struct accounts **ret)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);
    *ret = accounts;
    if (!accounts)
        return STATUS_MEMORY;
    int code = sqlite3_open_v2(path, &accounts->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        enum status status = accounts_fail(accounts, code, path);
        return access(path, F_OK) != 0 ? STATUS_NOT_FOUND : status;
    }
    sqlite3_busy_timeout(accounts->db, (flags & SQLITE_OPEN_READONLY) ? 100 : 5000); /* ms */
    /* A stranger's file may hold triggers and views that do things: not for us. */
    sqlite3_db_config(accounts->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(accounts->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_exec(accounts->db, "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON", NULL, NULL, NULL);
    return STATUS_OK;
}

enum status accounts_version(struct accounts *accounts, int *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(accounts->db, "PRAGMA user_version", -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(statement, 0);
        code = SQLITE_OK;
    }
    enum status status = code == SQLITE_OK ? STATUS_OK : accounts_fail(accounts, code, "reading the version");
    sqlite3_finalize(statement);
    return status;
}

enum status accounts_open(const char *path, struct accounts **ret)
{
    enum status status = accounts_open_flags(path, SQLITE_OPEN_READONLY, ret);
    int version = 0;
    if (status == STATUS_OK)
        status = accounts_version(*ret, &version);
    if (status == STATUS_OK && version != ACCOUNTS_VERSION) {
        snprintf((*ret)->why, sizeof (*ret)->why, "%s has tables of version %d, this goniec reads version %d", path,
                 version, ACCOUNTS_VERSION);
        status = version > ACCOUNTS_VERSION ? STATUS_EXISTS : STATUS_NOT_FOUND;
    }
    return status;
}

void accounts_close(struct accounts *accounts)
{
    if (!accounts)
        return;
    for (size_t i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(accounts->statements[i]);
    sqlite3_close(accounts->db);
    free(accounts);
}

const char *accounts_why(const struct accounts *accounts)
{
    return accounts ? accounts->why : "out of memory";
}

enum status accounts_login_key(struct span login, struct buf *ret)
{
    if (login.n > ACCOUNTS_LOGIN_MAX)
        return STATUS_TOO_LONG;
    if (!login.n || !span_is_utf8(login))
        return STATUS_SYNTAX;
    for (size_t i = 0; i < login.n; i++)
        if ((unsigned char)login.p[i] <= ' ' || login.p[i] == 0x7f)
            return STATUS_SYNTAX;
    struct policy_keys keys;
    if (policy_keys_make(login, &keys) == STATUS_OK)
        return buf_add(ret, keys.exact);
    for (size_t i = 0; i < login.n; i++) /* a name without a domain */
        buf_add_char(ret, ascii_lower(login.p[i]));
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}

/* Runs inside this turn's reading transaction: one lock for all questions of a turn. */
static sqlite3_stmt *ask(struct accounts *accounts, enum statement which)
{
    if (!accounts->in_turn && !accounts->is_changing) {
        sqlite3_stmt *begin = accounts_statement(accounts, ST_BEGIN);
        accounts->in_turn = begin && sqlite3_step(begin) == SQLITE_DONE;
    }
    return accounts_statement(accounts, which);
}

void accounts_turn_end(struct accounts *accounts)
{
    if (!accounts || !accounts->in_turn)
        return;
    for (size_t i = 0; i < ST_COUNT; i++) /* one that is not reset would keep the old view */
        if (accounts->statements[i])
            sqlite3_reset(accounts->statements[i]);
    sqlite3_stmt *commit = accounts_statement(accounts, ST_COMMIT);
    if (commit)
        sqlite3_step(commit);
    accounts->in_turn = false;
}

/* OK: there is a row. NOT_FOUND: none. */
static enum status step_row(struct accounts *accounts, sqlite3_stmt *statement)
{
    if (!statement)
        return STATUS_IO;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return STATUS_OK;
    return code == SQLITE_DONE ? STATUS_NOT_FOUND : accounts_fail(accounts, code, "asking the accounts");
}

static enum status take_account(struct accounts *accounts, sqlite3_stmt *statement, struct account *ret)
{
    enum status status = step_row(accounts, statement);
    if (status != STATUS_OK)
        return status;
    struct span stored = span_head(accounts_column(statement, 2), sizeof ret->room);
    ret->row = sqlite3_column_int64(statement, 0);
    ret->enabled = sqlite3_column_int(statement, 1) != 0;
    if (stored.n)
        memcpy(ret->room, stored.p, stored.n);
    ret->stored = span_of(ret->room, stored.n);
    sqlite3_reset(statement);
    return STATUS_OK;
}

enum status accounts_find(struct accounts *accounts, struct span login, struct account *ret)
{
    sqlite3_stmt *statement = ask(accounts, ST_FIND);
    if (statement)
        accounts_bind(statement, 1, login);
    return take_account(accounts, statement, ret);
}

enum status accounts_any_stored(struct accounts *accounts, uint64_t pick, struct account *ret)
{
    sqlite3_stmt *statement = ask(accounts, ST_ANY);
    if (statement)
        sqlite3_bind_int64(statement, 1, (int64_t)(pick >> 1));
    return take_account(accounts, statement, ret);
}

enum status accounts_owns(struct accounts *accounts, int64_t row, struct span key)
{
    sqlite3_stmt *statement = ask(accounts, ST_OWNS);
    if (statement) {
        sqlite3_bind_int64(statement, 1, row);
        accounts_bind(statement, 2, key);
    }
    enum status status = step_row(accounts, statement);
    sqlite3_reset(statement);
    return status;
}

enum status accounts_has_address(struct accounts *accounts, struct span key)
{
    sqlite3_stmt *statement = ask(accounts, ST_HAS);
    if (statement)
        accounts_bind(statement, 1, key);
    enum status status = step_row(accounts, statement);
    sqlite3_reset(statement);
    return status;
}

enum status accounts_aliases(struct accounts *accounts, int64_t row, size_t most, accounts_each_alias *each, void *arg,
                             size_t *ret_total)
{
    sqlite3_stmt *statement = ask(accounts, ST_ALIASES);
    enum status status = STATUS_IO;
    if (statement) {
        sqlite3_bind_int64(statement, 1, row);
        sqlite3_bind_int64(statement, 2, (int64_t)MIN(most, (size_t)INT32_MAX));
        while ((status = step_row(accounts, statement)) == STATUS_OK)
            each(arg, accounts_column(statement, 0));
        sqlite3_reset(statement);
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    sqlite3_stmt *count = ask(accounts, ST_ALIAS_COUNT);
    if (count)
        sqlite3_bind_int64(count, 1, row);
    status = step_row(accounts, count);
    if (status == STATUS_OK)
        *ret_total = (size_t)sqlite3_column_int64(count, 0);
    sqlite3_reset(count);
    return status;
}

static struct accounts_row row_read(sqlite3_stmt *statement)
{
    return (struct accounts_row){
        .row = sqlite3_column_int64(statement, 0),
        .login = accounts_column(statement, 1),
        .name = accounts_column(statement, 2),
        .stored = accounts_column(statement, 3),
        .enabled = sqlite3_column_int(statement, 4) != 0,
        .created_ms = sqlite3_column_int64(statement, 5),
        .changed_ms = sqlite3_column_int64(statement, 6),
        .aliases = (size_t)sqlite3_column_int64(statement, 7),
    };
}

enum status accounts_list(struct accounts *accounts, struct span login, accounts_each *each, void *arg)
{
    sqlite3_stmt *statement = ask(accounts, login.n ? ST_LIST_ONE : ST_LIST);
    if (statement && login.n)
        accounts_bind(statement, 1, login);
    size_t found = 0;
    enum status status;
    while ((status = step_row(accounts, statement)) == STATUS_OK) {
        struct accounts_row row = row_read(statement);
        each(arg, &row);
        found++;
    }
    sqlite3_reset(statement);
    if (status != STATUS_NOT_FOUND)
        return status;
    return login.n && !found ? STATUS_NOT_FOUND : STATUS_OK;
}
