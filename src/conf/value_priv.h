/* conf/value_priv.h -- one value between its text and its member, in both directions. */
#pragma once
#include "conf/arena_priv.h"
#include "conf/directive.h"

/* What a person reads for the kind: "size", "time", ... */
const char *conf_kind_name(enum conf_kind kind);
size_t conf_kind_size(const struct conf_directive *directive); /* of the member's type; sections: theirs */
bool conf_kind_is_list(enum conf_kind kind);  /* of scalars: CONF_NETWORKS, CONF_ADDRESSES, CONF_TEXTS */
size_t conf_kind_item_size(enum conf_kind kind);

/* Converts into the member (for a list: into one item). False: `why` says what is wrong and what is allowed. */
MUST_CHECK bool conf_value_parse(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                                 void *member, struct buf *why);
/* Writes a scalar (or one item of a list) as the parser would read it, without quotes. */
void conf_value_write(const struct conf_directive *directive, const void *member, struct buf *ret);
/* Unset text. */
bool conf_value_is_unset(const struct conf_directive *directive, const void *member);

/* The nearest of `count` names (by `name(list, i)`) to what was typed, or NULL when none is near. */
const char *conf_nearest(struct span typed, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count);
