/* smtp/base64.h -- the encoding of AUTH's challenges and answers (RFC 4954 section 4, RFC 4648 section 4). */
#pragma once
#include "base/buf.h"

/* Appends what `text` means. SYNTAX: it is not base64 with its padding, or bits are left over (`ret` keeps what it
 * had). FULL, MEMORY as buf_add(). */
MUST_CHECK enum status base64_decode(struct span text, struct buf *ret);
enum status base64_encode(struct span plain, struct buf *ret);
