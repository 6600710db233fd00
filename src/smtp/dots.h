/* smtp/dots.h -- the form a message takes behind DATA: dots doubled, CRLF.CRLF at its end.
 *
 * Pure, nothing is copied: a doubled dot is two pieces that overlap. RFC 5321 section 4.5.2.
 * A dot behind a lone LF is doubled too. A clean body has none; if one slips through, no server that takes LF for
 * an end of line will see the end of the message in it.
 */
#pragma once
#include "base/buf.h"

struct smtp_dots {
    char last[2];   /* the two octets sent last; CRLF at the beginning */
    bool is_dotted; /* the dot in front was sent once already: the second time it is the body's own */
};

/* Where an LF stands that has a dot behind it; in.n: nowhere. */
size_t smtp_dots_find(struct span in);
void smtp_dots_init(struct smtp_dots *dots);
/* Takes the next piece to send off the front of `in`; borrowed from it. False: `in` is used up. */
bool smtp_dots_take(struct smtp_dots *dots, struct span *in, struct span *ret);
/* Adds all of `in` to `ret`. */
enum status smtp_dots_add(struct smtp_dots *dots, struct span in, struct buf *ret);
/* What ends the message: ".CRLF", with a CRLF before it when its last line lacks one. Static. */
struct span smtp_dots_end(const struct smtp_dots *dots);
/* For a body sent as it is, known to need no dots: tells what its end was. */
void smtp_dots_skip(struct smtp_dots *dots, struct span sent);
