/* limits/new_recipients.h -- to whom a sender has written before: the best sign of a stolen password is that he writes to
 * nobody whom he knows.
 *
 * Kept are 32 bits of a keyed hash of each address, so the set tells nobody whom somebody writes to who has not the key.
 * A stranger's address is taken for a known one with a probability of (size of the set) / 2^32: one in 200,000 with
 * 20,000 addresses. The set never holds more than its ceiling: at half of it a generation is full, the one before it is
 * forgotten, and who is written to again moves to the younger one. So of the last half of the ceiling none is forgotten.
 */
#pragma once
#include "base/buf.h"

#define LIMITS_KNOWN_MOST 20000u /* addresses of a sender; 128 KiB at the worst */

struct limits_known_table {
    uint32_t *slots; /* open addressing; 0: free */
    uint32_t room;   /* a power of two, or 0 */
    uint32_t n;
};

struct limits_known {
    struct limits_known_table young, old;
    uint64_t key;    /* secret of the server, the same for ever */
    uint32_t most;
};

void limits_known_init(struct limits_known *known, uint64_t key, uint32_t most); /* `most` at least 2 */
void limits_known_done(struct limits_known *known);
size_t limits_known_octets(const struct limits_known *known);

/* ASCII letters are alike. Was he written to before? */
bool limits_known_has(const struct limits_known *known, struct span address);
/* MEMORY: he stays unknown. */
MUST_CHECK enum status limits_known_add(struct limits_known *known, struct span address);
/* The message was refused after all. */
void limits_known_remove(struct limits_known *known, struct span address);

/* The set as octets (4 for each address and a checksum), and back. FULL: no room in `ret`. DAMAGED, MEMORY: `known` is as
 * before. */
MUST_CHECK enum status limits_known_encode(const struct limits_known *known, struct buf *ret);
MUST_CHECK enum status limits_known_decode(struct limits_known *known, struct span octets);
