/* lock/lock.h -- a process closes the doors behind itself: from then on the kernel refuses what its duty does not need,
 * whoever has taken it over.
 *
 * Two locks, each of which the kernel alone keeps. seccomp(2): the system calls of lock/table.c and no others. What a
 * library may try in passing (to open a file, say) is refused with EACCES, so that a stranger cannot end the process
 * with it; everything else ends the process, and a line of the event log names the call. Landlock: no folder of the
 * machine but those that are named here. An older kernel has no Landlock; then the first lock has to do.
 *
 * Threads that exist are locked, too, by the first lock; by the second only those made later. So: one call, before
 * threads are made and before anything that a stranger sent is read.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"

enum lock_role { LOCK_SUPERVISOR, LOCK_SMTPD, LOCK_QUEUE, LOCK_DELIVERY, LOCK_DIRECTORY, LOCK_SHARE, LOCK_MIRROR, LOCK_ROLES };

/* What may be done with a folder and all below it, or with one file. */
enum {
    LOCK_MAY_LIST = 1,   /* list folders, and no more */
    LOCK_MAY_READ = 2,   /* open files for reading; list */
    LOCK_MAY_WRITE = 4,  /* write, make, rename and remove files; make folders */
    LOCK_MAY_SOCKET = 8, /* make and remove sockets */
};

#define LOCK_FOLDERS_MAX 8
#define LOCK_WHY_SIZE 160
#define LOCK_BROKEN_STATUS 159 /* exit status of a process that asked for what its lock forbids: 128 + SIGSYS */

struct lock_folder {
    const char *path; /* borrowed until lock_close(); one that does not exist is left out */
    unsigned rights;  /* LOCK_MAY_x */
};

struct lock {
    enum lock_role role;
    const char *name;     /* of the role, for the log line; static */
    const int *log_fd;    /* where that line goes, as it is then; must live as long as the process */
    bool unix_sockets;    /* delivery only: may connect to sockets of this machine */
    unsigned folder_count;
    struct lock_folder folders[LOCK_FOLDERS_MAX];
};

/* What there is beside the code itself; `rights` of LOCK_MAY_x. At most LOCK_FOLDERS_MAX. */
void lock_allow(struct lock *lock, const char *path, unsigned rights);

/* Closes. Cannot be undone. NOT_FOUND: the kernel has no seccomp filters; IO, MEMORY. `why` says what failed. */
MUST_CHECK enum status lock_close(const struct lock *lock, char why[LOCK_WHY_SIZE]);

/* The version of Landlock that the kernel offers; 0: none. */
int lock_landlock(void);
