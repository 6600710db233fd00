#include "delivery/session_priv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void fill_settings(struct session *session)
{
    const struct delivery_settings *from = &session->config->root->delivery;
    session->settings = (struct smtp_client_settings){
        .hostname = session->config->hostname,
        .times = { .greeting_ms = from->greeting_ms, .ehlo_ms = from->ehlo_ms, .starttls_ms = from->starttls_ms,
                   .auth_ms = from->auth_ms, .rset_ms = from->rset_ms, .mail_ms = from->mail_ms,
                   .rcpt_ms = from->rcpt_ms, .data_ms = from->data_ms, .block_ms = from->block_ms,
                   .dot_ms = from->dot_ms, .quit_ms = 5000, .message_ms = from->message_ms },
        .username = span_str(session->user),
        .password = span_str(session->password),
        .tls = session->target.tls,
        .lmtp = session->target.lmtp,
        .auth_in_clear = session->target.auth_in_clear,
        .no_chunking = !from->chunking,
        .no_pipelining = !from->pipelining,
        .strict_8bit = from->strict_8bit,
    };
}

static int64_t now(const struct session *session)
{
    return loop_now_ms(session->loop);
}

/* The clock is set only to be earlier: when it rings too early it is set again, which is rarer than a change. */
void session_arm(struct session *session)
{
    int64_t due = session->is_idle ? session->idle_until_ms : smtp_client_deadline(&session->client);
    if (due == INT64_MAX || (loop_timer_runs(&session->timer) && session->armed_ms <= due))
        return;
    session->armed_ms = due;
    loop_timer_set(&session->timer, MAX(due - now(session), INT64_C(0)));
}

static void on_clock(struct loop_timer *timer)
{
    struct session *session = CONTAINER(timer, struct session, timer);
    if (session->is_idle && now(session) >= session->idle_until_ms) {
        session_over(session);
        return;
    }
    if (session->stream && !session->is_idle)
        smtp_client_tick(&session->client, now(session));
    session_turn(session);
}

static void begin_tls(struct session *session)
{
    char key[DNS_NAME_MAX + NET_ADDRESS_TEXT + 1], text[NET_ADDRESS_TEXT];
    snprintf(key, sizeof key, "%s/%s", session->name, net_address_text(&session->target.address, text));
    struct tls_wish wish = {
        .name = session->name[0] ? session->name : NULL,
        .required = session->target.verified_tls,
        .session = span_str(key),
    };
    enum status status = stream_start_tls_client(session->stream, session->config->tls, &wish);
    if (status == STATUS_OK)
        return;
    const char *why = status == STATUS_SYNTAX ? "the server sent octets in clear between STARTTLS and TLS" : "out of memory for TLS";
    snprintf(session->connect_error, sizeof session->connect_error, "%s", why);
    smtp_client_tls(&session->client, false, why, now(session));
    smtp_client_lost(&session->client, STATUS_IO, now(session));
}

/* One look at what the machine wants. */
static void step(struct session *session)
{
    struct smtp_client *client = &session->client;
    if (client->out.n) {
        enum status status = stream_write(session->stream, buf_span(&client->out));
        buf_clear(&client->out);
        if (status != STATUS_OK && status != STATUS_CLOSED) { /* a stream that broke says so in on_end */
            session_fail(session); /* the message must not go where its commands have not gone: it would be taken for commands */
            return;
        }
    }
    if (client->send != SMTP_SEND_NOTHING && !session->is_sending)
        session_body_begin(session);
    switch (smtp_client_want(client)) {
    case SMTP_WANT_TLS:
        if (!stream_is_tls(session->stream)) {
            begin_tls(session);
            session->again = smtp_client_want(client) != SMTP_WANT_TLS;
        }
        break;
    case SMTP_WANT_MESSAGE:
        if (session->is_idle)
            break;
        if (session->is_up) {
            session->events->on_done(session->arg, session);
        } else {
            session->is_up = true;
            session->events->on_ready(session->arg, session);
        }
        break;
    case SMTP_WANT_CLOSE: session_over(session); break;
    case SMTP_WANT_REPLY: break;
    }
}

void session_turn(struct session *session)
{
    session->again = true;
    if (session->in_turn || !session->stream)
        return;
    session->in_turn = true;
    while (session->again && !session->is_over) {
        session->again = false;
        step(session);
    }
    session->in_turn = false;
    if (session->is_over)
        return;
    stream_flush_later(session->stream);
    session_arm(session);
}

void session_over(struct session *session)
{
    if (session->is_over)
        return;
    session->is_over = true;
    loop_timer_stop(&session->timer);
    session->events->on_over(session->arg, session);
}

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct session *session = arg;
    smtp_client_feed(&session->client, input, now(session));
    stream_consume(stream, input.n);
    session_turn(session);
}

static void on_drained(void *arg, struct stream *stream)
{
    struct session *session = arg;
    if (session->is_sending) {
        smtp_client_body_progress(&session->client, now(session));
        session_body_pump(session);
    }
    session_turn(session);
}

