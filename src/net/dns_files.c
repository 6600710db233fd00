/* net/dns_files.c -- what stands in /etc/resolv.conf and /etc/hosts, told to libunbound. It could read them itself; but
 * the process that asks the DNS opens no files. */
#include "net/dns_priv.h"
#include "base/buf.h"

/* The next word of the line; empty at its end, or where a remark begins. */
static struct span word_take(struct span *line)
{
    size_t start = 0, end;
    while (start < line->n && (line->p[start] == ' ' || line->p[start] == '\t' || line->p[start] == '\r'))
        start++;
    for (end = start; end < line->n && line->p[end] != ' ' && line->p[end] != '\t' && line->p[end] != '\r'; end++)
        if (line->p[end] == '#')
            break;
    struct span word = span_of(line->p + start, end - start);
    *line = end < line->n && line->p[end] == '#' ? SPAN_NONE : span_from(*line, end);
    return word;
}

static struct span line_take(struct span *text)
{
    size_t end = span_find(*text, '\n');
    struct span line = span_head(*text, end);
    *text = span_from(*text, MIN(end + 1, text->n));
    return line;
}

int dns_add_resolvers(struct ub_ctx *context, struct span text)
{
    unsigned count = 0;
    int result = 0;
    while (text.n && !result) {
        struct span line = line_take(&text);
        if (!span_eq(word_take(&line), SPAN("nameserver")))
            continue;
        AUTO(buf_done) struct buf address = BUF_EMPTY(256);
        buf_add(&address, word_take(&line)); /* fe80::1%eth0 as it is */
        result = ub_ctx_set_fwd(context, buf_cstr(&address));
        count++;
    }
    return result || count ? result : ub_ctx_set_fwd(context, "127.0.0.1"); /* resolv.conf(5) */
}

void dns_add_hosts(struct ub_ctx *context, struct span text)
{
    while (text.n) {
        struct span line = line_take(&text), name;
        struct span address = word_take(&line);
        if (span_find(address, '%') < address.n)
            continue;
        const char *type = span_find(address, ':') < address.n ? "AAAA" : "A";
        while (address.n && (name = word_take(&line)).n) {
            AUTO(buf_done) struct buf record = BUF_EMPTY(1024);
            buf_printf(&record, "%.*s IN %s %.*s", SPAN_ARGS(name), type, SPAN_ARGS(address));
            (void)ub_ctx_data_add(context, buf_cstr(&record)); /* a line that is wrong takes no other with it */
        }
    }
}
