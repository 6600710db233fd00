/* mail/grammar.h -- classes of octets that the grammars of SMTP and of headers share. */
#pragma once
#include "base/span.h"

static inline bool is_utf8_octet(char c) { return (unsigned char)c >= 0x80; }

/* RFC 5322 section 3.2.3 */
static inline bool is_atext(char c)
{
    return ascii_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}
/* RFC 6531 section 3.3 adds all of UTF-8; that it is well formed is looked at once, for the whole. */
static inline bool is_atext_or_utf8(char c) { return is_atext(c) || is_utf8_octet(c); }
static inline bool is_printable(char c) { return c >= ' ' && c <= '~'; }
static inline bool is_printable_or_utf8(char c) { return is_printable(c) || is_utf8_octet(c); }
/* Letters of a label. The underscore is no host name's, but machines that send mail carry it in theirs. */
static inline bool is_label_or_utf8(char c) { return ascii_alnum(c) || c == '-' || c == '_' || is_utf8_octet(c); }

/* U+0080..U+009F, which some terminals and parsers obey. In well-formed UTF-8 only C2 may come before them. */
static inline bool has_c1_control(struct span s)
{
    for (size_t i = 1; i < s.n; i++)
        if ((unsigned char)s.p[i - 1] == 0xC2 && (unsigned char)s.p[i] < 0xA0)
            return true;
    return false;
}
