#include "directory/rows.h"
#include "directory/accounts_priv.h"
#include <stdio.h>
#include <stdlib.h>

#define SQL_MAX 8192
static const char *const tables[] = { "nodes", "credentials", "settings", "aliases" };

static enum status run(struct accounts *accounts, const char *text, const char *doing)
{
    int code = sqlite3_exec(accounts->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : accounts_fail(accounts, code, doing);
}

static bool is_table(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (strcmp(tables[i], name) == 0)
            return true;
    return false;
}

/* Adds a piece of SQL made of the table's columns: `format` has the column where %1 stands and its number in the key at %2. */
static void add_piece(struct buf *sql, const char *format, const char *column, int number)
{
    for (const char *p = format; *p; p++)
        if (*p == '@')
            buf_add_str(sql, column);
        else if (*p == '#')
            buf_printf(sql, "%d", number);
        else
            buf_add_char(sql, *p);
}

/* For each column (`key`: of the primary key alone), with `between` between them. How many there were. */
static int add_columns(struct accounts *accounts, const char *table, bool key, const char *format, const char *between, struct buf *sql)
{
    sqlite3_stmt *columns = NULL;
    int n = 0;
    const char *text = key ? "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk"
                           : "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
    if (sqlite3_prepare_v2(accounts->db, text, -1, &columns, NULL) != SQLITE_OK)
        return 0;
    sqlite3_bind_text(columns, 1, table, -1, SQLITE_STATIC);
    while (sqlite3_step(columns) == SQLITE_ROW) {
        buf_add_str(sql, n ? between : "");
        add_piece(sql, format, (const char *)sqlite3_column_text(columns, 0), n++);
    }
    sqlite3_finalize(columns);
    return n;
}

static enum status watch(struct accounts *accounts, const char *table)
{
    static const struct { const char *event, *row; } events[] = { { "INSERT", "NEW" }, { "UPDATE", "OLD" }, { "UPDATE", "NEW" }, { "DELETE", "OLD" } };
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        AUTO(buf_done) struct buf sql = BUF_EMPTY(SQL_MAX);
        buf_printf(&sql, "CREATE TEMP TRIGGER touched_%s_%zu AFTER %s ON main.%s BEGIN INSERT OR IGNORE INTO touched VALUES ('%s', json_array(", table, i,
                   events[i].event, table, table);
        AUTO(buf_done) struct buf format = BUF_EMPTY(32);
        buf_printf(&format, "%s.@", events[i].row);
        add_columns(accounts, table, true, buf_cstr(&format), ", ", &sql);
        buf_add_str(&sql, ")); END");
        enum status status = run(accounts, buf_cstr(&sql), "watching for changes");
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status accounts_hold(struct accounts *accounts)
{
    bool own;
    enum status status = run(accounts, "CREATE TEMP TABLE touched (name TEXT, key TEXT, PRIMARY KEY (name, key))", "watching for changes");
    for (size_t i = 0; i < ARRAY_LEN(tables) && status == STATUS_OK; i++)
        status = watch(accounts, tables[i]);
    if (status == STATUS_OK)
        status = accounts_change_begin(accounts, &own);
    accounts->is_held = status == STATUS_OK;
    accounts->hold_failed = false;
    return status;
}

bool accounts_hold_is_good(const struct accounts *accounts) { return accounts->is_held && !accounts->hold_failed; }

enum status accounts_release(struct accounts *accounts, bool good)
{
    good = good && accounts_hold_is_good(accounts);
    accounts->is_held = false;
    enum status status = accounts->in_change ? accounts_change_end(accounts, true, good ? STATUS_OK : STATUS_DENIED) : STATUS_DENIED;
    return status;
}

/* Keys of the table, with the row, which is NULL where it is gone. */
static void changed_sql(struct accounts *accounts, const char *table, bool all, struct buf *sql)
{
    buf_add_str(sql, all ? "SELECT json_array(" : "SELECT c.key, CASE WHEN t.");
    if (all) {
        add_columns(accounts, table, true, "t.@", ", ", sql);
        buf_add_str(sql, "), json_object(");
    } else {
        add_columns(accounts, table, true, "@", " IS NULL THEN NULL WHEN t.", sql);
        buf_add_str(sql, " IS NULL THEN NULL ELSE json_object(");
    }
    add_columns(accounts, table, false, "'@', t.@", ", ", sql);
    buf_printf(sql, all ? ") FROM %s t" : ") END FROM touched c LEFT JOIN %s t ON ", table);
    if (!all) {
        add_columns(accounts, table, true, "t.@ = json_extract(c.key, '$[#]')", " AND ", sql);
        buf_printf(sql, " WHERE c.name = '%s'", table);
    }
}

static enum status changed_of(struct accounts *accounts, const char *table, bool all, accounts_each_changed *each, void *arg)
{
    AUTO(buf_done) struct buf sql = BUF_EMPTY(SQL_MAX);
    sqlite3_stmt *rows = NULL;
    changed_sql(accounts, table, all, &sql);
    int code = sqlite3_prepare_v2(accounts->db, buf_cstr(&sql), -1, &rows, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW)
        code = each(arg, table, (const char *)sqlite3_column_text(rows, 0), (const char *)sqlite3_column_text(rows, 1)) ? SQLITE_OK : SQLITE_ABORT;
    enum status status = code == SQLITE_DONE ? STATUS_OK : accounts_fail(accounts, code, "reading what was changed");
    sqlite3_finalize(rows);
    return status;
}

enum status accounts_rows_changed(struct accounts *accounts, bool all, accounts_each_changed *each, void *arg)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(tables) && status == STATUS_OK; i++)
        status = changed_of(accounts, tables[i], all, each, arg);
    return status;
}

