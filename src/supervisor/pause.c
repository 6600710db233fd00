#include "supervisor/pause.h"
#include "base/attr.h"

enum { PAUSE_MIN_MS = 100, FAILURES_MAX = 16 /* counted no further */ };

int64_t supervisor_pause_ms(unsigned *failures, int64_t lived_ms)
{
    *failures = lived_ms < SUPERVISOR_SOON_MS ? MIN(*failures + 1, (unsigned)FAILURES_MAX) : 0;
    if (*failures <= 1)
        return *failures ? PAUSE_MIN_MS : 0;
    return MIN((int64_t)PAUSE_MIN_MS << (*failures - 1), (int64_t)SUPERVISOR_PAUSE_MAX_MS);
}
