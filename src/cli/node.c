/* What can be done with any node of the tree: find, show, set, suspend; and the verbs of customers and domains. */
#include "base/log.h"
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"

static const char *kind_of(const struct account_call *call) { return tree_kind_text(call->group->kind); }

/* "account" is what a person calls a sender. */
static const char *word_of(const struct account_call *call)
{
    return call->group->kind == TREE_SENDER ? "account" : kind_of(call);
}

int node_report(const struct account_call *call, enum status status, const char *done)
{
    const char *name = call->name.n ? call->name.p : "the server";
    if (status == STATUS_OK) {
        if (!call->options.json)
            printf("%s: %s\n", name, done);
        return 0;
    }
    if (status == STATUS_NOT_FOUND)
        return common_complain("there is no %s %s (`goniec %s list` shows all)", word_of(call), name, word_of(call));
    if (status == STATUS_EXISTS)
        return common_complain("there is a%s %s %s already", call->group->kind == TREE_SENDER ? "n" : "", word_of(call), name);
    return common_complain("%s", accounts_why(call->accounts));
}

bool node_find(struct account_call *call, struct tree_node *ret)
{
    enum status status = tree_find(call->accounts, call->group->kind, call->name, ret);
    return status == STATUS_OK || (node_report(call, status, ""), false);
}

bool node_find_other(struct account_call *call, enum tree_kind kind, const char *word, int64_t *ret)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(TREE_NAME_MAX + 1);
    struct tree_node node;
    enum status status = tree_name_key(kind, span_str(word), &key);
    if (status == STATUS_OK)
        status = tree_find(call->accounts, kind, buf_span(&key), &node);
    if (status == STATUS_OK) {
        *ret = node.id;
        return true;
    }
    const char *text = tree_kind_text(kind);
    common_complain("there is no %s %s; `goniec %s add` makes it", text, word, text);
    return false;
}

bool node_customer(struct account_call *call, int64_t *ret)
{
    *ret = 0;
    return !call->options.customer || node_find_other(call, TREE_CUSTOMER, call->options.customer, ret);
}

void node_add_time(struct buf *text, int64_t wall_ms)
{
    char iso[TIME_TEXT_SIZE];
    buf_add_str(text, wall_ms ? time_iso(wall_ms, iso) : "unknown");
}

