/* `goniec directory apply FILE`: the whole tree as one text, of a panel that knows how everything should be. All of a file is
 * applied, or nothing. */
#include "base/time.h"
#include "cli/apply_priv.h"
#include "cli/common.h"
#include "policy/address.h"
#include <stdarg.h>
#include <stdlib.h>

#define HASHES_MOST 2 /* a hash, and a verifier of SCRAM */

struct apply {
    struct account_call *call;
    struct accounts *accounts;
    json_t *done;      /* what was changed, in order */
    json_t *seen[TREE_SENDER + 1]; /* names of the file, as they are kept */
    const char *file;
    const char *word;  /* "accounts" */
    size_t index;      /* and the number of the one in hand */
    int64_t now_ms;
};

struct section {
    const char *word, *label; /* "accounts", "login" */
    enum tree_kind kind;
    const char *const *keys;
};

static const char *const server_keys[] = { "settings", NULL };
static const char *const customer_keys[] = { "name", "title", "suspended", "reason", "settings", NULL };
static const char *const domain_keys[] = { "name", "title", "customer", "suspended", "reason", "settings", NULL };
static const char *const account_keys[] = { "login", "name", "customer", "domain", "hash", "aliases", "suspended", "reason", "settings", NULL };
static const struct section sections[] = {
    { "server", "", TREE_SERVER, server_keys },
    { "customers", "name", TREE_CUSTOMER, customer_keys },
    { "domains", "name", TREE_DOMAIN, domain_keys },
    { "accounts", "login", TREE_SENDER, account_keys },
};

static const char *kind_text(enum tree_kind kind) { return kind == TREE_SENDER ? "account" : tree_kind_text(kind); }
static struct span text_of(const json_t *value) { return span_of(json_string_value(value), json_string_length(value)); }
json_t *apply_text(struct span text) { return json_stringn(text.n ? text.p : "", text.n); }

/* What is wrong, and where. */
__attribute__((format(printf, 2, 3))) static bool fault(const struct apply *apply, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char line[1024];
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (strcmp(apply->word, "server") == 0)
        common_complain("%s: server: %s; nothing was changed", apply->file, line);
    else
        common_complain("%s: %s[%zu]: %s; nothing was changed", apply->file, apply->word, apply->index, line);
    return false;
}

static bool good(const struct apply *apply, enum status status)
{
    return status == STATUS_OK || fault(apply, "%s", accounts_why(apply->accounts));
}

static void note(struct apply *apply, const char *what, enum tree_kind kind, struct span name, json_t *detail)
{
    json_array_append_new(apply->done, json_pack("{s:s, s:s, s:o, s:o}", "do", what, "kind", kind_text(kind), "name", apply_text(name),
                                                 "what", detail ? detail : json_null()));
}

static void note_change(struct apply *apply, const struct tree_node *node, const char *what, json_t *before, json_t *after)
{
    note(apply, "change", node->kind, node->name, json_pack("{s:{s:o, s:o}}", what, "from", before, "to", after));
}

static bool check_keys(const struct apply *apply, const struct section *section, json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return fault(apply, "an object is expected: {\"%s\": ...}", section->keys[0]);
    json_object_foreach(object, key, value) {
        const char *const *known = section->keys;
        while (*known && strcmp(*known, key) != 0)
            known++;
        if (!*known)
            return fault(apply, "there is no \"%s\" of %s %s", key, section->kind == TREE_SENDER ? "an" : "a", kind_text(section->kind));
        bool is_text = strcmp(key, "settings") != 0 && strcmp(key, "aliases") != 0 && strcmp(key, "suspended") != 0 && strcmp(key, "hash") != 0;
        if (is_text && !json_is_string(value))
            return fault(apply, "\"%s\" is a text", key);
        if (is_text && !node_check_text(key, text_of(value)))
            return fault(apply, "\"%s\" will not do", key);
    }
    json_t *suspended = json_object_get(object, "suspended");
    return !suspended || json_is_boolean(suspended) || fault(apply, "\"suspended\" is true or false");
}

/* A text, or a list of them, as a list; NULL: neither. */
static json_t *list_of(json_t *value)
{
    size_t i;
    json_t *one;
    if (json_is_string(value))
        return json_pack("[O]", value);
    if (!json_is_array(value))
        return NULL;
    json_array_foreach(value, i, one)
        if (!json_is_string(one))
            return NULL;
    return json_incref(value);
}

/* -- settings -- */

