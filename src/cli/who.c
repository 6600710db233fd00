#include "cli/who.h"
#include "cli/common.h"
#include "cli/history.h"
#include "cli/story.h"
#include <errno.h>

/* Of all that the log has about the message, only where it came from. */
static void add_origin(void *arg, struct span line)
{
    struct story *story = arg;
    char id[ID_TEXT_SIZE];
    struct span event = history_field(line, "event");
    if (!span_eq(history_field(line, "id"), span_str(id_text(story->id, id))))
        return; /* a report about it */
    if (span_eq(event, SPAN("accepted")) || span_eq(event, SPAN("handed-in")))
        story_add(story, line);
}

static int tell(const struct history *history, const char *name, bool json)
{
    uint64_t id = 0;
    struct story story;
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    if (!id_parse(span_str(name), &id))
        return common_complain("%s is not the id of a message (goniec trace finds it by an address)", name);
    if (story_init(&story, id) != STATUS_OK)
        return common_complain("no memory");
    history_lines(history, id, add_origin, &story);
    story_finish(&story);
    bool known = json_array_size(story.events) > 0;
    if (json)
        json_dumpf(story.events, stdout, JSON_INDENT(2));
    else if (known)
        story_text(&story, 2, &text);
    if (json)
        putchar('\n');
    fwrite(text.n ? text.p : "", 1, text.n, stdout);
    story_done(&story);
    if (!known)
        common_complain("the event log does not know the message %s%s", name,
                        history->compressed ? " (it has compressed files, which are not read)" : "");
    return known ? 0 : COMMON_FAILED;
}

int who_main(int argc, char **argv)
{
    struct common_options options;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc != 2)
        return common_usage("who");
    struct conf *conf = common_settings(options.config);
    if (!conf)
        return COMMON_FAILED;
    struct history history = { 0 };
    const char *path = common_root(conf)->common.log.file.p;
    int exit_status = COMMON_FAILED;
    if (strcmp(path, "-") == 0)
        common_complain("the event log goes to the standard error (setting log.file), where it cannot be searched");
    else if (history_open(&history, path) != STATUS_OK)
        common_complain("%s: %s", path, errno ? strerror(errno) : "there is no event log yet");
    else
        exit_status = tell(&history, argv[1], options.json);
    history_close(&history);
    conf_free(conf);
    return exit_status;
}
