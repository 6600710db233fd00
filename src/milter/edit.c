#include "milter/edit.h"
#include "mail/header.h"
#include <assert.h>

enum { LINE_MAX_OCTETS = 998 };

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Takes a line off the front of `text`, without its end: CRLF, LF or CR. */
static bool take_line(struct span *text, struct span *ret)
{
    size_t n = 0;
    if (text->n == 0)
        return false;
    while (n < text->n && text->p[n] != '\r' && text->p[n] != '\n')
        n++;
    *ret = span_head(*text, n);
    bool is_crlf = n + 1 < text->n && text->p[n] == '\r' && text->p[n + 1] == '\n';
    *text = span_from(*text, n + (is_crlf ? 2 : 1));
    return true;
}

static bool has_control(struct span line)
{
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7F)
            return true;
    return false;
}

static enum status write_field(const struct milter_change *change, struct buf *ret)
{
    struct span value = change->value, line;
    bool is_first = true;
    buf_add(ret, change->name);
    buf_add_char(ret, ':');
    size_t begin = 0;
    while (take_line(&value, &line)) {
        if (has_control(line))
            return STATUS_SYNTAX;
        if (!is_first && span_trim(line).n == 0)
            continue;
        if (!is_first) {
            buf_add_str(ret, "\r\n");
            begin = ret->n;
        }
        bool needs_blank = is_first ? !change->has_blank && line.n : !is_blank(line.p[0]);
        if (needs_blank)
            buf_add_char(ret, is_first ? ' ' : '\t');
        buf_add(ret, line);
        if (ret->n - begin > LINE_MAX_OCTETS)
            return STATUS_TOO_LONG;
        is_first = false;
    }
    buf_add_str(ret, "\r\n");
    return ret->failed ? STATUS_FULL : STATUS_OK;
}

/* `removed` octets at `at` make way for `what`. */
static enum status splice(struct buf *buf, size_t at, size_t removed, struct span what)
{
    size_t grows = what.n > removed ? what.n - removed : 0;
    if (buf->n - removed + what.n > buf->most)
        return STATUS_FULL;
    if (grows && buf_reserve(buf, grows) != STATUS_OK)
        return STATUS_MEMORY;
    if (buf->n > at + removed)
        memmove(buf->p + at + what.n, buf->p + at + removed, buf->n - at - removed);
    if (what.n)
        memcpy(buf->p + at, what.p, what.n);
    buf->n = buf->n - removed + what.n;
    return STATUS_OK;
}

/* Where the change happens, and what it takes away. */
struct place {
    size_t at, removed;
    bool is_found;
    unsigned fields;
};

static struct place find_place(struct span header, const struct milter_change *change)
{
    struct header_field field;
    struct span rest = header;
    struct place place = { .at = header.n };
    uint32_t nth = 0, wanted = MAX(change->index, 1u);
    for (; header_next(&rest, &field); place.fields++) {
        size_t at = (size_t)(field.all.p - header.p);
        if (place.is_found)
            continue;
        if (change->kind == MILTER_INSERT_HEADER && place.fields == change->index)
            place.at = at;
        if (change->kind == MILTER_CHANGE_HEADER && header_is(&field, change->name) && ++nth == wanted) {
            place.at = at;
            place.removed = field.all.n;
            place.is_found = true;
        }
    }
    return place;
}

enum status milter_edit(struct buf *header, const struct milter_change *change)
{
    assert(change->kind <= MILTER_CHANGE_HEADER);
    struct place place = find_place(buf_span(header), change);
    if (change->kind == MILTER_CHANGE_HEADER && change->value.n == 0)
        return place.is_found ? splice(header, place.at, place.removed, SPAN_NONE) : STATUS_OK;
    if (!place.is_found && place.fields >= HEADER_FIELDS_MAX)
        return STATUS_TOO_LONG;

    AUTO(buf_done) struct buf field = BUF_EMPTY(2 * (size_t)MILTER_PACKET_MAX + 16);
    enum status status = write_field(change, &field);
    return status == STATUS_OK ? splice(header, place.at, place.removed, buf_span(&field)) : status;
}
