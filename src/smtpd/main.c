#include "conf/parse.h"
#include "smtpd/door.h"
#include "smtpd/smtpd.h"
#include "wire/supervisor.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* A listening socket that was sent and waits for START or RELOAD. */
struct waiting_door {
    struct list link;
    uint32_t index;
    int fd;
};

struct role_state {
    struct smtpd smtpd;
    struct channel *supervisor;
    struct loop_task flush;
    struct loop_timer deadline;  /* of a drain */
    int log_fd;
    struct buf settings;         /* body of the SETTINGS that waits for START or RELOAD */
    unsigned char ticket_secret[TLS_TICKET_SECRET];
    size_t ticket_secret_n;
    struct list waiting_doors;
    struct doors doors;
    int exit_status;
};

#define STATE(member_of_smtpd) CONTAINER((member_of_smtpd), struct role_state, smtpd)

static void leave(struct role_state *state, int exit_status)
{
    state->exit_status = exit_status;
    loop_stop(state->smtpd.loop);
}

static void fail(struct role_state *state, struct span why)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1u << 16);
    log_error(&state->smtpd.log, "smtpd-failed", LOG_SPAN("why", why));
    supervisor_failed_put(&body, &(struct supervisor_failed){ why });
    channel_send(state->supervisor, SUPERVISOR_FAILED, buf_span(&body));
}

static void drop_waiting_doors(struct role_state *state)
{
    for (struct list *link; (link = list_take_first(&state->waiting_doors)) != NULL;) {
        struct waiting_door *door = CONTAINER(link, struct waiting_door, link);
        if (door->fd >= 0)
            close(door->fd);
        free(door);
    }
}

