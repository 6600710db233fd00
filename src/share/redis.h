/* share/redis.h -- what is said to Redis, and what comes back (share/share.h names the keys).
 *
 * Everything waits for the answer, SHARE_PATIENCE_MS at most each time. Any fault ends the connection: the next exchange begins
 * with a new one and with everything that is known, so nothing has to be repaired.
 */
#pragma once
#include "share/place.h"
#include "wire/directory_share.h"

#define SHARE_PATIENCE_MS 1000

struct share_redis;

/* Nodes of another machine; the entries are borrowed, `count` share_node. */
typedef void share_on_news(void *arg, struct span machine, int64_t age_ms, uint32_t count, struct span entries);

/* Connects, logs in. `address` is no name: nothing can be looked up any more. NULL: `why` says it. */
struct share_redis *share_redis_new(struct share_place *place, const char *address, struct span machine, struct buf *why);
void share_redis_free(struct share_redis *redis);

/* All of these: false: the connection is of no use any more, and `why` says it. */

/* Everything that the other machines have told, and from then on only news. What we told before is forgotten there: it is
 * to be told anew. */
MUST_CHECK bool share_redis_begin(struct share_redis *redis, share_on_news *on_news, void *arg, struct buf *why);
/* Tells it; `entries` were checked. */
MUST_CHECK bool share_redis_tell(struct share_redis *redis, uint32_t count, struct span entries, struct buf *why);
/* What the others have told since. `ret_twin`: another process tells under our name. */
MUST_CHECK bool share_redis_news(struct share_redis *redis, share_on_news *on_news, void *arg, bool *ret_twin, struct buf *why);
