#include "base/time.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t time_mono_ms(void) { return clock_us(CLOCK_MONOTONIC) / 1000; }
int64_t time_mono_us(void) { return clock_us(CLOCK_MONOTONIC); }
int64_t time_wall_ms(void) { return clock_us(CLOCK_REALTIME) / 1000; }

/* The text of a whole second, kept: log lines come many a millisecond. */
static const char *second_text(time_t seconds)
{
    static _Thread_local time_t kept = -1;
    static _Thread_local char text[TIME_TEXT_SIZE];
    struct tm tm;
    if (seconds == kept)
        return text;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year > 8000 || tm.tm_year < -1900)
        return NULL;
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    kept = seconds;
    return text;
}

char *time_iso(int64_t wall_ms, char ret[TIME_TEXT_SIZE])
{
    wall_ms = wall_ms < 0 ? 0 : wall_ms; /* nothing of ours happened before 1970 */
    const char *text = second_text((time_t)(wall_ms / 1000));
    if (!text) {
        snprintf(ret, TIME_TEXT_SIZE, "invalid");
        return ret;
    }
    size_t n = strlen(text);
    unsigned ms = (unsigned)(wall_ms % 1000);
    memcpy(ret, text, n);
    ret[n] = (char)('0' + ms / 100);
    ret[n + 1] = (char)('0' + ms / 10 % 10);
    ret[n + 2] = (char)('0' + ms % 10);
    memcpy(ret + n + 3, "Z", 2);
    return ret;
}
