/* How a sender stands: what was counted of it by each limit that holds, and when there is room again. Read beside the running
 * server, from the files that it writes each second. */
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "conf/parse.h"
#include "directory/counters.h"
#include "directory/holders.h"
#include "directory/settings.h"
#include "limits/words.h"

static void add_rule(const struct limits_node *node, const struct limits_rule *rule, const struct limits_reading *reading, bool json,
                     bool first, struct buf *text)
{
    AUTO(buf_done) struct buf words = BUF_EMPTY(256);
    limits_rule_write(rule, &words);
    bool waits = reading->room == 0 && reading->clear_ms > 0 && reading->clear_ms != LIMITS_NEVER;
    if (json) {
        buf_printf(text, "%s{\"kind\": \"%s\", \"name\": ", first ? "" : ", ", limits_kind_name(node->kind));
        json_add_string(text, node->name);
        buf_add_str(text, ", \"limit\": ");
        json_add_string(text, buf_span(&words));
        buf_printf(text, ", \"count\": %llu, \"waiting\": %llu, \"room\": %llu, \"clear\": ", (unsigned long long)reading->count,
                   (unsigned long long)reading->late, (unsigned long long)reading->room);
        buf_add_str(text, waits ? "\"" : "null}");
        if (waits) {
            node_add_time(text, reading->clear_ms);
            buf_add_str(text, "\"}");
        }
        return;
    }
    buf_printf(text, "counted:  %llu of %.*s, %s %.*s; ", (unsigned long long)reading->count, SPAN_ARGS(buf_span(&words)),
               limits_kind_name(node->kind), SPAN_ARGS(node->name));
    if (reading->late)
        buf_printf(text, "%llu wait for room; ", (unsigned long long)reading->late);
    if (waits) {
        buf_add_str(text, "room again at ");
        node_add_time(text, reading->clear_ms);
        buf_add_char(text, '\n');
    } else
        buf_printf(text, "room for %llu\n", (unsigned long long)reading->room);
}

static void add_all(struct limits_tree *tree, const struct holder *holder, int64_t wall_ms, bool json, struct buf *text)
{
    bool first = true;
    for (size_t i = 0; i < holder->chain_count; i++)
        for (size_t j = 0; j < holder->chain[i].rule_count; j++) {
            const struct limits_rule *rule = &holder->chain[i].rules[j];
            struct limits_reading reading;
            if (rule->per_ms == 0)
                continue; /* what is there now: the queue knows */
            limits_tree_read(tree, &holder->chain[i], rule, wall_ms, &reading);
            add_rule(&holder->chain[i], rule, &reading, json, first, text);
            first = false;
        }
}

bool standing_settings(const struct account_call *call, struct holders *holders, struct buf *path, struct buf *log)
{
    const char *file = common_config_path(call->options.config);
    AUTO(conf_faults_done) struct conf_faults faults;
    AUTO(buf_done) struct buf text = BUF_EMPTY(CONF_TEXT_MAX);
    conf_faults_init(&faults, file);
    struct conf *conf = conf_read(file, &text, &faults) ? conf_parse(&directory_root_section, buf_span(&text), CONF_PARTIAL, &faults) : NULL;
    if (!conf)
        return false;
    const struct directory_root *root = conf_values(conf);
    holders_set_defaults(holders, &root->accounts.limits);
    if (call->options.database)
        buf_add_str(path, call->options.database);
    else
        directory_database_path(root, path);
    buf_add(log, root->common.log.file);
    conf_free(conf);
    return !path->failed && !log->failed;
}

void standing_add(struct account_call *call, bool json, struct buf *text)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    AUTO(buf_done) struct buf log = BUF_EMPTY(8192);
    struct holders holders;
    enum status status;
    int64_t wall_ms = time_wall_ms();
    holders_init(&holders);
    struct limits_tree *tree = limits_tree_new(&(struct limits_tree_setup){ 0 });
    const struct holder *holder = NULL;
    if (tree && standing_settings(call, &holders, &path, &log) && counters_read(tree, buf_cstr(&path), wall_ms, wall_ms) == STATUS_OK)
        holder = holders_find(&holders, call->accounts, call->name, 0, &status);
    buf_add_str(text, json ? holder ? ", \"counted\": [" : ", \"counted\": null" : holder ? "" : "counted:  cannot be read\n");
    if (holder)
        add_all(tree, holder, wall_ms, json, text);
    buf_add_str(text, json && holder ? "]" : "");
    holders_forget(&holders);
    limits_tree_free(tree);
}
