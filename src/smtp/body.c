#include "smtp/body.h"
#include "smtp/dots.h"

static const struct span crlf = { "\r\n", 2 };

void smtp_body_init(struct smtp_body *body, bool dots)
{
    *body = (struct smtp_body){ .state = SMTP_BODY_LINE_START, .dots = dots };
}

typedef unsigned char octets16 __attribute__((vector_size(16)));

static unsigned char any_of(octets16 v)
{
    uint64_t words[2];
    memcpy(words, &v, sizeof words);
    words[0] |= words[1];
    return (unsigned char)(words[0] >> 56 | words[0] >> 48 | words[0] >> 40 | words[0] >> 32 | words[0] >> 24 |
                           words[0] >> 16 | words[0] >> 8 | words[0]);
}

/* 16 octets at a time: this runs over every octet that we accept. */
static void look_at(struct smtp_body *body, struct span piece)
{
    octets16 seen = { 0 }, nul = { 0 };
    size_t i = 0;
    for (; i + sizeof seen <= piece.n; i += sizeof seen) {
        octets16 now;
        memcpy(&now, piece.p + i, sizeof now);
        seen |= now;
        nul |= (octets16)(now == 0);
    }
    for (; i < piece.n; i++) {
        seen[0] |= (unsigned char)piece.p[i];
        nul[0] |= piece.p[i] == 0;
    }
    body->has_8bit |= (any_of(seen) & 0x80) != 0;
    body->has_nul |= any_of(nul) != 0;
}

static void end_line(struct smtp_body *body)
{
    body->longest = MAX(body->longest, body->line);
    body->line = 0;
}

/* How many octets from the front of `in` are clean as they stand: whole lines, then what has come of the next. Stops
 * before a dot that begins a line, and before a CR or LF whose meaning is not plain. */
static size_t clean_run(struct smtp_body *body, struct span in)
{
    size_t at = 0;
    while (at < in.n) {
        if (body->dots && body->state == SMTP_BODY_LINE_START && in.p[at] == '.')
            return at;
        struct span rest = span_from(in, at);
        size_t lf = span_find(rest, '\n');
        size_t cr = span_find(span_head(rest, lf), '\r');
        bool whole = lf < rest.n && cr + 1 == lf;
        body->line += cr;
        if (!whole) {
            if (cr > 0)
                body->state = SMTP_BODY_IN_LINE;
            return at + cr;
        }
        end_line(body);
        body->state = SMTP_BODY_LINE_START;
        at += lf + 1;
    }
    return at;
}

static struct span bare_end(struct smtp_body *body)
{
    body->bare = true;
    body->state = SMTP_BODY_IN_LINE; /* not a line start: a dot behind it was never stuffed and ends nothing */
    end_line(body);
    return crlf;
}

static enum status take_plain(struct smtp_body *body, struct span *in, struct span *ret)
{
    size_t run = clean_run(body, *in);
    if (run > 0) {
        *ret = span_head(*in, run);
        look_at(body, *ret);
        *in = span_from(*in, run);
        return STATUS_OK;
    }
    char c = in->p[0];
    *in = span_from(*in, 1);
    if (c == '\n') {
        *ret = bare_end(body);
        return STATUS_OK;
    }
    body->state = c == '.' ? SMTP_BODY_DOT : SMTP_BODY_CR;
    return STATUS_AGAIN;
}

/* One octet behind something that was held back. */
static enum status take_held(struct smtp_body *body, struct span *in, struct span *ret)
{
    bool lf = in->p[0] == '\n', was_dot = body->state == SMTP_BODY_DOT;
    if (was_dot) {
        bool cr = in->p[0] == '\r';
        body->state = cr ? SMTP_BODY_DOT_CR : SMTP_BODY_IN_LINE; /* the dot itself is gone */
        *in = span_from(*in, cr ? 1 : 0);
        return STATUS_AGAIN;
    }
    bool ends = lf && body->state == SMTP_BODY_DOT_CR;
    *in = span_from(*in, lf ? 1 : 0);
    if (ends)
        return STATUS_CLOSED;
    *ret = lf ? crlf : bare_end(body);
    if (lf) {
        end_line(body);
        body->state = SMTP_BODY_LINE_START;
    }
    return STATUS_OK;
}

enum status smtp_body_take(struct smtp_body *body, struct span *in, struct span *ret)
{
    while (in->n > 0) {
        bool plain = body->state == SMTP_BODY_LINE_START || body->state == SMTP_BODY_IN_LINE;
        enum status status = plain ? take_plain(body, in, ret) : take_held(body, in, ret);
        if (status == STATUS_OK)
            body->octets += ret->n;
        if (status != STATUS_AGAIN)
            return status;
    }
    return STATUS_AGAIN;
}

size_t smtp_body_skim(struct smtp_body *body, struct span in)
{
    bool at_start = body->state == SMTP_BODY_LINE_START;
    if (in.n == 0 || !(at_start || body->state == SMTP_BODY_IN_LINE) || (at_start && body->dots && in.p[0] == '.'))
        return 0;
    size_t n = body->dots ? smtp_dots_find(in) : in.n;
    while (n > 0 && (in.p[n - 1] == '\r' || in.p[n - 1] == '\n'))
        n--; /* whether a line really ends here, smtp_body_take() sees */
    if (n > 0) {
        body->state = SMTP_BODY_IN_LINE;
        body->line += n;
        body->octets += n;
    }
    return n;
}

struct span smtp_body_finish(struct smtp_body *body)
{
    if (body->state == SMTP_BODY_CR)
        bare_end(body);
    else if (body->line == 0)
        return SPAN_NONE;
    end_line(body);
    body->state = SMTP_BODY_LINE_START;
    body->octets += crlf.n;
    return crlf;
}
