/* `goniec limits`: what is counted of a sender, forgetting that once, and what other limits would have stopped. */
#include "base/log.h"
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "cli/simulate.h"
#include "directory/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MOST (1u << 20)
#define DEFAULTS_MOST HOLDERS_DEFAULTS_MOST
#define SINCE "30d"

static int run_show(struct account_call *call)
{
    struct tree_node node;
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    if (!node_find(call, &node))
        return 1;
    buf_add_str(&text, call->options.json ? "{\"name\": " : "");
    if (call->options.json)
        json_add_string(&text, node.name);
    standing_add(call, call->options.json, &text);
    buf_add_str(&text, call->options.json ? "}\n" : "");
    fwrite(text.n ? text.p : "", 1, text.n, stdout);
    return text.failed ? common_complain("the limits could not be shown in full") : 0;
}

static int run_forget(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    return node_report(call, tree_note(call->accounts, &node, TREE_FORGET, time_wall_ms()), "within a second its count begins at 0");
}

/* -- simulate -- */

/* What the file says: on nodes (in a copy of the tree), and by default. */
struct wishes {
    struct accounts *copy;
    struct span defaults[DEFAULTS_MOST];
    size_t default_count;
    const char *file;
    unsigned line;
};

static int wrong_line(const struct wishes *wishes, const char *why)
{
    return common_complain("%s:%u: %s", wishes->file, wishes->line, why);
}

struct said {
    struct span values[TREE_VALUES_MAX];
    size_t n;
    struct buf room;
};

static void on_value(void *arg, struct span setting, struct span value)
{
    struct said *said = arg;
    if (span_eq(setting, SPAN("limit")) && said->n < TREE_VALUES_MAX && buf_add(&said->room, value) == STATUS_OK)
        said->values[said->n++] = span_of(NULL, value.n);
}

/* One more limit on the node; the first of the file about it takes the place of what is there. */
static int say(struct wishes *wishes, struct span kind_name, struct span name, struct span rule, bool is_first)
{
    enum tree_kind kind;
    struct tree_node node;
    struct said said = { .room = BUF_EMPTY(TREE_VALUES_MAX * TREE_VALUE_MAX) };
    AUTO(buf_done) struct buf key = BUF_EMPTY(TREE_NAME_MAX + 1);
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    const struct tree_setting *setting = tree_setting_find(SPAN("limit"));
    if (!tree_kind_find(kind_name, &kind) || tree_name_key(kind, name, &key) != STATUS_OK)
        return wrong_line(wishes, "write \"sender NAME: LIMIT\", or domain, customer; \"server: LIMIT\"; or \"LIMIT each sender\"");
    if (tree_find(wishes->copy, kind, buf_span(&key), &node) != STATUS_OK)
        return wrong_line(wishes, "there is no such node");
    if (!tree_value_check(setting, rule, &why))
        return wrong_line(wishes, buf_cstr(&why));
    enum status status = is_first ? STATUS_OK : tree_values(wishes->copy, node.id, on_value, &said);
    for (size_t i = 0, at = 0; i < said.n; at += said.values[i++].n)
        said.values[i].p = said.room.p + at;
    if (said.n == TREE_VALUES_MAX)
        status = STATUS_FULL;
    said.values[said.n < TREE_VALUES_MAX ? said.n : 0] = rule;
    if (status == STATUS_OK)
        status = tree_set(wishes->copy, &node, setting, said.values, said.n + 1, 0);
    buf_done(&said.room);
    return status == STATUS_OK ? 0 : wrong_line(wishes, status_text(status));
}

static int read_line(struct wishes *wishes, struct span line, struct buf *seen)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    struct span node, kind, rest;
    wishes->line++;
    line = span_trim(line);
    if (!line.n || line.p[0] == '#')
        return 0;
    size_t colon = span_find(line, ':');
    if (colon == line.n) {
        if (!holders_check_default(&line, &why))
            return wrong_line(wishes, buf_cstr(&why));
        if (wishes->default_count == DEFAULTS_MOST)
            return wrong_line(wishes, "too many defaults");
        wishes->defaults[wishes->default_count++] = line;
        return 0;
    }
    node = span_head(line, colon);
    rest = span_from(line, colon + 1);
    size_t blank = span_find(node, ' ');
    kind = span_head(node, blank);
    struct span name = span_from(node, blank);
    AUTO(buf_done) struct buf mark = BUF_EMPTY(1024);
    buf_printf(&mark, "\n%.*s\n", SPAN_ARGS(node));
    bool is_first = span_find_span(buf_span(seen), buf_span(&mark)) >= seen->n;
    buf_add(seen, buf_span(&mark));
    return say(wishes, kind, span_trim(name), span_trim(rest), is_first);
}

static int read_wishes(struct wishes *wishes, struct span text)
{
    AUTO(buf_done) struct buf seen = BUF_EMPTY(2 * FILE_MOST);
    struct span line;
    int result = 0;
    while (result == 0 && span_cut(&text, '\n', &line))
        result = read_line(wishes, line, &seen);
    return result;
}

static void print_row(const struct simulate_row *row, bool json, bool first)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    AUTO(buf_done) struct buf rule = BUF_EMPTY(256);
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    limits_rule_write(&row->rule, &rule);
    time_iso(row->first_ms, from);
    time_iso(row->last_ms, to);
    if (json) {
        buf_printf(&text, "%s{\"kind\": \"%s\", \"name\": ", first ? "" : ",\n ", limits_kind_name(row->kind));
        json_add_string(&text, buf_span(&row->name));
        buf_add_str(&text, ", \"limit\": ");
        json_add_string(&text, buf_span(&rule));
        buf_printf(&text, ", \"messages\": %llu, \"recipients\": %llu, \"first\": \"%s\", \"last\": \"%s\"}",
                   (unsigned long long)row->messages, (unsigned long long)row->recipients, from, to);
    } else {
        buf_printf(&text, "%s %.*s: %.*s would have stopped ", limits_kind_name(row->kind), SPAN_ARGS(buf_span(&row->name)),
                   SPAN_ARGS(buf_span(&rule)));
        if (row->messages)
            buf_printf(&text, "%llu messages", (unsigned long long)row->messages);
        else
            buf_printf(&text, "%llu recipients", (unsigned long long)row->recipients);
        buf_printf(&text, ", from %s to %s\n", from, to);
    }
    fwrite(text.n ? text.p : "", 1, text.n, stdout);
}

