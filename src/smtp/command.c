#include "smtp/command.h"

static const struct {
    const char *word;
    enum smtp_verb verb;
} words[] = {
#define X(name, text) { text, SMTP_VERB_##name },
    SMTP_VERB_LIST(X)
#undef X
    { "GET", SMTP_VERB_FOREIGN },     { "POST", SMTP_VERB_FOREIGN },    { "PUT", SMTP_VERB_FOREIGN },
    { "HEAD", SMTP_VERB_FOREIGN },    { "CONNECT", SMTP_VERB_FOREIGN }, { "OPTIONS", SMTP_VERB_FOREIGN },
};

const char *smtp_verb_text(enum smtp_verb verb)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i].verb == verb && verb != SMTP_VERB_FOREIGN)
            return words[i].word;
    return "?";
}

enum status smtp_line_take(struct span *in, size_t most, struct span *ret)
{
    struct span seen = span_head(*in, most);
    size_t lf = span_find(seen, '\n');
    size_t cr = span_find(span_head(seen, lf), '\r');
    bool cr_is_last = cr + 1 == lf; /* also when the LF has not come yet */
    if (cr < lf && !cr_is_last)
        return STATUS_SYNTAX;
    if (lf == seen.n)
        return seen.n == most ? STATUS_TOO_LONG : STATUS_AGAIN;
    if (!cr_is_last)
        return STATUS_SYNTAX;
    *ret = span_head(seen, cr);
    *in = span_from(*in, lf + 1);
    return STATUS_OK;
}

static bool has_control(struct span line)
{
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
            return true;
    return false;
}

static enum smtp_verb verb_of(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_eq_case(word, span_str(words[i].word)))
            return words[i].verb;
    return SMTP_VERB_UNKNOWN;
}

enum status smtp_command_take(struct span *in, struct smtp_command *ret)
{
    struct span line;
    size_t most = span_starts_case(*in, SPAN("AUTH ")) ? SMTP_SASL_LINE_MAX : SMTP_COMMAND_MAX;
    enum status status = smtp_line_take(in, most, &line);
    if (status != STATUS_OK)
        return status;
    struct span word = span_head(line, span_find(line, ' '));
    ret->verb = has_control(line) ? SMTP_VERB_UNKNOWN : verb_of(span_trim(word));
    ret->args = span_trim(span_from(line, word.n));
    return STATUS_OK;
}
