/* cli/history.h -- finds what the event log and its rotated files say about a message.
 *
 * The files are mapped, never copied. Lines are in order of time but for the moments between two processes'
 * writes, and an id tells when it was made: so the log is searched from a good deal before that. Where a clock was
 * set back this may be too late: when the message's first line is not found there, the rest is searched as well. The
 * end of the search is always the log's: a message may wait for days, or come twice after a crash. Files that a
 * rotation compressed are counted, not read.
 */
#pragma once
#include "base/id.h"
#include "base/span.h"
#include "base/status.h"

#define HISTORY_FILES_MAX 64

struct history_file {
    struct span text;
    char *path;
};

struct history {
    struct history_file files[HISTORY_FILES_MAX]; /* oldest first */
    unsigned count;
    unsigned compressed;     /* beside it, unreadable for us */
};

/* Opens `path` and its siblings "path.1", "path-20261123", ...  NOT_FOUND: none of them; IO: errno. */
MUST_CHECK enum status history_open(struct history *history, const char *path);
void history_close(struct history *history);

/* Calls `on_line` (without the line's end) for each line that names the message, in the order in which they were
 * written; but what stands far before the time in the id comes behind the others. */
typedef void history_on_line(void *arg, struct span line);
void history_lines(const struct history *history, uint64_t id, history_on_line *on_line, void *arg);

/* The ids of the latest messages whose lines hold `text` as a word of their own (an address), oldest first.
 * Returns how many were written to `ret`, at most `most`. */
size_t history_find(const struct history *history, struct span text, uint64_t *ret, size_t most);

/* The latest lines of this event that hold `text` as a word of its own, newest first; borrowed from the files. */
size_t history_mentions(const struct history *history, struct span text, const char *event, struct span *ret, size_t most);

/* The text of the field `name` of a line, still escaped as JSON; empty when it has none. */
struct span history_field(struct span line, const char *name);
