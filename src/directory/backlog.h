/* directory/backlog.h -- what the queue tells of each account, and which accounts it is told to let alone.
 *
 * Knows no descriptor, like directory/service.h. Suspended accounts are told whole when a queue comes, and again whenever
 * the list is another one; the database is looked at each second.
 */
#pragma once
#include "directory/service.h"
#include "wire/queue_directory.h"

struct directory_backlog;

/* `answer` sends to the queue. NULL: out of memory. */
struct directory_backlog *directory_backlog_new(struct directory_service *service, directory_answer *answer, void *arg);
/* Of everybody nothing waits any more, as far as is known. */
void directory_backlog_free(struct directory_backlog *backlog);
/* SYNTAX: the queue broke the format. MEMORY. */
MUST_CHECK enum status directory_backlog_feed(struct directory_backlog *backlog, uint16_t kind, struct span body);

/* Has the queue send a letter to this address (empty: the postmaster). False: there is no queue, or the letter is too long. */
bool directory_backlog_notice(struct directory_service *service, struct span to, struct span subject, struct span text);

/* Is told of every level and of failures since the last time; one listener, NULL: none. */
typedef void directory_on_level(void *arg, struct span account, uint64_t messages, uint64_t octets, uint32_t failures);
void directory_service_on_level(struct directory_service *service, directory_on_level *on_level, void *arg);
