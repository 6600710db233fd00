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

static void add_number(struct buf *out, uint64_t number)
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

static void ehlo_line(struct smtp_server *server, struct span text, struct span more)
{
    buf_add(&server->out, SPAN("250-"));
    buf_add(&server->out, text);
    buf_add(&server->out, more);
    buf_add(&server->out, SPAN("\r\n"));
}

static void auth_line(struct smtp_server *server)
{
    struct span names = server->settings->mechanisms;
    buf_add(&server->out, SPAN("250-AUTH"));
    for (struct span one; server_next_mechanism(server, &names, &one);) {
        buf_add_char(&server->out, ' ');
        buf_add(&server->out, one);
    }
    buf_add(&server->out, SPAN("\r\n"));
}

/* What is offered to everybody. */
#define EHLO_ALWAYS "250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"

void server_say_ehlo(struct smtp_server *server)
{
    const struct smtp_server_settings *settings = server->settings;
    struct buf *out = &server->out;
    (void)!buf_reserve(out, 512); /* grown once for all lines; without it they grow it themselves */
    ehlo_line(server, settings->hostname, SPAN_NONE);
    ehlo_line(server, SPAN("PIPELINING"), SPAN_NONE);
    buf_add(out, SPAN("250-SIZE"));
    if (settings->max_octets > 0) {
        buf_add_char(out, ' ');
        add_number(out, settings->max_octets);
    }
    buf_add(out, SPAN("\r\n" EHLO_ALWAYS));
    if (server->offers & SMTP_OFFER_TLS)
        ehlo_line(server, SPAN("STARTTLS"), SPAN_NONE);
    if (server->offers & SMTP_OFFER_AUTH && settings->mechanisms.n > 0)
        auth_line(server);
    if (server->offers & SMTP_OFFER_LOCAL)
        ehlo_line(server, SPAN("XLOCAL"), SPAN_NONE);
    buf_add(out, SPAN("250-LIMITS RCPTMAX="));
    add_number(out, settings->max_recipients);
    buf_add(out, SPAN("\r\n250 HELP\r\n"));
}
