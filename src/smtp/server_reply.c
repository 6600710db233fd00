/* The words of the server: one reply per command, and none of it can be taken for two. */
#include "smtp/server_priv.h"

#define LINE_TEXT_MAX 450 /* octets of text in a line; RFC 5321 section 4.5.3.1.5 allows 512 with code and CRLF */

/* How much of `text` goes on the next line: up to a blank, if one is near. */
static size_t line_cut(struct span text)
{
    if (text.n <= LINE_TEXT_MAX)
        return text.n;
    size_t blank = span_rfind(span_head(text, LINE_TEXT_MAX), ' ');
    size_t n = blank < LINE_TEXT_MAX && blank > LINE_TEXT_MAX / 2 ? blank : LINE_TEXT_MAX;
    while (n > LINE_TEXT_MAX - 4 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--; /* not inside a character of UTF-8 */
    return n;
}

static void say_text(struct buf *out, bool utf8, struct span text)
{
    if (buf_reserve(out, text.n) != STATUS_OK) {
        out->failed = true;
        return;
    }
    utf8 = utf8 && span_is_utf8(text);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = c >= ' ' && c < 0x7f;
        out->p[out->n++] = plain || (c >= 0x80 && utf8) ? text.p[i] : '?';
    }
}

static void add_number(struct buf *out, unsigned number)
{
    if (number >= 10)
        add_number(out, number / 10);
    buf_add_char(out, (char)('0' + number % 10));
}

/* "250-2.1.0 ". By hand: five replies a message, and printf is slow. */
static void say_codes(struct buf *out, unsigned code, bool last, struct status_code status)
{
    add_number(out, code);
    buf_add_char(out, last ? ' ' : '-');
    if (status.class == 0)
        return;
    add_number(out, status.class);
    buf_add_char(out, '.');
    add_number(out, status.subject);
    buf_add_char(out, '.');
    add_number(out, status.detail);
    buf_add_char(out, ' ');
}

void server_say_to(struct buf *out, bool utf8, unsigned code, struct status_code status, struct span text)
{
    bool last;
    do {
        struct span line = span_head(text, line_cut(text));
        text = span_from(text, line.n);
        if (text.n > 0 && text.p[0] == ' ')
            text = span_from(text, 1);
        last = text.n == 0;
        say_codes(out, code, last, status);
        say_text(out, utf8, line);
        buf_add(out, SPAN("\r\n"));
    } while (!last);
}

void server_say(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    server_say_to(&server->out, server->utf8, code, status, text);
}

void server_refuse(struct smtp_server *server, unsigned code, struct status_code status, const char *text)
{
    server_say(server, code, status, span_str(text));
    if (code >= 500)
        server_count_error(server);
}

static void ehlo_line(struct smtp_server *server, const char *text)
{
    buf_printf(&server->out, "250-%s\r\n", text);
}

void server_say_ehlo(struct smtp_server *server)
{
    const struct smtp_server_settings *settings = server->settings;
    buf_printf(&server->out, "250-%.*s\r\n", SPAN_ARGS(settings->hostname));
    ehlo_line(server, "PIPELINING");
    if (settings->max_octets > 0)
        buf_printf(&server->out, "250-SIZE %llu\r\n", (unsigned long long)settings->max_octets);
    else
        ehlo_line(server, "SIZE");
    ehlo_line(server, "8BITMIME");
    ehlo_line(server, "SMTPUTF8");
    ehlo_line(server, "CHUNKING");
    ehlo_line(server, "DSN");
    ehlo_line(server, "ENHANCEDSTATUSCODES");
    if (server->offers & SMTP_OFFER_TLS)
        ehlo_line(server, "STARTTLS");
    if (server->offers & SMTP_OFFER_AUTH && settings->mechanisms.n > 0)
        buf_printf(&server->out, "250-AUTH %.*s\r\n", SPAN_ARGS(settings->mechanisms));
    buf_printf(&server->out, "250-LIMITS RCPTMAX=%u\r\n", settings->max_recipients);
    buf_add_str(&server->out, "250 HELP\r\n");
}