void apply_collect_setting(void *arg, struct span setting, struct span value)
{
    json_t *list, *all = arg;
    AUTO(buf_done) struct buf name = BUF_EMPTY(100);
    buf_add(&name, setting);
    if (!(list = json_object_get(all, buf_cstr(&name))))
        json_object_set_new(all, buf_cstr(&name), list = json_array());
    json_array_append_new(list, apply_text(value));
}

static bool set_one(struct apply *apply, const struct tree_node *node, const struct tree_setting *setting, json_t *list)
{
    struct span values[TREE_VALUES_MAX];
    size_t i;
    json_t *value;
    if (json_array_size(list) > (setting->is_list ? TREE_VALUES_MAX : 1))
        return fault(apply, "\"%s\" is said too often", setting->name);
    json_array_foreach(list, i, value) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        values[i] = text_of(value);
        if (!tree_value_check(setting, values[i], &why))
            return fault(apply, "%s=%.*s: %s", setting->name, SPAN_ARGS(values[i]), buf_cstr(&why));
    }
    return good(apply, tree_set(apply->accounts, node, setting, values, json_array_size(list), apply->now_ms));
}

static bool apply_setting(struct apply *apply, const struct tree_node *node, const struct tree_setting *setting, json_t *wanted, json_t *before)
{
    json_t *said = json_object_get(wanted, setting->name), *is = json_object_get(before, setting->name);
    json_t *list = said ? list_of(said) : json_array();
    if (!list)
        return fault(apply, "\"%s\" is a text or a list of texts", setting->name);
    bool same = is ? json_equal(is, list) : json_array_size(list) == 0, ok = same || set_one(apply, node, setting, list);
    if (ok && !same)
        note_change(apply, node, setting->name, is ? json_incref(is) : json_array(), json_incref(list));
    json_decref(list);
    return ok;
}

/* What the file says is all that the node says. */
static bool apply_settings(struct apply *apply, const struct tree_node *node, json_t *wanted)
{
    const char *key;
    json_t *value, *before;
    if (!wanted)
        return true;
    if (!json_is_object(wanted))
        return fault(apply, "\"settings\" is an object: {\"limit\": [\"messages 500/1d\"]}");
    json_object_foreach(wanted, key, value)
        if (!tree_setting_find(span_str(key)))
            return fault(apply, "there is no setting %s (`goniec directory --help` lists them)", key);
    before = json_object();
    bool ok = good(apply, tree_values(apply->accounts, node->id, apply_collect_setting, before));
    for (const struct tree_setting *setting = tree_settings; ok && setting->name; setting++)
        ok = apply_setting(apply, node, setting, wanted, before);
    json_decref(before);
    return ok;
}

/* -- what every node has -- */

static bool apply_title(struct apply *apply, const struct tree_node *node, json_t *wanted)
{
    if (!wanted || span_eq(text_of(wanted), node->title))
        return true;
    note_change(apply, node, "title", apply_text(node->title), json_incref(wanted));
    return good(apply, tree_set_title(apply->accounts, node, text_of(wanted), apply->now_ms));
}

static bool apply_state(struct apply *apply, const struct tree_node *node, json_t *object)
{
    json_t *wanted = json_object_get(object, "suspended"), *reason = json_object_get(object, "reason");
    struct span why = reason ? text_of(reason) : node->suspended ? node->reason : SPAN("suspended by the administrator");
    if (!wanted || (json_is_true(wanted) == node->suspended && (!node->suspended || span_eq(why, node->reason))))
        return true;
    note_change(apply, node, "suspended", json_boolean(node->suspended), json_incref(wanted));
    return good(apply, json_is_true(wanted) ? tree_suspend(apply->accounts, node, why, apply->now_ms)
                                            : tree_resume(apply->accounts, node, apply->now_ms));
}

static bool find_named(struct apply *apply, enum tree_kind kind, json_t *name, struct tree_node *ret)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(TREE_NAME_MAX + 1);
    enum status status = tree_name_key(kind, text_of(name), &key);
    if (status == STATUS_OK)
        status = tree_find(apply->accounts, kind, buf_span(&key), ret);
    return status == STATUS_OK || fault(apply, "there is no %s %s", kind_text(kind), json_string_value(name));
}

/* Below what the file says; `ret` stays 0 where it says nothing. */
static bool find_parent(struct apply *apply, json_t *object, struct tree_node *ret)
{
    json_t *domain = json_object_get(object, "domain"), *customer = json_object_get(object, "customer");
    ret->id = 0;
    if (domain)
        return find_named(apply, TREE_DOMAIN, domain, ret);
    return !customer || find_named(apply, TREE_CUSTOMER, customer, ret);
}

