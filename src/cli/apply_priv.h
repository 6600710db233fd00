/* cli/apply_priv.h -- what reading a tree out of a file and writing it into one have in common. */
#pragma once
#include "cli/account_priv.h"
#include <jansson.h>

json_t *apply_text(struct span text);
/* A tree_each_value: adds to lists in the object `arg`, by the setting's name. */
void apply_collect_setting(void *arg, struct span setting, struct span value);
