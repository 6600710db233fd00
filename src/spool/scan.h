/* spool/scan.h -- walks through a segment, from header to header, and says what it finds.
 *
 * Whole records are handed out in order. A commit that was torn by a crash at the end is cut off silently (nobody
 * was told that it was stored; its whole records are handed out all the same: rather twice than never). Anything
 * broken that has a later commit behind it is damage: it is reported with its place and skipped. Bodies are checked
 * in the last commit only (all before it were synced, or the next would not have begun), or everywhere with DEEP.
 */
#pragma once
#include "base/buf.h"
#include "spool/segment.h"

enum { SPOOL_SCAN_DEEP = 1 }; /* check every body that lies in the segment */

struct spool_found {
    struct spool_place place;
    struct spool_header header;
    struct span envelope;    /* borrowed during the call; of a journal record: its content */
    struct span headers;
    uint64_t body_at;        /* offset of the inline body in the segment */
};

struct spool_damage {
    uint32_t segment, offset, octets;
    uint64_t id;             /* 0: the header itself is unreadable */
    const char *what;        /* static text for a person */
};

struct spool_scan {
    const struct spool_ops *ops;
    int fd;
    struct spool_segment segment;
    uint32_t after;          /* offset of a record that is known: only those behind it; 0: all */
    unsigned flags;
    /* False ends the scan. */
    bool (*on_record)(void *arg, const struct spool_found *found);
    void (*on_damage)(void *arg, const struct spool_damage *damage); /* may be NULL */
    void *arg;
    /* results */
    uint32_t end;            /* where the next commit would go */
    uint32_t last_commit;
    bool torn;               /* the last commit was cut off by a crash */
    uint64_t records, damaged;
};

/* OK also with damage found. IO: errno; MEMORY. */
MUST_CHECK enum status spool_scan_run(struct spool_scan *scan);
