#include "smtp/reply.h"

void smtp_reply_init(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->enhanced = STATUS_CODE(0, 0, 0);
    reply->is_complete = false;
    reply->lines = 0;
    reply->text_n = 0;
    reply->line_n = 0;
    reply->words = SPAN_NONE;
    reply->octets = 0;
}

/* One line is as good as another for people: what would move their cursor becomes a blank. */
static char harmless(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
}

static void add_words(struct smtp_reply *reply, struct span words)
{
    words = span_trim(words);
    if (words.n == 0)
        return;
    size_t room = sizeof reply->text - reply->text_n;
    if (reply->text_n > 0 && room > 1) {
        reply->text[reply->text_n++] = ' ';
        room--;
    }
    size_t n = MIN(room, words.n);
    for (size_t i = 0; i < n; i++)
        reply->text[reply->text_n++] = harmless(words.p[i]);
}

/* What was cut in the middle of a character, or was never UTF-8, becomes readable ASCII. */
static void clean_text(struct smtp_reply *reply)
{
    size_t n = reply->text_n, back = 0;
    while (back < 3 && back < n && ((unsigned char)reply->text[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < n && ((unsigned char)reply->text[n - 1 - back] & 0xc0) == 0xc0 && !span_is_utf8(smtp_reply_text(reply))
        && span_is_utf8(span_of(reply->text, n - 1 - back))) {
        reply->text_n = n - 1 - back;
        return;
    }
    if (span_is_utf8(smtp_reply_text(reply)))
        return;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)reply->text[i] >= 0x80)
            reply->text[i] = '?';
    }
}

/* "250-..." or "250 ..." or "250": the code, or 0. */
static int line_code(struct span line)
{
    if (line.n < 3 || !ascii_digit(line.p[0]) || !ascii_digit(line.p[1]) || !ascii_digit(line.p[2]))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return 0;
    int code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
    return code >= 200 && code <= 599 ? code : 0;
}

static enum status broken(struct smtp_reply *reply, enum status why)
{
    add_words(reply, span_of(reply->line, reply->line_n)); /* to show a person what it was */
    clean_text(reply);
    return why;
}

static enum status read_line(struct smtp_reply *reply)
{
    struct span line = span_of(reply->line, reply->line_n);
    int code = line_code(line);
    /* RFC 5321 section 4.2.1 wants one code on all lines. Servers that add a line of another shade exist; one
     * that says yes and no at once is not to be understood. */
    if (code == 0 || (reply->lines > 0 && code / 100 != reply->code / 100))
        return broken(reply, STATUS_SYNTAX);
    if (++reply->lines > SMTP_REPLY_LINES_MAX)
        return broken(reply, STATUS_TOO_LONG);

    reply->code = code;
    reply->words = span_from(line, 4);
    struct status_code enhanced;
    if (status_code_take(&reply->words, &enhanced)) {
        if (enhanced.class != code / 100) /* RFC 2034 section 4: they must agree; else it is only text */
            reply->words = span_from(line, 4);
        else
            reply->enhanced = enhanced;
    }
    add_words(reply, reply->words);
    reply->is_complete = line.n == 3 || line.p[3] == ' ';
    if (reply->is_complete)
        clean_text(reply);
    return STATUS_OK;
}

enum status smtp_reply_feed(struct smtp_reply *reply, struct span *in)
{
    if (reply->is_complete)
        smtp_reply_init(reply);
    if (reply->words.p) { /* the line before was handed out */
        reply->words = SPAN_NONE;
        reply->line_n = 0;
    }
    if (in->n == 0)
        return STATUS_AGAIN;
    size_t end = span_find(*in, '\n');
    struct span piece = span_head(*in, end);
    size_t used = MIN(end + 1, in->n);
    reply->octets += used;

    size_t keep = MIN(piece.n, sizeof reply->line - reply->line_n);
    memcpy(reply->line + reply->line_n, piece.p, keep);
    reply->line_n += keep;
    bool has_end = end < in->n;
    *in = span_from(*in, used);
    if (reply->octets > SMTP_REPLY_OCTETS_MAX)
        return broken(reply, STATUS_TOO_LONG);
    if (!has_end)
        return STATUS_AGAIN;
    /* A lone LF ends a line too: that is an old habit of servers, and nothing can be smuggled by a reply. */
    if (reply->line_n > 0 && reply->line[reply->line_n - 1] == '\r')
        reply->line_n--;
    return read_line(reply);
}
