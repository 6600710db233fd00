#include "smtp/said.h"
#include "mail/xtext.h"

static const char *const names[SMTP_SAID_COUNT] = {
#define X(name, text) text,
    SMTP_SAID_LIST(X)
#undef X
};

const char *smtp_said_name(enum smtp_said field) { return names[field]; }

void smtp_said_put(struct buf *buf, enum smtp_said field, struct span value)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(SMTP_SAID_MAX);
    for (size_t i = 0; i < value.n && xtext_encode(span_of(value.p + i, 1), &text) == STATUS_OK; i++)
        ;
    if (text.n > 0)
        buf_printf(buf, " %s=%.*s", names[field], SPAN_ARGS(buf_span(&text)));
}

/* "name=value" in two. False: it has no "=". */
static bool word_split(struct span word, struct span *name, struct span *value)
{
    *value = word;
    return span_find(word, '=') < word.n && span_cut(value, '=', name);
}

enum status smtp_said_get(struct span args, struct span ret[SMTP_SAID_COUNT])
{
    struct span found[SMTP_SAID_COUNT] = { 0 }, word, name, value;
    while (span_cut(&args, ' ', &word)) {
        if (word.n == 0)
            continue;
        if (!word_split(word, &name, &value) || !xtext_check(value))
            return STATUS_SYNTAX;
        if (value.n > SMTP_SAID_MAX)
            return STATUS_TOO_LONG;
        for (size_t i = 0; i < SMTP_SAID_COUNT; i++)
            if (span_eq_case(name, span_str(names[i])))
                found[i] = value;
    }
    memcpy(ret, found, sizeof found);
    return STATUS_OK;
}

void smtp_told_put(struct buf *buf, const struct smtp_told *told)
{
    buf_printf(buf, "origin=%.*s", SPAN_ARGS(told->origin));
    if (told->sender.n > 0)
        buf_printf(buf, " sender=%.*s", SPAN_ARGS(told->sender));
}

static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f)
            return false;
    return text.n > 0;
}

enum status smtp_told_get(struct span text, struct smtp_told *ret)
{
    struct smtp_told told = { 0 };
    struct span word, name, value;
    while (span_cut(&text, ' ', &word)) {
        if (!word_split(word, &name, &value))
            continue;
        if (!is_word(value))
            return STATUS_SYNTAX;
        if (span_eq(name, SPAN("origin")))
            told.origin = value;
        else if (span_eq(name, SPAN("sender")))
            told.sender = value;
    }
    if (told.origin.n == 0)
        return STATUS_SYNTAX;
    *ret = told;
    return STATUS_OK;
}
