#include "world.h"
#include "base/id.h"

/* A line of a letter: of any length, some begin with a dot, some have 8-bit octets. */
static void line_add(struct buf *ret, const struct letter *letter, unsigned line)
{
    uint64_t x = (letter->number * UINT64_C(0x9e3779b97f4a7c15)) ^ (line * UINT64_C(0xbf58476d1ce4e5b9));
    x ^= x >> 31;
    if (x % 7 == 0)
        buf_add_char(ret, '.');
    if (x % 11 == 0)
        buf_add_str(ret, "\r\n");
    buf_printf(ret, "line %u of %u ", line, letter->number);
    if (letter->eight_bit && x % 5 == 0)
        buf_add_str(ret, "zażółć ");
    static const char text[] = "the courier went through rain and dark, and all he carried came to those for whom it was meant";
    buf_add(ret, span_of(text, x % sizeof text));
    buf_add_str(ret, "\r\n");
}

void mail_make(const struct letter *letter, struct buf *ret)
{
    buf_clear(ret);
    buf_printf(ret, "From: <%s>\r\nTo: <everybody@sim.example>\r\nSubject: letter %u\r\nX-Sim: %u\r\n"
               "Message-ID: <letter-%u@client.example>\r\n\r\n", letter->sender[0] ? letter->sender : "nobody@sim.example",
               letter->number, letter->number, letter->number);
    for (unsigned line = 0; ret->n < letter->octets; line++)
        line_add(ret, letter, line);
}

static uint32_t number_at(struct span text)
{
    uint32_t number = 0;
    for (size_t i = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        number = number * 10 + (uint32_t)(text.p[i] - '0');
    return number;
}

/* What stands behind `name` at its first place; empty: nowhere. */
static struct span behind(struct span text, struct span name)
{
    size_t at = span_find_span(text, name);
    return at < text.n ? span_from(text, at + name.n) : SPAN_NONE;
}

void mail_look(struct span text, bool null_sender, struct mail_seen *ret)
{
    *ret = (struct mail_seen){ 0 };
    struct span header = span_head(text, MIN(span_find_span(text, SPAN("\r\n\r\n")) + 2, text.n));
    ret->is_report = null_sender && span_find_span(header, SPAN("multipart/report")) < header.n;
    struct span id = behind(header, ret->is_report ? SPAN("\r\nMessage-ID: <") : SPAN(" id "));
    if (!id_parse(span_head(id, MIN(id.n, (size_t)ID_TEXT_SIZE - 1)), &ret->id))
        ret->id = 0;
    ret->number = number_at(behind(ret->is_report ? text : header, SPAN("\r\nX-Sim: ")));
}

void mail_report_each(struct span text, void (*each)(void *arg, struct span address, struct span action), void *arg)
{
    for (struct span rest = text; (rest = behind(rest, SPAN("\r\nFinal-Recipient: rfc822;"))).n;) {
        struct span address = span_head(rest, span_find(rest, '\r')), action = behind(rest, SPAN("\r\nAction: "));
        while (address.n && address.p[0] == ' ')
            address = span_from(address, 1);
        each(arg, address, span_head(action, span_find(action, '\r')));
    }
}
