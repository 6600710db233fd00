#include "smtpd/session_priv.h"
#include "base/time.h"
#include "net/proxy.h"
#include "smtpd/local.h"
#include <stdlib.h>
#include <unistd.h>

#define OUT_KEPT 2048                       /* octets of the reply buffer that an idle session keeps */

static const struct stream_events stream_events;

/* -- log -- */

void session_log_refused(struct session *session, const char *stage, struct span recipient, unsigned code, struct span text)
{
    const struct transaction *transaction = session->transaction;
    if (!load_may_tell(session))
        return;
    log_info(session->smtpd->log, "refused", LOG_STR("at", stage), LOG_INT("code", code), LOG_SPAN("text", text),
             LOG_SPAN("from", transaction ? intake_sender_of(&transaction->intake) : SPAN_NONE), LOG_SPAN("to", recipient),
             LOG_STR("client", session->address), LOG_SPAN("account", session_account(session)));
}

void session_refuse(struct session *session, const char *stage, struct span recipient, unsigned code,
                    struct status_code status, struct span text)
{
    session_log_refused(session, stage, recipient, code, text);
    smtp_server_answer(&session->server, code, status, text);
}

void session_refuse_store(struct session *session, const char *stage, enum status status)
{
    if (status == STATUS_DENIED)
        session_refuse(session, stage, SPAN_NONE, 451, STATUS_CODE(4, 3, 0), SPAN("The queue is away; try again later"));
    else
        session_refuse(session, stage, SPAN_NONE, 452, STATUS_CODE(4, 3, 1), SPAN("No room for mail now; try again later"));
}

/* -- the end -- */

/* What is on its way to the disk goes on without us (message.c ends it); everything else is dropped. */
static void leave_transaction(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction && transaction->storing) {
        buf_clear(&transaction->waiting);
        buf_add(&transaction->waiting, session_account(session)); /* for the log, and the limits */
        transaction->credential = session->credential;
        transaction->session = NULL;
        session->transaction = NULL;
    } else
        transaction_end(transaction);
}

/* The session is freed at the end of this turn: whoever calls us may still hold it. */
static void finish(struct session *session, const char *why)
{
    if (session->over)
        return;
    log_debug(session->smtpd->log, "disconnected", LOG_STR("client", session->address), LOG_STR("why", why));
    session->over = true;
    session->waits_store = false;
    asking_cancel(&session->smtpd->asking, &session->question);
    leave_transaction(session);
    loop_timer_stop(&session->timer);
    loop_later(&session->gone);
}

static void session_free(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    asking_cancel(&smtpd->asking, &session->question);
    leave_transaction(session);
    stream_free(session->stream);
    session->stream = NULL;
    loop_timer_stop(&session->timer);
    loop_task_cancel(&session->gone);
    smtpd->session_count--;
    load_session_ends(session);
    clients_leave(&smtpd->clients, session->client);
    list_remove(&session->link);
    smtp_server_done(&session->server);
    local_free(session->local);
    smtpd_config_unref(session->config);
    free(session->account);
    free(session);
    transactions_tidy_later(smtpd);
    smtpd->on_session_end(smtpd);
}

static void on_gone(struct loop_task *task) { session_free(CONTAINER(task, struct session, gone)); }

/* What was said is still sent; the client may be talking yet. */
static void hang_up(struct session *session, const char *why)
{
    if (session->stream)
        stream_close_linger(session->stream);
    session->stream = NULL;
    finish(session, why);
}

void session_cut(struct session *session, const char *why)
{
    stream_free(session->stream);
    session->stream = NULL;
    finish(session, why);
}

static void flush(struct session *session)
{
    struct buf *out = &session->server.out;
    if (out->n == 0 && !out->failed)
        return;
    enum status status = out->failed ? STATUS_FULL : stream_write(session->stream, buf_span(out));
    buf_clear(out);
    if (out->room > OUT_KEPT)
        buf_done(out);
    if (status != STATUS_OK) {
        stream_free(session->stream);
        session->stream = NULL;
        finish(session, "its replies could not be written");
    }
}

/* -- time -- */

static void look_at(struct session *session, int64_t due_ms)
{
    session->look_ms = due_ms;
    loop_timer_set(&session->timer, due_ms - loop_now_ms(session->smtpd->loop));
}

static void set_timer(struct session *session) { look_at(session, session_next_look(session, loop_now_ms(session->smtpd->loop))); }

