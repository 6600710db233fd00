/* spool/verify.h -- reads a whole spool directory, changes nothing, and says what it found.
 *
 * Safe on a running server (what is being written meanwhile looks like a torn end, which is no fault) and on a copy.
 */
#pragma once
#include "spool/scan.h"

enum spool_fault_kind { SPOOL_FAULT_DAMAGE, SPOOL_FAULT_FOREIGN, SPOOL_FAULT_BODY, SPOOL_FAULT_VERSION, SPOOL_FAULT_ACCESS };

struct spool_fault {
    enum spool_fault_kind kind;
    const char *name;        /* relative to the directory */
    uint64_t offset, octets, id;
    const char *what;
};

struct spool_verify {
    const struct spool_ops *ops;
    void (*on_fault)(void *arg, const struct spool_fault *fault);
    void (*on_segment)(void *arg, const struct spool_segment *segment, const struct spool_scan *scan); /* may be NULL */
    void *arg;
    /* results */
    uint64_t segments, empty_segments; /* files */
    uint64_t messages, journal_records, checkpoint_records;
    uint64_t bodies;         /* body files that a message names, whole */
    uint64_t bodies_gone;    /* named, but removed: so are those of finished messages */
    uint64_t octets;         /* of all that was read and found whole */
    uint64_t torn;           /* segments that end in a torn commit: no fault, nobody was told that it was stored */
    uint64_t faults;
    /* private */
    int dir;
    bool is_stamped;
    struct spool_stamp_key stamp;
};

/* OK: everything was read (faults or not). IO: the directory cannot be read, errno tells. MEMORY. */
MUST_CHECK enum status spool_verify_run(struct spool_verify *verify, const char *path);
