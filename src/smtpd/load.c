#include "smtpd/load.h"
#include "base/time.h"
#include "smtpd/session_priv.h"
#include <stdio.h>

#define TELL_EVERY_MS TIME_MINUTE_MS
#define SHAKE_PATIENCE_MS (2 * TIME_SECOND_MS) /* an older handshake makes room for a new one */
#define SHAKING_MANY 8  /* from here on handshakes stand behind sessions; moving them there costs system calls */

/* -- who is turned away -- */

static const struct {
    enum tally_figure figure;
    unsigned char subject, detail;
    const char *text;
} refusals[REFUSALS] = {
#define X(name, figure, status, text) [REFUSAL_##name] = { TALLY_##figure, (status) / 10 % 10, (status) % 10, text },
    REFUSAL_LIST(X)
#undef X
};

struct span load_refusal_text(enum refusal why) { return span_str(refusals[why].text); }

struct status_code load_refusal_status(enum refusal why)
{
    return STATUS_CODE(4, refusals[why].subject, refusals[why].detail);
}

static void tell(struct smtpd *smtpd)
{
    struct load *load = &smtpd->load;
    if (load->away == 0)
        return;
    log_warning(smtpd->log, "turned-away", LOG_STR("client", load->away_client), LOG_STR("why", refusals[load->away_why].text),
                LOG_INT("count", load->away));
    load->away = 0;
    loop_timer_set(&load->tell, TELL_EVERY_MS);
}

static void on_tell(struct loop_timer *timer) { tell(CONTAINER(timer, struct smtpd, load.tell)); }

void load_note_away(struct smtpd *smtpd, const char *client, enum refusal why)
{
    struct load *load = &smtpd->load;
    tally_more(&smtpd->tally, refusals[why].figure, 1);
    load->away++;
    load->away_why = why;
    snprintf(load->away_client, sizeof load->away_client, "%s", client);
    if (!loop_timer_runs(&load->tell))
        tell(smtpd);
}

static void tell_unsaid(struct smtpd *smtpd)
{
    struct load *load = &smtpd->load;
    if (load->unsaid > 0)
        log_warning(smtpd->log, "log-shortened", LOG_INT("lines", load->unsaid),
                    LOG_STR("why", "too many refusals and failures of clients that have not logged in"));
    load->lines = load->unsaid = 0;
}

static void on_minute(struct loop_timer *timer) { tell_unsaid(CONTAINER(timer, struct smtpd, load.minute)); }

bool load_may_tell(const struct session *session)
{
    struct load *load = &session->smtpd->load;
    if (session->account)
        return true;
    if (!loop_timer_runs(&load->minute))
        loop_timer_set(&load->minute, TELL_EVERY_MS);
    if (load->lines < LOAD_LINES)
        load->lines++;
    else
        load->unsaid++;
    return load->unsaid == 0;
}

void load_init(struct smtpd *smtpd)
{
    list_init(&smtpd->load.shaking);
    loop_timer_init(smtpd->loop, &smtpd->load.tell, on_tell);
    loop_timer_init(smtpd->loop, &smtpd->load.minute, on_minute);
}

void load_done(struct smtpd *smtpd)
{
    tell(smtpd);
    tell_unsaid(smtpd);
    loop_timer_stop(&smtpd->load.tell);
    loop_timer_stop(&smtpd->load.minute);
}

/* -- room -- */

static unsigned most_sessions(const struct smtpd *smtpd)
{
    return MIN((unsigned)smtpd->config->root->smtpd.max_connections, smtpd->files.connections);
}

/* Sessions leave half of the memory to messages. */
static bool is_over(const struct smtpd *smtpd, uint64_t octets)
{
    uint64_t most = smtpd->config->max_memory;
    return octets > most / 2 || octets + smtpd->held > most;
}

enum refusal load_may_enter(const struct smtpd *smtpd)
{
    if (smtpd->session_count >= most_sessions(smtpd))
        return REFUSAL_FULL;
    return is_over(smtpd, smtpd->load.octets + LOAD_SESSION_OCTETS) ? REFUSAL_MEMORY : REFUSAL_NONE;
}

bool load_is_crowded(const struct smtpd *smtpd)
{
    return smtpd->session_count >= most_sessions(smtpd) / 4 * 3 || is_over(smtpd, smtpd->load.octets / 3 * 4);
}

void load_take(struct session *session, uint32_t octets)
{
    struct smtpd *smtpd = session->smtpd;
    session->octets += octets;
    smtpd->load.octets += octets;
    tally_set(&smtpd->tally, TALLY_OCTETS, smtpd->load.octets + smtpd->held);
    tally_set(&smtpd->tally, TALLY_SESSIONS, smtpd->session_count);
    bool crowded = load_is_crowded(smtpd);
    if (crowded && !smtpd->load.was_crowded)
        sessions_hurry(smtpd);
    smtpd->load.was_crowded = crowded;
}

void load_session_ends(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    load_shake_end(session);
    smtpd->load.octets -= session->octets;
    session->octets = 0;
    tally_set(&smtpd->tally, TALLY_OCTETS, smtpd->load.octets + smtpd->held);
    tally_set(&smtpd->tally, TALLY_SESSIONS, smtpd->session_count);
}

/* -- handshakes -- */

/* One that takes long makes room: somebody who means it needs a moment only, and whoever does not shall not keep others
 * out. */
static bool make_room(struct smtpd *smtpd)
{
    struct list *first = list_first(&smtpd->load.shaking);
    struct session *oldest = first ? CONTAINER(first, struct session, in_shaking) : NULL;
    if (!oldest || loop_now_ms(smtpd->loop) - oldest->shakes_ms < SHAKE_PATIENCE_MS)
        return false;
    load_shake_end(oldest);
    session_cut(oldest, "another handshake needed its place");
    return true;
}

static bool is_counted(const struct session *session) { return session->client && session->client->counted > 0; }

bool load_may_shake(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    const struct smtpd_settings *settings = session_settings(session);
    const struct client *client = session->client;
    if (is_counted(session) && settings->max_handshakes_per_address > 0 &&
        tally_sum(&smtpd->tally, TALLY_SHAKING, client->name) >= (uint64_t)settings->max_handshakes_per_address)
        return false;
    return tally_figure(&smtpd->tally, TALLY_HANDSHAKES) < (uint64_t)settings->max_handshakes || make_room(smtpd);
}

bool load_shake_begin(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    if (!load_may_shake(session))
        return false;
    load_take(session, LOAD_TLS_OCTETS);
    session->shaking = true;
    session->shakes_ms = loop_now_ms(smtpd->loop);
    session->shake_counted = is_counted(session);
    if (session->shake_counted)
        tally_add(&smtpd->tally, TALLY_SHAKING, session->client->name);
    list_add_last(&smtpd->load.shaking, &session->in_shaking);
    tally_set(&smtpd->tally, TALLY_HANDSHAKES, ++smtpd->load.shaking_count);
    session->is_bulk = smtpd->load.shaking_count > SHAKING_MANY;
    if (session->is_bulk)
        stream_set_bulk(session->stream, true);
    return true;
}

void load_shake_end(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    session->shaking = false;
    if (!list_is_linked(&session->in_shaking))
        return;
    list_remove(&session->in_shaking);
    if (session->shake_counted)
        tally_remove(&smtpd->tally, TALLY_SHAKING, session->client->name);
    tally_set(&smtpd->tally, TALLY_HANDSHAKES, --smtpd->load.shaking_count);
    if (session->is_bulk && session->stream)
        stream_set_bulk(session->stream, false);
    session->is_bulk = false;
}