/* The timer is looked at when it fires, not moved with every octet; only what is due sooner than that moves it. */
static void hurry_timer(struct session *session)
{
    int64_t due = session_next_look(session, loop_now_ms(session->smtpd->loop));
    if (!session->over && due < session->look_ms)
        look_at(session, due);
}

static void close_late(struct session *session, struct status_code status, const char *text)
{
    if (load_may_tell(session))
        log_info(session->smtpd->log, "timed-out", LOG_STR("client", session->address),
                 LOG_STR("while", session->shaking ? "the TLS handshake" : smtp_server_phrase(&session->server)),
                 LOG_STR("why", text));
    tally_more(&session->smtpd->tally, TALLY_LATE, 1);
    if (session->greeted && !session->shaking) {
        smtp_server_shut(&session->server, status, span_str(text));
        flush(session);
    }
    hang_up(session, "too slow");
}

static void greet(struct session *session);

static void on_due(struct loop_timer *timer)
{
    struct session *session = CONTAINER(timer, struct session, timer);
    const struct smtpd_settings *settings = session_settings(session);
    int64_t now = loop_now_ms(session->smtpd->loop);
    struct smtp_server *server = &session->server;
    bool ours = server->waiting != SMTP_EVENT_MORE || session->stalled; /* we owe an answer, not the client */
    if (!session->greeted && !session->shaking && !session->proxy && now < session->active_ms + session_idle_ms(session)) {
        greet(session);
        return;
    }
    if (session->shaking && now >= session->shakes_ms + settings->handshake_ms) {
        close_late(session, STATUS_CODE(4, 4, 2), "The TLS handshake took too long");
        return;
    }
    if (session->waits_store) {
        session_on_store(session);
    } else if (ours && session->question.token && now >= session->asked_ms + SESSION_ASK_MS) {
        asking_cancel(&session->smtpd->asking, &session->question);
        session->question.on_answer(&session->question, &(struct answer){ .kind = ANSWER_AWAY });
    } else if (!ours && now >= session->active_ms + session_idle_ms(session)) {
        close_late(session, STATUS_CODE(4, 4, 2), "Nothing came for too long");
        return;
    } else if (!ours && session->busy_ms && now >= session->busy_ms + settings->transaction_ms) {
        close_late(session, STATUS_CODE(4, 4, 2), "The message took too long");
        return;
    } else if (!ours && session->transaction && session_is_slow(session, now)) {
        close_late(session, STATUS_CODE(4, 4, 2), "The message comes too slowly");
        return;
    }
    if (!session->over)
        set_timer(session);
}

void session_on_store(struct session *session)
{
    if (!session->waits_store || session->over)
        return;
    envelope_begin(session);
    session_go_on(session);
}

/* -- events -- */

static void on_question_answer(struct question *question, const struct answer *answer)
{
    struct session *session = CONTAINER(question, struct session, question);
    switch (session->server.waiting) {
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE: login_on_answer(session, answer); break;
    case SMTP_EVENT_MAIL: envelope_on_sender_answer(session, answer); break;
    case SMTP_EVENT_RCPT: envelope_on_recipient_answer(session, answer); break;
    case SMTP_EVENT_END: message_on_author_answer(session, answer); break;
    default: return; /* directory died between two steps of a login: the next step finds out */
    }
    session_go_on(session);
}

static void on_close(struct session *session, enum smtp_close why)
{
    flush(session);
    if (session->over)
        return;
    if (why == SMTP_CLOSE_QUIT) { /* it has said its last word: nothing to wait for */
        stream_close(session->stream);
        session->stream = NULL;
    }
    hang_up(session, smtp_close_text(why));
}

/* Not 454, after which some go on in clear. */
static void on_starttls(struct session *session)
{
    if (load_may_shake(session)) {
        smtp_server_accept(&session->server);
        return;
    }
    load_note_away(session->smtpd, session->address, REFUSAL_HANDSHAKES);
    smtp_server_answer(&session->server, 421, load_refusal_status(REFUSAL_HANDSHAKES), load_refusal_text(REFUSAL_HANDSHAKES));
}

