/* Changes of accounts: each is one transaction, or a part of one, with its lines in the audit log. */
#include "directory/accounts_priv.h"
#include "directory/credential.h"
#include "policy/address.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status set_journal(struct accounts *accounts)
{
    int code = sqlite3_exec(accounts->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : accounts_fail(accounts, code, "opening for changes");
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
        status = set_journal(*ret);
    if (status == STATUS_OK)
        status = accounts_migrate(*ret);
    if (*ret)
        (*ret)->is_changing = true;
    return status;
}

static enum status step_only(struct accounts *accounts, enum statement which, const char *doing)
{
    sqlite3_stmt *statement = accounts_statement(accounts, which);
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (statement)
        sqlite3_reset(statement);
    return code == SQLITE_DONE ? STATUS_OK : accounts_fail(accounts, code, doing);
}

enum status accounts_change_begin(struct accounts *accounts, bool *ret_own)
{
    *ret_own = !accounts->in_change;
    if (accounts->in_change)
        return STATUS_OK;
    enum status status = step_only(accounts, ST_BEGIN_CHANGE, "locking the database");
    accounts->in_change = status == STATUS_OK;
    return status;
}

/* The oldest lines of the audit log go when there are too many. */
static enum status trim_audit(struct accounts *accounts)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_AUDIT_TRIM);
    if (statement)
        sqlite3_bind_int64(statement, 1, ACCOUNTS_AUDIT_MAX);
    enum status status = accounts_change(accounts, statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status accounts_change_end(struct accounts *accounts, bool own, enum status status)
{
    if (!own)
        return status;
    if (status == STATUS_OK)
        status = trim_audit(accounts);
    if (status == STATUS_OK)
        status = step_only(accounts, ST_COMMIT, "writing the accounts");
    if (status == STATUS_OK)
        accounts->cost.transactions++;
    else /* the words of the failure stay */
        sqlite3_exec(accounts->db, "ROLLBACK", NULL, NULL, NULL);
    accounts->in_change = false;
    return status;
}

enum status accounts_change(struct accounts *accounts, sqlite3_stmt *statement)
{
    if (!statement)
        return STATUS_IO;
    int code = sqlite3_step(statement);
    enum status status = STATUS_OK;
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        status = STATUS_EXISTS;
    else if (code != SQLITE_DONE)
        status = accounts_fail(accounts, code, "changing the accounts");
    else if (sqlite3_changes(accounts->db) == 0)
        status = STATUS_NOT_FOUND;
    sqlite3_reset(statement);
    return status;
}

enum status accounts_note(struct accounts *accounts, const char *action, enum tree_kind kind, struct span name,
                          struct span detail, int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_AUDIT_ADD);
    if (statement) {
        sqlite3_bind_int64(statement, 1, now_ms);
        accounts_bind(statement, 2, accounts->who[0] ? span_str(accounts->who) : SPAN("unknown"));
        accounts_bind(statement, 3, span_str(action));
        accounts_bind(statement, 4, span_str(tree_kind_text(kind)));
        accounts_bind(statement, 5, name);
        accounts_bind(statement, 6, detail);
    }
    return accounts_change(accounts, statement);
}

enum status accounts_place(struct accounts *accounts, struct span login, int64_t customer, int64_t now_ms,
                           int64_t *ret_parent)
{
    struct policy_keys keys;
    struct tree_node node;
    enum status status = STATUS_OK;
    if (!customer) {
        status = tree_find(accounts, TREE_CUSTOMER, SPAN(TREE_DEFAULT), &node);
        customer = node.id;
    }
    if (status != STATUS_OK)
        return status;
    *ret_parent = customer;
    if (policy_keys_make(login, &keys) != STATUS_OK)
        return STATUS_OK;
    status = tree_find(accounts, TREE_DOMAIN, keys.domain, &node);
    if (status == STATUS_OK)
        *ret_parent = node.id;
    else if (status == STATUS_NOT_FOUND)
        status = tree_add(accounts, TREE_DOMAIN, customer, keys.domain, SPAN_NONE, now_ms, ret_parent);
    return status;
}

static enum status add_password(struct accounts *accounts, int64_t sender, struct span stored, int64_t now_ms)
{
    struct credential credential = { .sender = sender, .name = SPAN(CREDENTIAL_PASSWORD), .stored = stored };
    return credential_add(accounts, &credential, now_ms);
}

enum status accounts_add_below(struct accounts *accounts, int64_t parent, struct span login, struct span stored,
                               struct span name, int64_t now_ms)
{
    int64_t sender;
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = tree_add(accounts, TREE_SENDER, parent, login, name, now_ms, &sender);
    if (status == STATUS_OK)
        status = add_password(accounts, sender, stored, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status accounts_add(struct accounts *accounts, struct span login, struct span stored, struct span name,
                         int64_t now_ms)
{
    int64_t parent;
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = accounts_place(accounts, login, 0, now_ms, &parent);
    if (status == STATUS_OK)
        status = accounts_add_below(accounts, parent, login, stored, name, now_ms);
    return accounts_change_end(accounts, own, status);
}

static enum status set_stored(struct accounts *accounts, int64_t sender, struct span login, struct span stored, int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_CREDENTIAL_STORED);
    if (statement) {
        sqlite3_bind_int64(statement, 1, sender);
        accounts_bind(statement, 2, SPAN(CREDENTIAL_PASSWORD));
        accounts_bind(statement, 3, stored);
        sqlite3_bind_int64(statement, 4, now_ms);
    }
    enum status status = accounts_change(accounts, statement);
    if (status == STATUS_NOT_FOUND)
        return add_password(accounts, sender, stored, now_ms);
    return status == STATUS_OK
               ? accounts_note(accounts, "credential-set", TREE_SENDER, login, SPAN(CREDENTIAL_PASSWORD ": password"), now_ms)
               : status;
}

enum status accounts_set_stored(struct accounts *accounts, struct span login, struct span stored, int64_t now_ms)
{
    struct tree_node node;
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = tree_find(accounts, TREE_SENDER, login, &node);
    if (status == STATUS_OK)
        status = set_stored(accounts, node.id, login, stored, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status accounts_remove(struct accounts *accounts, struct span login, int64_t now_ms)
{
    struct tree_node node;
    enum status status = tree_find(accounts, TREE_SENDER, login, &node);
    return status == STATUS_OK ? tree_remove(accounts, &node, now_ms) : status;
}

static enum status change_alias(struct accounts *accounts, enum statement which, struct span login, struct span alias,
                                int64_t now_ms)
{
    struct tree_node node;
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = tree_find(accounts, TREE_SENDER, login, &node);
    sqlite3_stmt *statement = accounts_statement(accounts, which);
    if (status == STATUS_OK && statement) {
        sqlite3_bind_int64(statement, 1, node.id);
        accounts_bind(statement, 2, alias);
    }
    if (status == STATUS_OK)
        status = accounts_change(accounts, statement);
    if (status == STATUS_OK)
        status = accounts_note(accounts, which == ST_ALIAS_ADD ? "alias-add" : "alias-remove", TREE_SENDER, login, alias, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status accounts_alias_add(struct accounts *accounts, struct span login, struct span alias, int64_t now_ms)
{
    return change_alias(accounts, ST_ALIAS_ADD, login, alias, now_ms);
}

enum status accounts_alias_remove(struct accounts *accounts, struct span login, struct span alias, int64_t now_ms)
{
    return change_alias(accounts, ST_ALIAS_REMOVE, login, alias, now_ms);
}
