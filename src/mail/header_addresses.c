/* Address lists (RFC 5322 sections 3.4 and 4.4), read word by word.
 *
 * There is no recursion: comments are counted, groups do not nest, and what was read of one element is kept in a
 * fixed text until it shows whether it was a name or an address.
 */
#include "mail/grammar.h"
#include "mail/header.h"

enum token { TOKEN_END, TOKEN_BAD, TOKEN_ATOM, TOKEN_QUOTED, TOKEN_LITERAL, TOKEN_SPECIAL };

struct list_reader {
    struct span left;
    enum token token;
    struct span word; /* the token's octets */
    unsigned allow;
    header_on_address *on_address;
    void *arg;
    unsigned count;

    char text[ADDRESS_MAX]; /* the element so far, as if it were an address */
    size_t n;
    bool is_over;     /* it did not fit */
    bool is_phrase;   /* it cannot be an address any more */
    bool wants_word;  /* nothing yet, or behind "." or "@" */
    bool has_at;
    bool has_literal; /* nothing may follow */
    bool in_angle, in_group;
    bool is_closed;   /* behind ">" or ";": only "," or the end may come */
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Skips a comment, which may hold others. False: it does not end, or holds what no comment may. */
static bool comment_skip(struct span *in)
{
    size_t depth = 0;
    for (size_t i = 0; i < in->n; i++) {
        char c = in->p[i];
        if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0) {
            *in = span_from(*in, i + 1);
            return true;
        } else if (c == '\\')
            i++;
        else if (!is_printable_or_utf8(c) && !is_blank(c))
            return false;
    }
    return false;
}

/* "=?charset?Q?text?=" as lazy programs write it, with commas, dots and parentheses inside. What would make an
 * address to a stricter reader (RFC 2047 section 5) is no encoded word here either. 0: none at the front. */
static size_t encoded_word_length(struct span in)
{
    if (!span_starts(in, SPAN("=?")))
        return 0;
    unsigned marks = 0;
    for (size_t i = 2; i < in.n; i++) {
        char c = in.p[i];
        if (!is_printable(c) || strchr(" <>@\":;\\", c))
            return 0;
        if (c == '?' && ++marks == 3)
            return i + 1 < in.n && in.p[i + 1] == '=' ? i + 2 : 0;
    }
    return 0;
}

/* Length of what stands between `open` and its end, both included; 0: it does not end well. */
static size_t enclosed_length(struct span in, char end)
{
    for (size_t i = 1; i < in.n; i++) {
        if (in.p[i] == end)
            return i + 1;
        if (in.p[i] == '\\' && ++i == in.n)
            return 0;
        if (!is_printable_or_utf8(in.p[i]) && !is_blank(in.p[i]))
            return 0;
    }
    return 0;
}

static size_t atom_length(struct span in)
{
    size_t n = encoded_word_length(in);
    if (n)
        return n;
    while (n < in.n && is_atext_or_utf8(in.p[n]))
        n++;
    return n;
}

static void token_set(struct list_reader *list, enum token token, size_t n)
{
    list->token = n ? token : TOKEN_BAD;
    list->word = span_head(list->left, n);
    list->left = span_from(list->left, n);
}

static void token_next(struct list_reader *list)
{
    while (list->left.n && (is_blank(list->left.p[0]) || list->left.p[0] == '(')) {
        if (list->left.p[0] != '(')
            list->left = span_from(list->left, 1);
        else if (!comment_skip(&list->left)) {
            list->token = TOKEN_BAD;
            return;
        }
    }
    if (list->left.n == 0) {
        list->token = TOKEN_END;
        return;
    }
    char c = list->left.p[0];
    if (c == '"')
        token_set(list, TOKEN_QUOTED, enclosed_length(list->left, '"'));
    else if (c == '[')
        token_set(list, TOKEN_LITERAL, enclosed_length(list->left, ']'));
    else if (c && strchr("<>@,:;.", c))
        token_set(list, TOKEN_SPECIAL, 1);
    else
        token_set(list, TOKEN_ATOM, atom_length(list->left));
}

static void element_start(struct list_reader *list)
{
    list->n = 0;
    list->is_over = list->is_phrase = list->has_at = list->has_literal = false;
    list->wants_word = true;
}

static bool element_is_empty(const struct list_reader *list) { return list->n == 0 && !list->is_phrase; }

static void element_add(struct list_reader *list, struct span what)
{
    for (size_t i = 0; i < what.n; i++) {
        if (what.p[i] == '\r' || what.p[i] == '\n') /* folded inside a quoted string */
            continue;
        if (list->n < sizeof list->text)
            list->text[list->n++] = what.p[i];
        else
            list->is_over = true;
    }
}

static enum status word_add(struct list_reader *list)
{
    if (list->token == TOKEN_LITERAL && !(list->has_at && list->wants_word))
        return STATUS_SYNTAX;
    if (!list->wants_word || list->has_literal) {
        if (list->has_at) /* "anna@example.org Miller": who knows */
            return STATUS_SYNTAX;
        list->is_phrase = true;
    }
    list->has_literal = list->token == TOKEN_LITERAL;
    list->wants_word = false;
    element_add(list, list->word);
    return STATUS_OK;
}

static enum status dot_add(struct list_reader *list)
{
    if (list->wants_word) {
        if (list->has_at)
            return STATUS_SYNTAX;
        list->is_phrase = true; /* names may have dots anywhere, addresses not */
    }
    list->wants_word = true;
    element_add(list, list->word);
    return STATUS_OK;
}

