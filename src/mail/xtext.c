#include "mail/xtext.h"
#include "mail/grammar.h"

static int hex_value(char c)
{
    if (ascii_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next octet that the xtext at the front stands for; false at its end or where it is none. */
static bool xtext_next(struct span *text, char *ret)
{
    if (text->n == 0)
        return false;
    char c = text->p[0];
    if (c != '+') {
        *ret = c;
        *text = span_from(*text, 1);
        return c > ' ' && c <= '~' && c != '=';
    }
    int high = text->n > 2 ? hex_value(text->p[1]) : -1, low = text->n > 2 ? hex_value(text->p[2]) : -1;
    if (high < 0 || low < 0)
        return false;
    *ret = (char)(high * 16 + low);
    *text = span_from(*text, 3);
    return true;
}

bool xtext_check(struct span text)
{
    char c;
    while (text.n)
        if (!xtext_next(&text, &c))
            return false;
    return true;
}

enum status xtext_decode(struct span text, struct buf *ret)
{
    char c;
    while (text.n) {
        if (!xtext_next(&text, &c))
            return STATUS_SYNTAX;
        enum status status = buf_add_char(ret, c);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status xtext_encode(struct span plain, struct buf *ret)
{
    for (size_t i = 0; i < plain.n; i++) {
        char c = plain.p[i];
        bool bare = c > ' ' && c <= '~' && c != '+' && c != '=';
        enum status status = bare ? buf_add_char(ret, c) : buf_printf(ret, "+%02X", (unsigned)(unsigned char)c);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* utf-8-addr-unitext: QCHAR, UTF-8 and \x{HEX}; braces, "+", "=" and "\" only in that form. */
static bool unitext_check(struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (is_utf8_octet(c))
            continue;
        if (c != '\\') {
            if (c <= ' ' || c > '~' || c == '+' || c == '=')
                return false;
            continue;
        }
        struct span rest = span_from(text, i);
        size_t end = span_find(rest, '}');
        if (!span_starts(rest, SPAN("\\x{")) || end == rest.n || end < 5 || end > 9)
            return false;
        for (size_t digit = 3; digit < end; digit++)
            if (hex_value(rest.p[digit]) < 0)
                return false;
        i += end;
    }
    return span_is_utf8(text);
}

bool xtext_orcpt_check(struct span orcpt, bool utf8)
{
    size_t semicolon = span_find(orcpt, ';');
    if (semicolon == 0 || semicolon + 1 >= orcpt.n || orcpt.n > XTEXT_ORCPT_MAX)
        return false;
    for (size_t i = 0; i < semicolon; i++)
        if (!is_atext(orcpt.p[i]))
            return false;
    struct span text = span_from(orcpt, semicolon + 1);
    if (span_eq_case(span_head(orcpt, semicolon), SPAN("utf-8")))
        return unitext_check(text) && (utf8 || span_is_ascii(text));
    return xtext_check(text);
}
