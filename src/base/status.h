/* base/status.h -- how a call ended, for what the world may do to us.
 *
 * Our own mistakes are asserts; everything a peer, a file or a disk can cause is a status.
 */
#pragma once
#include "base/attr.h"

#define STATUS_LIST(X)                                     \
    X(OK,        "ok")                                     \
    X(AGAIN,     "needs more input, or is not ready yet")  \
    X(SYNTAX,    "the peer broke the grammar")             \
    X(TOO_LONG,  "over a limit")                           \
    X(FULL,      "no room left")                           \
    X(DAMAGED,   "damaged")                                \
    X(NOT_FOUND, "not found")                              \
    X(DENIED,    "not allowed")                            \
    X(EXISTS,    "exists already")                         \
    X(TIMEOUT,   "took too long")                          \
    X(CLOSED,    "the other side closed")                  \
    X(MEMORY,    "out of memory")                          \
    X(IO,        "the system refused")

enum status {
#define X(name, text) STATUS_##name,
    STATUS_LIST(X)
#undef X
    STATUS_COUNT
};

/* Static text for a person; never NULL, whatever the number. */
const char *status_text(enum status status);
