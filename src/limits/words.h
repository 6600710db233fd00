/* limits/words.h -- what a person is told about a limit: the reply to a refused command, and the two warnings.
 *
 *     450 4.7.1 limit of 300 recipients per hour for shop@example.org reached (300 in the last 60 min); room for 12
 *     more at 14:20
 */
#pragma once
#include "limits/tree.h"

enum limits_language { LIMITS_ENGLISH, LIMITS_POLISH };

/* When it is, for those who read: the wall clock, and how far local time is ahead of UTC. */
struct limits_moment {
    int64_t wall_ms;
    int32_t zone_ms;
};

/* "limit of 300 ... at 14:20", without code; one line of ASCII-safe text (what is not printable in a name becomes '?').
 * Nothing for a verdict that passed. */
void limits_words_reason(const struct limits_verdict *verdict, struct limits_moment moment, struct buf *ret);
/* Code and enhanced code (RFC 3463 section 3.8, X.7.1) in front; English, as all replies. A message that alone is larger
 * than its limit gets 552 5.3.4. LIMITS_HOLD and LIMITS_PACE are told what happens to the message: 250 2.7.1. */
void limits_words_reply(const struct limits_verdict *verdict, struct limits_moment moment, struct buf *ret);
/* "300 recipients per hour"; in Polish with the case that stands behind "limit". */
void limits_words_limit(const struct limits_rule *rule, enum limits_language language, struct buf *ret);
/* A line for the subject, and the text (UTF-8, LF) of a notice. */
void limits_words_warning_subject(const struct limits_warning *warning, enum limits_language language, struct buf *ret);
void limits_words_warning(const struct limits_warning *warning, enum limits_language language, struct buf *ret);
