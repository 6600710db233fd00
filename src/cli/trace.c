#include "cli/trace.h"
#include "cli/ask.h"
#include "cli/common.h"
#include "cli/history.h"
#include "cli/story.h"
#include "mail/address.h"
#include <errno.h>

#define LAST 10       /* messages of an address that are told, unless asked for more */
#define LAST_MAX 10000
#define REFUSALS_MAX 5
#define REPORTS_MAX 5 /* reports about a message whose own story is told below it */

struct trace {
    struct history history;
    const char *run_dir;
    const char *silent; /* why the queue is not asked any more; NULL: it answers */
    json_t *messages;   /* for --json */
    json_t *refused;    /* events, for --json */
    size_t told;
    json_t *reports;    /* ids of reports that were told with their message */
    bool json;
};

static enum status story_read(struct trace *trace, uint64_t id, struct story *story)
{
    enum status status = story_init(story, id);
    if (status != STATUS_OK)
        return status;
    history_lines(&trace->history, id, story_add, story);
    story_finish(story);
    return STATUS_OK;
}

static void print(struct buf *text)
{
    fwrite(text->p, 1, text->n, stdout);
    buf_clear(text);
}

static void tell_report(struct trace *trace, const char *name)
{
    uint64_t id = 0;
    struct story story = { 0 };
    AUTO(buf_done) struct buf text = BUF_EMPTY(16u << 20);
    if (!id_parse(span_str(name), &id))
        return;
    if (story_read(trace, id, &story) == STATUS_OK && json_array_size(story.events)) {
        buf_printf(&text, "\n  The report %s:\n", name);
        story_text(&story, 4, &text);
        print(&text);
    }
    story_done(&story);
}

static void tell_plain(struct trace *trace, const struct story *story, const char *name)
{
    size_t i;
    json_t *report;
    AUTO(buf_done) struct buf text = BUF_EMPTY(16u << 20);
    buf_printf(&text, "%sMessage %s\n", trace->told ? "\n" : "", name);
    story_text(story, 2, &text);
    print(&text);
    json_array_foreach(story->reports, i, report)
        if (i < REPORTS_MAX) {
            tell_report(trace, json_string_value(report));
            json_object_set_new(trace->reports, json_string_value(report), json_true());
        }
}

/* What the running queue knows of the message, if it has it. */
static json_t *ask_now(struct trace *trace, const char *name)
{
    json_t *request = ask_about("show", name);
    json_t *answer = trace->silent ? NULL : ask_queue(trace->run_dir, request, &trace->silent);
    json_t *now = json_incref(json_array_get(json_object_get(answer, "messages"), 0));
    json_decref(request);
    json_decref(answer);
    return now;
}

/* False: nothing is known of it. */
static bool tell(struct trace *trace, uint64_t id)
{
    char name[ID_TEXT_SIZE];
    struct story story = { 0 };
    if (json_object_get(trace->reports, id_text(id, name)))
        return true;
    bool known = story_read(trace, id, &story) == STATUS_OK;
    if (known && !story_is_over(&story))
        story.now = ask_now(trace, name);
    known = known && (json_array_size(story.events) > 0 || story.now);
    if (known && trace->json)
        json_array_append_new(trace->messages, json_pack("{s:s, s:O, s:O, s:O?}", "id", name, "events", story.events,
                                                         "reports", story.reports, "queue", story.now));
    else if (known)
        tell_plain(trace, &story, name);
    trace->told += known;
    story_done(&story);
    return known;
}

/* What never became a message, but names the address: why somebody cannot send. */
static void tell_refusals(struct trace *trace, struct span what)
{
    struct span lines[REFUSALS_MAX];
    struct story story = { 0 };
    AUTO(buf_done) struct buf text = BUF_EMPTY(16u << 20);
    size_t n = history_mentions(&trace->history, what, "refused", lines, REFUSALS_MAX);
    if (n == 0 || story_init(&story, 0) != STATUS_OK)
        return;
    for (size_t i = 0; i < n; i++)
        story_add(&story, lines[i]);
    story_finish(&story);
    trace->told += n;
    json_array_extend(trace->refused, story.events);
    if (!trace->json) {
        buf_printf(&text, "%sNot taken\n", trace->told > n ? "\n" : "");
        story_text(&story, 2, &text);
        print(&text);
    }
    story_done(&story);
}

