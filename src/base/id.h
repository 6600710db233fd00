/* base/id.h -- the name of a message: 64 bits, 13 characters for people and logs.
 *
 * 41 bits of milliseconds since 2024, 8 bits for the process that accepted it, 15 bits of count:
 * sorted by time, unique without asking anybody. 0 is no id.
 */
#pragma once
#include "base/span.h"

#define ID_TEXT_SIZE 14 /* with NUL */
#define ID_WRITERS 256

struct id_source {
    uint64_t last;
    uint8_t writer; /* which writing process; unique among those alive */
};

/* The next id; always greater than the one before, also when the clock goes back. */
uint64_t id_next(struct id_source *source, int64_t now_wall_ms);
int64_t id_time_wall_ms(uint64_t id);
uint8_t id_writer(uint64_t id); /* which process made it */
/* 13 characters of Crockford's base 32 (no I, L, O, U). Returns `ret`. */
char *id_text(uint64_t id, char ret[ID_TEXT_SIZE]);
MUST_CHECK bool id_parse(struct span text, uint64_t *ret);
