#include "milter/milter_priv.h"
#include <stdio.h>

enum { LENGTH_OCTETS = 4, KEEP_MAX = 4096 };

static const struct {
    const char *text;
    uint16_t steps;
} macros[MILTER_MACRO_COUNT] = {
#define X(name, text, steps) [MILTER_MACRO_##name] = { text, steps },
    MILTER_MACRO_LIST(X)
#undef X
};

const char *milter_macro_text(enum milter_macro macro) { return macros[macro].text; }
uint16_t milter_macro_steps(enum milter_macro macro) { return macros[macro].steps; }

void milter_init(struct milter *milter, const struct milter_settings *settings,
                 void (*on_change)(void *, const struct milter_change *), void *arg, int64_t now_ms)
{
    *milter = (struct milter){ .settings = settings, .on_change = on_change, .arg = arg, .now_ms = now_ms };
    milter->out = BUF_EMPTY(MILTER_OUT_MAX);
    milter->in = BUF_EMPTY(LENGTH_OCTETS + MILTER_PACKET_MAX);
    for (unsigned step = 0; step < MILTER_STEPS; step++)
        for (unsigned macro = 0; macro < MILTER_MACRO_COUNT; macro++)
            if (macros[macro].steps & 1u << step)
                milter->macros_at[step] |= (uint16_t)(1u << macro);
    milter_negotiate(milter);
}

void milter_done(struct milter *milter)
{
    buf_done(&milter->out);
    buf_done(&milter->in);
}

enum milter_want milter_want(const struct milter *milter)
{
    if (milter->stage == MILTER_CLOSED)
        return MILTER_WANT_CLOSE;
    return milter->is_waiting ? MILTER_WANT_ANSWER : MILTER_WANT_COMMAND;
}

void milter_break(struct milter *milter, enum milter_trouble trouble, const char *what)
{
    milter->trouble = trouble;
    snprintf(milter->words, sizeof milter->words, "%s while %s", what, milter_command_phrase(milter->command));
    milter->stage = MILTER_CLOSED;
    milter->is_waiting = false;
    milter->deadline_ms = INT64_MAX;
}

void milter_wait(struct milter *milter, enum milter_command command)
{
    milter->command = command;
    milter->is_waiting = true;
    milter->due_ms = milter->now_ms + milter->settings->patience_ms;
    milter->deadline_ms = MIN(milter->due_ms, milter->now_ms + (command == MILTER_END ? milter->settings->end_ms
                                                                                     : milter->settings->answer_ms));
}

static uint32_t length_of(const struct buf *in)
{
    const unsigned char *p = (const unsigned char *)in->p;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void on_packet(struct milter *milter)
{
    struct span packet = span_from(buf_span(&milter->in), LENGTH_OCTETS);
    if (milter->is_waiting)
        milter_take_answer(milter, packet.p[0], span_from(packet, 1));
    else
        milter_break(milter, MILTER_TROUBLE_GARBAGE, "the milter spoke without being asked,");
    if (milter->in.room > KEEP_MAX) /* large answers are rare, and sessions are many */
        buf_done(&milter->in);
    buf_clear(&milter->in);
}

void milter_feed(struct milter *milter, struct span octets, int64_t now_ms)
{
    struct buf *in = &milter->in;
    milter->now_ms = now_ms;
    while (octets.n && milter->stage != MILTER_CLOSED) {
        size_t whole = in->n < LENGTH_OCTETS ? LENGTH_OCTETS : LENGTH_OCTETS + (size_t)length_of(in);
        struct span piece = span_head(octets, whole - in->n);
        octets = span_from(octets, piece.n);
        if (buf_add(in, piece) != STATUS_OK) {
            milter_break(milter, MILTER_TROUBLE_LOCAL, "out of memory");
            return;
        }
        if (in->n < LENGTH_OCTETS)
            continue;
        size_t length = length_of(in);
        if (length == 0 || length > MILTER_PACKET_MAX)
            milter_break(milter, MILTER_TROUBLE_GARBAGE, "the milter sent something that is no milter's packet");
        else if (in->n == LENGTH_OCTETS + length)
            on_packet(milter);
    }
}

void milter_lost(struct milter *milter, enum status why, int64_t now_ms)
{
    milter->now_ms = now_ms;
    if (milter->stage != MILTER_CLOSED)
        milter_break(milter, MILTER_TROUBLE_LOST,
                     why == STATUS_CLOSED ? "the milter closed the connection" : "the connection to the milter broke");
}

void milter_tick(struct milter *milter, int64_t now_ms)
{
    milter->now_ms = now_ms;
    if (milter->stage != MILTER_CLOSED && milter->is_waiting && now_ms >= milter->deadline_ms)
        milter_break(milter, MILTER_TROUBLE_TIMEOUT, "the milter gave no answer in time");
}
