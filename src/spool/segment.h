/* spool/segment.h -- a segment file: zeros written once, then used again and again.
 *
 * The first and the last 4 KiB block hold the same description (number, epoch, salt, use); records lie between them,
 * commit after commit, each beginning at a 4 KiB boundary. The file never changes its size: overwriting written
 * blocks costs no file-system journal commit. A segment is EMPTY (that was synced: whatever lies in it is void) or in
 * use; it comes into use, with a new epoch and salt, by a write that the first commit's sync carries to disk.
 */
#pragma once
#include "spool/ops.h"
#include "spool/record.h"
#include "spool/stamp.h"

#define SPOOL_SEGMENT_VERSION 2 /* 1 had no stamp */
#define SPOOL_SEGMENT_LEAST (1u << 20)
#define SPOOL_SEGMENT_MOST (1u << 30)
#define SPOOL_CHECKPOINT_MOST (3u << 30)     /* a checkpoint grows; more would pass the 32 bits of an offset */
#define SPOOL_SEGMENT_FIRST SPOOL_BLOCK      /* offset of the first record */

enum spool_use { SPOOL_EMPTY, SPOOL_MESSAGES, SPOOL_JOURNAL, SPOOL_CHECKPOINT, SPOOL_USE_COUNT };

struct spool_segment {
    uint32_t number;
    uint32_t epoch;          /* counts the lives of this file, from 1 */
    uint64_t salt;           /* random for each life */
    uint64_t sequence;       /* order in which segments were taken into use */
    uint32_t octets;         /* size of the file */
    enum spool_use use;
    uint32_t writer;         /* which process writes it; for people */
    int64_t since_wall_ms;   /* when it was taken into use */
    uint32_t lent;           /* the process that was ever given it to write, for the file's whole life; 0: the queue alone */
};

/* What all checksums of its records start from. */
uint32_t spool_segment_seed(const struct spool_segment *segment);
/* Behind the last octet that a record may use. */
static inline uint32_t spool_segment_end(const struct spool_segment *segment) { return segment->octets - SPOOL_BLOCK; }

/* Reads and checks the description, the first copy or else the last. DAMAGED: neither is one. DENIED: written by a
 * newer goniec. IO: errno. */
MUST_CHECK enum status spool_segment_read(const struct spool_ops *ops, int fd, struct spool_segment *ret);
/* The same, with DAMAGED also for what does not bear the stamp of this key (NULL: none is asked for). */
MUST_CHECK enum status spool_segment_read_stamped(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                                  struct spool_segment *ret);
/* The same for a file that is shorter than its description says, by which its records end sooner; `ret->octets` is made
 * to fit. Longer ones are what they say. */
MUST_CHECK enum status spool_segment_read_cut(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                              struct spool_segment *ret);
/* Writes both copies, stamped where there is a key (NULL: not); does not sync. */
MUST_CHECK enum status spool_segment_write(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                           const struct spool_segment *segment);
/* Stamps the copies as they are, and syncs them. DAMAGED: none is a description. */
MUST_CHECK enum status spool_segment_stamp(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key);

#define SPOOL_SEGMENT_NAME_SIZE 16
/* "0000002a.seg" */
char *spool_segment_name(uint32_t number, char ret[SPOOL_SEGMENT_NAME_SIZE]);
MUST_CHECK bool spool_segment_name_parse(const char *name, uint32_t *ret);
