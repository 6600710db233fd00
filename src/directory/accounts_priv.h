/* directory/accounts_priv.h -- what the reading and the changing half of the database share. */
#pragma once
#include "directory/accounts.h"
#include <sqlite3.h>

enum statement {
    ST_BEGIN, ST_COMMIT,
    ST_FIND, ST_ANY, ST_OWNS, ST_HAS, ST_ALIASES, ST_ALIAS_COUNT, ST_LIST, ST_LIST_ONE,
    ST_ADD, ST_SET_STORED, ST_SET_ENABLED, ST_REMOVE, ST_ALIAS_ADD, ST_ALIAS_REMOVE, ST_NO_VERIFIER, ST_GENERATION,
    ST_COUNT
};

struct accounts {
    sqlite3 *db;
    sqlite3_stmt *statements[ST_COUNT]; /* prepared at first use */
    bool in_turn;                       /* a reading transaction is open */
    bool is_changing;                   /* opened for changes */
    char why[256];
};

#define ACCOUNTS_VERSION 1          /* of the tables: PRAGMA user_version */
#define ACCOUNTS_APPLICATION 0x676f6e69 /* "goni": PRAGMA application_id */

/* The statement, reset and without values; NULL: the database refuses (accounts->why). */
sqlite3_stmt *accounts_statement(struct accounts *accounts, enum statement which);
void accounts_bind(sqlite3_stmt *statement, int at, struct span text);
struct span accounts_column(sqlite3_stmt *statement, int at);
/* Keeps the words for a failure and turns SQLite's number into ours. */
enum status accounts_fail(struct accounts *accounts, int code, const char *doing);
enum status accounts_open_flags(const char *path, int flags, struct accounts **ret);
/* Brings the tables to ACCOUNTS_VERSION. */
enum status accounts_migrate(struct accounts *accounts);
enum status accounts_version(struct accounts *accounts, int *ret);
