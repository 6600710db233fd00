/* supervisor/doors.h -- the listening sockets: for each address one per smtpd process (SO_REUSEPORT), so that the
 * kernel spreads connections by a hash and no process wakes for another's.
 *
 * They stay open here too: while a process is started again its connections wait in its socket. A reload duplicates
 * the sockets of addresses that stay.
 */
#pragma once
#include "net/address.h"
#include "supervisor/plan.h"

struct door {
    struct conf_address address;
    uint32_t index; /* row of `listen` */
    int *fds;       /* one per process */
};

struct doors {
    struct door *items;
    size_t n;
    unsigned processes;
    int local;                    /* the socket of `local`, one for all; -1: none */
    struct net_address local_at;  /* its path */
};

/* NULL: `faults` says which ports are in use, or what else the system refused. `old` (may be NULL) gives the sockets
 * that stay. An address of the default list whose family the machine has not is left out. */
struct doors *supervisor_doors_open(const struct plan *plan, const struct doors *old, unsigned processes,
                         struct conf_faults *faults);
/* The socket of `local`, where it is wanted. False: `faults` says why not. */
MUST_CHECK bool doors_open_local(struct doors *doors, const struct plan *plan, const struct doors *old, struct conf_faults *faults);
void doors_free(struct doors *doors);
/* The path of the local socket goes, unless `stays` (may be NULL) listens there. */
void doors_unlink(const struct doors *doors, const struct doors *stays);
