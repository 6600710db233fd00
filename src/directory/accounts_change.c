#include "directory/accounts_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each step takes the tables from version i to i + 1. Steps are only ever added. */
static const char *const steps[ACCOUNTS_VERSION] = {
    "CREATE TABLE accounts ("
    "  id INTEGER PRIMARY KEY,"
    "  login TEXT NOT NULL UNIQUE,"          /* the key of policy/address.h: small letters */
    "  password TEXT NOT NULL,"              /* stored form: secret.h */
    "  name TEXT NOT NULL DEFAULT '',"       /* for people */
    "  enabled INTEGER NOT NULL DEFAULT 1,"  /* 0: may not log in */
    "  created INTEGER NOT NULL DEFAULT 0,"  /* milliseconds since 1970 UTC */
    "  changed INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE aliases ("
    "  address TEXT NOT NULL,"               /* a key, or *@domain */
    "  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,"
    "  PRIMARY KEY (address, account)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX aliases_of ON aliases (account, address);",
};

static enum status run(struct accounts *accounts, const char *text, const char *doing)
{
    int code = sqlite3_exec(accounts->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : accounts_fail(accounts, code, doing);
}

static enum status apply_steps(struct accounts *accounts)
{
    int version = 0;
    enum status status = accounts_version(accounts, &version);
    if (status == STATUS_OK && version > ACCOUNTS_VERSION) {
        snprintf(accounts->why, sizeof accounts->why, "made by a newer goniec (tables of version %d)", version);
        return STATUS_EXISTS;
    }
    for (int at = version; status == STATUS_OK && at < ACCOUNTS_VERSION; at++)
        status = run(accounts, steps[at], "making the tables");
    if (status != STATUS_OK || version == ACCOUNTS_VERSION)
        return status;
    char text[96];
    snprintf(text, sizeof text, "PRAGMA user_version = %d; PRAGMA application_id = %d", ACCOUNTS_VERSION,
             ACCOUNTS_APPLICATION);
    return run(accounts, text, "writing the version");
}

enum status accounts_migrate(struct accounts *accounts)
{
    enum status status = run(accounts, "BEGIN IMMEDIATE", "locking the database");
    if (status != STATUS_OK)
        return status;
    status = apply_steps(accounts);
    if (status == STATUS_OK)
        return run(accounts, "COMMIT", "writing the tables");
    sqlite3_exec(accounts->db, "ROLLBACK", NULL, NULL, NULL); /* keeps the words of the first failure */
    return status;
}

/* An empty file of the right owner first, so that there is no moment in which others could read it. */
static enum status make_file(const char *path, int owner, int group)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return errno == EEXIST ? STATUS_OK : STATUS_IO;
    bool is_ours = (owner < 0 && group < 0) || fchown(fd, (uid_t)owner, (gid_t)group) == 0;
    is_ours = is_ours && fchmod(fd, 0640) == 0; /* whatever the umask */
    close(fd);
    if (!is_ours)
        unlink(path);
    return is_ours ? STATUS_OK : STATUS_IO;
}

enum status accounts_open_to_change(const char *path, int owner, int group, struct accounts **ret)
{
    if (make_file(path, owner, group) != STATUS_OK) {
        int number = errno;
        /* An object that only knows why. */
        enum status status = accounts_open_flags(":memory:", SQLITE_OPEN_READONLY, ret);
        if (*ret)
            snprintf((*ret)->why, sizeof (*ret)->why, "%s: %s", path, strerror(number));
        return *ret ? (number == EACCES || number == EPERM ? STATUS_DENIED : STATUS_IO) : status;
    }
    enum status status = accounts_open_flags(path, SQLITE_OPEN_READWRITE, ret);
    if (status == STATUS_OK)
        status = run(*ret, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", "opening for changes");
    if (status == STATUS_OK)
        status = accounts_migrate(*ret);
    if (*ret)
        (*ret)->is_changing = true;
    return status;
}

/* Runs a change of one statement. NOT_FOUND: it touched no row; EXISTS: it would have made a twin. */
static enum status change(struct accounts *accounts, sqlite3_stmt *statement)
{
    if (!statement)
        return STATUS_IO;
    int code = sqlite3_step(statement);
    enum status status = STATUS_OK;
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        status = STATUS_EXISTS;
    else if (code == SQLITE_CONSTRAINT_NOTNULL)
        status = STATUS_NOT_FOUND; /* ST_ALIAS_ADD: the account in the middle does not exist */
    else if (code != SQLITE_DONE)
        status = accounts_fail(accounts, code, "changing the accounts");
    else if (sqlite3_changes(accounts->db) == 0)
        status = STATUS_NOT_FOUND;
    sqlite3_reset(statement);
    return status;
}

enum status accounts_add(struct accounts *accounts, struct span login, struct span stored, struct span name,
                         int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_ADD);
    if (statement) {
        accounts_bind(statement, 1, login);
        accounts_bind(statement, 2, stored);
        accounts_bind(statement, 3, name);
        sqlite3_bind_int64(statement, 4, now_ms);
    }
    return change(accounts, statement);
}

enum status accounts_set_stored(struct accounts *accounts, struct span login, struct span stored, int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_SET_STORED);
    if (statement) {
        accounts_bind(statement, 1, login);
        accounts_bind(statement, 2, stored);
        sqlite3_bind_int64(statement, 3, now_ms);
    }
    return change(accounts, statement);
}

enum status accounts_set_enabled(struct accounts *accounts, struct span login, bool enabled, int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_SET_ENABLED);
    if (statement) {
        accounts_bind(statement, 1, login);
        sqlite3_bind_int(statement, 2, enabled);
        sqlite3_bind_int64(statement, 3, now_ms);
    }
    return change(accounts, statement);
}

enum status accounts_remove(struct accounts *accounts, struct span login)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_REMOVE);
    if (statement)
        accounts_bind(statement, 1, login);
    return change(accounts, statement);
}

static enum status change_alias(struct accounts *accounts, enum statement which, struct span login, struct span alias)
{
    sqlite3_stmt *statement = accounts_statement(accounts, which);
    if (statement) {
        accounts_bind(statement, 1, login);
        accounts_bind(statement, 2, alias);
    }
    return change(accounts, statement);
}

enum status accounts_alias_add(struct accounts *accounts, struct span login, struct span alias)
{
    return change_alias(accounts, ST_ALIAS_ADD, login, alias);
}

enum status accounts_alias_remove(struct accounts *accounts, struct span login, struct span alias)
{
    return change_alias(accounts, ST_ALIAS_REMOVE, login, alias);
}
