/* What the milter says. Every octet of it is hostile. */
#include "mail/address.h"
#include "milter/milter_priv.h"
#include <stdio.h>

typedef void answer_handler(struct milter *milter, struct span body);

static void garbage(struct milter *milter, const char *what) { milter_break(milter, MILTER_TROUBLE_GARBAGE, what); }

static bool take_u32(struct span *in, uint32_t *ret)
{
    if (in->n < 4)
        return false;
    const unsigned char *p = (const unsigned char *)in->p;
    *ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    *in = span_from(*in, 4);
    return true;
}

/* Text up to its NUL. */
static bool take_string(struct span *in, struct span *ret)
{
    size_t n = span_find(*in, 0);
    if (n == in->n)
        return false;
    *ret = span_head(*in, n);
    *in = span_from(*in, n + 1);
    return true;
}

/* Printable ASCII with single blanks. Lies in `ret`, at most `room` octets. */
static size_t clean(struct span text, char *ret, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n && n < room; i++) {
        unsigned char c = (unsigned char)text.p[i];
        char put = (char)(c <= ' ' || c == 0x7F ? ' ' : c > 0x7F ? '?' : c);
        if (put != ' ' || (n && ret[n - 1] != ' '))
            ret[n++] = put;
    }
    while (n && ret[n - 1] == ' ')
        n--;
    return n;
}

/* --- the negotiation --- */

static void take_macro_names(struct milter *milter, uint32_t step, struct span names)
{
    uint16_t wanted = 0;
    while (names.n) {
        size_t n = 0;
        while (n < names.n && names.p[n] != ' ' && names.p[n] != ',')
            n++;
        struct span name = span_head(names, n);
        names = span_from(names, n + 1);
        for (unsigned i = 0; i < MILTER_MACRO_COUNT; i++) {
            struct span known = span_str(milter_macro_text((enum milter_macro)i));
            bool has_braces = known.p[0] == '{';
            if (span_eq(name, known) || (has_braces && span_eq(name, span_of(known.p + 1, known.n - 2))))
                wanted |= (uint16_t)(1u << i);
        }
    }
    milter->macros_at[step] = wanted;
}

static bool take_macro_lists(struct milter *milter, struct span body)
{
    while (body.n) {
        uint32_t step;
        struct span names;
        if (!take_u32(&body, &step) || step >= MILTER_STEPS || !take_string(&body, &names))
            return false;
        take_macro_names(milter, step, names);
    }
    return true;
}

static void on_agreed(struct milter *milter, struct span body)
{
    uint32_t version, actions, steps;
    if (!take_u32(&body, &version) || !take_u32(&body, &actions) || !take_u32(&body, &steps)) {
        garbage(milter, "the milter sent less than an agreement");
        return;
    }
    if (version < MILTER_VERSION_LEAST || version > MILTER_VERSION) {
        garbage(milter, "the milter wants a version of the protocol that we do not speak,");
        return;
    }
    if (actions & ~milter->settings->actions) {
        garbage(milter, "the milter wants to do what it was not offered,");
        return;
    }
    if (steps & ~(uint32_t)STEP_OFFERED) {
        garbage(milter, "the milter wants steps that it was not offered,");
        return;
    }
    if (body.n && (!(actions & MILTER_MAY_NAME_MACROS) || !take_macro_lists(milter, body))) {
        garbage(milter, "the milter sent more than an agreement");
        return;
    }
    milter->version = version;
    milter->actions = actions;
    milter->steps = steps | (version < 3 ? STEP_NO_UNKNOWN : 0) | (version < 4 ? STEP_NO_DATA : 0);
    milter->stage = MILTER_AGREED;
    milter->is_waiting = false;
    milter->deadline_ms = INT64_MAX;
}

/* --- verdicts --- */

static void conclude(struct milter *milter, enum milter_word word)
{
    milter->verdict.word = word;
    milter->is_waiting = false;
    milter->deadline_ms = INT64_MAX;
    bool is_last = milter->stage == MILTER_AT_LAST;
    if (is_last)
        milter->stage = MILTER_GREETED;
    if (is_last || (word != MILTER_ACCEPT && word != MILTER_DISCARD))
        return;
    if (milter->command == MILTER_CONNECT || milter->command == MILTER_HELO)
        milter->passes_session = true;
    else if (milter->command != MILTER_UNKNOWN)
        milter->passes_message = true;
}

static void conclude_with(struct milter *milter, enum milter_word word, unsigned code, struct status_code enhanced)
{
    milter->verdict.code = code;
    milter->verdict.enhanced = enhanced;
    conclude(milter, word);
}

static void on_continue(struct milter *milter, struct span body) { (void)body; conclude(milter, MILTER_CONTINUE); }
static void on_accept(struct milter *milter, struct span body) { (void)body; conclude(milter, MILTER_ACCEPT); }

