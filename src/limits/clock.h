/* limits/clock.h -- the time by which limits are counted: it starts as the wall clock's and never goes back.
 *
 * It goes on with the monotonic clock, so that a wall clock which is set counts nobody's hour as over, and nobody's
 * twice. Refusals tell times of the wall clock as it is then.
 */
#pragma once
#include <stdint.h>

struct limits_clock {
    int64_t start_wall_ms, start_mono_ms;
};

static inline struct limits_clock limits_clock_at(int64_t wall_ms, int64_t mono_ms)
{
    return (struct limits_clock){ wall_ms, mono_ms };
}
static inline int64_t limits_clock_now(const struct limits_clock *clock, int64_t mono_ms)
{
    return clock->start_wall_ms + (mono_ms > clock->start_mono_ms ? mono_ms - clock->start_mono_ms : 0);
}