static void on_tls(void *arg, struct stream *stream)
{
    struct session *session = arg;
    const struct tls_info *info = stream_tls(stream);
    session->is_verified = info->verified;
    snprintf(session->tls_text, sizeof session->tls_text, "%s %s %s", info->version, info->cipher,
             info->verified ? "verified" : "unverified");
    smtp_client_tls(&session->client, true, NULL, now(session));
    session_turn(session);
}

static void on_end(void *arg, struct stream *stream, enum status why)
{
    struct session *session = arg;
    if (why == STATUS_DENIED) {
        char text[160];
        snprintf(text, sizeof text, "TLS failed: %s", stream_tls_failure(stream));
        if (session->target.implicit_tls)
            memcpy(session->connect_error, text, sizeof text);
        smtp_client_tls(&session->client, false, text, now(session));
    }
    smtp_client_lost(&session->client, why, now(session));
    session_turn(session);
}

static const struct stream_events stream_events = { on_readable, on_drained, on_tls, on_end };

/* Errors of connect() and socket() that are about this machine, not about the other one. */
static bool is_ours(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == EADDRNOTAVAIL;
}

static void on_connected(void *arg, enum status status, int fd, int error)
{
    struct session *session = arg;
    session->connecting = NULL;
    if (status == STATUS_OK) {
        session->stream = stream_new(session->loop, fd, &stream_events, session);
        if (!session->stream)
            close(fd);
    }
    if (!session->stream) {
        const char *why = status == STATUS_TIMEOUT ? "no answer" : status == STATUS_OK ? "out of memory" : strerror(error);
        snprintf(session->connect_error, sizeof session->connect_error, "cannot connect: %s", why);
        session->is_starved = status == STATUS_OK || is_ours(error);
        session_over(session);
        return;
    }
    smtp_client_init(&session->client, &session->settings, session->target.implicit_tls, session_on_result, session, now(session));
    if (session->target.implicit_tls)
        begin_tls(session);
    session_turn(session);
}

void session_on_result(void *arg, size_t recipient, const struct smtp_client_result *result)
{
    struct session *session = arg;
    session->events->on_result(session->arg, recipient, result);
}

static void reap(struct loop_task *task)
{
    struct session *session = CONTAINER(task, struct session, reaper);
    smtp_client_done(&session->client);
    explicit_bzero(session->password, sizeof session->password);
    delivery_config_unref(session->config);
    free(session);
}

struct session *session_new(struct loop *loop, struct delivery_config *config, const struct session_target *target,
                            const struct session_events *events, void *arg)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->loop = loop;
    session->config = delivery_config_ref(config);
    session->target = *target;
    session->events = events;
    session->arg = arg;
    snprintf(session->name, sizeof session->name, "%s", target->name);
    snprintf(session->user, sizeof session->user, "%s", target->user ? target->user : "");
    snprintf(session->password, sizeof session->password, "%s", target->password ? target->password : "");
    session->target.name = session->name;
    session->target.user = session->target.password = NULL;
    list_init(&session->link);
    list_init(&session->in_idle);
    loop_timer_init(loop, &session->timer, on_clock);
    loop_task_init(loop, &session->reaper, reap);
    fill_settings(session);
    struct connect_options options = { .timeout_ms = config->root->delivery.connect_ms };
    session->connecting = connect_start(loop, &session->target.address, &options, on_connected, session);
    if (!session->connecting) {
        delivery_config_unref(session->config);
        free(session);
        return NULL;
    }
    return session;
}

void session_free(struct session *session)
{
    if (!session || session->is_freed)
        return;
    session->is_freed = session->is_over = true;
    list_remove(&session->link);
    loop_timer_stop(&session->timer);
    connect_cancel(session->connecting);
    if (session->stream) {
        if (smtp_client_want(&session->client) == SMTP_WANT_MESSAGE)
            stream_write(session->stream, SPAN("QUIT\r\n")); /* whose answer nobody needs */
        stream_close(session->stream);
    }
    session->stream = NULL;
    loop_later(&session->reaper); /* we may stand in a call of its own */
}

void session_send(struct session *session, struct smtp_client_message *message, const struct session_body *body)
{
    session->is_idle = false;
    session->body = *body;
    session->is_sending = false;
    smtp_client_send(&session->client, message, now(session));
    session_turn(session);
}

void session_set_user(struct session *session, const struct session_events *events, void *arg)
{
    session->events = events;
    session->arg = arg;
}

void session_idle(struct session *session, int64_t idle_ms)
{
    session->is_idle = true;
    session->idle_until_ms = now(session) + idle_ms;
    session_arm(session);
}

const struct smtp_client_failure *session_failure(const struct session *session)
{
    return &session->client.failure;
}

bool session_is_reusable(const struct session *session)
{
    const struct delivery_settings *settings = &session->config->root->delivery;
    uint64_t most = (uint64_t)settings->messages_per_connection;
    if (session->client.mail_max)
        most = MIN(most, session->client.mail_max);
    return !session->is_over && settings->idle_ms > 0 && session->client.messages < most &&
           smtp_client_want(&session->client) == SMTP_WANT_MESSAGE;
}