/* Acts on one event. False: nothing more at present. */
static bool act(struct session *session, const struct smtp_server_event *event)
{
    switch (event->kind) {
    case SMTP_EVENT_MORE:
    case SMTP_EVENT_PAUSED: return false;
    case SMTP_EVENT_STARTTLS: on_starttls(session); break;
    case SMTP_EVENT_AUTH: session->secret = true; login_on_auth(session, event); break;
    case SMTP_EVENT_AUTH_RESPONSE: session->secret = true; login_on_response(session, event); break;
    case SMTP_EVENT_AUTH_CANCEL: asking_cancel(&session->smtpd->asking, &session->question); break;
    case SMTP_EVENT_LOCAL: local_on_said(session, event->octets); break;
    case SMTP_EVENT_MAIL: session->busy_ms = 0; stream_set_bulk(session->stream, false); envelope_on_mail(session, &event->mail); break;
    case SMTP_EVENT_RCPT: envelope_on_rcpt(session, &event->rcpt); break;
    case SMTP_EVENT_DATA: message_on_data(session); break;
    case SMTP_EVENT_BODY: message_on_body(session, event->octets); break;
    case SMTP_EVENT_END: message_on_end(session); break;
    case SMTP_EVENT_DROP: transaction_end(session->transaction); break;
    case SMTP_EVENT_CLOSE: on_close(session, event->why); return false;
    }
    return true;
}

/* The 220 has been said and the client said nothing more: now it is TLS's turn. With the certificate of the day, whatever
 * this session began with: directory keeps older keys only for a while. */
static void start_tls(struct session *session)
{
    flush(session);
    if (session->over)
        return;
    if (!load_shake_begin(session)) {
        hang_up(session, "too many TLS handshakes");
        return;
    }
    hurry_timer(session);
    if (stream_start_tls_server(session->stream, session->smtpd->config->tls) != STATUS_OK)
        hang_up(session, "octets in clear behind STARTTLS, or no memory");
}

/* Octets that have become nothing yet, like those of half a command, are no sign of life. A message is on its way also
 * while its octets are read for nothing. */
static void note_progress(struct session *session, bool used)
{
    int64_t now = loop_now_ms(session->smtpd->loop);
    if (used)
        session->active_ms = now;
    if (!smtp_server_in_transaction(&session->server))
        session->busy_ms = 0;
    else if (session->busy_ms == 0)
        session->busy_ms = now;
}

static void run(struct session *session)
{
    if (session->running || session->stalled || session->over)
        return; /* running: an answer given inside an event's handler; the loop below goes on by itself */
    session->running = true;
    struct span all = stream_input(session->stream), in = all;
    struct smtp_server_event event;
    bool more = true;
    while (more && !session->stalled && !session->over) {
        smtp_server_next(&session->server, &in, &event);
        more = act(session, &event);
    }
    session->running = false;
    if (session->over)
        return;
    if (session->secret)
        stream_wipe(session->stream, all.n - in.n);
    session->secret = false;
    stream_consume(session->stream, all.n - in.n);
    note_progress(session, in.n < all.n);
    if (event.kind != SMTP_EVENT_MORE)
        return; /* replies wait for the rest of their group */
    if (session->server.state == SMTP_STATE_TLS && !session->shaking) {
        start_tls(session);
        return;
    }
    bool going_down = session->smtpd->draining && smtp_server_is_idle(&session->server);
    if (going_down)
        smtp_server_shut(&session->server, STATUS_CODE(4, 3, 2), SPAN("Going down; come back soon"));
    flush(session);
    if ((going_down || session->ended) && !session->over)
        hang_up(session, going_down ? "going down" : "the client closed");
}

void session_go_on(struct session *session)
{
    session->active_ms = loop_now_ms(session->smtpd->loop);
    if (session->running || session->over || session->shaking)
        return;
    run(session);
    hurry_timer(session);
}

/* -- the stream -- */

static void set_offers(struct session *session)
{
    const struct smtpd_settings *settings = session_settings(session);
    if (session->local) {
        session->server.offers = SMTP_OFFER_LOCAL;
        return;
    }
    bool tls = stream_tls(session->stream) != NULL;
    bool can_tls = !tls && session->listen->tls == CONF_LISTEN_STARTTLS && session->config->tls;
    bool can_login = tls || settings->login_without_tls;
    bool submission = session_is_submission(session);
    session->server.offers = (can_tls ? SMTP_OFFER_TLS : 0u) | (can_login ? SMTP_OFFER_AUTH : 0u) |
                             (submission && can_tls && !can_login ? SMTP_NEED_TLS : 0u) |
                             (submission ? SMTP_NEED_LOGIN : 0u) | (stream_tls_can_bind(session->stream) ? SMTP_OFFER_PLUS : 0u);
}

