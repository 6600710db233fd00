#include "mail/header.h"

static bool is_name_octet(char c) { return c > ' ' && c <= '~' && c != ':'; }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Octets of the line at the front, with its CRLF; 0 when no CRLF ends it. */
static size_t line_length(struct span in)
{
    for (size_t from = 0; from < in.n;) {
        size_t lf = from + span_find(span_from(in, from), '\n');
        if (lf == in.n)
            return 0;
        if (lf > 0 && in.p[lf - 1] == '\r')
            return lf + 1;
        from = lf + 1;
    }
    return 0;
}

/* Length of the name at the front; `ret_colon` is where its colon stands. 0: no field begins here.
 * Blanks before the colon are obsolete (RFC 5322 section 4.5), but others read them so: we must, too. */
static size_t name_length(struct span line, size_t *ret_colon)
{
    size_t n = 0;
    while (n < line.n && is_name_octet(line.p[n]))
        n++;
    size_t colon = n;
    while (colon < line.n && is_blank(line.p[colon]))
        colon++;
    if (n == 0 || colon == line.n || line.p[colon] != ':')
        return 0;
    *ret_colon = colon;
    return n;
}

bool header_next(struct span *header, struct header_field *ret)
{
    size_t colon = 0;
    size_t end = line_length(*header);
    if (end == 0)
        return false;
    size_t name = name_length(span_head(*header, end - 2), &colon);
    if (name == 0)
        return false;
    while (end < header->n && is_blank(header->p[end])) {
        size_t more = line_length(span_from(*header, end));
        if (more == 0)
            break;
        end += more;
    }
    *ret = (struct header_field){
        .all = span_head(*header, end),
        .name = span_head(*header, name),
        .value = span_from(span_head(*header, end - 2), colon + 1),
    };
    *header = span_from(*header, end);
    return true;
}

enum status header_measure(struct span message, size_t most, size_t *ret, size_t *ret_body)
{
    struct span rest = message;
    struct header_field field;
    for (unsigned fields = 0; header_next(&rest, &field); fields++)
        if (fields == HEADER_FIELDS_MAX || message.n - rest.n > most)
            return STATUS_TOO_LONG;
    *ret = message.n - rest.n;
    *ret_body = *ret + (span_starts(rest, SPAN("\r\n")) ? 2 : 0);
    return STATUS_OK;
}

bool header_find(struct span header, struct span name, struct header_field *ret, unsigned *ret_count)
{
    unsigned count = 0;
    struct header_field field;
    while (header_next(&header, &field))
        if (header_is(&field, name) && count++ == 0)
            *ret = field;
    if (ret_count)
        *ret_count = count;
    return count > 0;
}

struct span header_unfold(struct span value, char *ret, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n && n < room; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '\r' || c == '\n')
            continue;
        c = c < ' ' || c == 0x7F ? ' ' : c;
        if (c == ' ' && n == 0)
            continue;
        ret[n++] = (char)c;
    }
    return span_trim(span_of(ret, n));
}