static void on_discard(struct milter *milter, struct span body)
{
    (void)body;
    if (milter->command < MILTER_MAIL || milter->command == MILTER_UNKNOWN)
        garbage(milter, "the milter threw away a message that there is none of,");
    else
        conclude(milter, MILTER_DISCARD);
}

static void on_reject(struct milter *milter, struct span body)
{
    (void)body;
    conclude_with(milter, MILTER_REJECT, milter->command == MILTER_RCPT ? 550 : 554, STATUS_CODE(5, 7, 1));
}

static void on_tempfail(struct milter *milter, struct span body)
{
    (void)body;
    conclude_with(milter, MILTER_TEMPFAIL, 451, STATUS_CODE(4, 7, 1));
}

static void on_shutdown(struct milter *milter, struct span body)
{
    (void)body;
    conclude_with(milter, MILTER_SHUTDOWN, 421, STATUS_CODE(4, 7, 0));
}

static void on_conn_fail(struct milter *milter, struct span body)
{
    (void)body;
    milter_break(milter, MILTER_TROUBLE_REFUSED, "the milter asked to be left alone");
}

static void on_progress(struct milter *milter, struct span body)
{
    (void)body;
    int64_t wait = milter->command == MILTER_END ? milter->settings->end_ms : milter->settings->answer_ms;
    milter->deadline_ms = MIN(milter->due_ms, milter->now_ms + wait);
}

static void on_skip(struct milter *milter, struct span body)
{
    (void)body;
    if (milter->command != MILTER_BODY || !(milter->steps & STEP_SKIP)) {
        garbage(milter, "the milter skips what cannot be skipped");
        return;
    }
    milter->skips_body = true;
    conclude(milter, MILTER_CONTINUE);
}