static void greet(struct session *session)
{
    session->greeted = true;
    set_offers(session);
    smtp_server_greet(&session->server, session->local ? 0 : stream_input(session->stream).n);
    session_go_on(session);
    if (!session->over)
        set_timer(session);
}

void session_on_local(struct session *session) { greet(session); }
static bool waits_for_name(const struct session *session) { return session->local && session->local->token; }

/* Greets now, or a little later where talking early gives a robot away. */
static void greet_soon(struct session *session)
{
    int64_t delay = session_settings(session)->greeting_delay_ms;
    if (session_is_submission(session) || session->trusted || delay == 0)
        greet(session);
    else
        look_at(session, loop_now_ms(session->smtpd->loop) + delay);
}

static void set_client(struct session *session, const struct net_address *peer)
{
    char text[NET_ADDRESS_TEXT];
    net_address_ip_text(peer, text);
    struct span shown = span_head(span_str(text), sizeof session->address - 1);
    memcpy(session->address, shown.p, shown.n);
    session->address[shown.n] = 0;
    session->has_ip = conf_ip_from(&peer->as.any, &session->ip);
    session->trusted = session->has_ip && !session_is_submission(session) &&
                       conf_networks_have(&session->config->root->relay.networks, &session->ip);
}

/* Everything in front of SMTP is done. `input`: what has arrived already is TLS. */
static void open_door(struct session *session, bool input)
{
    log_debug(session->smtpd->log, "connected", LOG_STR("client", session->address),
              LOG_STR("service", session_is_submission(session) ? "submission" : "relay"));
    if (session->listen->tls != CONF_LISTEN_IMPLICIT) {
        greet_soon(session);
        return;
    }
    enum status status = STATUS_DENIED;
    if (session->config->tls && !load_shake_begin(session)) {
        load_note_away(session->smtpd, session->address, REFUSAL_HANDSHAKES);
        session_cut(session, "too many TLS handshakes");
        return;
    }
    hurry_timer(session);
    if (session->config->tls)
        status = input ? stream_start_tls_server_with_input(session->stream, session->config->tls)
                       : stream_start_tls_server(session->stream, session->config->tls);
    if (status != STATUS_OK)
        hang_up(session, "TLS could not be started");
}

/* The proxy was not counted at the door; whom it speaks for is. False: it is one too many. */
static bool count_proxied(struct session *session, const struct net_address *peer)
{
    struct smtpd *smtpd = session->smtpd;
    if (!session->has_ip)
        return true;
    enum refusal why = clients_enter(&smtpd->clients, net_address_octets(peer), smtpd_config_limits(session->config, &session->ip),
                                     loop_now_ms(smtpd->loop), &session->client);
    if (why == REFUSAL_NONE)
        return true;
    load_note_away(smtpd, session->address, why);
    if (session->listen->tls != CONF_LISTEN_IMPLICIT) {
        smtp_server_turn_away(&session->server, 421, load_refusal_status(why), load_refusal_text(why));
        flush(session);
    }
    hang_up(session, "too many connections");
    return false;
}

static void on_proxy(struct session *session, struct span input)
{
    struct span in = input;
    struct proxy_header header;
    enum status status = proxy_header_take(&in, &header);
    if (status == STATUS_AGAIN)
        return;
    if (status != STATUS_OK) {
        if (load_may_tell(session))
            log_warning(session->smtpd->log, "proxy-refused", LOG_STR("client", session->address),
                        LOG_STR("why", "no PROXY header from a listed proxy"));
        hang_up(session, "no PROXY header");
        return;
    }
    session->proxy = false;
    stream_consume(session->stream, input.n - in.n);
    bool known = !header.local && header.client.n > 0;
    if (known)
        set_client(session, &header.client);
    else
        session->trusted = false; /* the proxy's own address says nothing about whom it speaks for */
    if (!known || count_proxied(session, &header.client))
        open_door(session, true);
}

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct session *session = arg;
    if (session->over || waits_for_name(session))
        return;
    if (session->proxy)
        on_proxy(session, input);
    else if (!session->greeted)
        greet(session); /* it spoke first; the greeting says so */
    else {
        run(session);
        hurry_timer(session);
    }
}

static void on_drained(void *arg, struct stream *stream)
{
    struct session *session = arg;
    session->active_ms = loop_now_ms(session->smtpd->loop);
}

