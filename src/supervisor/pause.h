/* supervisor/pause.h -- how soon a process that ended is started again.
 *
 * Pure. Whoever lived for a while is started at once; whoever dies soon after each start waits longer each time, so that a
 * fault at the start does not eat the machine.
 */
#pragma once
#include <stdint.h>

#define SUPERVISOR_PAUSE_MAX_MS 30000
#define SUPERVISOR_SOON_MS 10000 /* who lived shorter died soon */

/* Milliseconds until the next start. `failures`: deaths soon after a start, in a row; counted here. */
int64_t supervisor_pause_ms(unsigned *failures, int64_t lived_ms);
