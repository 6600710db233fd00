#include "base/span.h"

bool span_eq_case(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int span_cmp(struct span a, struct span b)
{
    size_t n = MIN(a.n, b.n);
    int diff = n ? memcmp(a.p, b.p, n) : 0;
    return diff ? diff : (a.n > b.n) - (a.n < b.n);
}

bool span_starts(struct span s, struct span with)
{
    return s.n >= with.n && span_eq(span_head(s, with.n), with);
}

bool span_starts_case(struct span s, struct span with)
{
    return s.n >= with.n && span_eq_case(span_head(s, with.n), with);
}

bool span_ends_case(struct span s, struct span with)
{
    return s.n >= with.n && span_eq_case(span_from(s, s.n - with.n), with);
}

size_t span_rfind(struct span s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

size_t span_find_span(struct span s, struct span what)
{
    if (what.n == 0)
        return 0;
    const char *at = s.n ? memmem(s.p, s.n, what.p, what.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

bool span_cut(struct span *s, char c, struct span *ret)
{
    if (!s->p)
        return false;
    size_t at = span_find(*s, c);
    *ret = span_head(*s, at);
    *s = at < s->n ? span_from(*s, at + 1) : SPAN_NONE;
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.n && blank(s.p[0]))
        s = span_from(s, 1);
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool span_u64(struct span s, uint64_t most, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (value > (most - MIN(digit, most)) / 10 || digit > most)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

bool span_is_ascii(struct span s)
{
    /* Whole messages pass here: 32 octets at a time, which compilers make vector instructions of. */
    for (; s.n >= 32; s = span_of(s.p + 32, s.n - 32)) {
        uint64_t words[4];
        memcpy(words, s.p, sizeof words);
        if ((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080))
            return false;
    }
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* The octets a character of this first octet takes and the least value it may have; 0: none. */
static size_t utf8_length(unsigned char first, uint32_t *least, uint32_t *bits)
{
    if (first < 0x80) {
        *least = 0;
        *bits = first;
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        *least = 0x80;
        *bits = first & 0x1Fu;
        return 2;
    }
    if ((first & 0xF0) == 0xE0) {
        *least = 0x800;
        *bits = first & 0x0Fu;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *least = 0x10000;
        *bits = first & 0x07u;
        return 4;
    }
    return 0;
}

bool span_is_utf8(struct span s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t least = 0, value = 0;
        size_t length = utf8_length((unsigned char)s.p[i], &least, &value);
        if (length == 0 || length > s.n - i)
            return false;
        for (size_t k = 1; k < length; k++) {
            unsigned char c = (unsigned char)s.p[i + k];
            if ((c & 0xC0) != 0x80)
                return false;
            value = value << 6 | (c & 0x3Fu);
        }
        if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
            return false;
        i += length;
    }
    return true;
}