static void print_all(const struct simulate *simulate, const struct history *history, bool json)
{
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    fputs(json ? "[" : "", stdout);
    for (size_t i = 0; i < simulate->row_count; i++)
        print_row(&simulate->rows[i], json, i == 0);
    if (json) {
        puts("]");
        return;
    }
    if (!simulate->messages) {
        puts("no accepted message in that time");
        return;
    }
    printf("%s%llu messages to %llu recipients looked at, from %s to %s\n", simulate->row_count ? "" : "nobody would have been stopped; ",
           (unsigned long long)simulate->messages, (unsigned long long)simulate->recipients, time_iso(simulate->first_ms, from),
           time_iso(simulate->last_ms, to));
    if (history->compressed)
        printf("%u compressed files of the log were not read\n", history->compressed);
    if (simulate->cut)
        printf("more limits than %d were met: %llu times nothing is told of\n", SIMULATE_RULES_MOST, (unsigned long long)simulate->cut);
}

static int play(struct account_call *call, struct holders *holders, struct accounts *accounts, const char *log)
{
    struct history history = { 0 };
    int64_t since_ms;
    const char *since = call->options.since ? call->options.since : SINCE;
    if (!common_when(since, -1, &since_ms))
        return common_complain("--since %s: write 2027-01-31, 2027-01-31T12:00:00Z or a time such as 7d", since);
    if (strcmp(log, "-") == 0)
        return common_complain("the event log goes to the standard error (setting log.file), where it cannot be read again");
    struct simulate *simulate = calloc(1, sizeof *simulate);
    bool good = simulate && simulate_init(simulate, holders, accounts, since_ms);
    if (!good)
        common_complain("no memory");
    else if (history_open(&history, log) != STATUS_OK) {
        common_complain("%s: %s", log, errno ? strerror(errno) : "there is no event log yet");
        good = false;
    }
    for (unsigned i = 0; good && i < history.count; i++) {
        struct span text = history.files[i].text, line;
        while (span_cut(&text, '\n', &line))
            simulate_line(simulate, line);
    }
    if (good)
        print_all(simulate, &history, call->options.json);
    history_close(&history);
    if (simulate && simulate->tree)
        simulate_done(simulate);
    free(simulate);
    return good ? 0 : COMMON_FAILED;
}

/* The limits of the file are said in a copy of the tree, so that the real one is only read. */
static int run_with_copy(struct account_call *call, struct wishes *wishes, const char *copy)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(FILE_MOST);
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    AUTO(buf_done) struct buf log = BUF_EMPTY(8192);
    struct holders holders;
    int fd = open(wishes->file, O_RDONLY | O_CLOEXEC);
    enum status status = fd < 0 ? STATUS_IO : buf_fill(&text, fd);
    if (fd >= 0)
        close(fd);
    if (status != STATUS_OK)
        return common_complain("%s: %s", wishes->file, fd < 0 ? strerror(errno) : status_text(status));
    if (accounts_copy(call->accounts, copy) != STATUS_OK)
        return common_complain("%s", accounts_why(call->accounts));
    int result = accounts_open_to_change(copy, -1, -1, &wishes->copy) == STATUS_OK ? read_wishes(wishes, buf_span(&text))
                                                                                    : common_complain("%s cannot be opened", copy);
    holders_init(&holders);
    if (result == 0 && !standing_settings(call, &holders, &path, &log))
        result = common_complain("the settings have mistakes; goniec check tells them");
    if (result == 0 && wishes->default_count)
        holders_set_defaults(&holders, &(struct conf_texts){ wishes->defaults, wishes->default_count });
    if (result == 0)
        result = play(call, &holders, wishes->copy, buf_cstr(&log));
    holders_forget(&holders);
    accounts_close(wishes->copy);
    return result;
}

static int run_simulate(struct account_call *call)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char folder[4096], copy[4200];
    const char *base = getenv("TMPDIR");
    struct wishes wishes = { .file = call->words[0] };
    snprintf(folder, sizeof folder, "%s/goniec-limits-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return common_complain("%s: %s", folder, strerror(errno));
    snprintf(copy, sizeof copy - 8, "%s/accounts.db", folder);
    int result = run_with_copy(call, &wishes, copy);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char path[4216];
        snprintf(path, sizeof path, "%s%s", copy, ends[i]);
        unlink(path);
    }
    rmdir(folder);
    return result;
}

const struct account_verb limits_verbs[] = {
    { "show", "LOGIN", 1, 1, 0, run_show, "what is counted of it at each node, and when there is room" },
    { "forget", "LOGIN", 1, 1, ACCOUNT_CHANGES, run_forget, "what was counted of it until now; what its parents counted stays" },
    { "simulate", "FILE [--since WHEN]", 1, 1, ACCOUNT_NAMELESS, run_simulate,
      "whom the limits in FILE would have stopped, by the event log; changes nothing. A line: \"messages 500/1d each sender\", "
      "\"sender shop@example.org: recipients 300/1h\", \"domain example.org: ...\", \"server: ...\"; a node that is named has only the "
      "file's limits" },
    { 0 }
};
