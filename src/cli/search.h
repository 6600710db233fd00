/* cli/search.h -- finds a word in a text of many hundred megabytes that is mapped into memory.
 *
 * Two octets of the word that are rare in the text are compared sixteen places at a time, and a long text is cut into
 * pieces that all processors take by turns: half of the time is the kernel's, which maps the pages. It begins with a
 * little and takes ever more at once, so what is near is found at once. Allocates nothing.
 */
#pragma once
#include "base/span.h"

#define SEARCH_PIECES 64
#define SEARCH_HITS 256 /* remembered of each piece */

struct search {
    struct span text, what;
    size_t low, high;    /* what begins here was not looked for yet */
    size_t window;       /* octets that are taken next */
    size_t rare, other;  /* places in `what` that are compared first */
    size_t n, taken;     /* of `hits` */
    size_t hits[SEARCH_PIECES * SEARCH_HITS];
};

/* For what begins from `from` to before `to`; it may end behind that. An empty `what` is nowhere. Borrows both. */
void search_init(struct search *search, struct span text, size_t from, size_t to, struct span what);
/* Where it is the next time, from the front or from the back: one of them for each search. False: no more. */
MUST_CHECK bool search_next(struct search *search, size_t *ret);
MUST_CHECK bool search_previous(struct search *search, size_t *ret);

/* Takes the pages of a mapped file out of this process by all processors; they are mapped again where they are read.
 * `text` begins at a page. */
void search_release(struct span text);
