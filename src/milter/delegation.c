#include "milter/delegation.h"

static bool is_control(char c) { return (unsigned char)c < ' ' || c == 0x7F; }

void delegation_ask(struct buf *out, const struct delegation_attribute *attributes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_str(out, attributes[i].name);
        buf_add_char(out, '=');
        for (size_t k = 0; k < attributes[i].value.n; k++)
            buf_add_char(out, is_control(attributes[i].value.p[k]) ? '?' : attributes[i].value.p[k]);
        buf_add_char(out, '\n');
    }
    buf_add_char(out, '\n');
}

static const struct {
    struct span name;
    enum delegation_word word;
    unsigned code;
    struct status_code enhanced;
} actions[] = {
    { SPAN("DUNNO"), DELEGATION_DUNNO, 0, { 0 } },
    { SPAN("OK"), DELEGATION_DUNNO, 0, { 0 } },
    { SPAN("REJECT"), DELEGATION_REJECT, 554, { 5, 7, 1 } },
    { SPAN("DEFER"), DELEGATION_DEFER, 450, { 4, 7, 1 } },
    { SPAN("DEFER_IF_REJECT"), DELEGATION_DUNNO, 0, { 0 } },
    { SPAN("DEFER_IF_PERMIT"), DELEGATION_DEFER_IF_PERMIT, 450, { 4, 7, 1 } },
    { SPAN("DISCARD"), DELEGATION_DISCARD, 0, { 0 } },
    { SPAN("HOLD"), DELEGATION_HOLD, 0, { 0 } },
    { SPAN("PREPEND"), DELEGATION_PREPEND, 0, { 0 } },
    { SPAN("WARN"), DELEGATION_WARN, 0, { 0 } },
    { SPAN("INFO"), DELEGATION_WARN, 0, { 0 } },
};

static void read_words(struct span text, struct delegation_answer *answer)
{
    struct status_code enhanced;
    struct span rest = text;
    if (answer->code && status_code_take(&rest, &enhanced) && enhanced.class == answer->code / 100) {
        answer->enhanced = enhanced;
        text = rest;
    }
    text = span_head(span_trim(text), sizeof answer->text);
    for (size_t i = 0; i < text.n; i++)
        answer->text[i] = (char)(is_control(text.p[i]) ? ' ' : (unsigned char)text.p[i] > 0x7F ? '?' : text.p[i]);
    answer->text_n = text.n;
}

static enum status read_action(struct span line, struct delegation_answer *ret)
{
    uint64_t code;
    struct span word;
    struct delegation_answer answer = { DELEGATION_DUNNO };
    line = span_trim(line);
    if (!span_cut(&line, ' ', &word))
        return STATUS_SYNTAX;
    bool is_code = word.n == 3 && span_u64(word, 599, &code) && code >= 400;
    bool is_known = is_code;
    if (is_code) { /* RFC 5321 section 4.2 */
        answer.word = code < 500 ? DELEGATION_DEFER : DELEGATION_REJECT;
        answer.code = (unsigned)code;
        answer.enhanced = status_code_from_reply((int)code);
    }
    for (size_t i = 0; !is_known && i < ARRAY_LEN(actions); i++)
        if (span_eq_case(word, actions[i].name)) {
            answer.word = actions[i].word;
            answer.code = actions[i].code;
            answer.enhanced = actions[i].enhanced;
            is_known = true;
        }
    if (!is_known)
        return STATUS_SYNTAX;
    read_words(line, &answer);
    *ret = answer;
    return STATUS_OK;
}

static struct span without_cr(struct span line)
{
    return line.n && line.p[line.n - 1] == '\r' ? span_head(line, line.n - 1) : line;
}

enum status delegation_take(struct span *in, struct delegation_answer *ret)
{
    struct span rest = *in, action = SPAN_NONE;
    while (in->n - rest.n <= DELEGATION_ANSWER_MAX) {
        size_t n = span_find(rest, '\n');
        if (n == rest.n)
            return rest.n + (in->n - rest.n) > DELEGATION_ANSWER_MAX ? STATUS_TOO_LONG : STATUS_AGAIN;
        struct span line = without_cr(span_head(rest, n));
        rest = span_from(rest, n + 1);
        if (line.n == 0) {
            enum status status = action.p ? read_action(action, ret) : STATUS_SYNTAX;
            if (status == STATUS_OK)
                *in = rest;
            return status;
        }
        if (span_starts(line, SPAN("action=")) && !action.p)
            action = span_from(line, 7);
        else if (span_find(line, '=') == line.n || span_starts(line, SPAN("action=")))
            return STATUS_SYNTAX;
    }
    return STATUS_TOO_LONG;
}
