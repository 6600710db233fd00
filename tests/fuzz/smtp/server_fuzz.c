/* The server's side against any octets: fed whole and in pieces it must say the same, and what it gives on as a message
 * must be clean. First octet: settings; second: size of the pieces. */
#include "smtp_talk.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(struct span body)
{
    for (size_t i = 0; i < body.n; i++) {
        if (body.p[i] == '\n' && (i == 0 || body.p[i - 1] != '\r'))
            abort();
        if (body.p[i] == '\r' && (i + 1 == body.n || body.p[i + 1] != '\n'))
            abort();
    }
    if (body.n > 0 && body.p[body.n - 1] != '\n')
        abort();
}

static void play(const struct smtp_server_settings *settings, unsigned offers, struct span input, size_t piece, struct buf *ret)
{
    struct talk talk;
    talk_init(&talk, settings, offers, piece);
    talk.on_message = check_clean;
    talk_flush(&talk);
    talk_feed(&talk, input);
    *ret = buf_take(&talk.said);
    talk_done(&talk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1u << 16)
        return 0;
    struct smtp_server_settings settings = {
        .hostname = SPAN("mx.example"), .mechanisms = SPAN("PLAIN LOGIN"), .max_octets = data[0] & 1 ? 50 : 0,
        .max_recipients = 5, .max_errors = 20, .max_idle_commands = 20, .max_line = data[0] & 2 ? 30 : 0,
        .fix_newlines = data[0] & 4, .free_order = true,
    };
    unsigned offers = data[0] >> 3 & 15;
    struct span input = span_of(data + 2, size - 2);
    AUTO(buf_done) struct buf whole = { 0 }, parts = { 0 };
    play(&settings, offers, input, 0, &whole);
    play(&settings, offers, input, 1 + data[1] % 16u, &parts);
    /* Octets behind STARTTLS are seen earlier or later; both end the session. */
    if (span_find_span(buf_span(&whole), SPAN("tls-leftover]")) < whole.n)
        return 0;
    if (!span_eq(buf_span(&whole), buf_span(&parts)))
        abort();
    return 0;
}
