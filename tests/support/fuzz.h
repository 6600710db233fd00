/* What fuzz targets share: a check that holds in every build, and the input as a stream of choices.
 *
 * A stream that has run out gives zeros and empty spans, so that a target needs no checks of its own. */
#pragma once
#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require_that(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: this must hold: %s\n", file, line, what);
    abort();
}
#define require(what) require_that((what), #what, __FILE__, __LINE__)

struct choices {
    struct span left;
};

static inline struct choices choices_of(const uint8_t *data, size_t size)
{
    return (struct choices){ span_of(data, size) };
}

static inline bool choices_over(const struct choices *choices) { return choices->left.n == 0; }

static inline uint64_t choose_octets(struct choices *choices, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n && choices->left.n; i++) {
        value |= (uint64_t)(uint8_t)choices->left.p[0] << 8 * i;
        choices->left = span_from(choices->left, 1);
    }
    return value;
}

static inline uint8_t choose(struct choices *choices) { return (uint8_t)choose_octets(choices, 1); }
static inline uint8_t choose_below(struct choices *choices, uint8_t n) { return (uint8_t)(choose(choices) % n); }

/* An octet; where it is less than `most`, the length in another one, `most` otherwise. Then so many octets, at most `most`;
 * borrowed. */
static inline struct span choose_text(struct choices *choices, size_t most)
{
    size_t n = choose(choices) < most ? choose(choices) : most;
    n = MIN(n, most);
    struct span text = span_head(choices->left, n);
    choices->left = span_from(choices->left, text.n);
    return text.n ? text : SPAN_NONE;
}

/* An exact copy on the heap, so that the sanitizer sees one octet too far; free() it by its `p`. */
static inline struct span fuzz_exact(struct span octets)
{
    char *copy = malloc(octets.n ? octets.n : 1);
    require(copy != NULL);
    if (octets.n)
        memcpy(copy, octets.p, octets.n);
    return span_of(copy, octets.n);
}
