/* smtp/body.h -- reads the octets of a message as DATA and BDAT carry them, and gives them on clean.
 *
 * Clean: dots are removed, every line ends by CRLF, and no other CR or LF is left. Only CRLF.CRLF ends DATA,
 * whatever else looks like it, so that no second message can hide in the first.
 * Pure, no allocation, nothing is copied. RFC 5321 sections 2.3.8 and 4.5.2, RFC 3030 section 2.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"

enum smtp_body_state {
    SMTP_BODY_LINE_START, /* behind a true CRLF, or at the very beginning */
    SMTP_BODY_IN_LINE,
    SMTP_BODY_CR,         /* a CR is held back until the next octet is seen */
    SMTP_BODY_DOT,        /* "." at the start of a line is held back */
    SMTP_BODY_DOT_CR,     /* and the CR behind it */
};

struct smtp_body {
    enum smtp_body_state state;
    bool dots;            /* DATA: dots are stuffed, CRLF.CRLF ends */
    bool bare;            /* a bare CR or LF was found (and made CRLF) */
    bool has_8bit;
    bool has_nul;
    uint64_t octets;      /* given on so far */
    uint64_t line;        /* octets of the line in hand, without CRLF */
    uint64_t longest;     /* of all lines so far */
};

void smtp_body_init(struct smtp_body *body, bool dots);

/* Takes the next clean piece off the front of `in`: borrowed from it, or static.
 *
 * OK: `ret` has at least one octet. AGAIN: all of `in` was taken. CLOSED: DATA ended by CRLF.CRLF, `in` begins
 * behind it.
 */
MUST_CHECK enum status smtp_body_take(struct smtp_body *body, struct span *in, struct span *ret);
/* For who wants no more than the message's end: how many octets from the front of `in` may be dropped unseen instead of
 * given to smtp_body_take(), because that end is not among them; perhaps none. They are counted in `octets` as they
 * came; `bare`, `has_8bit`, `has_nul` and the lengths of lines know nothing of them. */
size_t smtp_body_skim(struct smtp_body *body, struct span in);
/* BDAT LAST was read: what must still be added so that the last line ends (empty or CRLF). */
struct span smtp_body_finish(struct smtp_body *body);
