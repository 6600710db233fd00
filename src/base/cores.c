#include "base/cores.h"
#include <sched.h>
#include <unistd.h>

unsigned cores_allowed(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    return online > 0 ? (unsigned)online : 1; /* more processors than the mask holds */
}
