/* milter/edit.h -- a milter's changes to a header, applied to its octets.
 *
 * Pure. The changes are applied one after the other, each to what the one before left, as milters expect.
 */
#pragma once
#include "milter/milter.h"

/* Applies ADD_HEADER, INSERT_HEADER or CHANGE_HEADER to `header`, whose fields all end by CRLF, as header_measure() finds
 * them; they do afterwards, and the header has at most one field more.
 *
 * Whatever the milter uses to end lines becomes CRLF; a line that does not begin with a blank gets one, a line of nothing but
 * blanks is left out: no value can begin another field or end the header. A change to a field that is not there adds it; a
 * deletion of one does nothing. On anything but OK nothing changes. SYNTAX: a control character in it. TOO_LONG: a line over
 * the 998 octets of RFC 5322 section 2.1.1, or more than HEADER_FIELDS_MAX fields. FULL, MEMORY: as buf_add().
 */
MUST_CHECK enum status milter_edit(struct buf *header, const struct milter_change *change);
