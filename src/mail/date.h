/* mail/date.h -- the date of a header field (RFC 5322 section 3.3), in UTC and whatever the locale. */
#pragma once
#include <stdint.h>

#define DATE_TEXT_SIZE 40

/* "Mon, 23 Nov 2026 14:20:07 +0000" into `ret`, ended by NUL. Returns `ret`. Pure. */
char *date_text(int64_t wall_ms, char ret[DATE_TEXT_SIZE]);
