/* What we say: the packets of each command, and the macros before them. */
#include "milter/milter_priv.h"
#include <assert.h>

#define IN(stage) (1u << (stage))
#define ANY_OF_MESSAGE                                                                                              \
    (IN(MILTER_IN_MAIL) | IN(MILTER_IN_RCPT) | IN(MILTER_IN_DATA) | IN(MILTER_IN_HEADER) | IN(MILTER_IN_BODY))

/* Which command may come when, what it leads to, which wish of the milter leaves it out or its answer, and the step
 * whose macros go before it (-1: none). */
static const struct row {
    char letter;
    signed char step;
    enum milter_stage next;
    unsigned allowed;
    uint32_t no, mute;
    const char *phrase;
} rows[MILTER_COMMAND_COUNT] = {
    [MILTER_NEGOTIATE] = { 'O', -1, MILTER_AGREEING, IN(MILTER_AGREEING), 0, 0, "agreeing on the protocol" },
    [MILTER_CONNECT] = { 'C', 0, MILTER_CONNECTED, IN(MILTER_AGREED), STEP_NO_CONNECT, STEP_MUTE_CONNECT,
                         "it was told who connected" },
    [MILTER_HELO] = { 'H', 1, MILTER_GREETED, IN(MILTER_CONNECTED) | IN(MILTER_GREETED), STEP_NO_HELO, STEP_MUTE_HELO,
                      "it was told EHLO" },
    [MILTER_MAIL] = { 'M', 2, MILTER_IN_MAIL, IN(MILTER_CONNECTED) | IN(MILTER_GREETED), STEP_NO_MAIL, STEP_MUTE_MAIL,
                      "it was told MAIL FROM" },
    [MILTER_RCPT] = { 'R', 3, MILTER_IN_RCPT, IN(MILTER_IN_MAIL) | IN(MILTER_IN_RCPT), STEP_NO_RCPT, STEP_MUTE_RCPT,
                      "it was told RCPT TO" },
    [MILTER_DATA] = { 'T', 4, MILTER_IN_DATA, IN(MILTER_IN_RCPT), STEP_NO_DATA, STEP_MUTE_DATA, "it was told DATA" },
    [MILTER_HEADER] = { 'L', -1, MILTER_IN_HEADER, IN(MILTER_IN_DATA) | IN(MILTER_IN_HEADER), STEP_NO_HEADERS,
                        STEP_MUTE_HEADER, "it was told the header" },
    [MILTER_EOH] = { 'N', 6, MILTER_IN_BODY, IN(MILTER_IN_DATA) | IN(MILTER_IN_HEADER), STEP_NO_EOH, STEP_MUTE_EOH,
                     "it was told the end of the header" },
    [MILTER_BODY] = { 'B', -1, MILTER_IN_BODY, IN(MILTER_IN_BODY), STEP_NO_BODY, STEP_MUTE_BODY, "it was told the body" },
    [MILTER_END] = { 'E', 5, MILTER_AT_LAST, IN(MILTER_IN_BODY), 0, 0, "it was told the end of the message" },
    [MILTER_UNKNOWN] = { 'U', -1, MILTER_AGREEING, IN(MILTER_CONNECTED) | IN(MILTER_GREETED) | ANY_OF_MESSAGE,
                         STEP_NO_UNKNOWN, STEP_MUTE_UNKNOWN, "it was told an unknown command" },
};

const char *milter_command_phrase(enum milter_command command) { return rows[command].phrase; }

/* --- packets --- */

