/* Whatever a server answers, each recipient gets exactly one result, and none before it is certain. */
#include "smtp/client.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 3 };

struct played {
    struct smtp_client client;
    unsigned results[RECIPIENTS];
    bool is_sent;
};

static void on_result(void *arg, size_t i, const struct smtp_client_result *result)
{
    struct played *played = arg;
    bool is_sure = result->result != SMTP_DELIVERED || played->is_sent;
    if (i >= RECIPIENTS || ++played->results[i] > 1 || result->result == SMTP_PENDING || !is_sure
        || result->enhanced.class == 0 || !span_is_utf8(result->text))
        abort();
}

/* What the door would do. False: the session is over. */
static bool act(struct played *played, struct smtp_client_message *message, int64_t now_ms)
{
    struct smtp_client *client = &played->client;
    buf_clear(&client->out);
    switch (smtp_client_want(client)) {
    case SMTP_WANT_CLOSE: return false;
    case SMTP_WANT_TLS: smtp_client_tls(client, true, NULL, now_ms); break;
    case SMTP_WANT_REPLY: break;
    case SMTP_WANT_MESSAGE:
        for (size_t i = 0; i < RECIPIENTS; i++) {
            if (client->messages && played->results[i] != 1)
                abort();
            played->results[i] = 0;
        }
        if (client->messages == 3)
            return false;
        played->is_sent = false;
        smtp_client_send(client, message, now_ms);
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    static const struct smtp_client_times times = { 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 };
    struct smtp_client_settings settings = {
        .hostname = SPAN("me.example"), .times = times, .tls = (data[0] & 3u) % 3u, .lmtp = data[0] & 4,
        .username = data[0] & 8 ? SPAN("u") : SPAN_NONE, .password = SPAN("p"), .auth_in_clear = true,
        .no_chunking = data[0] & 16, .no_pipelining = data[0] & 32, .strict_8bit = data[0] & 64,
    };
    struct smtp_client_recipient recipients[RECIPIENTS] = {
        { .address = SPAN("a@b.c") }, { .address = SPAN("d@e.f"), .notify = SMTP_NOTIFY_NEVER }, { .address = SPAN("g@h.i") },
    };
    struct smtp_client_message message = { .sender = SPAN("s@t.u"), .octets = data[0] & 128 ? 100000 : 100,
        .recipients = recipients, .recipient_count = RECIPIENTS };
    struct played played = { 0 };
    smtp_client_init(&played.client, &settings, false, on_result, &played, 0);
    struct span in = span_of(data + 2, size - 2);
    int64_t now_ms = 0;
    bool goes_on = true;
    while (in.n && goes_on) {
        struct span line = span_head(in, data[1] % 64 + 1u);
        in = span_from(in, line.n);
        smtp_client_feed(&played.client, line, ++now_ms);
        goes_on = act(&played, &message, now_ms);
        if (played.client.send != SMTP_SEND_NOTHING && (data[1] & 64 || in.n % 2)) {
            smtp_client_body_sent(&played.client, now_ms);
            played.is_sent = true;
        }
    }
    smtp_client_lost(&played.client, STATUS_CLOSED, now_ms);
    for (size_t i = 0; i < RECIPIENTS && played.client.messages; i++) {
        if (played.results[i] != 1 && goes_on)
            abort();
    }
    smtp_client_done(&played.client);
    return 0;
}
