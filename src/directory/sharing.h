/* directory/sharing.h -- one channel to the process that tells other machines what is counted here (wire/directory_share.h).
 *
 * It only answers: who cannot talk to the others does not ask. What the others count goes into the same tree
 * (limits/share.h), where it is checked.
 */
#pragma once
#include "directory/service.h"

struct sharing;

struct sharing *directory_sharing_new(struct directory_service *service, directory_answer *answer, void *arg); /* NULL: no memory */
void directory_sharing_free(struct sharing *sharing);
/* SYNTAX: the peer broke the format. */
MUST_CHECK enum status directory_sharing_feed(struct sharing *sharing, uint16_t kind, struct span body);
