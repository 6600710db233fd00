#include "directory/accounts_priv.h"
#include "directory/credential.h"
#include "policy/address.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
    accounts->cost.statements++;
    if (*statement) {
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
        return *statement;
    }
    int code = sqlite3_prepare_v3(accounts->db, accounts_texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
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

/* The tables are of an older version: once, by whoever opens them first. */
static enum status bring_up_to_date(const char *path, struct accounts **ret)
{
    accounts_close(*ret);
    enum status status = accounts_open_flags(path, SQLITE_OPEN_READWRITE, ret);
    if (status == STATUS_OK)
        status = accounts_migrate(*ret);
    if (status != STATUS_OK)
        return status;
    accounts_close(*ret);
    return accounts_open_flags(path, SQLITE_OPEN_READONLY, ret);
}

enum status accounts_open(const char *path, struct accounts **ret)
{
    enum status status = accounts_open_flags(path, SQLITE_OPEN_READONLY, ret);
    int version = 0;
    if (status == STATUS_OK)
        status = accounts_version(*ret, &version);
    if (status == STATUS_OK && version > 0 && version < ACCOUNTS_VERSION)
        status = bring_up_to_date(path, ret);
    else if (status == STATUS_OK && version != ACCOUNTS_VERSION) {
        snprintf((*ret)->why, sizeof (*ret)->why, "%s has tables of version %d, this goniec reads version %d%s", path,
                 version, ACCOUNTS_VERSION, version ? "; it was written by a newer one" : "");
        status = version ? STATUS_EXISTS : STATUS_NOT_FOUND;
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

sqlite3_stmt *accounts_ask(struct accounts *accounts, enum statement which)
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

struct accounts_cost accounts_cost(const struct accounts *accounts) { return accounts->cost; }

void accounts_set_who(struct accounts *accounts, struct span who)
{
    who = span_head(who, sizeof accounts->who - 1);
    if (who.n)
        memcpy(accounts->who, who.p, who.n);
    accounts->who[who.n] = 0;
}

enum status accounts_step(struct accounts *accounts, sqlite3_stmt *statement)
{
    if (!statement)
        return STATUS_IO;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return STATUS_OK;
    return code == SQLITE_DONE ? STATUS_NOT_FOUND : accounts_fail(accounts, code, "asking the accounts");
}

struct span accounts_keep(sqlite3_stmt *statement, int at, char *room, size_t size, size_t most, size_t *used)
{
    struct span text = span_head(accounts_column(statement, at), MIN(most, size - *used));
    char *place = room + *used;
    if (text.n)
        memcpy(place, text.p, text.n);
    *used += text.n;
    return span_of(place, text.n);
}

/* "customer acme"; the server has no name that anybody knows. */
static struct span keep_who(sqlite3_stmt *statement, const char *kind, int name_at, struct account *ret, size_t *used)
{
    char *start = ret->room + *used;
    size_t n = strlen(kind);
    memcpy(start, kind, n);
    *used += n;
    if (strcmp(kind, TREE_SERVER_NAME) != 0) {
        ret->room[(*used)++] = ' ';
        accounts_keep(statement, name_at, ret->room, sizeof ret->room, TREE_NAME_MAX, used);
    }
    return span_of(start, (size_t)(ret->room + *used - start));
}

/* The columns of one node above: id, kind, suspended, name, reason. */
enum { ABOVE_AT = 4, ABOVE_COLUMNS = 5, CREDENTIAL_AT = ABOVE_AT + 3 * ABOVE_COLUMNS };

/* The highest suspended node is what has to be mended first. */
static void take_suspension(sqlite3_stmt *statement, struct account *ret, size_t *used)
{
    for (int i = 2; i >= 0 && !ret->suspended; i--) {
        int at = ABOVE_AT + i * ABOVE_COLUMNS;
        if (sqlite3_column_int64(statement, at + 2) == 0)
            continue;
        enum tree_kind kind = TREE_SERVER;
        if (!tree_kind_find(accounts_column(statement, at + 1), &kind))
            kind = TREE_SERVER;
        ret->suspended = true;
        ret->who = keep_who(statement, tree_kind_text(kind), at + 3, ret, used);
        ret->reason = accounts_keep(statement, at + 4, ret->room, sizeof ret->room, TREE_TEXT_MAX, used);
    }
    if (!ret->suspended && sqlite3_column_int64(statement, 1) != 0) {
        ret->suspended = true;
        ret->who = accounts_keep(statement, 2, ret->room, sizeof ret->room, TREE_NAME_MAX, used);
        ret->reason = accounts_keep(statement, 3, ret->room, sizeof ret->room, TREE_TEXT_MAX, used);
    }
}

static void take_account(sqlite3_stmt *statement, struct account *ret)
{
    size_t used = 0;
    ret->row = sqlite3_column_int64(statement, 0);
    ret->suspended = false;
    ret->who = ret->reason = SPAN_NONE;
    bool has_domain = span_eq(accounts_column(statement, ABOVE_AT + 1), SPAN("domain"));
    ret->domain = has_domain ? sqlite3_column_int64(statement, ABOVE_AT) : 0;
    ret->customer = sqlite3_column_int64(statement, has_domain ? ABOVE_AT + ABOVE_COLUMNS : ABOVE_AT);
    take_suspension(statement, ret, &used);
    ret->has_credential = sqlite3_column_type(statement, CREDENTIAL_AT) != SQLITE_NULL;
    ret->expires_ms = sqlite3_column_int64(statement, CREDENTIAL_AT + 1);
    ret->credential = accounts_keep(statement, CREDENTIAL_AT + 2, ret->room, sizeof ret->room, CREDENTIAL_NAME_MAX, &used);
    ret->networks = accounts_keep(statement, CREDENTIAL_AT + 3, ret->room, sizeof ret->room, CREDENTIAL_TEXT_MAX, &used);
    ret->senders = accounts_keep(statement, CREDENTIAL_AT + 4, ret->room, sizeof ret->room, CREDENTIAL_TEXT_MAX, &used);
    sqlite3_reset(statement);
}

_Static_assert(ACCOUNTS_ROOM >= 16 + TREE_NAME_MAX + TREE_TEXT_MAX + CREDENTIAL_NAME_MAX + 2 * CREDENTIAL_TEXT_MAX,
               "a restriction of a credential that is cut off is another one");

enum status accounts_find(struct accounts *accounts, struct span login, int64_t credential, struct account *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_FIND);
    if (statement) {
        accounts_bind(statement, 1, login);
        sqlite3_bind_int64(statement, 2, credential);
    }
    enum status status = accounts_step(accounts, statement);
    if (status == STATUS_OK)
        take_account(statement, ret);
    return status;
}

enum status accounts_secrets(struct accounts *accounts, struct span login, struct span password, size_t most,
                             struct buf *room, struct account_secret *ret, size_t *ret_n)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_SECRETS);
    size_t at[CREDENTIALS_TRIED_MAX], n = 0;
    most = MIN(most, (size_t)CREDENTIALS_TRIED_MAX);
    if (statement) {
        accounts_bind(statement, 1, login);
        accounts_bind(statement, 2, credential_handle_of(password));
    }
    enum status status = STATUS_OK;
    while (n < most && (status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct span stored = span_head(accounts_column(statement, 2), SECRET_STORED_MAX);
        at[n] = room->n;
        ret[n] = (struct account_secret){ sqlite3_column_int64(statement, 0), stored };
        if (buf_add(room, stored) != STATUS_OK)
            break;
        n++;
    }
    sqlite3_reset(statement);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    for (size_t i = 0; i < n; i++) /* the room may have moved while it grew */
        ret[i].stored = span_of(room->p + at[i], ret[i].stored.n);
    *ret_n = n;
    return room->failed ? STATUS_MEMORY : STATUS_OK;
}

enum status accounts_password(struct accounts *accounts, struct span login, int64_t *ret_credential, struct buf *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_PASSWORD);
    if (statement)
        accounts_bind(statement, 1, login);
    enum status status = accounts_step(accounts, statement);
    if (status == STATUS_OK) {
        *ret_credential = sqlite3_column_int64(statement, 0);
        status = buf_add(ret, span_head(accounts_column(statement, 1), SECRET_STORED_MAX));
    }
    sqlite3_reset(statement);
    return status;
}