/* It goes to terminals, and into lists with a line for each. */
bool node_check_text(const char *what, struct span text)
{
    bool good = text.n <= TREE_TEXT_MAX && span_is_utf8(text);
    for (size_t i = 0; good && i < text.n; i++)
        good = (unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7f;
    if (!good)
        common_complain("a %s has at most %d octets of UTF-8, without control characters", what, TREE_TEXT_MAX);
    return good;
}

/* -- settings -- */

struct saying {
    struct buf *text;
    bool json;
    const struct tree_setting *last;
};

static void end_list(struct saying *saying)
{
    if (saying->json && saying->last && saying->last->is_list)
        buf_add_char(saying->text, ']');
}

static void say_value(void *arg, struct span name, struct span value)
{
    struct saying *saying = arg;
    const struct tree_setting *setting = tree_setting_find(name);
    if (!setting)
        return;
    if (!saying->json) {
        buf_printf(saying->text, "set:      %s=%.*s\n", setting->name, SPAN_ARGS(value));
        return;
    }
    bool again = setting == saying->last;
    if (!again) {
        end_list(saying);
        buf_printf(saying->text, "%s\"%s\": %s", saying->last ? ", " : "", setting->name, setting->is_list ? "[" : "");
    } else {
        buf_add_str(saying->text, ", ");
    }
    json_add_string(saying->text, value);
    saying->last = setting;
}

static void add_effective(struct accounts *accounts, int64_t id, bool json, struct buf *text)
{
    bool first = true;
    buf_add_str(text, json ? ", \"effective\": {" : "holds:   ");
    for (const struct tree_setting *setting = tree_settings; setting->name; setting++) {
        AUTO(buf_done) struct buf value = BUF_EMPTY(TREE_VALUE_MAX);
        if (setting->is_list || tree_effective(accounts, id, setting, &value) != STATUS_OK)
            continue;
        if (json)
            buf_printf(text, "%s\"%s\": \"%.*s\"", first ? "" : ", ", setting->name, SPAN_ARGS(buf_span(&value)));
        else
            buf_printf(text, " %s=%.*s", setting->name, SPAN_ARGS(buf_span(&value)));
        first = false;
    }
    buf_add_str(text, json ? "}" : "\n");
}

void node_add_settings(struct accounts *accounts, int64_t id, bool json, struct buf *text)
{
    struct saying saying = { text, json, NULL };
    if (json)
        buf_add_str(text, ", \"settings\": {");
    if (tree_values(accounts, id, say_value, &saying) != STATUS_OK)
        text->failed = true;
    end_list(&saying);
    if (json)
        buf_add_str(text, "}");
    add_effective(accounts, id, json, text);
}

/* What one command line says about one setting. */
struct change {
    const struct tree_setting *setting;
    struct span values[TREE_VALUES_MAX];
    size_t n;
};

static int set_words(struct account_call *call, const struct tree_node *node, const struct tree_setting *setting)
{
    struct change change = { .setting = setting };
    size_t length = strlen(setting->name);
    bool said = false;
    for (int i = 0; i < call->word_count; i++) {
        struct span value = span_str(call->words[i]);
        if (value.n <= length || value.p[length] != '=' || !span_starts(value, span_str(setting->name)))
            continue;
        value = span_from(value, length + 1);
        said = true;
        if (!value.n)
            continue;
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        if (change.n >= (setting->is_list ? TREE_VALUES_MAX : 1))
            return common_complain("%s is said too often", setting->name);
        if (!tree_value_check(setting, value, &why))
            return common_complain("%s: %s", call->words[i], buf_cstr(&why));
        change.values[change.n++] = value;
    }
    if (!said)
        return 0;
    enum status status = tree_set(call->accounts, node, setting, change.values, change.n, time_wall_ms());
    return status == STATUS_OK ? 0 : node_report(call, status, "");
}

static int move(struct account_call *call, const struct tree_node *node, enum tree_kind kind, const char *word)
{
    int64_t parent;
    if (!node_find_other(call, kind, word, &parent))
        return 1;
    enum status status = tree_move(call->accounts, node, parent, time_wall_ms());
    if (status == STATUS_DENIED)
        return common_complain("a %s cannot lie below a %s", tree_kind_text(node->kind), tree_kind_text(kind));
    return status == STATUS_OK ? 0 : node_report(call, status, "");
}

/* Words that are no settings: the name for people, and where the node lies. */
static int set_place(struct account_call *call, const struct tree_node *node, const char *word)
{
    if (strncmp(word, "name=", 5) == 0) {
        if (!node_check_text("name", span_str(word + 5)))
            return 1;
        enum status status = tree_set_title(call->accounts, node, span_str(word + 5), time_wall_ms());
        return status == STATUS_OK ? 0 : node_report(call, status, "");
    }
    if (strncmp(word, "customer=", 9) == 0)
        return move(call, node, TREE_CUSTOMER, word + 9);
    if (strncmp(word, "domain=", 7) == 0)
        return move(call, node, TREE_DOMAIN, word + 7);
    struct span text = span_str(word);
    size_t equals = span_find(text, '=');
    if (equals < text.n && tree_setting_find(span_head(text, equals)))
        return 0;
    return common_complain("%s: not of the form SETTING=VALUE, or no such setting (`goniec directory --help` lists them)", word);
}

int node_run_set(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    int result = tree_begin(call->accounts) == STATUS_OK ? 0 : node_report(call, STATUS_IO, "");
    for (int i = 0; i < call->word_count && result == 0; i++)
        result = set_place(call, &node, call->words[i]);
    for (const struct tree_setting *setting = tree_settings; setting->name && result == 0; setting++)
        result = set_words(call, &node, setting);
    if (result) {
        tree_rollback(call->accounts);
        return result;
    }
    return node_report(call, tree_commit(call->accounts), "set");
}

/* -- suspending -- */

int node_run_suspend(struct account_call *call)
{
    struct tree_node node;
    struct span reason = call->options.reason ? span_str(call->options.reason) : SPAN("suspended by the administrator");
    if (!node_find(call, &node))
        return 1;
    if (!node_check_text("reason", reason))
        return 1;
    return node_report(call, tree_suspend(call->accounts, &node, reason, time_wall_ms()),
                       "suspended; no login and no new message from now on. What is queued stays within a second or two, but "
                       "for what is being sent, and goes on after `resume`");
}

int node_run_resume(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    if (!node.suspended)
        return common_complain("%s is not suspended itself (`goniec %s show` tells what is)",
                               call->name.n ? call->name.p : "the server", call->group->command);
    return node_report(call, tree_resume(call->accounts, &node, time_wall_ms()), "resumed");
}

/* -- customers and domains -- */

static int run_add(struct account_call *call)
{
    int64_t parent, id;
    struct tree_node server;
    struct span title = call->options.name ? span_str(call->options.name) : SPAN_NONE;
    if (!node_check_text("name", title) || !node_customer(call, &parent))
        return 1;
    enum status status = tree_find(call->accounts, TREE_SERVER, SPAN_NONE, &server);
    if (status == STATUS_OK && call->group->kind == TREE_CUSTOMER)
        parent = server.id;
    else if (status == STATUS_OK && !parent) {
        status = tree_find(call->accounts, TREE_CUSTOMER, SPAN(TREE_DEFAULT), &server);
        parent = server.id;
    }
    if (status == STATUS_OK)
        status = tree_add(call->accounts, call->group->kind, parent, call->name, title, time_wall_ms(), &id);
    return node_report(call, status, "added");
}

static int run_remove(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    enum status status = tree_remove(call->accounts, &node, time_wall_ms());
    if (status == STATUS_DENIED)
        return common_complain("%s has to stay: it takes what belongs to nobody else", call->name.p);
    return node_report(call, status, "removed, with everything below it");
}

struct printing {
    struct account_call *call;
    bool is_first;
    struct buf text;
};

static void print_node_json(struct printing *printing, const struct tree_node *node, const struct tree_node *parent)
{
    struct buf *text = &printing->text;
    buf_add_str(text, "{\"name\": ");
    json_add_string(text, node->name);
    buf_add_str(text, ", \"title\": ");
    json_add_string(text, node->title);
    if (parent && parent->kind == TREE_CUSTOMER) {
        buf_add_str(text, ", \"customer\": ");
        json_add_string(text, parent->name);
    }
    buf_printf(text, ", \"suspended\": %s, \"reason\": ", node->suspended ? "true" : "false");
    json_add_string(text, node->reason);
    buf_add_str(text, ", \"created\": \"");
    node_add_time(text, node->created_ms);
    buf_add_str(text, "\"");
    node_add_settings(printing->call->accounts, node->id, true, text);
    buf_add_str(text, "}");
}

static void print_node_line(struct printing *printing, const struct tree_node *node, const struct tree_node *parent)
{
    buf_printf(&printing->text, "%-40.*s %-10s %s%.*s  %.*s\n", SPAN_ARGS(node->name), node->suspended ? "suspended" : "active",
               parent && parent->kind == TREE_CUSTOMER ? "of " : "", parent && parent->kind == TREE_CUSTOMER ? (int)parent->name.n : 0,
               parent ? parent->name.p : "", SPAN_ARGS(node->title));
}

static void print_node(void *arg, const struct tree_node *node)
{
    struct printing *printing = arg;
    struct tree_node parent;
    bool has_parent = node->parent && tree_get(printing->call->accounts, node->parent, &parent) == STATUS_OK;
    if (printing->call->options.json) {
        buf_add_str(&printing->text, printing->is_first ? "" : ",\n ");
        print_node_json(printing, node, has_parent ? &parent : NULL);
    } else {
        print_node_line(printing, node, has_parent ? &parent : NULL);
    }
    printing->is_first = false;
    fwrite(printing->text.p, 1, printing->text.n, stdout);
    buf_clear(&printing->text);
}

static int run_list(struct account_call *call)
{
    struct printing printing = { call, true, BUF_EMPTY(1u << 20) };
    int64_t customer;
    if (!node_customer(call, &customer))
        return 1;
    fputs(call->options.json ? "[" : "", stdout);
    enum status status = tree_list(call->accounts, call->group->kind, customer, print_node, &printing);
    fputs(call->options.json ? "]\n" : "", stdout);
    buf_done(&printing.text);
    return status == STATUS_OK ? 0 : node_report(call, status, "");
}

static void print_node_full(struct account_call *call, const struct tree_node *node, struct buf *text)
{
    buf_printf(text, "%s: %.*s\n", kind_of(call), SPAN_ARGS(node->name));
    if (node->title.n)
        buf_printf(text, "name:     %.*s\n", SPAN_ARGS(node->title));
    if (node->suspended)
        buf_printf(text, "state:    suspended: %.*s\n", SPAN_ARGS(node->reason));
    else
        buf_add_str(text, "state:    active\n");
    node_add_settings(call->accounts, node->id, false, text);
}

static int run_show(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    struct printing printing = { call, true, BUF_EMPTY(1u << 20) };
    if (call->options.json) {
        print_node(&printing, &node);
        fputs("\n", stdout);
    } else {
        print_node_full(call, &node, &printing.text);
        fwrite(printing.text.p, 1, printing.text.n, stdout);
    }
    buf_done(&printing.text);
    return 0;
}

#define COMMON_VERBS(word)                                                                                                 \
    { "show", word, 1, 1, 0, run_show, "what is said on it, and what holds" },                                             \
    { "set", word " SETTING=VALUE...", 2, 1000, ACCOUNT_CHANGES | ACCOUNT_TAKES, node_run_set, "says something on it" },   \
    { "suspend", word " [--reason TEXT]", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, node_run_suspend,                         \
      "no login and no new message of all below it; they are told the reason" },                                           \
    { "resume", word, 1, 1, ACCOUNT_CHANGES, node_run_resume, "takes `suspend` back" },                                    \
    { "remove", word, 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_remove, "goes, with everything below it" }, { 0 }

const struct account_verb customer_verbs[] = {
    { "add", "NAME [--name TEXT]", 1, 1, ACCOUNT_CHANGES, run_add, "makes a customer" },
    { "list", "", 0, 0, 0, run_list, "all customers" },
    COMMON_VERBS("NAME")
};

const struct account_verb domain_verbs[] = {
    { "add", "DOMAIN [--customer NAME] [--name TEXT]", 1, 1, ACCOUNT_CHANGES, run_add,
      "makes a domain below a customer (default); accounts of a new domain make it by themselves" },
    { "list", "[--customer NAME]", 0, 0, 0, run_list, "all domains" },
    COMMON_VERBS("DOMAIN")
};

const struct account_verb directory_verbs[] = {
    { "show", "", 0, 0, 0, run_show, "what is said on the server, and what holds" },
    { "set", "SETTING=VALUE...", 1, 1000, ACCOUNT_CHANGES | ACCOUNT_TAKES | ACCOUNT_NAMELESS, node_run_set,
      "says something on the server" },
    { "suspend", "[--reason TEXT]", 0, 0, ACCOUNT_CHANGES | ACCOUNT_TAKES, node_run_suspend, "nobody logs in or sends" },
    { "resume", "", 0, 0, ACCOUNT_CHANGES, node_run_resume, "takes `suspend` back" },
    { "apply", "FILE [--dry-run] [--prune]", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES | ACCOUNT_NAMELESS, apply_run,
      "makes customers, domains and accounts be as the file says, and tells the difference; all of it or nothing" },
    { "dump", "[--hashes]", 0, 0, 0, dump_run, "all of them as `apply` reads it" },
    { 0 }
};

/* -- audit -- */

static void print_audit(void *arg, const struct tree_audit *audit)
{
    struct printing *printing = arg;
    struct buf *text = &printing->text;
    char iso[TIME_TEXT_SIZE];
    if (printing->call->options.json) {
        const struct { const char *name; struct span value; } members[] = {
            { "who", audit->who }, { "action", audit->action }, { "kind", audit->kind }, { "name", audit->name },
            { "detail", audit->detail },
        };
        buf_printf(text, "%s{\"time\": \"%s\"", printing->is_first ? "" : ",\n ", time_iso(audit->at_ms, iso));
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            buf_printf(text, ", \"%s\": ", members[i].name);
            json_add_string(text, members[i].value);
        }
        buf_add_str(text, "}");
    } else {
        buf_printf(text, "%s %.*s: %.*s %.*s %.*s%s%.*s\n", time_iso(audit->at_ms, iso), SPAN_ARGS(audit->who),
                   SPAN_ARGS(audit->action), SPAN_ARGS(audit->kind), SPAN_ARGS(audit->name), audit->detail.n ? ": " : "",
                   SPAN_ARGS(audit->detail));
    }
    printing->is_first = false;
    fwrite(text->p, 1, text->n, stdout);
    buf_clear(text);
}

static int run_audit(struct account_call *call)
{
    struct printing printing = { call, true, BUF_EMPTY(1u << 20) };
    uint64_t last = 100;
    int64_t since = 0;
    struct span name = call->word_count ? span_str(call->words[0]) : SPAN_NONE;
    if (call->options.last && (!span_u64(span_str(call->options.last), INT32_MAX, &last) || !last))
        return common_complain("--last %s: that is no number of lines", call->options.last);
    if (call->options.since && !common_when(call->options.since, -1, &since))
        return common_complain("--since %s: write 2027-01-31, 2027-01-31T12:00:00Z or a time such as 7d", call->options.since);
    fputs(call->options.json ? "[" : "", stdout);
    enum status status = tree_audit(call->accounts, name, since, last, print_audit, &printing);
    fputs(call->options.json ? "]\n" : "", stdout);
    buf_done(&printing.text);
    return status == STATUS_OK ? 0 : node_report(call, status, "");
}

const struct account_verb audit_verbs[] = {
    { "show", "[NAME] [--last N] [--since WHEN]", 0, 1, ACCOUNT_NAMELESS, run_audit,
      "who changed what, the latest first; NAME: of an account, a domain, a customer" },
    { 0 }
};
