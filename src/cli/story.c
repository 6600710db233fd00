#include "cli/story.h"
#include "base/id.h"
#include "cli/story_priv.h"
#include <stdlib.h>

enum status story_init(struct story *story, uint64_t id)
{
    *story = (struct story){ .id = id, .events = json_array(), .reports = json_array() };
    return story->events && story->reports ? STATUS_OK : STATUS_MEMORY;
}

void story_done(struct story *story)
{
    json_decref(story->events);
    json_decref(story->reports);
    json_decref(story->now);
    *story = (struct story){ 0 };
}

static void report_note(struct story *story, const char *id)
{
    size_t i;
    json_t *known;
    json_array_foreach(story->reports, i, known)
        if (strcmp(json_string_value(known), id) == 0)
            return;
    if (*id)
        json_array_append_new(story->reports, json_string(id));
}

void story_add(void *arg, struct span line)
{
    struct story *story = arg;
    char id[ID_TEXT_SIZE];
    json_t *event = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(event)) {
        story->broken++;
        json_decref(event);
        return;
    }
    id_text(story->id, id);
    bool own = is(event, "id", id), about = is(event, "about", id);
    if (own)
        report_note(story, text_of(event, "report"));
    if (about)
        report_note(story, text_of(event, "id"));
    if (own || about || story->id == 0)
        json_array_append(story->events, event);
    json_decref(event);
}

struct place {
    json_t *event;
    size_t at;
};

/* By time; what has the same stays in the order in which it was written. */
static int place_cmp(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int diff = strcmp(text_of(left->event, "time"), text_of(right->event, "time"));
    return diff ? diff : (left->at > right->at) - (left->at < right->at);
}

void story_finish(struct story *story)
{
    size_t n = json_array_size(story->events);
    struct place *places = calloc(n ? n : 1, sizeof *places);
    json_t *sorted = json_array();
    if (places && sorted) {
        for (size_t i = 0; i < n; i++)
            places[i] = (struct place){ json_array_get(story->events, i), i };
        qsort(places, n, sizeof *places, place_cmp);
        for (size_t i = 0; i < n; i++)
            json_array_append(sorted, places[i].event);
        json_decref(story->events);
        story->events = json_incref(sorted);
    }
    json_decref(sorted);
    free(places);
}
