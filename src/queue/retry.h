/* queue/retry.h -- how long to wait: intervals that grow, made uneven so that a crowd does not come back at once. */
#pragma once
#include "queue/message.h"
#include "queue/settings.h"

/* Time until the attempt after `tries` that ended; `random` is any number. */
int64_t queue_retry_after_ms(const struct queue_settings *settings, unsigned tries, uint64_t random);
/* When it is given up. Tried once at least: a message that was accepted long ago gets its first attempt. */
int64_t queue_expires_ms(const struct queue_settings *settings, uint64_t id);
/* When its sender is to be told that it is late; INT64_MAX: never (again). */
int64_t queue_notice_ms(const struct queue_settings *settings, const struct queue_share *share);
/* Length of a site's pause after that many failures in a row. */
int64_t queue_pause_ms(const struct queue_settings *settings, unsigned trouble, uint64_t random);
