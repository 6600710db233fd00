/* mail/header.h -- walks over the header of a message in place, and finds the addresses in it.
 *
 * Pure, without allocation and without recursion; every octet is hostile. A line that cannot be a field ends the
 * header, so that nothing behind it is taken for one. RFC 5322 sections 2.2, 3.4 and 4 (obsolete forms).
 */
#pragma once
#include "mail/address.h"

#define HEADER_MAX (1u << 20)      /* octets of a header block */
#define HEADER_FIELDS_MAX 4096     /* fields in one */
#define HEADER_ADDRESSES_MAX 10000 /* addresses in one field */

struct header_field {
    struct span all;   /* the field with its continuation lines and the last CRLF */
    struct span name;  /* without the colon and what blanks stand before it */
    struct span value; /* all behind the colon, still folded, without the last CRLF */
};

/* Octets of the header fields at the front of `message`, without the empty line behind them.
 *
 * `ret_body` is where the body begins: behind the empty line, or at `ret` when there is none because another line
 * that is no field (or the end) came first. Lines end by CRLF. TOO_LONG: over `most` octets or HEADER_FIELDS_MAX.
 */
MUST_CHECK enum status header_measure(struct span message, size_t most, size_t *ret, size_t *ret_body);

/* Takes the next field off the front of `header`. False at its end, or where a line is no field. */
bool header_next(struct span *header, struct header_field *ret);
static inline bool header_is(const struct header_field *field, struct span name) { return span_eq_case(field->name, name); }
/* The first field of this name; `ret_count` (may be NULL) says how many there are. */
bool header_find(struct span header, struct span name, struct header_field *ret, unsigned *ret_count);

/* The value on one line: CRLF removed, blanks trimmed, control characters made blanks; cut after `room` octets. */
struct span header_unfold(struct span value, char *ret, size_t room);

/* Calls `on_address` for each address in the value of From:, Sender:, Reply-To:, To: and the like.
 *
 * Understands names, comments, groups, quoted strings, encoded words and the obsolete forms (routes, blanks around
 * dots). The address is in canonical form and borrowed for the call. A status other than OK from it ends the walk
 * and is returned. SYNTAX: what stands there can be read in two ways, or not at all: refuse it, do not guess.
 * TOO_LONG: an address over its limit, or more than HEADER_ADDRESSES_MAX. DENIED: UTF-8 without ADDRESS_UTF8.
 */
typedef enum status header_on_address(void *arg, const struct address *address);
MUST_CHECK enum status header_addresses(struct span value, unsigned allow, header_on_address *on_address, void *arg);
