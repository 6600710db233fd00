/* cli/story.h -- the story of one message in plain words, told from the lines of the event log.
 *
 * Pure but for the local time. What servers and clients said reaches a terminal here: control characters are
 * taken out. Events without a sentence of their own are shown with their fields, so nothing is hidden.
 */
#pragma once
#include "base/buf.h"
#include <jansson.h>

struct story {
    uint64_t id;        /* 0: of no message, but of lines chosen otherwise */
    json_t *events;     /* array, in order of time */
    json_t *reports;    /* array of id texts: reports about the message */
    json_t *now;        /* what the queue says of it (wire/control.h: M); NULL: nothing, or was not asked */
    uint64_t broken;    /* lines that were no JSON */
};

/* MEMORY. */
MUST_CHECK enum status story_init(struct story *story, uint64_t id);
void story_done(struct story *story);
/* A line of the log; anything at all. Bound as a history_on_line by its first parameter. */
void story_add(void *story, struct span line);
/* Sorts; after the last story_add(). */
void story_finish(struct story *story);

/* Was every recipient reached, or given up, as far as the log knows? */
bool story_is_over(const struct story *story);
/* Appends the story for people. `indent` blanks in front of every line. */
void story_text(const struct story *story, unsigned indent, struct buf *ret);
