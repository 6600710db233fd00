/* score/text.h -- a fingerprint of a text that changes little when the text does.
 *
 * A simhash over pairs of words. Words are runs of letters (ASCII case alike, octets of 0x80 and above are letters), so
 * numbers, tags' brackets and white space are between words, and a name or an order number that is put into a text changes two or
 * three pairs among many. It is computed while the body passes by, however it is cut, from its first SCORE_TEXT_WORDS words.
 * A body in base64 is one text only where it is the same octet by octet up to what is put into it.
 */
#pragma once
#include "base/span.h"

#define SCORE_TEXT_WORDS 2000u
#define SCORE_TEXT_NEAR 12u  /* bits that may differ; two texts by chance: 2 in 10 million */
#define SCORE_TEXT_LEAST 10u /* words; less says nothing */

struct score_text {
    int32_t bits[64];
    uint64_t word, before; /* the word that is being read (0: none), the one before it */
    uint32_t words;
};

#define SCORE_TEXT_EMPTY ((struct score_text){ .words = 0 })

void score_text_feed(struct score_text *text, struct span octets);
uint64_t score_text_take(struct score_text *text); /* and begins anew; 0: too short to say */
bool score_text_is_near(uint64_t a, uint64_t b);   /* neither is 0 */
