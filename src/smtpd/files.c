#include "smtpd/files.h"
#include "base/span.h"
#include <limits.h>

#define OURS 64u /* channels, the log, segments, listening sockets, and the same again while they are replaced */

/* Three quarters are for clients, an eighth for files of large messages. */
struct smtpd_files smtpd_files_of(unsigned long limit)
{
    unsigned long rest = MIN(limit, (unsigned long)INT_MAX);
    rest -= MIN(rest, (unsigned long)OURS);
    return (struct smtpd_files){ .connections = (unsigned)MAX(rest / 4 * 3, 1ul), .bodies = (unsigned)MAX(rest / 8, 1ul) };
}

unsigned long smtpd_files_for(unsigned long connections) { return (connections + 2) / 3 * 4 + OURS + 4; }
