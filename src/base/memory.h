/* base/memory.h -- memory that was freed, and is the system's again. */
#pragma once

/* malloc keeps what was freed for the next time. After many sessions or messages have gone, this hands the whole pages
 * among it back. Takes about a millisecond for each 100 MiB: not for every turn of a loop. */
void memory_give_back(void);
