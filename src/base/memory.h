/* base/memory.h -- memory that was freed, and is the system's again; how much there is. */
#pragma once
#include "base/span.h"

/* Octets that this process and its neighbours may use: the machine's, or less where a control group (systemd's MemoryMax=,
 * a container) allows less. 0: nobody knows. Reads /proc and /sys: for the start. */
uint64_t memory_allowed(void);
/* The path of our control group in the text of /proc/self/cgroup: of version 2 ("0::/a/b"), else of version 1's memory
 * controller, which `is_v1` tells. Empty: there is none. */
struct span memory_group(struct span text, bool *is_v1);

/* malloc keeps what was freed for the next time. After many sessions or messages have gone, this hands the whole pages
 * among it back. Takes about a millisecond for each 100 MiB: not for every turn of a loop. */
void memory_give_back(void);
