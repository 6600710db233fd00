/* conf/print.h -- settings written out again: as a settings file with its explanations, as JSON, as a manual.
 *
 * What conf_print_text() writes, the parser reads back to the same values. Secrets are left out of all three.
 */
#pragma once
#include "conf/directive.h"

/* YAML with each directive's meaning, default and limits as comments. */
void conf_print_text(const struct conf_section *root, const void *values, struct buf *ret);
/* An array: { "name": "smtpd.max-size", "value": "25MiB", "default": ..., "least": ..., "most": ..., "kind": ...,
 * "help": ... } for each directive; a list's value is an array. */
void conf_print_json(const struct conf_section *root, const void *values, struct buf *ret);
/* The directives of the manual page goniec.conf(5), in roff. */
void conf_print_man(const struct conf_section *root, struct buf *ret);
