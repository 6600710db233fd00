/* base/span.h -- borrowed bytes with their length; never ended by NUL, never owned.
 *
 * All comparisons that ignore case are ASCII only, whatever the locale.
 */
#pragma once
#include "base/attr.h"
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })
/* For printf's "%.*s". */
#define SPAN_ARGS(span) ((int)(span).n), ((span).p ? (span).p : "")

static inline struct span span_of(const void *p, size_t n) { return (struct span){ p, n }; }
static inline struct span span_str(const char *s) { return (struct span){ s, s ? strlen(s) : 0 }; }
static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool span_eq_case(struct span a, struct span b);    /* ASCII letters alike */
int span_cmp(struct span a, struct span b);         /* as memcmp, the shorter first */
bool span_starts(struct span s, struct span with);
bool span_starts_case(struct span s, struct span with);
bool span_ends_case(struct span s, struct span with);

/* Index of the first octet `c`, or `s.n`. */
static inline size_t span_find(struct span s, char c)
{
    const char *at = s.n ? (const char *)memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}
size_t span_rfind(struct span s, char c);           /* the last one, or `s.n` */
size_t span_find_span(struct span s, struct span what);

/* Everything from `at` on / the first `n`; both clamp to what there is. */
static inline struct span span_from(struct span s, size_t at)
{
    at = MIN(at, s.n);
    return (struct span){ s.p ? s.p + at : NULL, s.n - at };
}
static inline struct span span_head(struct span s, size_t n) { return (struct span){ s.p, MIN(n, s.n) }; }

/* Cuts what stands before the first `c` off the front of `s`, and `c` with it. Without a `c`
 * it takes everything. False (and `ret` untouched) once `s` is empty and was cut to its end. */
bool span_cut(struct span *s, char c, struct span *ret);
struct span span_trim(struct span s);               /* spaces and tabs off both ends */

/* Decimal digits only, nothing else, no overflow over `most`. */
MUST_CHECK bool span_u64(struct span s, uint64_t most, uint64_t *ret);

static inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static inline bool ascii_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_alpha(char c) { c = ascii_lower(c); return c >= 'a' && c <= 'z'; }
static inline bool ascii_alnum(char c) { return ascii_alpha(c) || ascii_digit(c); }

/* Well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing over U+10FFFF. */
bool span_is_utf8(struct span s);
bool span_is_ascii(struct span s);
