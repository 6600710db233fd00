#include "mail/encode.h"

void quoted_printable_add(struct buf *out, struct span text)
{
    size_t column = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool line_end = c == '\r' || c == '\n';
        bool bare = line_end || (c >= ' ' && c <= '~' && c != '=');
        if (!line_end && column > 72) {
            buf_add_str(out, "=\r\n");
            column = 0;
        }
        if (bare)
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "=%02X", (unsigned)c);
        column = line_end ? 0 : column + (bare ? 1 : 3);
    }
}

#define LINE_MOST 75u /* octets, RFC 2047 section 2 */
#define WORD_BEGIN "=?utf-8?Q?"

static size_t character_octets(struct span text)
{
    size_t n = 1;
    while (n < text.n && n < 4 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static bool is_word_octet(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '@' || c == ':';
}

static void word_octet_add(struct buf *out, unsigned char c)
{
    if (c == ' ')
        buf_add_char(out, '_');
    else if (is_word_octet(c))
        buf_add_char(out, (char)c);
    else
        buf_printf(out, "=%02X", (unsigned)c);
}

static void plain_add(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        buf_add_char(out, text.p[i] < ' ' || text.p[i] == 0x7F ? '?' : text.p[i]);
}

void encoded_words_add(struct buf *out, struct span text, size_t column)
{
    if (span_is_ascii(text)) {
        plain_add(out, text);
        return;
    }
    column += sizeof WORD_BEGIN - 1;
    buf_add_str(out, WORD_BEGIN);
    while (text.n) { /* a character is never cut in two */
        size_t n = character_octets(text), most = 3 * n + 2;
        if (column + most > LINE_MOST) {
            buf_add_str(out, "?=\r\n " WORD_BEGIN);
            column = sizeof WORD_BEGIN;
        }
        size_t begun = out->n;
        for (size_t i = 0; i < n; i++)
            word_octet_add(out, (unsigned char)text.p[i] < ' ' ? '?' : (unsigned char)text.p[i]);
        column += out->n - begun;
        text = span_from(text, n);
    }
    buf_add_str(out, "?=");
}
