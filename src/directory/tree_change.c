/* Changes of the tree: each is one transaction, or a part of one, with its line in the audit log. */
#include "directory/accounts_priv.h"

enum status tree_begin(struct accounts *accounts)
{
    bool own;
    return accounts_change_begin(accounts, &own);
}

enum status tree_commit(struct accounts *accounts)
{
    return accounts->is_held ? STATUS_OK : accounts_change_end(accounts, true, STATUS_OK);
}

void tree_rollback(struct accounts *accounts)
{
    accounts->hold_failed = accounts->is_held;
    if (accounts->in_change && !accounts->is_held)
        (void)!accounts_change_end(accounts, true, STATUS_DENIED);
}

/* May a node of this kind lie below one of that? A sender without a domain lies below its customer. */
static bool may_lie_below(enum tree_kind kind, enum tree_kind parent)
{
    if (kind == TREE_SENDER)
        return parent == TREE_DOMAIN || parent == TREE_CUSTOMER;
    return kind != TREE_SERVER && parent == kind - 1;
}

static enum status check_parent(struct accounts *accounts, enum tree_kind kind, int64_t parent, struct tree_node *ret)
{
    enum status status = tree_get(accounts, parent, ret);
    return status == STATUS_OK && !may_lie_below(kind, ret->kind) ? STATUS_DENIED : status;
}

/* "customer acme" */
static struct span place_text(const struct tree_node *node, char *room, size_t size)
{
    struct span kind = span_str(tree_kind_text(node->kind));
    size_t n = MIN(node->name.n, size - kind.n - 1);
    memcpy(room, kind.p, kind.n);
    room[kind.n] = ' ';
    memcpy(room + kind.n + 1, node->name.p, n);
    return span_of(room, kind.n + 1 + n);
}

static enum status add_row(struct accounts *accounts, enum tree_kind kind, int64_t parent, struct span name, struct span title,
                           int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_NODE_ADD);
    if (statement) {
        sqlite3_bind_int64(statement, 1, parent);
        accounts_bind(statement, 2, span_str(tree_kind_text(kind)));
        accounts_bind(statement, 3, name);
        accounts_bind(statement, 4, span_head(title, TREE_TEXT_MAX));
        sqlite3_bind_int64(statement, 5, now_ms);
    }
    return accounts_change(accounts, statement);
}

enum status tree_add(struct accounts *accounts, enum tree_kind kind, int64_t parent, struct span name, struct span title,
                     int64_t now_ms, int64_t *ret)
{
    struct tree_node above;
    char room[TREE_NAME_MAX + 16];
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = check_parent(accounts, kind, parent, &above);
    if (status == STATUS_OK)
        status = add_row(accounts, kind, parent, name, title, now_ms);
    if (status == STATUS_OK) {
        *ret = sqlite3_last_insert_rowid(accounts->db);
        status = accounts_note(accounts, "add", kind, name, place_text(&above, room, sizeof room), now_ms);
    }
    return accounts_change_end(accounts, own, status);
}

/* One change of a node, told in the audit log. */
static enum status change_node(struct accounts *accounts, const struct tree_node *node, sqlite3_stmt *statement,
                               const char *action, struct span detail, int64_t now_ms)
{
    enum status status = accounts_change(accounts, statement);
    return status == STATUS_OK ? accounts_note(accounts, action, node->kind, node->name, detail, now_ms) : status;
}