static void warn_compressed(const struct trace *trace)
{
    if (trace->history.compressed)
        fprintf(stderr, "goniec: %u older log files are compressed and were not read\n", trace->history.compressed);
}

/* The address as the log writes it; what is none is looked for as it is. */
static struct span address_of(const char *text, char canonical[ADDRESS_MAX])
{
    struct address address = { 0 };
    if (address_parse(span_str(text), ADDRESS_UTF8, &address) == STATUS_OK)
        return address_canonical(&address, canonical);
    return span_str(text);
}

static void tell_address(struct trace *trace, const char *text, size_t most)
{
    static uint64_t ids[LAST_MAX];
    char canonical[ADDRESS_MAX];
    struct span what = address_of(text, canonical);
    size_t n = history_find(&trace->history, what, ids, most);
    for (size_t i = 0; i < n; i++)
        tell(trace, ids[i]);
    tell_refusals(trace, what);
    if (n == most && !trace->json)
        printf("\nThese are the latest %zu messages; --last=N shows more.\n", n);
}

static int trace_run(struct trace *trace, const char *what, size_t most)
{
    uint64_t id = 0;
    if (id_parse(span_str(what), &id))
        tell(trace, id);
    else
        tell_address(trace, what, most);
    if (trace->json) {
        json_t *all = json_pack("{s:O, s:O}", "messages", trace->messages, "refused", trace->refused);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        json_decref(all);
        putchar('\n');
    }
    warn_compressed(trace);
    if (trace->told)
        return 0;
    return common_complain("nothing is known of %s (an id has 13 characters; an address is written out)", what);
}

/* Takes --last=N out of the words. False: it is no number. */
static bool last_take(int *argc, char **argv, size_t *ret)
{
    int left = 1;
    bool good = true;
    for (int i = 1; i < *argc; i++) {
        uint64_t value = 0;
        if (strncmp(argv[i], "--last=", 7) != 0) {
            argv[left++] = argv[i];
            continue;
        }
        good = span_u64(span_str(argv[i] + 7), LAST_MAX, &value) && value > 0 && good;
        *ret = (size_t)value;
    }
    *argc = left;
    argv[left] = NULL;
    return good;
}

/* Without a log there is still the queue. */
static void open_history(struct trace *trace, const char *path)
{
    if (strcmp(path, "-") == 0) {
        common_complain("the event log goes to the standard error (setting log.file): only the queue is asked");
        return;
    }
    enum status status = history_open(&trace->history, path);
    if (status != STATUS_OK)
        common_complain("%s: %s", path, status == STATUS_IO ? strerror(errno) : "there is no event log yet");
}

int trace_main(int argc, char **argv)
{
    struct trace trace = { 0 };
    struct common_options options;
    size_t most = LAST;
    if (!last_take(&argc, argv, &most))
        return common_complain("--last wants a number from 1 to %d", LAST_MAX);
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc != 2)
        return common_usage("trace");
    struct conf *conf = common_settings(options.config);
    if (!conf)
        return COMMON_FAILED;
    const char *path = common_root(conf)->common.log.file.p;
    trace.json = options.json;
    trace.run_dir = common_root(conf)->common.run_dir.p;
    trace.messages = json_array();
    trace.refused = json_array();
    trace.reports = json_object();
    open_history(&trace, path);
    int exit_status = trace_run(&trace, argv[1], most);
    history_close(&trace.history);
    conf_free(conf);
    json_decref(trace.messages);
    json_decref(trace.refused);
    json_decref(trace.reports);
    return exit_status;
}
