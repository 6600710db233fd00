/* cli/story_priv.h -- how the two files of a story look at an event. */
#pragma once
#include "cli/story.h"

static inline const char *text_of(const json_t *event, const char *name)
{
    const char *text = json_string_value(json_object_get(event, name));
    return text ? text : "";
}

static inline int64_t number_of(const json_t *event, const char *name)
{
    return json_integer_value(json_object_get(event, name));
}

static inline bool is(const json_t *event, const char *name, const char *value) { return strcmp(text_of(event, name), value) == 0; }
