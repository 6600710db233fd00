#include "base/time.h"
#include <stdio.h>
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

char *time_iso(int64_t wall_ms, char ret[TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year > 8000 || tm.tm_year < -1900) {
        snprintf(ret, TIME_TEXT_SIZE, "invalid");
        return ret;
    }
    snprintf(ret, TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
    return ret;
}
