/* The server's side against whole dialogues: fed at once, octet by octet, and cut at one place it must say the same and
 * tell the same; and what it gives on as a message must be clean. Octets: settings; where it is cut (2); then what the
 * client sends. A 0xFE in it is the end of a handshake: what stands behind arrives after it. */
#include "fuzz.h"
#include "smtp_talk.h"

#define HANDSHAKE ((char)0xFE)

static void check_clean(struct span body)
{
    for (size_t i = 0; i < body.n; i++) {
        require(body.p[i] != '\n' || (i > 0 && body.p[i - 1] == '\r'));
        require(body.p[i] != '\r' || (i + 1 < body.n && body.p[i + 1] == '\n'));
    }
    require(body.n == 0 || body.p[body.n - 1] == '\n');
}

/* One flight: `first` octets `step` at a time, then the rest. What is not used is shown again with what follows. */
static void fly(struct talk *talk, struct span input, size_t first, size_t step)
{
    struct span exact = fuzz_exact(input), shown = span_head(exact, 0);
    for (size_t end = 0; end < exact.n && !talk->closed;) {
        end = end < first ? MIN(end + step, first) : exact.n;
        shown = span_of(shown.p, (size_t)(exact.p + end - shown.p));
        talk_pull(talk, &shown);
    }
    free((void *)(uintptr_t)exact.p);
}

static void play(const struct smtp_server_settings *settings, unsigned offers, struct span input, size_t first, size_t step,
                 struct buf *ret)
{
    struct talk talk;
    struct span flight;
    talk_init(&talk, settings, offers, 0);
    talk.on_message = check_clean;
    talk_flush(&talk);
    while (!talk.closed && span_cut(&input, HANDSHAKE, &flight)) {
        fly(&talk, flight, MIN(first, flight.n), step);
        first -= MIN(first, flight.n);
        if (talk.server.state == SMTP_STATE_TLS) {
            smtp_server_secured(&talk.server);
            buf_add_str(&talk.said, "[SECURED]");
        }
    }
    *ret = buf_take(&talk.said);
    talk_done(&talk);
}

/* A message that has two faults is refused for the one that is seen first, which depends on how it arrives. */
static void faults_are_one(struct buf *said)
{
    static const struct span faults[] = { SPAN("552 5.3.4 The message is larger than this server takes"),
                                          SPAN("550 5.6.0 A line of the message is too long"),
                                          SPAN("550 5.6.0 The message has a CR or LF that is not part of a CRLF") };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        for (size_t at; (at = span_find_span(buf_span(said), faults[i])) < said->n; said->n -= faults[i].n - 1) {
            said->p[at] = '!';
            memmove(said->p + at + 1, said->p + at + faults[i].n, said->n - at - faults[i].n);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 1u << 16)
        return 0;
    struct smtp_server_settings settings = {
        .hostname = SPAN("mx.example"), .mechanisms = SPAN("PLAIN LOGIN"), .max_octets = data[0] & 1 ? 50 : 0,
        .max_recipients = 5, .max_errors = 20, .max_idle_commands = 20, .max_line = data[0] & 2 ? 30 : 0,
        .fix_newlines = data[0] & 4, .free_order = true,
    };
    unsigned offers = data[0] >> 3 & 15;
    struct span input = span_of(data + 3, size - 3);
    AUTO(buf_done) struct buf whole = { 0 }, octets = { 0 }, parts = { 0 };
    play(&settings, offers, input, 0, 1, &whole);
    play(&settings, offers, input, SIZE_MAX, 1, &octets);
    play(&settings, offers, input, ((size_t)data[1] | (size_t)data[2] << 8) % (input.n + 1), SIZE_MAX, &parts);
    /* Octets behind STARTTLS are seen earlier or later; both end the session. */
    if (span_find_span(buf_span(&whole), SPAN("tls-leftover]")) < whole.n ||
        span_find_span(buf_span(&parts), SPAN("tls-leftover]")) < parts.n)
        return 0;
    faults_are_one(&whole);
    faults_are_one(&octets);
    faults_are_one(&parts);
    require(span_eq(buf_span(&whole), buf_span(&octets)) && span_eq(buf_span(&whole), buf_span(&parts)));
    return 0;
}
