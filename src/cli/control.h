/* cli/control.h -- asks the running server's queue over its control socket (wire/control.h). */
#pragma once
#include "cli/common.h"
#include <jansson.h>

/* Sends the request (takes the reference) and calls `each` for every message of the answer. The last line comes back,
 * the caller's; NULL: it did not work, and was complained about. */
json_t *control_ask(const char *config, json_t *request, void (*each)(void *arg, json_t *message), void *arg);
