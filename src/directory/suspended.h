/* directory/suspended.h -- who is suspended, by himself or by a node above him. */
#pragma once
#include "directory/accounts.h"

/* Adds all such senders, by name, packed as struct backlog_stayer, each with a sentence that says what is suspended and why.
 * IO, MEMORY. */
MUST_CHECK enum status suspended_list(struct accounts *accounts, struct buf *ret);
