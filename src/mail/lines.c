#include "mail/lines.h"

static enum status line_ends(struct lines *lines, struct buf *ret)
{
    bool is_dot = lines->has_dot && !lines->is_inside;
    lines->has_cr = lines->has_dot = lines->is_inside = false;
    lines->ended = is_dot;
    return is_dot ? STATUS_OK : buf_add(ret, SPAN("\r\n"));
}

/* A piece of a line, without CR, LF and NUL. */
static enum status piece_add(struct lines *lines, struct span piece, struct buf *ret)
{
    if (!lines->is_inside && !lines->has_dot && lines->dot_ends && piece.p[0] == '.') {
        lines->has_dot = true; /* held back until it shows what it is */
        piece = span_from(piece, 1);
    }
    if (piece.n == 0)
        return STATUS_OK;
    enum status status = lines->has_dot && !lines->is_inside ? buf_add_char(ret, '.') : STATUS_OK;
    lines->is_inside = true;
    return status == STATUS_OK ? buf_add(ret, piece) : status;
}

static size_t piece_length(struct span in)
{
    size_t n = 0;
    while (n < in.n && in.p[n] != '\r' && in.p[n] != '\n' && in.p[n] != '\0')
        n++;
    return n;
}

enum status lines_add(struct lines *lines, struct span in, struct buf *ret)
{
    enum status status = STATUS_OK;
    while (in.n > 0 && !lines->ended && status == STATUS_OK) {
        char c = in.p[0];
        size_t n = piece_length(in);
        if (lines->has_cr && c != '\r') {
            status = line_ends(lines, ret);
            n = c == '\n';
        } else if (c == '\r') {
            lines->has_cr = true;
            n = 1;
        } else if (c == '\n') {
            status = line_ends(lines, ret);
            n = 1;
        } else if (n > 0)
            status = piece_add(lines, span_head(in, n), ret);
        else
            n = 1; /* NUL */
        in = span_from(in, n);
    }
    return status;
}

enum status lines_end(struct lines *lines, struct buf *ret)
{
    bool open = lines->has_cr || lines->has_dot || lines->is_inside;
    return open && !lines->ended ? line_ends(lines, ret) : STATUS_OK;
}
