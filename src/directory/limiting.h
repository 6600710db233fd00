/* directory/limiting.h -- the limits as smtpd asks for them: may this message, this recipient pass? Counts, refuses in words,
 * keeps the counters, and suspends who is to be suspended.
 */
#pragma once
#include "directory/holders.h"
#include "directory/service.h"

struct limiting;

/* `memory`: octets of all counters; 0: what is usual. NULL: out of memory. */
struct limiting *limiting_new(struct directory_service *service, size_t memory);
void limiting_free(struct limiting *limiting);
/* `wait_most_ms`: how long `hold` and `pace` may keep somebody's mail. `notices`: enum directory_notices. */
void limiting_set_defaults(struct limiting *limiting, const struct conf_texts *texts, int64_t wait_most_ms, int notices);
/* Tells a new smtpd what to ask about. */
void limiting_tell(struct limiting *limiting, struct directory_peer *peer);
/* SYNTAX: the peer broke the format. */
MUST_CHECK enum status limiting_count(struct directory_peer *peer, struct span body);
MUST_CHECK enum status limiting_undo(struct directory_peer *peer, struct span body);
/* One more login that has succeeded. False: it may not come in now; `why` says so. */
MUST_CHECK bool limiting_login(struct limiting *limiting, struct span account, uint64_t credential, struct buf *why);
/* The counters, and the time by which they count. */
struct limits_tree *limiting_tree(struct limiting *limiting);
int64_t limiting_now(const struct limiting *limiting);
/* What the queue says of an account; a directory_on_level (directory/backlog.h). */
void limiting_on_level(void *limiting, struct span account, uint64_t messages, uint64_t octets, uint32_t failures);
