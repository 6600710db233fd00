#include "mail/handin.h"
#include "mail/grammar.h"

enum kind { KIND_OTHER, KIND_FROM, KIND_TO, KIND_BCC, KIND_ADDRESSES };
static const struct rule {
    struct span name;
    enum kind kind;
    bool resent;
} rules[] = {
    { { "From", 4 }, KIND_FROM, false },      { { "To", 2 }, KIND_TO, false },
    { { "Cc", 2 }, KIND_TO, false },          { { "Bcc", 3 }, KIND_BCC, false },
    { { "Sender", 6 }, KIND_ADDRESSES, false }, { { "Reply-To", 8 }, KIND_ADDRESSES, false },
    { { "Resent-To", 9 }, KIND_TO, true },    { { "Resent-Cc", 9 }, KIND_TO, true },
    { { "Resent-Bcc", 10 }, KIND_BCC, true },
};
static const struct rule other = { { "", 0 }, KIND_OTHER, false };

static const struct rule *rule_of(const struct header_field *field)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (header_is(field, rules[i].name))
            return &rules[i];
    return &other;
}

static bool is_blank(struct span value)
{
    char first;
    return header_unfold(value, &first, 1).n == 0;
}

/* -- recipients -- */

static enum status on_address(void *arg, const struct address *address)
{
    const struct handin *handin = arg;
    char whole[2 * ADDRESS_MAX];
    if (address->domain.n > 0)
        return handin->on_recipient(handin->arg, address->text);
    if (address->text.n + 1 + handin->origin.n > sizeof whole)
        return STATUS_TOO_LONG;
    memcpy(whole, address->text.p, address->text.n);
    whole[address->text.n] = '@';
    memcpy(whole + address->text.n + 1, handin->origin.p, handin->origin.n);
    return handin->on_recipient(handin->arg, span_of(whole, address->text.n + 1 + handin->origin.n));
}

enum status handin_words(const struct handin *handin, struct span word)
{
    return header_addresses(word, ADDRESS_LOCAL | ADDRESS_UTF8, on_address, (void *)(uintptr_t)handin);
}

static bool has_resent(struct span header)
{
    struct header_field field;
    while (header_next(&header, &field))
        if (rule_of(&field)->resent)
            return true;
    return false;
}

static enum status take_recipients(struct handin *handin, struct span header)
{
    bool resent = has_resent(header);
    struct header_field field;
    while (header_next(&header, &field)) {
        const struct rule *rule = rule_of(&field);
        if ((rule->kind != KIND_TO && rule->kind != KIND_BCC) || rule->resent != resent)
            continue;
        enum status status = handin_words(handin, field.value);
        if (status != STATUS_OK) {
            handin->bad = field.name;
            return status;
        }
    }
    return STATUS_OK;
}

/* -- names without a domain -- */

struct look {
    bool bare, utf8;
};

static enum status look_at(void *arg, const struct address *address)
{
    struct look *look = arg;
    look->bare |= address->domain.n == 0;
    look->utf8 |= address->is_utf8;
    return STATUS_OK;
}