static void on_tls(void *arg, struct stream *stream)
{
    struct session *session = arg;
    const struct tls_info *info = stream_tls(stream);
    load_shake_end(session);
    session->active_ms = loop_now_ms(session->smtpd->loop);
    log_debug(session->smtpd->log, "tls", LOG_STR("client", session->address), LOG_STR("version", info->version),
              LOG_STR("cipher", info->cipher), LOG_BOOL("resumed", info->resumed), LOG_STR("name", info->peer_name));
    if (session->greeted) { /* STARTTLS: nothing from before holds, not even a login */
        smtp_server_secured(&session->server);
        free(session->account);
        session->account = NULL;
        session->account_n = 0;
        set_offers(session);
        return;
    }
    smtp_server_set_secured(&session->server);
    greet(session);
}

static void on_end(void *arg, struct stream *stream, enum status why)
{
    struct session *session = arg;
    if (why == STATUS_DENIED && load_may_tell(session))
        log_info(session->smtpd->log, "tls-failed", LOG_STR("client", session->address),
                 LOG_STR("why", stream_tls_failure(stream)));
    bool owed = session->server.waiting != SMTP_EVENT_MORE || session->stalled;
    if (why == STATUS_CLOSED && (owed || waits_for_name(session)) && !session->over) {
        session->ended = true; /* only half closed, perhaps: it may still read our answer */
        return;
    }
    if (why == STATUS_CLOSED) {
        hang_up(session, "the client closed");
        return;
    }
    stream_free(session->stream);
    session->stream = NULL;
    finish(session, status_text(why));
}

static const struct stream_events stream_events = { on_readable, on_drained, on_tls, on_end };

/* -- the beginning -- */

void session_begin(struct smtpd *smtpd, struct smtpd_config *config, const struct conf_listen *listen, int fd,
                   const struct net_address *peer, struct client *client)
{
    struct session *session = calloc(1, sizeof *session);
    struct stream *stream = session ? stream_new(smtpd->loop, fd, &stream_events, session) : NULL;
    if (!stream) {
        free(session);
        close(fd);
        clients_leave(&smtpd->clients, client);
        return;
    }
    *session = (struct session){ .smtpd = smtpd, .config = smtpd_config_ref(config), .listen = listen, .stream = stream,
                                 .client = client, .question.on_answer = on_question_answer };
    list_init(&session->in_shaking);
    list_add_last(&smtpd->sessions, &session->link);
    smtpd->session_count++;
    bool local = peer->as.any.sa_family == AF_UNIX;
    smtp_server_init(&session->server, local ? &config->smtp_local : &config->smtp, 0);
    loop_timer_init(smtpd->loop, &session->timer, on_due);
    loop_task_init(smtpd->loop, &session->gone, on_gone);
    session->active_ms = loop_now_ms(smtpd->loop);
    set_client(session, peer);
    load_take(session, LOAD_SESSION_OCTETS);
    tally_more(&smtpd->tally, TALLY_ACCEPTED, 1);
    look_at(session, session->active_ms + session_idle_ms(session));
    session->proxy = session->has_ip && conf_networks_have(&listen->proxy_from, &session->ip);
    if (local && !local_begin(session, fd))
        session_cut(session, "nobody says who it is");
    else if (!session->proxy && !local)
        open_door(session, false);
}

void sessions_drain(struct smtpd *smtpd)
{
    smtpd->draining = true;
    for (LIST_EACH(link, &smtpd->sessions)) {
        struct session *session = CONTAINER(link, struct session, link);
        bool waits = session->greeted && !session->shaking && !session->over;
        if (waits && smtp_server_is_idle(&session->server))
            run(session);
        else if (!session->greeted)
            hang_up(session, "going down");
    }
}

void sessions_hurry(struct smtpd *smtpd)
{
    for (LIST_EACH(link, &smtpd->sessions)) {
        struct session *session = CONTAINER(link, struct session, link);
        if (!session->over && loop_timer_runs(&session->timer))
            hurry_timer(session);
    }
}

void sessions_store_ready(struct smtpd *smtpd)
{
    for (LIST_EACH(link, &smtpd->sessions))
        session_on_store(CONTAINER(link, struct session, link));
}

void sessions_free(struct smtpd *smtpd)
{
    for (struct list *link; (link = list_first(&smtpd->sessions)) != NULL;)
        session_free(CONTAINER(link, struct session, link));
}

void sessions_lose_bodies(struct smtpd *smtpd)
{
    for (LIST_EACH(link, &smtpd->sessions)) {
        struct session *session = CONTAINER(link, struct session, link);
        if (session->transaction && session->transaction->big && !session->over)
            big_lose(session->transaction);
    }
}
