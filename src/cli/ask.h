/* cli/ask.h -- asks the running queue over its control socket (wire/control.h). */
#pragma once
#include <jansson.h>

/* Sends the request and gathers the whole answer: its last line, with the objects of all "message" lines before it as
 * the array "messages". The caller frees it with json_decref(). NULL: `ret_why` (static text, or strerror()) says why
 * there is no answer: mostly, that no server runs there. */
json_t *ask_queue(const char *run_dir, const json_t *request, const char **ret_why);

/* "0N8T1SFT01000" as {"op": op, "filter": {"ids": [...]}}. */
json_t *ask_about(const char *op, const char *id);