/* Where the text at `in` goes on behind a comment or a quoted string, or behind its first octet. */
static size_t skip(struct span in)
{
    size_t depth = 0;
    char end = in.p[0] == '"' ? '"' : '\0';
    if (in.p[0] != '"' && in.p[0] != '(')
        return 1;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (end && i > 0 && in.p[i] == end)
            return i + 1;
        else if (!end && in.p[i] == '(')
            depth++;
        else if (!end && in.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return in.n;
}

static bool is_atom_octet(char c) { return is_atext_or_utf8(c) || c == '.'; }

/* The elements of a list one after the other; behind the only atom of each that has no "@", the domain is put. Whatever else
 * there is stays; the caller looks whether it became a list of addresses. */
static void complete(struct span value, struct span origin, struct buf *ret)
{
    size_t from = 0, end = 0;        /* the element's start is written up to `from`; its last atom ends at `end` */
    bool has_at = false, in_angle = false, done = false;
    for (size_t i = 0; i <= value.n;) {
        char c = i < value.n ? value.p[i] : ',';
        bool closes = in_angle ? c == '>' : c == ',' || c == ';';
        if (closes && end > from && !has_at && !done) {
            buf_add(ret, span_of(value.p + from, end - from));
            buf_add_char(ret, '@');
            buf_add(ret, origin);
            from = end;
        }
        if (closes || c == '<' || c == ':') {
            done = closes && in_angle;
            in_angle = c == '<';
            has_at = false;
            end = from;
        } else if (c == '@')
            has_at = true;
        if (i < value.n && is_atom_octet(c)) {
            while (i < value.n && is_atom_octet(value.p[i]))
                i++;
            end = i;
        } else
            i += i < value.n ? skip(span_from(value, i)) : 1;
        if (c == ',' && !in_angle)
            done = false;
    }
    buf_add(ret, span_from(value, from));
}

static enum status add_addresses(struct handin *handin, const struct header_field *field, struct buf *ret)
{
    struct look look = { false, false };
    AUTO(buf_done) struct buf value = BUF_EMPTY(2 * HEADER_MAX);
    if (header_addresses(field->value, ADDRESS_LOCAL | ADDRESS_UTF8, look_at, &look) == STATUS_OK && look.bare)
        complete(field->value, handin->origin, &value);
    handin->has_utf8 |= look.utf8;
    if (!look.bare || value.failed || header_addresses(buf_span(&value), ADDRESS_UTF8, look_at, &look) != STATUS_OK)
        return buf_add(ret, field->all);
    buf_add(ret, field->name);
    buf_add_char(ret, ':');
    buf_add(ret, buf_span(&value));
    return buf_add(ret, SPAN("\r\n"));
}

/* -- From: -- */

static bool is_plain_name(struct span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_atext_or_utf8(name.p[i]) && name.p[i] != ' ')
            return false;
    return span_is_ascii(name);
}

/* RFC 2047 section 4.2, one word for 15 octets and what belongs to the last character. */
static void add_encoded(struct span name, struct buf *ret)
{
    while (name.n > 0) {
        size_t n = MIN(name.n, (size_t)15);
        while (n < name.n && ((unsigned char)name.p[n] & 0xc0) == 0x80 && n < 20)
            n++;
        buf_add(ret, SPAN("=?UTF-8?Q?"));
        for (size_t i = 0; i < n; i++)
            if (ascii_alnum(name.p[i]))
                buf_add_char(ret, name.p[i]);
            else
                buf_printf(ret, "=%02X", (unsigned)(unsigned char)name.p[i]);
        buf_add(ret, SPAN("?= "));
        name = span_from(name, n);
    }
}

static void add_quoted(struct span name, struct buf *ret)
{
    buf_add_char(ret, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\')
            buf_add_char(ret, '\\');
        buf_add_char(ret, name.p[i]);
    }
    buf_add(ret, SPAN("\" "));
}

static void add_from(const struct handin *handin, struct buf *ret)
{
    char room[256];
    struct span name = header_unfold(span_head(handin->name, sizeof room), room, sizeof room);
    buf_add(ret, SPAN("From: "));
    if (!span_is_ascii(name))
        add_encoded(name, ret);
    else if (!is_plain_name(name))
        add_quoted(name, ret);
    else if (name.n > 0) {
        buf_add(ret, name);
        buf_add_char(ret, ' ');
    }
    buf_add_char(ret, '<');
    buf_add(ret, handin->sender);
    buf_add(ret, SPAN(">\r\n"));
}

/* -- the whole -- */

enum status handin_header(struct handin *handin, struct span header, struct buf *ret)
{
    struct header_field field, from;
    unsigned count = 0;
    enum status status = handin->take_recipients ? take_recipients(handin, header) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    bool has_from = header_find(header, SPAN("From"), &from, &count) && (count > 1 || !is_blank(from.value));
    if (!has_from)
        add_from(handin, ret);
    while (header_next(&header, &field) && !ret->failed) {
        enum kind kind = rule_of(&field)->kind;
        if (kind == KIND_BCC || (kind == KIND_FROM && !has_from))
            continue;
        if (kind == KIND_OTHER)
            buf_add(ret, field.all);
        else
            add_addresses(handin, &field, ret);
    }
    buf_add(ret, SPAN("\r\n"));
    return ret->failed ? STATUS_FULL : STATUS_OK;
}

size_t handin_mailbox_line(struct span message)
{
    if (!span_starts(message, SPAN("From ")) && !span_starts(message, SPAN(">From ")))
        return 0;
    size_t end = span_find_span(message, SPAN("\r\n"));
    return end < message.n ? end + 2 : 0;
}

struct span handin_value(struct span header, struct span name, char *ret, size_t room)
{
    struct header_field field;
    return header_find(header, name, &field, NULL) ? header_unfold(field.value, ret, room) : SPAN_NONE;
}
