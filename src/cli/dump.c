/* `goniec directory dump`: the tree as `goniec directory apply` reads it. */
#include "cli/apply_priv.h"

struct dump {
    struct account_call *call;
    json_t *list;
    enum status status;
};

static json_t *settings_of(struct dump *dump, int64_t id)
{
    json_t *all = json_object();
    enum status status = tree_values(dump->call->accounts, id, apply_collect_setting, all);
    if (status != STATUS_OK)
        dump->status = status;
    return all;
}

static void add_state(struct dump *dump, json_t *object, bool suspended, struct span reason, int64_t id)
{
    json_object_set_new(object, "suspended", json_boolean(suspended));
    if (suspended)
        json_object_set_new(object, "reason", apply_text(reason));
    json_object_set_new(object, "settings", settings_of(dump, id));
}

static void dump_node(void *arg, const struct tree_node *node)
{
    struct dump *dump = arg;
    struct tree_node parent;
    json_t *object = json_pack("{s:o, s:o}", "name", apply_text(node->name), "title", apply_text(node->title));
    if (node->kind == TREE_DOMAIN && tree_get(dump->call->accounts, node->parent, &parent) == STATUS_OK)
        json_object_set_new(object, "customer", apply_text(parent.name));
    add_state(dump, object, node->suspended, node->reason, node->id);
    json_array_append_new(dump->list, object);
}

static void collect_alias(void *arg, struct span address) { json_array_append_new(arg, apply_text(address)); }

/* As `apply` reads it: a list of forms. */
static json_t *forms_of(struct span stored)
{
    json_t *list = json_array();
    struct span form;
    while (span_cut(&stored, '\n', &form))
        if (form.n)
            json_array_append_new(list, apply_text(form));
    return list;
}

static void dump_account(void *arg, const struct accounts_row *row)
{
    struct dump *dump = arg;
    size_t total;
    json_t *aliases = json_array();
    json_t *object = json_pack("{s:o, s:o}", "login", apply_text(row->login), "name", apply_text(row->name));
    if (row->domain.n)
        json_object_set_new(object, "domain", apply_text(row->domain));
    else
        json_object_set_new(object, "customer", apply_text(row->customer));
    if (dump->call->options.hashes && row->stored.n)
        json_object_set_new(object, "hash", forms_of(row->stored));
    enum status status = accounts_aliases(dump->call->accounts, row->row, SIZE_MAX, collect_alias, aliases, &total);
    if (status != STATUS_OK)
        dump->status = status;
    json_object_set_new(object, "aliases", aliases);
    add_state(dump, object, row->suspended, row->reason, row->row);
    json_array_append_new(dump->list, object);
}

int dump_run(struct account_call *call)
{
    struct dump dump = { call, NULL, STATUS_OK };
    struct tree_node server;
    json_t *root = json_object();
    enum status status = tree_find(call->accounts, TREE_SERVER, SPAN_NONE, &server);
    if (status == STATUS_OK)
        json_object_set_new(root, "server", json_pack("{s:o}", "settings", settings_of(&dump, server.id)));
    static const struct { const char *word; enum tree_kind kind; } lists[] = { { "customers", TREE_CUSTOMER }, { "domains", TREE_DOMAIN } };
    for (size_t i = 0; i < ARRAY_LEN(lists) && status == STATUS_OK; i++) {
        json_object_set_new(root, lists[i].word, dump.list = json_array());
        status = tree_list(call->accounts, lists[i].kind, 0, dump_node, &dump);
    }
    json_object_set_new(root, "accounts", dump.list = json_array());
    if (status == STATUS_OK)
        status = accounts_list(call->accounts, SPAN_NONE, dump_account, &dump);
    status = status == STATUS_OK ? dump.status : status;
    if (status == STATUS_OK) {
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(root);
    return status == STATUS_OK ? 0 : node_report(call, status, "");
}