enum status tree_remove(struct accounts *accounts, const struct tree_node *node, int64_t now_ms)
{
    bool own;
    if (node->kind == TREE_SERVER || (node->kind == TREE_CUSTOMER && span_eq(node->name, SPAN(TREE_DEFAULT))))
        return STATUS_DENIED;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = accounts_statement(accounts, ST_NODE_REMOVE);
    if (statement)
        sqlite3_bind_int64(statement, 1, node->id);
    status = change_node(accounts, node, statement, "remove", SPAN_NONE, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status tree_move(struct accounts *accounts, const struct tree_node *node, int64_t parent, int64_t now_ms)
{
    struct tree_node above;
    char room[TREE_NAME_MAX + 16];
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = check_parent(accounts, node->kind, parent, &above);
    if (status == STATUS_OK) {
        sqlite3_stmt *statement = accounts_statement(accounts, ST_NODE_MOVE);
        if (statement) {
            sqlite3_bind_int64(statement, 1, node->id);
            sqlite3_bind_int64(statement, 2, parent);
            sqlite3_bind_int64(statement, 3, now_ms);
        }
        status = change_node(accounts, node, statement, "move", place_text(&above, room, sizeof room), now_ms);
    }
    return accounts_change_end(accounts, own, status);
}

enum status tree_set_title(struct accounts *accounts, const struct tree_node *node, struct span title, int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = accounts_statement(accounts, ST_NODE_TITLE);
    if (statement) {
        sqlite3_bind_int64(statement, 1, node->id);
        accounts_bind(statement, 2, span_head(title, TREE_TEXT_MAX));
        sqlite3_bind_int64(statement, 3, now_ms);
    }
    status = change_node(accounts, node, statement, "title", title, now_ms);
    return accounts_change_end(accounts, own, status);
}

static enum status set_suspended(struct accounts *accounts, const struct tree_node *node, bool suspended, struct span reason,
                                 int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = accounts_statement(accounts, ST_NODE_SUSPEND);
    if (statement) {
        sqlite3_bind_int64(statement, 1, node->id);
        sqlite3_bind_int64(statement, 2, suspended ? MAX(now_ms, 1) : 0);
        accounts_bind(statement, 3, span_head(reason, TREE_TEXT_MAX));
        sqlite3_bind_int64(statement, 4, now_ms);
    }
    status = change_node(accounts, node, statement, suspended ? "suspend" : "resume", reason, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status tree_suspend(struct accounts *accounts, const struct tree_node *node, struct span reason, int64_t now_ms)
{
    return set_suspended(accounts, node, true, reason, now_ms);
}

enum status tree_resume(struct accounts *accounts, const struct tree_node *node, int64_t now_ms)
{
    return set_suspended(accounts, node, false, SPAN_NONE, now_ms);
}

static enum status clear_values(struct accounts *accounts, const struct tree_node *node, const struct tree_setting *setting)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_VALUES_REMOVE);
    if (statement) {
        sqlite3_bind_int64(statement, 1, node->id);
        accounts_bind(statement, 2, span_str(setting->name));
    }
    enum status status = accounts_change(accounts, statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status add_value(struct accounts *accounts, const struct tree_node *node, const struct tree_setting *setting,
                             size_t place, struct span value)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_VALUE_ADD);
    if (statement) {
        sqlite3_bind_int64(statement, 1, node->id);
        accounts_bind(statement, 2, span_str(setting->name));
        sqlite3_bind_int64(statement, 3, (int64_t)place);
        accounts_bind(statement, 4, value);
    }
    return accounts_change(accounts, statement);
}

enum status tree_set(struct accounts *accounts, const struct tree_node *node, const struct tree_setting *setting,
                     const struct span *values, size_t count, int64_t now_ms)
{
    bool own;
    enum status status = count <= TREE_VALUES_MAX ? accounts_change_begin(accounts, &own) : STATUS_FULL;
    if (status != STATUS_OK)
        return status;
    AUTO(buf_done) struct buf detail = BUF_EMPTY(TREE_VALUES_MAX * (TREE_VALUE_MAX + 2) + 64);
    buf_printf(&detail, "%s:", setting->name);
    status = clear_values(accounts, node, setting);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        buf_printf(&detail, "%s %.*s", i ? "," : "", SPAN_ARGS(values[i]));
        status = add_value(accounts, node, setting, i, values[i]);
    }
    if (status == STATUS_OK)
        status = accounts_note(accounts, "set", node->kind, node->name, buf_span(&detail), now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status tree_note(struct accounts *accounts, const struct tree_node *node, const char *action, int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status == STATUS_OK)
        status = accounts_note(accounts, action, node->kind, node->name, SPAN_NONE, now_ms);
    return accounts_change_end(accounts, own, status);
}
