#include "smtp/dots.h"

size_t smtp_dots_find(struct span in)
{
    if (in.n < 2)
        return in.n;
    const char *last = in.p + in.n - 1; /* an LF there has nothing behind it */
    for (const char *at = in.p; at < last && (at = memchr(at, '\n', (size_t)(last - at))); at++)
        if (at[1] == '.')
            return (size_t)(at - in.p);
    return in.n;
}

void smtp_dots_init(struct smtp_dots *dots)
{
    dots->last[0] = '\r';
    dots->last[1] = '\n';
    dots->is_dotted = false;
}

void smtp_dots_skip(struct smtp_dots *dots, struct span sent)
{
    if (sent.n == 0)
        return;
    dots->last[0] = sent.n > 1 ? sent.p[sent.n - 2] : dots->last[1];
    dots->last[1] = sent.p[sent.n - 1];
}

bool smtp_dots_take(struct smtp_dots *dots, struct span *in, struct span *ret)
{
    if (in->n == 0)
        return false;
    size_t n;
    if (in->p[0] == '.' && dots->last[1] == '\n' && !dots->is_dotted) {
        dots->is_dotted = true;
        *ret = span_head(*in, 1); /* and it stays in front */
        return true;
    }
    dots->is_dotted = false;
    size_t at = smtp_dots_find(*in);
    n = at < in->n ? at + 1 : in->n;
    *ret = span_head(*in, n);
    smtp_dots_skip(dots, *ret);
    *in = span_from(*in, n);
    return true;
}

enum status smtp_dots_add(struct smtp_dots *dots, struct span in, struct buf *ret)
{
    enum status status = buf_reserve(ret, in.n + in.n / 64 + 8);
    struct span piece;
    while (status == STATUS_OK && smtp_dots_take(dots, &in, &piece))
        status = buf_add(ret, piece);
    return status;
}

struct span smtp_dots_end(const struct smtp_dots *dots)
{
    return dots->last[0] == '\r' && dots->last[1] == '\n' ? SPAN(".\r\n") : SPAN("\r\n.\r\n");
}
