/* base/time.h -- the two clocks.
 *
 * Pure rooms never call these: they take `now_ms` (or `now_wall_ms`) as a parameter.
 */
#pragma once
#include <stdint.h>

int64_t time_mono_ms(void);   /* never goes back; for timeouts */
int64_t time_mono_us(void);
int64_t time_wall_ms(void);   /* since 1970 UTC; for people, headers and what outlives a restart */

#define TIME_SECOND_MS INT64_C(1000)
#define TIME_MINUTE_MS (60 * TIME_SECOND_MS)
#define TIME_HOUR_MS   (60 * TIME_MINUTE_MS)
#define TIME_DAY_MS    (24 * TIME_HOUR_MS)

/* "2026-11-23T14:20:07.123Z" into `ret`; always ended by NUL. Returns `ret`. */
#define TIME_TEXT_SIZE 80
char *time_iso(int64_t wall_ms, char ret[TIME_TEXT_SIZE]);
