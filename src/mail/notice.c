#include "mail/notice.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/message_id.h"

/* What comes from other processes adds no line and no second address. */
static bool fits_header(struct span address)
{
    for (size_t i = 0; i < address.n; i++)
        if ((unsigned char)address.p[i] < ' ' || address.p[i] == 0x7F || address.p[i] == '<' || address.p[i] == '>')
            return false;
    return address.n > 0 && address.n <= ADDRESS_MAX && span_is_utf8(address);
}

/* LF becomes CRLF; other control characters become '?', blanks at the end of a line go. */
static void lines_add(struct span text, struct buf *ret)
{
    struct span line;
    while (text.n && span_cut(&text, '\n', &line)) {
        line = span_trim(line);
        for (size_t i = 0; i < line.n; i++)
            buf_add_char(ret, (unsigned char)line.p[i] < ' ' || line.p[i] == 0x7F ? '?' : line.p[i]);
        buf_add_str(ret, "\r\n");
    }
}

enum status notice_write(const struct notice *notice, struct buf *ret, bool *ret_utf8)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY((size_t)1 << 20);
    char date[DATE_TEXT_SIZE];
    size_t before = ret->n;
    if (!fits_header(notice->to) || !fits_header(notice->postmaster) || !span_is_utf8(notice->text))
        return STATUS_SYNTAX;
    lines_add(notice->text, &text);
    bool plain = span_is_ascii(buf_span(&text));
    buf_printf(ret, "From: \"Mail delivery\" <%.*s>\r\nTo: <%.*s>\r\nSubject: ", SPAN_ARGS(notice->postmaster), SPAN_ARGS(notice->to));
    encoded_words_add(ret, notice->subject, 9);
    buf_printf(ret, "\r\nDate: %s\r\nMessage-ID: ", date_text(notice->now_wall_ms, date));
    message_id_write(notice->id, notice->hostname, ret);
    buf_printf(ret, "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=%s\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n", plain ? "us-ascii" : "utf-8");
    quoted_printable_add(ret, buf_span(&text));
    if (ret->failed || text.failed) {
        ret->n = before;
        return STATUS_FULL;
    }
    *ret_utf8 = !span_is_ascii(notice->to) || !span_is_ascii(notice->postmaster);
    return STATUS_OK;
}
