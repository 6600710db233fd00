/* cli/sendmail_caller.h -- of a caller's command line, what may stand in a log.
 *
 * Pure. Passwords and tokens are given to programs as arguments, and what is logged outlives them. So of the arguments none
 * is told, but for the first one that names a file: for an interpreter, that is the script.
 */
#pragma once
#include "base/buf.h"

/* Is there a file of this name? */
typedef bool sendmail_is_file(const char *path);

/* `cmdline` as in /proc/PID/cmdline: each word with a NUL behind it; the last one may be cut. Appends "program" or "program
 * file"; nothing for an empty one. MEMORY: no room. */
MUST_CHECK enum status sendmail_caller(struct span cmdline, sendmail_is_file *is_file, struct buf *ret);
/* The shell that popen(3) and system(3) put between: who called it is of interest. */
bool sendmail_caller_is_shell(struct span cmdline);
