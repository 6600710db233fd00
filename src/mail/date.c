#include "mail/date.h"
#include <stdio.h>
#include <time.h>

char *date_text(int64_t wall_ms, char ret[DATE_TEXT_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /* From 1900 (RFC 5322 section 3.3) to 9999: what a wrong clock says must still be a date. */
    const int64_t least = INT64_C(-2208988800), most = INT64_C(253402300799);
    int64_t seconds = wall_ms / 1000 - (wall_ms % 1000 < 0);
    time_t when = (time_t)(seconds < least ? least : seconds > most ? most : seconds);
    struct tm tm = { 0 };
    gmtime_r(&when, &tm);
    snprintf(ret, DATE_TEXT_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + 3 * (tm.tm_wday % 7), tm.tm_mday % 100,
             months + 3 * (tm.tm_mon % 12), (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
    return ret;
}
