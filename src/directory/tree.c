#include "directory/tree.h"
#include "directory/accounts_priv.h"
#include "policy/address.h"

static const char *const kind_texts[] = { "server", "customer", "domain", "sender" };

const char *tree_kind_text(enum tree_kind kind) { return kind_texts[kind]; }

bool tree_kind_find(struct span text, enum tree_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_texts); i++)
        if (span_eq(text, span_str(kind_texts[i]))) {
            *ret = (enum tree_kind)i;
            return true;
        }
    return false;
}

static enum status domain_key(struct span name, struct buf *ret)
{
    AUTO(buf_done) struct buf address = BUF_EMPTY(ADDRESS_MAX + 2);
    struct policy_keys keys;
    if (!name.n)
        return STATUS_SYNTAX;
    buf_add_str(&address, "x@");
    if (buf_add(&address, name) != STATUS_OK)
        return STATUS_TOO_LONG;
    enum status status = policy_keys_make(buf_span(&address), &keys);
    return status == STATUS_OK ? buf_add(ret, keys.domain) : status;
}

enum status tree_name_key(enum tree_kind kind, struct span name, struct buf *ret)
{
    if (kind == TREE_SERVER)
        return buf_add(ret, SPAN(TREE_SERVER_NAME));
    return kind == TREE_DOMAIN ? domain_key(name, ret) : accounts_login_key(name, ret);
}

static void take_node(sqlite3_stmt *statement, struct tree_node *ret)
{
    size_t used = 0;
    ret->id = sqlite3_column_int64(statement, 0);
    ret->parent = sqlite3_column_int64(statement, 1);
    if (!tree_kind_find(accounts_column(statement, 2), &ret->kind))
        ret->kind = TREE_SENDER;
    ret->name = accounts_keep(statement, 3, ret->room, sizeof ret->room, TREE_NAME_MAX, &used);
    ret->title = accounts_keep(statement, 4, ret->room, sizeof ret->room, TREE_TEXT_MAX, &used);
    ret->suspended_ms = sqlite3_column_int64(statement, 5);
    ret->suspended = ret->suspended_ms != 0;
    ret->reason = accounts_keep(statement, 6, ret->room, sizeof ret->room, TREE_TEXT_MAX, &used);
    ret->created_ms = sqlite3_column_int64(statement, 7);
    ret->changed_ms = sqlite3_column_int64(statement, 8);
}

static enum status take_one(struct accounts *accounts, sqlite3_stmt *statement, struct tree_node *ret)
{
    enum status status = accounts_step(accounts, statement);
    if (status == STATUS_OK)
        take_node(statement, ret);
    sqlite3_reset(statement);
    return status;
}

enum status tree_find(struct accounts *accounts, enum tree_kind kind, struct span name, struct tree_node *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_NODE_FIND);
    if (statement) {
        accounts_bind(statement, 1, span_str(tree_kind_text(kind)));
        accounts_bind(statement, 2, kind == TREE_SERVER ? SPAN(TREE_SERVER_NAME) : name);
    }
    return take_one(accounts, statement, ret);
}

enum status tree_get(struct accounts *accounts, int64_t id, struct tree_node *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_NODE_GET);
    if (statement)
        sqlite3_bind_int64(statement, 1, id);
    return take_one(accounts, statement, ret);
}

static enum status list_on(struct accounts *accounts, sqlite3_stmt *statement, tree_each *each, void *arg)
{
    enum status status;
    struct tree_node node;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        take_node(statement, &node);
        each(arg, &node);
    }
    sqlite3_reset(statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status tree_list(struct accounts *accounts, enum tree_kind kind, int64_t parent, tree_each *each, void *arg)
{
    sqlite3_stmt *statement = accounts_ask(accounts, parent ? ST_NODES_BELOW : ST_NODES);
    if (statement) {
        accounts_bind(statement, 1, span_str(tree_kind_text(kind)));
        if (parent)
            sqlite3_bind_int64(statement, 2, parent);
    }
    return list_on(accounts, statement, each, arg);
}

enum status tree_chain(struct accounts *accounts, int64_t id, struct tree_node ret[TREE_DEPTH_MAX], size_t *ret_n)
{
    size_t n = 0;
    while (id && n < TREE_DEPTH_MAX) {
        enum status status = tree_get(accounts, id, &ret[n]);
        if (status != STATUS_OK)
            return status;
        id = ret[n++].parent;
    }
    *ret_n = n;
    return STATUS_OK;
}

enum status tree_values(struct accounts *accounts, int64_t id, tree_each_value *each, void *arg)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_VALUES);
    if (statement)
        sqlite3_bind_int64(statement, 1, id);
    enum status status;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK)
        each(arg, accounts_column(statement, 0), accounts_column(statement, 1));
    sqlite3_reset(statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static size_t word_place(const struct tree_setting *setting, struct span value)
{
    size_t i = 0;
    while (setting->words[i] && !span_eq(value, span_str(setting->words[i])))
        i++;
    return i;
}

enum status tree_effective(struct accounts *accounts, int64_t id, const struct tree_setting *setting, struct buf *ret)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_VALUES_UP);
    if (statement) {
        sqlite3_bind_int64(statement, 1, id);
        accounts_bind(statement, 2, span_str(setting->name));
    }
    enum status status;
    size_t narrowest = SIZE_MAX, start = ret->n;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct span value = accounts_column(statement, 0);
        size_t place = setting->words ? word_place(setting, value) : 0;
        if (ret->n > start && (setting->rule == TREE_NEAREST || place >= narrowest))
            continue;
        narrowest = place;
        ret->n = start;
        buf_add(ret, value);
    }
    sqlite3_reset(statement);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (ret->n == start)
        buf_add_str(ret, setting->preset);
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}

enum status tree_audit(struct accounts *accounts, struct span name, int64_t since_ms, size_t most, tree_each_audit *each,
                       void *arg)
{
    sqlite3_stmt *statement = accounts_ask(accounts, name.n ? ST_AUDIT_OF : ST_AUDIT);
    if (statement) {
        sqlite3_bind_int64(statement, 1, since_ms);
        sqlite3_bind_int64(statement, 2, (int64_t)MIN(most, (size_t)INT32_MAX));
        if (name.n)
            accounts_bind(statement, 3, name);
    }
    enum status status;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct tree_audit audit = { sqlite3_column_int64(statement, 0), accounts_column(statement, 1),
                                    accounts_column(statement, 2), accounts_column(statement, 3),
                                    accounts_column(statement, 4), accounts_column(statement, 5) };
        each(arg, &audit);
    }
    sqlite3_reset(statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
