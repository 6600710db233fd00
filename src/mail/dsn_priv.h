/* mail/dsn_priv.h -- what the two files that write reports share. */
#pragma once
#include "mail/dsn.h"

/* Appends hostile text on one line: control characters and runs of blanks become one blank, and everything that is
 * not ASCII becomes "?" unless `utf8` and the text is well formed. At most `most` octets are looked at. */
void dsn_add_safe(struct buf *ret, struct span text, bool utf8, size_t most);

/* Appends the part for people, UTF-8, CRLF line ends, not yet encoded. */
void dsn_add_text(const struct dsn *dsn, bool returns_body, struct buf *ret);
/* The same for the Subject: field; ASCII. */
void dsn_add_subject(const struct dsn *dsn, struct buf *ret);

/* Appends "550 5.1.1 " before another server's words: its reply code, and its enhanced code where the text has lost it
 * on the way here and it says more than the reply code does. */
void dsn_add_codes(const struct dsn_recipient *recipient, struct buf *ret);