static void add_u32(struct buf *out, uint32_t value)
{
    const char octets[] = { (char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value };
    buf_add(out, span_of(octets, sizeof octets));
}

/* Returns where the packet begins, for packet_end(). */
static size_t packet_begin(struct milter *milter, char letter)
{
    size_t at = milter->out.n;
    add_u32(&milter->out, 0);
    buf_add_char(&milter->out, letter);
    return at;
}

static void packet_end(struct milter *milter, size_t at)
{
    struct buf *out = &milter->out;
    if (out->failed) {
        milter_break(milter, MILTER_TROUBLE_LOCAL, "no memory for what the milter is to be told");
        return;
    }
    size_t length = out->n - at - 4;
    if (length > MILTER_CHUNK_MAX + 1) {
        out->n = at;
        milter_break(milter, MILTER_TROUBLE_TOO_LONG, "something is longer than a milter can be told,");
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        out->p[at + i] = (char)(length >> (24 - 8 * i));
}

/* Ended by NUL, so none may be in it. */
static void add_string(struct buf *out, struct span text)
{
    size_t at = out->n;
    buf_add(out, text);
    buf_add_char(out, 0);
    for (size_t i = at; !out->failed && i + 1 < out->n; i++)
        if (out->p[i] == 0)
            out->p[i] = ' ';
}

static void add_macros(struct milter *milter, const struct row *row)
{
    if (row->step < 0)
        return;
    size_t at = 0;
    bool has_any = false;
    for (unsigned i = 0; i < MILTER_MACRO_COUNT; i++) {
        if (!(milter->macros_at[row->step] & 1u << i) || milter->macros[i].n == 0)
            continue;
        if (!has_any) {
            at = packet_begin(milter, 'D');
            buf_add_char(&milter->out, row->letter);
        }
        has_any = true;
        add_string(&milter->out, span_str(milter_macro_text((enum milter_macro)i)));
        add_string(&milter->out, milter->macros[i]);
    }
    if (has_any)
        packet_end(milter, at);
}

/* --- commands --- */

/* False: the command goes nowhere, and nothing is against it. */
static bool begin(struct milter *milter, enum milter_command command, int64_t now_ms, size_t *ret_at)
{
    const struct row *row = &rows[command];
    assert(milter_want(milter) == MILTER_WANT_COMMAND && row->allowed & IN(milter->stage));
    milter->now_ms = now_ms;
    milter->verdict = (struct milter_verdict){ MILTER_CONTINUE };
    if (command != MILTER_UNKNOWN)
        milter->stage = row->next;
    if (command == MILTER_MAIL) {
        milter->passes_message = milter->skips_body = false;
        milter->changes = 0;
        milter->body_octets = 0;
    }
    bool is_passed = milter->passes_session || (milter->passes_message && command != MILTER_HELO);
    if (is_passed && command == MILTER_END)
        milter->stage = MILTER_GREETED;
    if (is_passed || milter->steps & row->no || (command == MILTER_BODY && milter->skips_body))
        return false;
    milter->command = command;
    add_macros(milter, row);
    if (milter->stage == MILTER_CLOSED)
        return false;
    *ret_at = packet_begin(milter, row->letter);
    return true;
}

static void finish(struct milter *milter, enum milter_command command, size_t at)
{
    packet_end(milter, at);
    if (milter->stage != MILTER_CLOSED && !(milter->steps & rows[command].mute))
        milter_wait(milter, command);
}

void milter_negotiate(struct milter *milter)
{
    size_t at = packet_begin(milter, 'O');
    add_u32(&milter->out, MILTER_VERSION);
    add_u32(&milter->out, milter->settings->actions);
    add_u32(&milter->out, STEP_OFFERED);
    finish(milter, MILTER_NEGOTIATE, at);
}

void milter_connect(struct milter *milter, const struct milter_client *client, int64_t now_ms)
{
    size_t at;
    struct buf *out = &milter->out;
    if (!begin(milter, MILTER_CONNECT, now_ms, &at))
        return;
    add_string(out, client->name);
    buf_add_char(out, (char)client->family);
    if (client->family != MILTER_UNKNOWN_FAMILY) {
        buf_add_char(out, (char)(client->port >> 8));
        buf_add_char(out, (char)client->port);
        if (client->family == MILTER_IPV6)
            buf_add_str(out, "IPv6:");
        add_string(out, client->address);
    }
    finish(milter, MILTER_CONNECT, at);
}

static void say(struct milter *milter, enum milter_command command, struct span text, int64_t now_ms)
{
    size_t at;
    if (!begin(milter, command, now_ms, &at))
        return;
    add_string(&milter->out, text);
    finish(milter, command, at);
}

static void say_nothing(struct milter *milter, enum milter_command command, int64_t now_ms)
{
    size_t at;
    if (begin(milter, command, now_ms, &at))
        finish(milter, command, at);
}

static void say_path(struct milter *milter, enum milter_command command, struct span address, struct span params,
                     int64_t now_ms)
{
    size_t at;
    struct span param;
    if (!begin(milter, command, now_ms, &at))
        return;
    buf_add_char(&milter->out, '<');
    size_t from = milter->out.n;
    add_string(&milter->out, address);
    if (!milter->out.failed && milter->out.n > from)
        milter->out.p[milter->out.n - 1] = '>';
    buf_add_char(&milter->out, 0);
    while (span_cut(&params, ' ', &param))
        if (param.n)
            add_string(&milter->out, param);
    finish(milter, command, at);
}

void milter_helo(struct milter *milter, struct span name, int64_t now_ms) { say(milter, MILTER_HELO, name, now_ms); }

void milter_unknown(struct milter *milter, struct span line, int64_t now_ms)
{
    say(milter, MILTER_UNKNOWN, line, now_ms);
}

void milter_mail(struct milter *milter, struct span sender, struct span params, int64_t now_ms)
{
    say_path(milter, MILTER_MAIL, sender, params, now_ms);
}

void milter_rcpt(struct milter *milter, struct span recipient, struct span params, int64_t now_ms)
{
    say_path(milter, MILTER_RCPT, recipient, params, now_ms);
}

void milter_data(struct milter *milter, int64_t now_ms) { say_nothing(milter, MILTER_DATA, now_ms); }
void milter_eoh(struct milter *milter, int64_t now_ms) { say_nothing(milter, MILTER_EOH, now_ms); }
void milter_end(struct milter *milter, int64_t now_ms) { say_nothing(milter, MILTER_END, now_ms); }

/* Milters know lines of a header by LF alone, lines of a body by CRLF. */
void milter_header(struct milter *milter, struct span name, struct span value, int64_t now_ms)
{
    size_t at;
    struct buf *out = &milter->out;
    if (!begin(milter, MILTER_HEADER, now_ms, &at))
        return;
    add_string(out, name);
    if (!(milter->steps & STEP_LEADING_BLANK) && value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
        value = span_from(value, 1);
    size_t from = out->n;
    add_string(out, value);
    size_t to = from;
    for (size_t i = from; !out->failed && i < out->n; i++)
        if (!(out->p[i] == '\r' && i + 1 < out->n && out->p[i + 1] == '\n'))
            out->p[to++] = out->p[i];
    if (!out->failed)
        out->n = to;
    finish(milter, MILTER_HEADER, at);
}

void milter_body(struct milter *milter, struct span octets, int64_t now_ms)
{
    size_t at;
    assert(octets.n && octets.n <= MILTER_CHUNK_MAX);
    if (!begin(milter, MILTER_BODY, now_ms, &at))
        return;
    buf_add(&milter->out, octets);
    finish(milter, MILTER_BODY, at);
}

void milter_abort(struct milter *milter)
{
    assert(milter_want(milter) == MILTER_WANT_COMMAND);
    if (!(IN(milter->stage) & ANY_OF_MESSAGE))
        return;
    milter->stage = MILTER_GREETED;
    milter->passes_message = false;
    if (!milter->passes_session)
        packet_end(milter, packet_begin(milter, 'A'));
}

void milter_quit(struct milter *milter)
{
    if (milter->stage == MILTER_CLOSED)
        return;
    packet_end(milter, packet_begin(milter, 'Q'));
    milter->stage = MILTER_CLOSED;
    milter->is_waiting = false;
    milter->deadline_ms = INT64_MAX;
}
