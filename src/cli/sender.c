/* `goniec sender show`: all that is known of one sender: what is said about it, what stops it, what waits of it. */
#include "base/log.h"
#include "cli/account_priv.h"
#include "cli/control.h"

struct showing {
    struct account_call *call;
    const struct tree_node *node; /* being told about */
    struct buf text;
    bool any;
};

/* -- suspended where, since when, by whom -- */

struct finding {
    const struct tree_node *node;
    struct buf who;
};

static void on_audit(void *arg, const struct tree_audit *audit)
{
    struct finding *finding = arg;
    bool is_it = span_eq(audit->action, SPAN("suspend")) && span_eq(audit->kind, span_str(tree_kind_text(finding->node->kind)));
    if (is_it && !finding->who.n)
        buf_add(&finding->who, audit->who);
}

static void add_suspension(struct showing *showing)
{
    struct buf *text = &showing->text;
    const struct tree_node *node = showing->node;
    struct finding finding = { node, BUF_EMPTY(1024) };
    if (tree_audit(showing->call->accounts, node->name, 0, 1000, on_audit, &finding) != STATUS_OK)
        buf_clear(&finding.who);
    if (showing->call->options.json) {
        buf_printf(text, "%s{\"kind\": \"%s\", \"name\": ", showing->any ? ", " : "", tree_kind_text(node->kind));
        json_add_string(text, node->name);
        buf_add_str(text, ", \"reason\": ");
        json_add_string(text, node->reason);
        buf_add_str(text, ", \"since\": \"");
        node_add_time(text, node->suspended_ms);
        buf_add_str(text, "\", \"by\": ");
        json_add_string(text, buf_span(&finding.who));
        buf_add_char(text, '}');
    } else {
        buf_printf(text, "suspended: %s %.*s since ", tree_kind_text(node->kind), SPAN_ARGS(node->name));
        node_add_time(text, node->suspended_ms);
        buf_printf(text, " by %.*s: %.*s\n", finding.who.n ? (int)finding.who.n : 7, finding.who.n ? finding.who.p : "unknown",
                   SPAN_ARGS(node->reason));
    }
    showing->any = true;
    buf_done(&finding.who);
}

/* -- limits -- */

static void on_value(void *arg, struct span setting, struct span value)
{
    struct showing *showing = arg;
    struct buf *text = &showing->text;
    const struct tree_node *node = showing->node;
    if (!span_eq(setting, SPAN("limit")))
        return;
    if (showing->call->options.json) {
        buf_printf(text, "%s{\"kind\": \"%s\", \"name\": ", showing->any ? ", " : "", tree_kind_text(node->kind));
        json_add_string(text, node->name);
        buf_add_str(text, ", \"limit\": ");
        json_add_string(text, value);
        buf_add_char(text, '}');
    } else {
        buf_printf(text, "limit:    %.*s, of %s %.*s\n", SPAN_ARGS(value), tree_kind_text(node->kind), SPAN_ARGS(node->name));
    }
    showing->any = true;
}

static void add_chain(struct showing *showing, const struct tree_node *chain, size_t n)
{
    bool json = showing->call->options.json;
    showing->any = false;
    buf_add_str(&showing->text, json ? ", \"suspended\": [" : "");
    for (size_t i = 0; i < n; i++) {
        showing->node = &chain[i];
        if (chain[i].suspended)
            add_suspension(showing);
    }
    showing->any = false;
    buf_add_str(&showing->text, json ? "], \"limits\": [" : "");
    for (size_t i = 0; i < n; i++) {
        showing->node = &chain[i];
        if (tree_values(showing->call->accounts, chain[i].id, on_value, showing) != STATUS_OK)
            showing->text.failed = true;
    }
    buf_add_str(&showing->text, json ? "]" : "");
}

/* -- what waits -- */

/* Nothing is said when the server does not run: control_ask() has complained. */
static void add_waiting(struct showing *showing)
{
    struct account_call *call = showing->call;
    struct buf *text = &showing->text;
    json_t *status = control_ask(common_config_path(call->options.config),
                                 json_pack("{s:s,s:s%}", "op", "status", "account", call->name.p, (size_t)call->name.n), NULL, NULL);
    json_t *account = json_object_get(status, "account");
    long long messages = json_integer_value(json_object_get(account, "messages"));
    long long octets = json_integer_value(json_object_get(account, "octets"));
    if (call->options.json && status)
        buf_printf(text, ", \"waiting\": {\"messages\": %lld, \"octets\": %lld}", messages, octets);
    else if (call->options.json)
        buf_add_str(text, ", \"waiting\": null");
    else if (status)
        buf_printf(text, "waiting:  %lld messages, %.1f MiB%s\n", messages, (double)octets / 1048576.0,
                   json_object_get(account, "why") ? "; they stay where they are" : "");
    json_decref(status);
}

static int run_show(struct account_call *call)
{
    struct tree_node node, chain[TREE_DEPTH_MAX];
    size_t n = 0;
    struct showing showing = { .call = call, .text = BUF_EMPTY(1u << 20) };
    if (!node_find(call, &node))
        return 1;
    enum status status = tree_chain(call->accounts, node.id, chain, &n);
    if (status != STATUS_OK)
        return node_report(call, status, "");
    fputs(call->options.json ? "{\"account\": " : "", stdout);
    int result = account_print(call);
    add_chain(&showing, chain, n);
    standing_add(call, call->options.json, &showing.text);
    add_waiting(&showing);
    buf_add_str(&showing.text, call->options.json ? "}\n" : "");
    fwrite(showing.text.p, 1, showing.text.n, stdout);
    if (showing.text.failed)
        result = common_complain("the sender could not be shown in full");
    buf_done(&showing.text);
    return result;
}

const struct account_verb sender_verbs[] = {
    { "show", "LOGIN", 1, 1, 0, run_show, "state, credentials, limits, what stops it and what waits of it" },
    { 0 }
};
