/* mail/encode.h -- text that is not ASCII, in ASCII: quoted-printable (RFC 2045 section 6.7), encoded words (RFC 2047). */
#pragma once
#include "base/buf.h"

/* `text` has CRLF line ends and no blank before them. */
void quoted_printable_add(struct buf *out, struct span text);
/* UTF-8 for an unstructured field such as Subject, whose name took `column` octets; as it is where it is ASCII. What is not
 * printable becomes '?'. */
void encoded_words_add(struct buf *out, struct span text, size_t column);
