/* cli/load_write.c -- what the load generator says: commands, and the header of each message. Written by hand, without
 * printf: it is most of what the generator itself has to do for a message. */
#include "base/time.h"
#include "cli/load_priv.h"
#include "smtp/base64.h"

static void add_number(struct buf *ret, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    buf_add(ret, span_of(digits + at, sizeof(digits) - at));
}

/* Copies the pattern with every %d as the number. */
static void expand(const char *pattern, uint64_t number, struct buf *ret)
{
    struct span rest = span_str(pattern);
    while (rest.n) {
        size_t at = span_find(rest, '%');
        bool here = at + 1 < rest.n && rest.p[at + 1] == 'd';
        buf_add(ret, span_head(rest, here ? at : at + 1));
        if (here)
            add_number(ret, number);
        rest = span_from(rest, at + 1 + here);
    }
}

static void add_recipient(const struct load *load, uint64_t number, uint64_t i, struct buf *out)
{
    const struct load_options *options = &load->options;
    expand(options->rcpt, (number * options->recipients + i) % options->users, out);
}

void load_write_ehlo(const struct load *load, struct buf *out)
{
    buf_add(out, load->options.lmtp ? SPAN("LHLO ") : SPAN("EHLO "));
    buf_add_str(out, load->options.name);
    buf_add(out, SPAN("\r\n"));
}

void load_write_auth(const struct load *load, uint64_t connection, struct buf *out)
{
    AUTO(buf_done) struct buf plain = BUF_EMPTY(1000);
    buf_add_char(&plain, '\0');
    expand(load->options.login, connection, &plain);
    buf_add_char(&plain, '\0');
    buf_add_str(&plain, load->options.password);
    buf_add(out, SPAN("AUTH PLAIN "));
    base64_encode(buf_span(&plain), out);
    buf_add(out, SPAN("\r\n"));
}

void load_write_mail(const struct load *load, uint64_t number, struct buf *out)
{
    buf_add(out, SPAN("MAIL FROM:<"));
    expand(load->options.from, number % load->options.users, out);
    buf_add(out, SPAN(">\r\n"));
}

void load_write_rcpt(const struct load *load, uint64_t number, uint64_t i, struct buf *out)
{
    buf_add(out, SPAN("RCPT TO:<"));
    add_recipient(load, number, i, out);
    buf_add(out, SPAN(">\r\n"));
}

size_t load_write_header(const struct load *load, uint64_t number, struct buf *ret)
{
    const struct load_options *options = &load->options;
    buf_clear(ret);
    buf_add(ret, SPAN("From: <"));
    expand(options->from, number % options->users, ret);
    buf_add(ret, SPAN(">\r\nTo: <"));
    add_recipient(load, number, 0, ret);
    buf_add(ret, SPAN(">\r\nSubject: load "));
    add_number(ret, number);
    buf_add(ret, SPAN("\r\nDate: "));
    buf_add_str(ret, load->date);
    buf_add(ret, SPAN("\r\nMessage-ID: <"));
    add_number(ret, options->run);
    buf_add_char(ret, '.');
    add_number(ret, number);
    buf_add_char(ret, '@');
    buf_add_str(ret, options->name);
    buf_add(ret, SPAN(">\r\nX-Load-Id: "));
    add_number(ret, options->run);
    buf_add_char(ret, '-');
    add_number(ret, number);
    buf_add_char(ret, '-');
    add_number(ret, (uint64_t)time_mono_us());
    buf_add(ret, SPAN("\r\n\r\n"));
    size_t body_n = options->size > ret->n ? MIN(options->size - ret->n, load->body.n) : 0;
    if (body_n && load->body.p[load->body.n - body_n] == '\n')
        body_n--; /* a LF without its CR is no end of a line */
    return body_n;
}