/* RFC 5321 section 4.2: the code that the first line begins with; 0: none that refuses. */
static unsigned refusal_code(struct span line)
{
    bool is_code = line.n >= 3 && (line.p[0] == '4' || line.p[0] == '5') && line.p[1] >= '0' && line.p[1] <= '5' &&
                   ascii_digit(line.p[2]);
    if (!is_code || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return 0;
    return (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
}

/* The words of a reply of many lines, each with the same code, on one line; "%%" is the protocol's way to write "%". */
static bool take_reply(struct milter_verdict *verdict, struct span text)
{
    char words[MILTER_TEXT_MAX];
    size_t n = 0;
    struct span line;
    while (span_cut(&text, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        unsigned code = refusal_code(line);
        if (code == 0 || (verdict->code && code != verdict->code))
            return false;
        struct status_code enhanced;
        struct span rest = line = span_from(line, 4);
        if (status_code_take(&rest, &enhanced) && enhanced.class == code / 100) {
            line = rest;
            if (!verdict->code)
                verdict->enhanced = enhanced;
        }
        verdict->code = code;
        if (n && n < sizeof words)
            words[n++] = ' ';
        for (size_t i = 0; i < line.n && n < sizeof words; i++) {
            words[n++] = line.p[i];
            i += line.p[i] == '%' && i + 1 < line.n && line.p[i + 1] == '%';
        }
    }
    if (verdict->code && !verdict->enhanced.class)
        verdict->enhanced = status_code_from_reply((int)verdict->code);
    verdict->text_n = clean(span_of(words, n), verdict->text, sizeof verdict->text);
    return verdict->code != 0;
}

static void on_reply(struct milter *milter, struct span body)
{
    struct span text;
    struct milter_verdict verdict = { MILTER_REJECT };
    if (!take_string(&body, &text) || body.n || !take_reply(&verdict, text)) {
        garbage(milter, "the milter sent a reply that cannot be given");
        return;
    }
    verdict.word = verdict.code == 421 ? MILTER_SHUTDOWN : verdict.code < 500 ? MILTER_TEMPFAIL : MILTER_REJECT;
    milter->verdict = verdict;
    conclude(milter, verdict.word);
}

/* --- changes --- */

static void tell(struct milter *milter, const struct milter_change *change)
{
    if (change->kind != MILTER_REPLACE_BODY && ++milter->changes > MILTER_CHANGES_MAX)
        garbage(milter, "the milter changes too much");
    else
        milter->on_change(milter->arg, change);
}

static bool is_field_name(struct span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
            return false;
    return name.n > 0 && name.n <= 255;
}

static void change_header(struct milter *milter, enum milter_change_kind kind, struct span body)
{
    struct milter_change change = { .kind = kind, .has_blank = milter->steps & STEP_LEADING_BLANK };
    bool is_whole = (kind == MILTER_ADD_HEADER || take_u32(&body, &change.index)) && take_string(&body, &change.name) &&
                    take_string(&body, &change.value) && body.n == 0;
    if (!is_whole || !is_field_name(change.name))
        garbage(milter, "the milter sent a header field that is none");
    else
        tell(milter, &change);
}

static void on_add_header(struct milter *milter, struct span body) { change_header(milter, MILTER_ADD_HEADER, body); }
static void on_insert_header(struct milter *milter, struct span body) { change_header(milter, MILTER_INSERT_HEADER, body); }
static void on_change_header(struct milter *milter, struct span body) { change_header(milter, MILTER_CHANGE_HEADER, body); }

/* With or without its brackets. */
static bool read_address(struct span text, unsigned allow, struct span *ret)
{
    struct address address;
    allow |= ADDRESS_UTF8;
    bool has_brackets = text.n && text.p[0] == '<';
    enum status status = has_brackets ? address_path_take(&text, allow, &address) : address_parse(text, allow, &address);
    if (status != STATUS_OK || (has_brackets && text.n))
        return false;
    *ret = address.text;
    return true;
}

static void change_address(struct milter *milter, enum milter_change_kind kind, unsigned allow, bool with_params,
                           struct span body)
{
    struct span text;
    struct milter_change change = { .kind = kind };
    bool is_whole = take_string(&body, &text) && (!with_params || !body.n || take_string(&body, &change.params));
    if (!is_whole || body.n || !read_address(text, allow, &change.value)) {
        garbage(milter, "the milter sent an address that is none");
        return;
    }
    for (size_t i = 0; i < change.params.n; i++)
        if ((unsigned char)change.params.p[i] < ' ' || change.params.p[i] == 0x7F) {
            garbage(milter, "the milter sent parameters that are none");
            return;
        }
    tell(milter, &change);
}

static void on_change_sender(struct milter *milter, struct span body)
{
    change_address(milter, MILTER_CHANGE_SENDER, ADDRESS_NULL, true, body);
}

static void on_add_recipient(struct milter *milter, struct span body)
{
    change_address(milter, MILTER_ADD_RECIPIENT, ADDRESS_POSTMASTER, false, body);
}

static void on_add_recipient_params(struct milter *milter, struct span body)
{
    change_address(milter, MILTER_ADD_RECIPIENT, ADDRESS_POSTMASTER, true, body);
}

static void on_delete_recipient(struct milter *milter, struct span body)
{
    change_address(milter, MILTER_DELETE_RECIPIENT, ADDRESS_POSTMASTER, false, body);
}

static void on_replace_body(struct milter *milter, struct span body)
{
    milter->body_octets += body.n;
    if (milter->body_octets > milter->settings->body_max)
        garbage(milter, "the milter sent a body that is too large");
    else
        tell(milter, &(struct milter_change){ .kind = MILTER_REPLACE_BODY, .value = body });
}

static void on_quarantine(struct milter *milter, struct span body)
{
    struct span text;
    char words[MILTER_TEXT_MAX];
    if (!take_string(&body, &text) || body.n) {
        garbage(milter, "the milter sent a reason that is none");
        return;
    }
    struct milter_change change = { .kind = MILTER_QUARANTINE };
    change.value = span_of(words, clean(text, words, sizeof words));
    tell(milter, &change);
}

/* --- which answer may come when --- */

static const struct {
    char letter;
    uint32_t action; /* which must be agreed on, and the end of the message be waited for; 0: at any command */
    answer_handler *run;
} answers[] = {
    { 'c', 0, on_continue },
    { 'a', 0, on_accept },
    { 'r', 0, on_reject },
    { 't', 0, on_tempfail },
    { 'd', 0, on_discard },
    { 'y', 0, on_reply },
    { '4', 0, on_shutdown },
    { 'f', 0, on_conn_fail },
    { 'p', 0, on_progress },
    { 's', 0, on_skip },
    { 'h', MILTER_MAY_ADD_HEADERS, on_add_header },
    { 'i', MILTER_MAY_ADD_HEADERS, on_insert_header },
    { 'm', MILTER_MAY_CHANGE_HEADERS, on_change_header },
    { 'e', MILTER_MAY_CHANGE_SENDER, on_change_sender },
    { '+', MILTER_MAY_ADD_RECIPIENTS, on_add_recipient },
    { '2', MILTER_MAY_ADD_WITH_PARAMS, on_add_recipient_params },
    { '-', MILTER_MAY_DELETE_RECIPIENTS, on_delete_recipient },
    { 'b', MILTER_MAY_CHANGE_BODY, on_replace_body },
    { 'q', MILTER_MAY_QUARANTINE, on_quarantine },
};

void milter_take_answer(struct milter *milter, char letter, struct span body)
{
    if (milter->command == MILTER_NEGOTIATE) {
        if (letter == 'O')
            on_agreed(milter, body);
        else if (letter == 'r' || letter == 't' || letter == 'f')
            on_conn_fail(milter, body);
        else
            garbage(milter, "the milter sent something else than an agreement");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (answers[i].letter != letter)
            continue;
        if (answers[i].action && milter->command != MILTER_END)
            garbage(milter, "the milter changed a message that has not ended,");
        else if (answers[i].action & ~milter->actions)
            garbage(milter, "the milter did what was not agreed on");
        else
            answers[i].run(milter, body);
        return;
    }
    garbage(milter, "the milter sent an answer that we do not know");
}
