/* Whatever a server answers: each recipient gets exactly one result, and none before it is certain; and answers that
 * arrive at once, octet by octet or cut at one place lead to the same dialogue. Octets: settings; habits of the door;
 * where it is cut; then flights of answers, separated by 0xFE: the door acts between two flights. */
#include "fuzz.h"
#include "smtp/client.h"

enum { RECIPIENTS = 3, FLIGHT_END = 0xFE };

struct played {
    struct smtp_client client;
    unsigned results[RECIPIENTS];
    bool is_sent, is_over;
    struct buf story;
};

struct cut {
    size_t first, step;
};

static void on_result(void *arg, size_t i, const struct smtp_client_result *result)
{
    struct played *played = arg;
    bool is_sure = result->result != SMTP_DELIVERED || played->is_sent;
    require(i < RECIPIENTS && ++played->results[i] == 1 && result->result != SMTP_PENDING && is_sure);
    require(result->enhanced.class != 0 && span_is_utf8(result->text));
    buf_printf(&played->story, "[%zu: %d %d %u.%u.%u %d%d %.*s]", i, result->result, result->code, result->enhanced.class,
               result->enhanced.subject, result->enhanced.detail, result->is_elsewhere, result->is_full,
               SPAN_ARGS(result->text));
}

static void begin_message(struct played *played, struct smtp_client_message *message, int64_t now_ms)
{
    struct smtp_client *client = &played->client;
    for (size_t i = 0; i < RECIPIENTS; i++)
        require(client->messages == 0 || played->results[i] == 1);
    if (client->messages == 3) {
        smtp_client_quit(client, now_ms);
        return;
    }
    memset(played->results, 0, sizeof played->results);
    played->is_sent = false;
    smtp_client_send(client, message, now_ms);
}

static void tell(struct played *played)
{
    struct smtp_client *client = &played->client;
    buf_printf(&played->story, "{%s %d %d}", smtp_client_state_name(client->state), smtp_client_want(client), client->send);
    buf_add(&played->story, buf_span(&client->out));
    buf_clear(&client->out);
}

/* What the door would do between two flights. */
static void act(struct played *played, struct smtp_client_message *message, uint8_t habits, int64_t now_ms)
{
    struct smtp_client *client = &played->client;
    tell(played);
    switch (smtp_client_want(client)) {
    case SMTP_WANT_CLOSE: played->is_over = true; break;
    case SMTP_WANT_TLS: smtp_client_tls(client, habits & 1, "no", now_ms); break;
    case SMTP_WANT_REPLY: break;
    case SMTP_WANT_MESSAGE: begin_message(played, message, now_ms); break;
    }
    if (client->send != SMTP_SEND_NOTHING && (habits & 2 || now_ms % 2)) {
        smtp_client_body_sent(client, now_ms);
        played->is_sent = true;
    }
    if (habits & 4 && now_ms % 5 == 0)
        smtp_client_tick(client, now_ms);
    tell(played);
}

static void feed(struct played *played, struct span flight, struct cut *cut, int64_t now_ms)
{
    struct span exact = fuzz_exact(flight);
    size_t first = MIN(cut->first, exact.n);
    for (size_t done = 0; done < exact.n;) {
        size_t n = done < first ? MIN(cut->step, first - done) : exact.n - done;
        smtp_client_feed(&played->client, span_head(span_from(exact, done), n), now_ms);
        done += n;
    }
    cut->first -= first;
    free((void *)(uintptr_t)exact.p);
}

static void play(const struct smtp_client_settings *settings, uint8_t mood, uint8_t habits, struct span input, struct cut cut,
                 struct buf *ret)
{
    struct smtp_client_recipient recipients[RECIPIENTS] = {
        { .address = SPAN("a@b.c") }, { .address = SPAN("d@e.f"), .notify = SMTP_NOTIFY_NEVER },
        { .address = SPAN("g@h.i"), .orcpt = SPAN("rfc822;x@y") },
    };
    struct smtp_client_message message = { .sender = SPAN("s@t.u"), .octets = mood & 128 ? 100000 : 100,
        .is_8bit = habits & 16, .needs_utf8 = habits & 32, .ret = (habits >> 6) % 3, .envid = SPAN("e"),
        .recipients = recipients, .recipient_count = RECIPIENTS };
    struct played played = { .story = BUF_EMPTY((size_t)4 << 20) };
    struct span flight;
    int64_t now_ms = 0;
    smtp_client_init(&played.client, settings, habits & 8, on_result, &played, 0);
    while (!played.is_over && span_cut(&input, (char)FLIGHT_END, &flight)) {
        feed(&played, flight, &cut, ++now_ms);
        act(&played, &message, habits, now_ms);
    }
    smtp_client_lost(&played.client, STATUS_CLOSED, now_ms);
    tell(&played);
    require(smtp_client_want(&played.client) == SMTP_WANT_CLOSE);
    for (size_t i = 0; i < RECIPIENTS && played.client.messages; i++)
        require(played.results[i] == 1);
    buf_printf(&played.story, "%d %d %.*s", played.client.failure.trouble, played.client.failure.code,
               (int)played.client.failure.text_n, played.client.failure.text);
    *ret = buf_take(&played.story);
    smtp_client_done(&played.client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 1u << 15)
        return 0;
    static const struct smtp_client_times times = { 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 };
    uint8_t mood = data[0], habits = data[1];
    struct smtp_client_settings settings = {
        .hostname = SPAN("me.example"), .times = times, .tls = (mood & 3u) % 3u, .lmtp = mood & 4,
        .username = mood & 8 ? SPAN("u") : SPAN_NONE, .password = SPAN("p"), .auth_in_clear = true,
        .no_chunking = mood & 16, .no_pipelining = mood & 32, .strict_8bit = mood & 64,
    };
    struct span input = span_of(data + 3, size - 3);
    AUTO(buf_done) struct buf whole = { 0 }, octets = { 0 }, parts = { 0 };
    play(&settings, mood, habits, input, (struct cut){ 0, 1 }, &whole);
    play(&settings, mood, habits, input, (struct cut){ SIZE_MAX, 1 }, &octets);
    play(&settings, mood, habits, input, (struct cut){ data[2] * 3u % (input.n + 1), SIZE_MAX }, &parts);
    require(span_eq(buf_span(&whole), buf_span(&octets)) && span_eq(buf_span(&whole), buf_span(&parts)));
    return 0;
}
