/* mail/xtext.h -- the encoding of ENVID and ORCPT (RFC 3461 section 4, RFC 6533 section 3). */
#pragma once
#include "base/buf.h"

#define XTEXT_ENVID_MAX 100  /* RFC 3461 section 4.4: octets as written */
#define XTEXT_ORCPT_MAX 500  /* RFC 3461 section 4.2 */

/* Well-formed xtext? ("+" with two upper-case hex digits; no blank, no "=", printable ASCII.) */
bool xtext_check(struct span text);
/* Appends what the xtext means. SYNTAX: it is none (`ret` may hold a part of it). */
enum status xtext_decode(struct span text, struct buf *ret);
enum status xtext_encode(struct span plain, struct buf *ret);

/* Is "type;xtext" a well-formed ORCPT? With `utf8` also the forms of RFC 6533 section 3. */
bool xtext_orcpt_check(struct span orcpt, bool utf8);