static bool apply_place(struct apply *apply, const struct tree_node *node, json_t *object)
{
    struct tree_node wanted, is;
    if (node->kind < TREE_DOMAIN || !find_parent(apply, object, &wanted))
        return node->kind < TREE_DOMAIN;
    if (!wanted.id || wanted.id == node->parent)
        return true;
    if (!good(apply, tree_get(apply->accounts, node->parent, &is)))
        return false;
    /* Of an account with a domain the customer is the domain's. */
    if (node->kind == TREE_SENDER && wanted.kind == TREE_CUSTOMER && is.kind == TREE_DOMAIN)
        return is.parent == wanted.id || fault(apply, "%.*s lies below the domain %.*s, which belongs to another customer",
                                               SPAN_ARGS(node->name), SPAN_ARGS(is.name));
    note_change(apply, node, kind_text(wanted.kind), apply_text(is.name), apply_text(wanted.name));
    return good(apply, tree_move(apply->accounts, node, wanted.id, apply->now_ms));
}

/* -- accounts -- */

/* What is to be stored, one form a line. */
static bool read_hash(struct apply *apply, json_t *value, struct buf *ret)
{
    json_t *list = list_of(value), *one;
    size_t i;
    bool ok = list && json_array_size(list) > 0 && json_array_size(list) <= HASHES_MOST;
    json_array_foreach(list, i, one) {
        struct span form;
        ok = ok && secret_import(text_of(one), &form) == STATUS_OK;
        if (ok && i > 0)
            buf_add_char(ret, '\n');
        if (ok)
            buf_add(ret, form);
    }
    json_decref(list);
    return (ok && !ret->failed) || fault(apply, "\"hash\" is none that goniec knows ($y$, $2b$, $6$, $argon2id$, {SCRAM-SHA-256}...)");
}

static void collect_stored(void *arg, const struct accounts_row *row) { buf_add(arg, row->stored); }

static bool apply_hash(struct apply *apply, const struct tree_node *node, json_t *value)
{
    AUTO(buf_done) struct buf wanted = BUF_EMPTY(SECRET_STORED_MAX), is = BUF_EMPTY(SECRET_STORED_MAX);
    if (!value)
        return true;
    if (!read_hash(apply, value, &wanted) || !good(apply, accounts_list(apply->accounts, node->name, collect_stored, &is)))
        return false;
    if (span_eq(buf_span(&wanted), buf_span(&is)))
        return true;
    note(apply, "change", node->kind, node->name, json_pack("{s:s}", "password", "another"));
    return good(apply, accounts_set_stored(apply->accounts, node->name, buf_span(&wanted), apply->now_ms));
}

static void collect_alias(void *arg, struct span address) { json_array_append_new(arg, apply_text(address)); }

static bool has(json_t *list, json_t *text)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
        if (json_equal(one, text))
            return true;
    return false;
}

/* The spellings under which they are kept; NULL: told. */
static json_t *alias_keys(const struct apply *apply, json_t *value)
{
    json_t *list = list_of(value), *keys = json_array(), *one;
    size_t i;
    bool ok = list || fault(apply, "\"aliases\" is a list of addresses");
    json_array_foreach(list, i, one) {
        struct policy_keys key;
        ok = ok && (policy_keys_make(text_of(one), &key) == STATUS_OK || fault(apply, "%s is no mail address", json_string_value(one)));
        if (ok)
            json_array_append_new(keys, apply_text(key.exact));
    }
    json_decref(list);
    if (ok)
        return keys;
    json_decref(keys);
    return NULL;
}

static bool apply_aliases(struct apply *apply, const struct tree_node *node, json_t *value)
{
    size_t total, i;
    json_t *one, *is, *wanted;
    if (!value)
        return true;
    if (!(wanted = alias_keys(apply, value)))
        return false;
    is = json_array();
    bool ok = good(apply, accounts_aliases(apply->accounts, node->id, SIZE_MAX, collect_alias, is, &total));
    json_array_foreach(is, i, one)
        if (ok && !has(wanted, one)) {
            ok = good(apply, accounts_alias_remove(apply->accounts, node->name, text_of(one), apply->now_ms));
            note(apply, "change", node->kind, node->name, json_pack("{s:O}", "alias-removed", one));
        }
    json_array_foreach(wanted, i, one)
        if (ok && !has(is, one)) {
            ok = good(apply, accounts_alias_add(apply->accounts, node->name, text_of(one), apply->now_ms));
            note(apply, "change", node->kind, node->name, json_pack("{s:O}", "alias-added", one));
        }
    json_decref(is);
    json_decref(wanted);
    return ok;
}

/* -- a node of the file -- */

