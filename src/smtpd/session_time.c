/* When something of a session is due. */
#include "smtpd/session_priv.h"

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

bool session_is_receiving(const struct session *session)
{
    enum smtp_server_state state = session->server.state;
    return state == SMTP_STATE_DATA || state == SMTP_STATE_CHUNKS || state == SMTP_STATE_CHUNK;
}

bool session_is_slow(const struct session *session, int64_t now)
{
    const struct smtpd_settings *settings = session_settings(session);
    int64_t took = now - session->transaction->data_ms, rate = settings->minimum_rate;
    return session_is_receiving(session) && !session->local && rate > 0 && took > settings->rate_grace_ms &&
           (int64_t)session->server.body.octets / (took / 1000) < rate;
}

int64_t session_idle_ms(const struct session *session)
{
    const struct smtpd_settings *settings = session_settings(session);
    bool stranger = !session->account && !session->trusted && !session->transaction;
    return stranger && load_is_crowded(session->smtpd) ? earlier(settings->idle_ms, settings->crowded_idle_ms)
                                                         : settings->idle_ms;
}

int64_t session_next_look(const struct session *session, int64_t now)
{
    const struct smtpd_settings *settings = session_settings(session);
    int64_t due = session->active_ms + session_idle_ms(session);
    if (session->shaking)
        due = earlier(due, session->shakes_ms + settings->handshake_ms);
    if (session->question.token && session->server.waiting != SMTP_EVENT_MORE)
        due = earlier(due, session->asked_ms + SESSION_ASK_MS);
    if (session->waits_store)
        due = earlier(due, session->asked_ms + session_settings(session)->queue_wait_ms);
    if (session->busy_ms)
        due = earlier(due, session->busy_ms + settings->transaction_ms);
    if (session->transaction && session_is_receiving(session) && settings->minimum_rate > 0)
        due = earlier(due, now + settings->rate_grace_ms);
    return MAX(due, now + 1);
}
