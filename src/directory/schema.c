/* The tables, how each version became the next, and who may open which. */
#include "directory/accounts_priv.h"
#include "policy/address.h"
#include <stdio.h>

/* Each step takes the tables from version i to i + 1. Steps are only ever added. */
static const char *const steps[ACCOUNTS_VERSION] = {
    "CREATE TABLE accounts ("
    "  id INTEGER PRIMARY KEY,"
    "  login TEXT NOT NULL UNIQUE,"
    "  password TEXT NOT NULL,"
    "  name TEXT NOT NULL DEFAULT '',"
    "  enabled INTEGER NOT NULL DEFAULT 1,"
    "  created INTEGER NOT NULL DEFAULT 0,"
    "  changed INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE aliases ("
    "  address TEXT NOT NULL,"
    "  account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,"
    "  PRIMARY KEY (address, account)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX aliases_of ON aliases (account, address);",

    /* Accounts become senders below their domain and the customer "default". No id is given twice (AUTOINCREMENT): what is
     * counted on one, or a session that was opened by one, must not find another under its number. */
    "CREATE TABLE nodes ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  parent INTEGER REFERENCES nodes (id) ON DELETE CASCADE,"
    "  kind TEXT NOT NULL CHECK (kind IN ('server', 'customer', 'domain', 'sender')),"
    "  name TEXT NOT NULL,"                   /* a sender's: the key of policy/address.h: small letters */
    "  title TEXT NOT NULL DEFAULT '',"       /* for people */
    "  suspended INTEGER NOT NULL DEFAULT 0," /* since when; 0: it is not. Times: milliseconds since 1970 UTC */
    "  reason TEXT NOT NULL DEFAULT '',"
    "  created INTEGER NOT NULL DEFAULT 0,"
    "  changed INTEGER NOT NULL DEFAULT 0,"
    "  UNIQUE (kind, name)"
    ") STRICT;"
    "CREATE INDEX nodes_below ON nodes (parent, kind, name);"
    "CREATE TABLE credentials ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  sender INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  handle TEXT NOT NULL DEFAULT '',"
    "  stored TEXT NOT NULL DEFAULT '',"      /* stored form: secret.h */
    "  expires INTEGER NOT NULL DEFAULT 0,"
    "  networks TEXT NOT NULL DEFAULT '',"
    "  senders TEXT NOT NULL DEFAULT '',"
    "  limits TEXT NOT NULL DEFAULT '',"
    "  created INTEGER NOT NULL DEFAULT 0,"
    "  changed INTEGER NOT NULL DEFAULT 0,"
    "  UNIQUE (sender, name)"
    ") STRICT;"
    "CREATE TABLE settings ("
    "  node INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  place INTEGER NOT NULL,"               /* in its list: 0, 1, ... */
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY (node, name, place)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE audit ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  at INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  action TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  detail TEXT NOT NULL DEFAULT ''"
    ") STRICT;"
    "CREATE INDEX audit_of ON audit (name, id);"
    "INSERT INTO nodes (id, parent, kind, name) VALUES (1, NULL, 'server', 'server'), (2, 1, 'customer', 'default');"
    "INSERT INTO nodes (parent, kind, name) SELECT DISTINCT 2, 'domain', domain_of(login) FROM accounts"
    "  WHERE domain_of(login) <> '';"
    "INSERT INTO nodes (parent, kind, name, title, suspended, reason, created, changed)"
    "  SELECT coalesce(d.id, 2), 'sender', a.login, a.name, iif(a.enabled, 0, max(a.changed, 1)),"
    "  iif(a.enabled, '', 'disabled'), a.created, a.changed"
    "  FROM accounts a LEFT JOIN nodes d ON d.kind = 'domain' AND d.name = domain_of(a.login) ORDER BY a.id;"
    "INSERT INTO credentials (sender, name, stored, created, changed)"
    "  SELECT s.id, 'password', a.password, a.created, a.changed"
    "  FROM accounts a JOIN nodes s ON s.kind = 'sender' AND s.name = a.login ORDER BY a.id;"
    "ALTER TABLE aliases RENAME TO old_aliases;"
    "CREATE TABLE aliases ("
    "  address TEXT NOT NULL,"                /* a key, or *@domain */
    "  sender INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,"
    "  PRIMARY KEY (address, sender)"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO aliases (address, sender) SELECT o.address, s.id FROM old_aliases o"
    "  JOIN accounts a ON a.id = o.account JOIN nodes s ON s.kind = 'sender' AND s.name = a.login;"
    "DROP TABLE old_aliases;"
    "DROP TABLE accounts;"
    "CREATE UNIQUE INDEX aliases_of ON aliases (sender, address);",
};

/* domain_of('anna@example.org'): for the steps, which cannot parse an address. */
static void domain_of(sqlite3_context *context, int count UNUSED, sqlite3_value **values)
{
    const void *text = sqlite3_value_text(values[0]);
    struct policy_keys keys;
    if (text && policy_keys_make(span_of(text, (size_t)sqlite3_value_bytes(values[0])), &keys) == STATUS_OK)
        sqlite3_result_text(context, keys.domain.p, (int)keys.domain.n, SQLITE_TRANSIENT);
    else
        sqlite3_result_text(context, "", 0, SQLITE_STATIC);
}

static enum status run(struct accounts *accounts, const char *text, const char *doing)
{
    int code = sqlite3_exec(accounts->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : accounts_fail(accounts, code, doing);
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

static enum status apply_steps(struct accounts *accounts)
{
    int version = 0;
    enum status status = accounts_version(accounts, &version);
    if (status == STATUS_OK && version > ACCOUNTS_VERSION) {
        snprintf(accounts->why, sizeof accounts->why,
                 "the accounts were written by a newer goniec (tables of version %d, this one knows %d); use that one", version,
                 ACCOUNTS_VERSION);
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
    sqlite3_create_function_v2(accounts->db, "domain_of", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                               domain_of, NULL, NULL, NULL);
    enum status status = run(accounts, "BEGIN IMMEDIATE", "locking the database");
    if (status != STATUS_OK)
        return status;
    status = apply_steps(accounts);
    if (status == STATUS_OK)
        return run(accounts, "COMMIT", "writing the tables");
    sqlite3_exec(accounts->db, "ROLLBACK", NULL, NULL, NULL); /* keeps the words of the first failure */
    return status;
}
