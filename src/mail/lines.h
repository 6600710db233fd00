/* mail/lines.h -- text as programs of this machine write it becomes lines as mail wants them.
 *
 * Pure. LF, CRLF, several CR before an LF (programs that translate twice) and a lone CR all end a line; NUL goes, since no
 * mail may hold one. RFC 5322 section 2.1, RFC 5321 section 2.3.8.
 */
#pragma once
#include "base/buf.h"

struct lines {
    bool dot_ends;  /* the caller's: a line with nothing but "." ends the text */
    bool ended;     /* by such a line; what follows is not looked at */
    /* for the room alone */
    bool has_cr, has_dot, is_inside;
};

/* Adds what `in` becomes to `ret`, with every line ended by CRLF. FULL, MEMORY. */
MUST_CHECK enum status lines_add(struct lines *lines, struct span in, struct buf *ret);
/* Behind the last octet: a line that was begun is ended. */
MUST_CHECK enum status lines_end(struct lines *lines, struct buf *ret);