/* -- whose they are -- */

static enum status make_state(struct accounts *accounts)
{
    return run(accounts, "CREATE TABLE IF NOT EXISTS mirrored (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, revision INTEGER NOT NULL) STRICT",
               "making the mirror's table");
}

enum status accounts_rows_state(struct accounts *accounts, struct buf *id, int64_t *ret_revision)
{
    sqlite3_stmt *state = NULL;
    enum status status = make_state(accounts);
    *ret_revision = 0;
    if (status != STATUS_OK)
        return status;
    int code = sqlite3_prepare_v2(accounts->db, "SELECT id, revision FROM mirrored", -1, &state, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(state)) == SQLITE_ROW) {
        buf_add(id, accounts_column(state, 0));
        *ret_revision = sqlite3_column_int64(state, 1);
        code = SQLITE_DONE;
    }
    sqlite3_finalize(state);
    return code == SQLITE_DONE ? STATUS_OK : accounts_fail(accounts, code, "reading the mirror's state");
}

/* Runs a statement whose values are texts. */
static enum status run_with(struct accounts *accounts, const char *sql, const char *first, const char *second, const char *doing)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(accounts->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
        if (second)
            sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? STATUS_OK : accounts_fail(accounts, code, doing);
}

enum status accounts_rows_set_state(struct accounts *accounts, const char *id, int64_t revision)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)revision);
    enum status status = make_state(accounts);
    return status != STATUS_OK ? status : run_with(accounts, "INSERT OR REPLACE INTO mirrored VALUES (1, ?1, CAST(?2 AS INTEGER))", id, text, "writing the mirror's state");
}

/* -- rows of others -- */

/* Without the cascades: what they would remove has rows of its own. */
enum status accounts_rows_begin(struct accounts *accounts, bool anew)
{
    enum status status = run(accounts, "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE", "locking the database");
    for (size_t i = 0; anew && i < ARRAY_LEN(tables) && status == STATUS_OK; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "DELETE FROM %s", tables[i]);
        status = run(accounts, sql, "emptying the mirror");
    }
    return status;
}

static enum status remove_row(struct accounts *accounts, const char *table, const char *key)
{
    AUTO(buf_done) struct buf sql = BUF_EMPTY(SQL_MAX);
    buf_printf(&sql, "DELETE FROM %s WHERE ", table);
    add_columns(accounts, table, true, "@ = json_extract(?1, '$[#]')", " AND ", &sql);
    enum status status = run_with(accounts, buf_cstr(&sql), key, NULL, "removing a row");
    if (status == STATUS_OK) /* no number is given twice, on no machine */
        status = run_with(accounts, "UPDATE sqlite_sequence SET seq = max(seq, CAST(json_extract(?1, '$[0]') AS INTEGER)) WHERE name = ?2", key, table,
                          "keeping a number");
    return status;
}

enum status accounts_rows_put(struct accounts *accounts, const char *table, const char *key, const char *row)
{
    AUTO(buf_done) struct buf sql = BUF_EMPTY(SQL_MAX);
    if (!is_table(table))
        return STATUS_OK; /* of a newer goniec */
    if (!row)
        return remove_row(accounts, table, key);
    buf_printf(&sql, "INSERT INTO %s (", table);
    add_columns(accounts, table, false, "@", ", ", &sql);
    buf_add_str(&sql, ") VALUES (");
    add_columns(accounts, table, false, "json_extract(?1, '$.@')", ", ", &sql);
    buf_add_str(&sql, ") ON CONFLICT (");
    add_columns(accounts, table, true, "@", ", ", &sql);
    buf_add_str(&sql, ") DO UPDATE SET ");
    add_columns(accounts, table, false, "@ = excluded.@", ", ", &sql);
    return run_with(accounts, buf_cstr(&sql), row, NULL, "writing a row");
}

enum status accounts_rows_end(struct accounts *accounts, bool good, const char *id, int64_t revision)
{
    enum status status = good ? accounts_rows_set_state(accounts, id, revision) : STATUS_DENIED;
    if (status == STATUS_OK)
        status = run(accounts, "COMMIT", "writing the rows");
    if (status != STATUS_OK)
        sqlite3_exec(accounts->db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_exec(accounts->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    return status;
}
