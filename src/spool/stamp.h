/* spool/stamp.h -- by which the queue knows its own hand again in what a segment says of itself.
 *
 * Who writes into a segment could rewrite its description as well: call it the queue's journal, or another's. So the
 * owner of the spool stamps each description (a keyed BLAKE2b) with a key that only it can read, and believes nothing
 * else at its next start. The key lies in the file `stamp` beside the segments; without that file, in a spool of before
 * or after somebody removed it, all descriptions are believed once and stamped.
 */
#pragma once
#include "spool/ops.h"

#define SPOOL_STAMP_NAME "stamp"
#define SPOOL_STAMP_NAME_NEW "stamp.new"
#define SPOOL_STAMP_KEY_OCTETS 32
#define SPOOL_STAMP_OCTETS 16

struct spool_stamp_key { uint8_t octets[SPOOL_STAMP_KEY_OCTETS]; };

void spool_stamp_make(const struct spool_stamp_key *key, const void *p, size_t n, uint8_t ret[SPOOL_STAMP_OCTETS]);
MUST_CHECK bool spool_stamp_is(const struct spool_stamp_key *key, const void *p, size_t n,
                               const uint8_t stamp[SPOOL_STAMP_OCTETS]);

/* Reads the file in the spool directory `dir`. NOT_FOUND: there is none; DAMAGED: it is none; IO: errno. */
MUST_CHECK enum status spool_stamp_key_read(const struct spool_ops *ops, int dir, struct spool_stamp_key *ret);
/* Makes it, whole and synced or not at all. FULL, IO. */
MUST_CHECK enum status spool_stamp_key_write(const struct spool_ops *ops, int dir, const struct spool_stamp_key *key);