static enum status open_doors(struct role_state *state, struct smtpd_config *config, struct doors *fresh)
{
    for (LIST_EACH(link, &state->waiting_doors)) {
        struct waiting_door *door = CONTAINER(link, struct waiting_door, link);
        int fd = door->fd;
        door->fd = -1;
        enum status status = doors_open(fresh, &state->smtpd, config, door->index, fd);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void mechanisms_to_all(void *arg, struct span names)
{
    struct role_state *state = arg;
    smtpd_config_set_mechanisms(&state->smtpd.configs, names);
}

/* START and RELOAD: what was sent before now holds; or all of it is refused and the old stays. */
static void hold(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    AUTO(buf_done) struct buf why = BUF_EMPTY(1u << 16);
    struct doors fresh;
    doors_init(&fresh);
    struct smtpd_config *config = smtpd_config_new(buf_span(&state->settings),
                                                   span_of(state->ticket_secret, state->ticket_secret_n),
                                                   &smtpd->configs, &why);
    enum status status = config ? open_doors(state, config, &fresh) : STATUS_SYNTAX;
    drop_waiting_doors(state);
    buf_wipe(&state->settings); /* keys lie in it */
    if (status != STATUS_OK) {
        fail(state, why.n ? buf_span(&why) : span_str(status_text(status)));
        doors_close(&fresh);
        smtpd_config_unref(config);
        if (!smtpd->config)
            leave(state, 1);
        return;
    }
    smtpd_config_unref(smtpd->config);
    smtpd->config = config;
    doors_replace(&state->doors, &fresh);
    smtpd->log.least = (enum log_level)config->root->common.log.level;
    mechanisms_to_all(state, asking_mechanisms(&smtpd->asking));
    channel_send(state->supervisor, SUPERVISOR_READY, SPAN_NONE);
}

/* -- going down -- */

static void leave_if_empty(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    if (!smtpd->draining || smtpd->session_count > 0 || smtpd->storing > 0)
        return;
    if (smtpd->store.queue)
        channel_flush(smtpd->store.queue); /* what was accepted is announced */
    channel_send(state->supervisor, SUPERVISOR_DRAINED, SPAN_NONE);
    channel_flush(state->supervisor);
    leave(state, 0);
}

static void on_session_end(struct smtpd *smtpd) { leave_if_empty(STATE(smtpd)); }

static void on_deadline(struct loop_timer *timer)
{
    struct role_state *state = CONTAINER(timer, struct role_state, deadline);
    sessions_free(&state->smtpd);
    leave_if_empty(state);
}

static void drain(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    doors_close(&state->doors);
    smtpd->draining = true;
    if (smtpd->config)
        loop_timer_set(&state->deadline, smtpd->config->root->common.drain_ms);
    sessions_drain(smtpd);
    leave_if_empty(state);
}

/* -- the supervisor's orders -- */

static void take_log(struct role_state *state, int *fd)
{
    log_flush(&state->smtpd.log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    state->log_fd = state->smtpd.log.fd = *fd;
    *fd = -1;
}

static void take_listener(struct role_state *state, struct channel_message *message)
{
    struct supervisor_listener listener;
    if (message->fd_count != 1 || !supervisor_listener_get(message->body, &listener))
        return;
    struct waiting_door *door = calloc(1, sizeof *door);
    if (!door)
        return;
    *door = (struct waiting_door){ .index = listener.index, .fd = message->fds[0] };
    message->fds[0] = -1;
    list_add_last(&state->waiting_doors, &door->link);
}

static void take_peer(struct role_state *state, struct channel_message *message)
{
    struct supervisor_peer peer;
    if (message->fd_count != 1 || !supervisor_peer_get(message->body, &peer))
        return;
    if (peer.role != ROLE_QUEUE && peer.role != ROLE_DIRECTORY)
        return;
    int fd = message->fds[0];
    message->fds[0] = -1;
    if (peer.role == ROLE_QUEUE)
        store_connect(&state->smtpd.store, fd);
    else
        asking_connect(&state->smtpd.asking, fd);
}

static void take_tickets(struct role_state *state, struct span body)
{
    struct supervisor_tickets tickets;
    if (!supervisor_tickets_get(body, &tickets) || tickets.count == 0)
        return;
    memcpy(state->ticket_secret, tickets.keys[0], sizeof state->ticket_secret);
    state->ticket_secret_n = sizeof state->ticket_secret;
}

static void on_order(void *arg, struct channel *channel, struct channel_message *message)
{
    struct role_state *state = arg;
    switch (message->kind) {
    case SUPERVISOR_SETTINGS:
        buf_wipe(&state->settings);
        buf_add(&state->settings, message->body);
        break;
    case SUPERVISOR_LISTENER: take_listener(state, message); break;
    case SUPERVISOR_PEER: take_peer(state, message); break;
    case SUPERVISOR_TICKETS: take_tickets(state, message->body); break;
    case SUPERVISOR_LOG:
        if (message->fd_count)
            take_log(state, &message->fds[0]);
        break;
    case SUPERVISOR_START:
    case SUPERVISOR_RELOAD:
        if (!state->smtpd.draining)
            hold(state);
        break;
    case SUPERVISOR_DRAIN: drain(state); break;
    default: break;
    }
}

static void on_supervisor_gone(void *arg, struct channel *channel, enum status why)
{
    leave(arg, 1); /* another supervisor starts its own */
}

/* -- the store's news -- */

static void on_ending(void *arg) { sessions_lose_bodies(&((struct role_state *)arg)->smtpd); }
static void on_ended(void *arg) { bigs_forget(&((struct role_state *)arg)->smtpd); }
static void on_idle(void *arg) { leave_if_empty(arg); }

/* -- the process -- */

static void on_flush(struct loop_task *task)
{
    log_flush(&CONTAINER(task, struct role_state, flush)->smtpd.log);
}

static void role_init(struct role_state *state)
{
    static const struct store_events store_events = { on_ending, on_ended, on_idle };
    struct smtpd *smtpd = &state->smtpd;
    log_init(&smtpd->log, -1, role_name(ROLE_SMTPD), LOG_INFO);
    list_init(&smtpd->configs);
    list_init(&smtpd->sessions);
    list_init(&smtpd->spare);
    list_init(&smtpd->given_up);
    list_init(&state->waiting_doors);
    doors_init(&state->doors);
    smtpd->on_session_end = on_session_end;
    asking_init(&smtpd->asking, smtpd->loop, &smtpd->log, mechanisms_to_all, state);
    store_init(&smtpd->store, smtpd->loop, &smtpd->log, &store_events, state);
    loop_timer_init(smtpd->loop, &state->deadline, on_deadline);
    loop_hook_add(smtpd->loop, &state->flush, on_flush);
}

static void role_done(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    doors_close(&state->doors);
    drop_waiting_doors(state);
    sessions_free(smtpd);
    store_done(&smtpd->store);
    bigs_forget(smtpd);
    transactions_done(smtpd);
    asking_done(&smtpd->asking);
    clients_done(&smtpd->clients);
    smtpd_config_unref(smtpd->config);
    channel_free(state->supervisor);
    buf_wipe(&state->settings);
    log_done(&smtpd->log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    loop_timer_stop(&state->deadline);
    loop_hook_remove(&state->flush);
    loop_free(smtpd->loop);
}

int smtpd_main(void)
{
    static const struct channel_events events = { on_order, on_supervisor_gone };
    struct role_state state = { .smtpd.loop = loop_new(), .log_fd = -1, .settings = BUF_EMPTY(CHANNEL_BODY_MAX) };
    if (!state.smtpd.loop)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    role_init(&state);
    state.supervisor = channel_new(state.smtpd.loop, SUPERVISOR_FD, &events, &state);
    if (!state.supervisor)
        return 1;
    loop_run(state.smtpd.loop);
    role_done(&state);
    return state.exit_status;
}