static bool add_account(struct apply *apply, struct span key, json_t *object, int64_t parent, bool is_below_domain)
{
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    json_t *hash = json_object_get(object, "hash"), *name = json_object_get(object, "name");
    if (!hash)
        return fault(apply, "a new account needs \"hash\", what is stored of its password");
    if (!read_hash(apply, hash, &stored))
        return false;
    if (!is_below_domain && !good(apply, accounts_place(apply->accounts, key, parent, apply->now_ms, &parent)))
        return false;
    return good(apply, accounts_add_below(apply->accounts, parent, key, buf_span(&stored), name ? text_of(name) : SPAN_NONE, apply->now_ms));
}

static bool add_node(struct apply *apply, const struct section *section, struct span key, json_t *object)
{
    struct tree_node parent;
    json_t *title = json_object_get(object, "title");
    int64_t id;
    if (!find_parent(apply, object, &parent))
        return false;
    note(apply, "add", section->kind, key, NULL);
    if (section->kind == TREE_SENDER)
        return add_account(apply, key, object, parent.id, parent.id && parent.kind == TREE_DOMAIN);
    if (!parent.id && !good(apply, section->kind == TREE_CUSTOMER ? tree_find(apply->accounts, TREE_SERVER, SPAN_NONE, &parent)
                                                                  : tree_find(apply->accounts, TREE_CUSTOMER, SPAN(TREE_DEFAULT), &parent)))
        return false;
    return good(apply, tree_add(apply->accounts, section->kind, parent.id, key, title ? text_of(title) : SPAN_NONE, apply->now_ms, &id));
}

static bool apply_parts(struct apply *apply, const struct tree_node *node, json_t *object)
{
    bool is_account = node->kind == TREE_SENDER;
    return apply_title(apply, node, json_object_get(object, is_account ? "name" : "title")) && apply_place(apply, node, object) &&
           apply_state(apply, node, object) && apply_settings(apply, node, json_object_get(object, "settings")) &&
           (!is_account || (apply_hash(apply, node, json_object_get(object, "hash")) &&
                            apply_aliases(apply, node, json_object_get(object, "aliases"))));
}

static bool apply_one(struct apply *apply, const struct section *section, json_t *object)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(TREE_NAME_MAX + 1);
    struct tree_node node;
    if (!check_keys(apply, section, object))
        return false;
    if (section->kind != TREE_SERVER) {
        json_t *name = json_object_get(object, section->label);
        if (!name || tree_name_key(section->kind, text_of(name), &key) != STATUS_OK)
            return fault(apply, "\"%s\" is missing, or is no name of %s %s", section->label, section->kind == TREE_SENDER ? "an" : "a",
                         kind_text(section->kind));
        if (json_object_get(apply->seen[section->kind], buf_cstr(&key)))
            return fault(apply, "%s stands there twice", buf_cstr(&key));
        json_object_set_new(apply->seen[section->kind], buf_cstr(&key), json_true());
    }
    enum status status = tree_find(apply->accounts, section->kind, buf_span(&key), &node);
    if (status == STATUS_NOT_FOUND) {
        if (!add_node(apply, section, buf_span(&key), object))
            return false;
        status = tree_find(apply->accounts, section->kind, buf_span(&key), &node);
    }
    return good(apply, status) && apply_parts(apply, &node, object);
}

static bool apply_section(struct apply *apply, const struct section *section, json_t *value)
{
    json_t *one;
    apply->word = section->word;
    if (section->kind == TREE_SERVER)
        return apply_one(apply, section, value);
    apply->index = 0;
    if (!json_is_array(value))
        return fault(apply, "a list is expected");
    json_array_foreach(value, apply->index, one)
        if (!apply_one(apply, section, one))
            return false;
    return true;
}

/* -- what the file does not name -- */

static void collect_name(void *arg, const struct tree_node *node) { json_array_append_new(arg, apply_text(node->name)); }

static bool has_children(struct apply *apply, const struct tree_node *node, bool *ret)
{
    json_t *below = json_array();
    bool ok = good(apply, tree_list(apply->accounts, TREE_SENDER, node->id, collect_name, below)) &&
              (node->kind != TREE_CUSTOMER || good(apply, tree_list(apply->accounts, TREE_DOMAIN, node->id, collect_name, below)));
    *ret = json_array_size(below) > 0;
    json_decref(below);
    return ok;
}

