/* directory/accounts_priv.h -- what the parts that know the database share: its tables, statements, transactions. */
#pragma once
#include "directory/accounts.h"
#include "directory/tree.h"
#include <sqlite3.h>

enum statement {
    ST_BEGIN, ST_BEGIN_CHANGE, ST_COMMIT,
    /* a login, a sender, a recipient */
    ST_FIND, ST_SECRETS, ST_PASSWORD, ST_ANY, ST_OWNS, ST_HAS, ST_ALIASES, ST_ALIAS_COUNT, ST_LIST, ST_LIST_ONE, ST_ALIAS_ADD,
    ST_ALIAS_REMOVE,
    /* the tree */
    ST_NODE_FIND, ST_NODE_GET, ST_NODES, ST_NODES_BELOW, ST_NODE_ADD, ST_NODE_REMOVE, ST_NODE_MOVE, ST_NODE_TITLE,
    ST_NODE_SUSPEND, ST_SUSPENDED,
    ST_LIMITS, ST_VALUES, ST_VALUES_UP, ST_VALUE_ADD, ST_VALUES_REMOVE,
    ST_NAMED, ST_CREDENTIALS, ST_CREDENTIAL_COUNT, ST_CREDENTIAL_ADD, ST_CREDENTIAL_SET, ST_CREDENTIAL_STORED, ST_CREDENTIAL_REMOVE,
    ST_NO_VERIFIER, ST_GENERATION,
    ST_AUDIT_ADD, ST_AUDIT_TRIM, ST_AUDIT, ST_AUDIT_OF,
    ST_COUNT
};

struct accounts {
    sqlite3 *db;
    sqlite3_stmt *statements[ST_COUNT]; /* prepared at first use */
    bool in_turn;                       /* a reading transaction is open */
    bool in_change;                     /* a changing one */
    bool is_changing;                   /* opened for changes */
    bool is_held, hold_failed;          /* accounts_hold(): its transaction is not ended by others, who may say that it must fail */
    struct accounts_cost cost;
    char who[TREE_TEXT_MAX + 1];        /* for the audit log */
    char why[256];
};

#define ACCOUNTS_VERSION 2          /* of the tables: PRAGMA user_version */
#define ACCOUNTS_APPLICATION 0x676f6e69 /* "goni": PRAGMA application_id */
#define ACCOUNTS_AUDIT_MAX 1000000  /* lines kept */

extern const char *const accounts_texts[ST_COUNT]; /* statements.c */

/* The statement, reset and without values; NULL: the database refuses (accounts->why). */
sqlite3_stmt *accounts_statement(struct accounts *accounts, enum statement which);
/* The same inside this turn's reading transaction: one lock for all questions of a turn. */
sqlite3_stmt *accounts_ask(struct accounts *accounts, enum statement which);
/* OK: there is a row. NOT_FOUND: none. */
enum status accounts_step(struct accounts *accounts, sqlite3_stmt *statement);
/* Runs a change of one statement. NOT_FOUND: it touched no row; EXISTS: it would have made a twin. */
enum status accounts_change(struct accounts *accounts, sqlite3_stmt *statement);
void accounts_bind(sqlite3_stmt *statement, int at, struct span text);
struct span accounts_column(sqlite3_stmt *statement, int at);
/* Copies a column into the room at *used, which moves on; what does not fit is cut off. */
struct span accounts_keep(sqlite3_stmt *statement, int at, char *room, size_t size, size_t most, size_t *used);
/* Keeps the words for a failure and turns SQLite's number into ours. */
enum status accounts_fail(struct accounts *accounts, int code, const char *doing);
enum status accounts_open_flags(const char *path, int flags, struct accounts **ret);
/* schema.c: brings the tables to ACCOUNTS_VERSION. EXISTS: they are newer. */
enum status accounts_migrate(struct accounts *accounts);
enum status accounts_version(struct accounts *accounts, int *ret);

/* A change that may be one of many: begins a transaction unless there is one; *ret_own says which. */
enum status accounts_change_begin(struct accounts *accounts, bool *ret_own);
/* Ends it, if it is its own, by what became of it. Returns that. */
enum status accounts_change_end(struct accounts *accounts, bool own, enum status status);
/* A line of the audit log, inside a transaction. */
enum status accounts_note(struct accounts *accounts, const char *action, enum tree_kind kind, struct span name,
                          struct span detail, int64_t now_ms);
