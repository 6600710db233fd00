#include "mail/date.h"
#include <string.h>
#include <time.h>

/* `n` digits of `value`. Every message has a date or two: printf would cost more than all of them. */
static void digits(char *at, int n, int value)
{
    for (; n > 0; value /= 10)
        at[--n] = (char)('0' + value % 10);
}

char *date_text(int64_t wall_ms, char ret[DATE_TEXT_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* From 1900 (RFC 5322 section 3.3) to 9999: what a wrong clock says must still be a date. */
    const int64_t least = INT64_C(-2208988800), most = INT64_C(253402300799);
    int64_t seconds = wall_ms / 1000 - (wall_ms % 1000 < 0);
    time_t when = (time_t)(seconds < least ? least : seconds > most ? most : seconds);
    struct tm tm = { 0 };
    gmtime_r(&when, &tm);
    memcpy(ret, "Sun, 00 Jan 0000 00:00:00 +0000", 32);
    memcpy(ret, days + 3 * tm.tm_wday, 3);
    digits(ret + 5, 2, tm.tm_mday);
    memcpy(ret + 8, months + 3 * tm.tm_mon, 3);
    digits(ret + 12, 4, tm.tm_year + 1900);
    digits(ret + 17, 2, tm.tm_hour);
    digits(ret + 20, 2, tm.tm_min);
    digits(ret + 23, 2, tm.tm_sec);
    return ret;
}
