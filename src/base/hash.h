/* base/hash.h -- hashes of bytes for tables in memory (seeded: a stranger cannot aim at a bucket),
 * and CRC32C for what lies on disk. */
#pragma once
#include "base/span.h"

uint64_t hash_bytes(struct span bytes);       /* differs from process to process */
uint64_t hash_bytes_case(struct span bytes);  /* ASCII letters alike; for domains */
uint64_t hash_u64(uint64_t value);
uint64_t hash_seeded(struct span bytes, uint64_t seed); /* the same in all who have the seed, which is a secret */
uint64_t hash_stable(struct span bytes);      /* the same everywhere and for ever (XXH3); not for hostile keys */

/* Continues `crc` (0 at first) over more bytes; Castagnoli, in hardware where there is any. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
