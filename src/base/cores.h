/* base/cores.h -- how many processors this process may run on. */
#pragma once

/* At least 1. Those that the affinity mask allows (taskset, systemd's CPUAffinity=, a container's cpuset), which may be
 * fewer than the machine has. */
unsigned cores_allowed(void);