enum status accounts_any_stored(struct accounts *accounts, uint64_t pick, struct buf *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_ANY);
    if (statement)
        sqlite3_bind_int64(statement, 1, (int64_t)(pick >> 1));
    enum status status = accounts_step(accounts, statement);
    if (status == STATUS_OK)
        status = buf_add(ret, span_head(accounts_column(statement, 0), SECRET_STORED_MAX));
    sqlite3_reset(statement);
    return status;
}

enum status accounts_owns(struct accounts *accounts, int64_t row, struct span key)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_OWNS);
    if (statement) {
        sqlite3_bind_int64(statement, 1, row);
        accounts_bind(statement, 2, key);
    }
    enum status status = accounts_step(accounts, statement);
    sqlite3_reset(statement);
    return status;
}

enum status accounts_has_address(struct accounts *accounts, struct span key)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_HAS);
    if (statement)
        accounts_bind(statement, 1, key);
    enum status status = accounts_step(accounts, statement);
    sqlite3_reset(statement);
    return status;
}

enum status accounts_aliases(struct accounts *accounts, int64_t row, size_t most, accounts_each_alias *each, void *arg,
                             size_t *ret_total)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_ALIASES);
    enum status status = STATUS_IO;
    if (statement) {
        sqlite3_bind_int64(statement, 1, row);
        sqlite3_bind_int64(statement, 2, (int64_t)MIN(most, (size_t)INT32_MAX));
        while ((status = accounts_step(accounts, statement)) == STATUS_OK)
            each(arg, accounts_column(statement, 0));
        sqlite3_reset(statement);
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    sqlite3_stmt *count = accounts_ask(accounts, ST_ALIAS_COUNT);
    if (count)
        sqlite3_bind_int64(count, 1, row);
    status = accounts_step(accounts, count);
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
        .domain = accounts_column(statement, 4),
        .customer = accounts_column(statement, 5),
        .suspended = sqlite3_column_int64(statement, 6) != 0,
        .reason = accounts_column(statement, 7),
        .created_ms = sqlite3_column_int64(statement, 8),
        .changed_ms = sqlite3_column_int64(statement, 9),
        .aliases = (size_t)sqlite3_column_int64(statement, 10),
        .credentials = (size_t)sqlite3_column_int64(statement, 11),
    };
}

enum status accounts_list(struct accounts *accounts, struct span login, accounts_each *each, void *arg)
{
    sqlite3_stmt *statement = accounts_ask(accounts, login.n ? ST_LIST_ONE : ST_LIST);
    if (statement && login.n)
        accounts_bind(statement, 1, login);
    size_t found = 0;
    enum status status;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct accounts_row row = row_read(statement);
        each(arg, &row);
        found++;
    }
    sqlite3_reset(statement);
    if (status != STATUS_NOT_FOUND)
        return status;
    return login.n && !found ? STATUS_NOT_FOUND : STATUS_OK;
}

enum status accounts_copy(struct accounts *accounts, const char *path)
{
    sqlite3_stmt *statement = NULL;
    accounts_turn_end(accounts);
    int code = sqlite3_prepare_v2(accounts->db, "VACUUM INTO ?1", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? STATUS_OK : accounts_fail(accounts, code, "copying the accounts");
}
