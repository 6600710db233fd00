#include "queue/retry.h"
#include "base/id.h"
#include "wire/smtpd_queue.h"

/* `base`, `growth` times as long for every attempt after the first, but not over `most`. */
static int64_t grown(int64_t base, int64_t most, int64_t growth, unsigned tries)
{
    int64_t after = MIN(base, most);
    while (tries-- > 1 && after < most && growth > 1)
        after = after > most / growth ? most : after * growth;
    return after;
}

static int64_t uneven(int64_t after, int64_t percent, uint64_t random)
{
    int64_t span = after / 100 * percent + after % 100 * percent / 100;
    if (span <= 0)
        return after;
    return after - span + (int64_t)(random % (uint64_t)(2 * span + 1));
}

int64_t queue_retry_after_ms(const struct queue_settings *settings, unsigned tries, uint64_t random)
{
    int64_t after = grown(settings->first_retry_ms, settings->longest_retry_ms, settings->retry_growth, tries);
    return MAX(uneven(after, settings->jitter, random), 1);
}

int64_t queue_pause_ms(const struct queue_settings *settings, unsigned trouble, uint64_t random)
{
    int64_t after = grown(settings->site_pause_ms, settings->longest_site_pause_ms, 2, trouble);
    return MAX(uneven(after, settings->jitter, random), 1);
}

int64_t queue_expires_ms(const struct queue_settings *settings, uint64_t id)
{
    return id_time_wall_ms(id) + settings->expire_ms;
}

static bool wants_notice(const struct queue_share *share)
{
    const struct queue_rcpt *rcpts = share->count == 1 ? &share->one : share->many;
    for (uint32_t i = 0; i < share->count; i++)
        if (rcpts[i].notify == 0 || (rcpts[i].notify & NOTIFY_DELAY))
            return true;
    return false;
}

int64_t queue_notice_ms(const struct queue_settings *settings, const struct queue_share *share)
{
    if (settings->delay_notice_ms == 0 || (share->flags & QUEUE_SHARE_NOTICED) ||
        (share->message->flags & QUEUE_MESSAGE_NULL_SENDER) || !wants_notice(share))
        return INT64_MAX;
    int64_t begin_ms = id_time_wall_ms(share->message->id);
    if (share->flags & QUEUE_SHARE_LATE)
        begin_ms = MAX(begin_ms, share->retry_ms); /* that it waited until then was meant */
    return begin_ms + settings->delay_notice_ms;
}