static bool prune_one(struct apply *apply, enum tree_kind kind, struct span name)
{
    struct tree_node node;
    bool children = false;
    if (kind == TREE_CUSTOMER && span_eq(name, SPAN(TREE_DEFAULT)))
        return true;
    note(apply, "remove", kind, name, NULL);
    if (kind == TREE_SENDER)
        return good(apply, accounts_remove(apply->accounts, name, apply->now_ms));
    if (!good(apply, tree_find(apply->accounts, kind, name, &node)) || !has_children(apply, &node, &children))
        return false;
    if (children)
        return fault(apply, "the %s %.*s is not in the file, but something that stays lies below it", kind_text(kind), SPAN_ARGS(name));
    return good(apply, tree_remove(apply->accounts, &node, apply->now_ms));
}

static bool prune(struct apply *apply, const struct section *section)
{
    json_t *names = json_array(), *name;
    size_t i;
    apply->word = section->word;
    bool ok = good(apply, tree_list(apply->accounts, section->kind, 0, collect_name, names));
    json_array_foreach(names, i, name)
        if (ok && !json_object_get(apply->seen[section->kind], json_string_value(name)))
            ok = prune_one(apply, section->kind, text_of(name));
    json_decref(names);
    return ok;
}

static bool apply_all(struct apply *apply, json_t *root)
{
    const char *key;
    json_t *value;
    apply->word = "the file";
    json_object_foreach(root, key, value) {
        size_t i = 0;
        while (i < ARRAY_LEN(sections) && strcmp(sections[i].word, key) != 0)
            i++;
        if (i == ARRAY_LEN(sections))
            return fault(apply, "there is no \"%s\"; there are server, customers, domains and accounts", key);
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if ((value = json_object_get(root, sections[i].word)) && !apply_section(apply, &sections[i], value))
            return false;
    for (size_t i = ARRAY_LEN(sections); apply->call->options.prune && i-- > 1;)
        if (json_object_get(root, sections[i].word) && !prune(apply, &sections[i]))
            return false;
    return true;
}

/* -- telling -- */

static void print_one(const json_t *one)
{
    const char *what = json_string_value(json_object_get(one, "do")), *key;
    json_t *detail = json_object_get(one, "what"), *value;
    printf("%c %s %s", what[0] == 'a' ? '+' : what[0] == 'r' ? '-' : '~', json_string_value(json_object_get(one, "kind")),
           json_string_value(json_object_get(one, "name")));
    json_object_foreach(detail, key, value) {
        char *from = json_dumps(json_object_get(value, "from"), JSON_ENCODE_ANY), *to = json_dumps(json_object_get(value, "to"), JSON_ENCODE_ANY);
        if (from && to)
            printf(": %s %s -> %s", key, from, to);
        else
            printf(": %s %s", key, json_is_string(value) ? json_string_value(value) : "");
        free(from);
        free(to);
    }
    putchar('\n');
}

static void print_done(const struct apply *apply)
{
    size_t i;
    json_t *one;
    const struct account_options *options = &apply->call->options;
    if (options->json) {
        json_dumpf(apply->done, stdout, JSON_INDENT(1));
        putchar('\n');
        return;
    }
    json_array_foreach(apply->done, i, one)
        print_one(one);
    printf("%zu change%s%s\n", json_array_size(apply->done), json_array_size(apply->done) == 1 ? "" : "s",
           options->dry_run ? " would be made; nothing was changed" : "");
}

static json_t *load(const char *file)
{
    json_error_t wrong;
    bool is_input = strcmp(file, "-") == 0;
    json_t *root = is_input ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &wrong) : json_load_file(file, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        common_complain("%s:%d:%d: %s", is_input ? "the standard input" : file, wrong.line, wrong.column, wrong.text);
    else if (!json_is_object(root))
        common_complain("%s: an object is expected: {\"customers\": [...], \"domains\": [...], \"accounts\": [...]}", file);
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

int apply_run(struct account_call *call)
{
    struct apply apply = { .call = call, .accounts = call->accounts, .file = call->words[0], .now_ms = time_wall_ms(), .word = "" };
    json_t *root = load(apply.file);
    if (!root)
        return 1;
    apply.done = json_array();
    for (size_t i = 0; i < ARRAY_LEN(apply.seen); i++)
        apply.seen[i] = json_object();
    bool ok = good(&apply, tree_begin(call->accounts));
    bool is_open = ok;
    ok = ok && apply_all(&apply, root);
    if (ok && !call->options.dry_run) {
        ok = good(&apply, tree_commit(call->accounts));
        is_open = !ok;
    }
    if (is_open)
        tree_rollback(call->accounts);
    if (ok)
        print_done(&apply);
    for (size_t i = 0; i < ARRAY_LEN(apply.seen); i++)
        json_decref(apply.seen[i]);
    json_decref(apply.done);
    json_decref(root);
    return ok ? 0 : 1;
}