static enum status at_add(struct list_reader *list)
{
    if (list->has_at || list->is_phrase || list->wants_word)
        return STATUS_SYNTAX;
    list->has_at = list->wants_word = true;
    element_add(list, list->word);
    return STATUS_OK;
}

static enum status element_parse(const struct list_reader *list, struct address *ret)
{
    if (list->is_over)
        return STATUS_TOO_LONG;
    if (list->is_phrase || list->wants_word)
        return STATUS_SYNTAX;
    return address_parse(span_of(list->text, list->n), list->allow & ~(unsigned)ADDRESS_NULL, ret);
}

/* The element ended: it is empty, or one address. */
static enum status element_end(struct list_reader *list)
{
    struct address address = { 0 }, canonical = { 0 };
    char text[ADDRESS_MAX];
    if (list->is_closed || (element_is_empty(list) && !list->in_angle))
        return STATUS_OK;
    if (!element_is_empty(list) || !(list->allow & ADDRESS_NULL)) {
        enum status status = element_parse(list, &address);
        if (status == STATUS_OK)
            status = address_parse(address_canonical(&address, text), list->allow, &canonical);
        if (status != STATUS_OK)
            return status;
    }
    if (++list->count > HEADER_ADDRESSES_MAX)
        return STATUS_TOO_LONG;
    return list->on_address(list->arg, &canonical);
}

/* Skips "@one,@two:" behind a "<"; the token is then the first of the address itself. */
static enum status list_route_skip(struct list_reader *list)
{
    while (list->token != TOKEN_SPECIAL || list->word.p[0] != ':') {
        bool part = list->token == TOKEN_ATOM || list->token == TOKEN_LITERAL
                    || (list->token == TOKEN_SPECIAL && strchr("@.,", list->word.p[0]));
        if (!part)
            return STATUS_SYNTAX;
        token_next(list);
    }
    token_next(list);
    return STATUS_OK;
}

/* The words behind "<" up to ">"; they are an element of their own. */
static enum status angle_words(struct list_reader *list)
{
    enum status status = STATUS_OK;
    token_next(list);
    if (list->token == TOKEN_SPECIAL && list->word.p[0] == '@')
        status = list_route_skip(list);
    for (; status == STATUS_OK; token_next(list)) {
        char special = list->token == TOKEN_SPECIAL ? list->word.p[0] : '\0';
        if (special == '>')
            break;
        if (list->token == TOKEN_END || list->token == TOKEN_BAD)
            return STATUS_SYNTAX;
        if (!special)
            status = word_add(list);
        else
            status = special == '.' ? dot_add(list) : special == '@' ? at_add(list) : STATUS_SYNTAX;
    }
    return status;
}

/* Is the element read so far the address `name`? */
static bool element_is(const struct list_reader *list, struct span name)
{
    struct address shown = { 0 }, meant = { 0 };
    return element_parse(list, &meant) == STATUS_OK && address_parse(name, list->allow, &shown) == STATUS_OK
           && address_eq_case(&shown, &meant);
}

/* "<address>". A name before it that looks like an address ("anna@a.org <anna@a.org>") has to be the same one. */
static enum status angle_read(struct list_reader *list)
{
    char text[ADDRESS_MAX];
    struct span name = SPAN_NONE;
    if (list->has_at) {
        struct address shown = { 0 };
        enum status status = element_parse(list, &shown);
        if (status != STATUS_OK)
            return status;
        name = address_canonical(&shown, text);
    }
    element_start(list);
    list->in_angle = true;
    enum status status = angle_words(list);
    if (status == STATUS_OK && name.n && !element_is(list, name))
        status = STATUS_SYNTAX;
    if (status == STATUS_OK)
        status = element_end(list);
    list->in_angle = false;
    list->is_closed = true;
    return status;
}

static enum status special_read(struct list_reader *list)
{
    char c = list->word.p[0];
    if (list->is_closed && c != ',' && c != ';')
        return STATUS_SYNTAX;
    enum status status = STATUS_OK;
    switch (c) {
    case '.': return dot_add(list);
    case '@': return at_add(list);
    case '<': return angle_read(list);
    case ':': /* a group's name; RFC 6854 lets From: have one, too */
        if (list->in_group || list->has_at || element_is_empty(list))
            return STATUS_SYNTAX;
        list->in_group = true;
        element_start(list);
        return STATUS_OK;
    case ';':
        if (!list->in_group)
            return STATUS_SYNTAX;
        status = element_end(list);
        list->in_group = false;
        element_start(list);
        list->is_closed = true;
        return status;
    case ',':
        status = element_end(list);
        element_start(list);
        list->is_closed = false;
        return status;
    default: return STATUS_SYNTAX;
    }
}

enum status header_addresses(struct span value, unsigned allow, header_on_address *on_address, void *arg)
{
    struct list_reader list = { .left = value, .allow = allow, .on_address = on_address, .arg = arg };
    element_start(&list);
    for (;;) {
        token_next(&list);
        enum status status = STATUS_SYNTAX;
        if (list.token == TOKEN_END)
            return list.in_group ? STATUS_SYNTAX : element_end(&list);
        if (list.token == TOKEN_SPECIAL)
            status = special_read(&list);
        else if (list.token != TOKEN_BAD && !list.is_closed)
            status = word_add(&list);
        if (status != STATUS_OK)
            return status;
    }
}
