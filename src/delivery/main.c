#include "delivery/delivery.h"
#include "wire/supervisor.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct role_state {
    struct loop *loop;
    struct channel *supervisor;
    struct log log;
    int log_fd;
    struct loop_task flush;
    struct delivery_config *next;  /* sent, and in force with START or RELOAD */
    struct delivery delivery;
    bool is_started;
    int queue_fd;                  /* that came before START */
    int exit_status;
};

static void leave(struct role_state *state, int exit_status)
{
    state->exit_status = exit_status;
    loop_stop(state->loop);
}

static void fail(struct role_state *state, struct span why)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1u << 16);
    log_error(&state->log, "delivery-failed", LOG_SPAN("why", why));
    supervisor_failed_put(&body, &(struct supervisor_failed){ why });
    channel_send(state->supervisor, SUPERVISOR_FAILED, buf_span(&body));
}

/* The path of the authorities' file, when the settings name one: its content came along. */
static struct span find_trust(const struct supervisor_settings *settings, struct conf_faults *faults)
{
    struct conf *conf = conf_parse(&delivery_root_section, settings->text, CONF_PARTIAL, faults);
    if (!conf)
        return SPAN_NONE;
    const struct delivery_root *root = conf_values(conf);
    struct span trust = SPAN_NONE;
    if (root->delivery.trust.n)
        trust = supervisor_settings_blob(settings, root->delivery.trust);
    conf_free(conf);
    return trust;
}

static bool take_settings(struct role_state *state, struct span body)
{
    struct supervisor_settings *settings = malloc(sizeof *settings);
    if (!settings || !supervisor_settings_get(body, settings)) {
        free(settings);
        fail(state, SPAN("the settings cannot be read"));
        return false;
    }
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    buf_add(&file, settings->file);
    struct conf_faults faults;
    conf_faults_init(&faults, buf_cstr(&file));
    struct delivery_config *config = NULL;
    struct span trust = find_trust(settings, &faults);
    enum status status = faults.count ? STATUS_SYNTAX
                                      : delivery_config_new(state->loop, settings->text, trust, &faults, &config);
    free(settings);
    if (status == STATUS_OK) {
        delivery_config_unref(state->next);
        state->next = config;
    } else {
        fail(state, faults.text.n ? buf_span(&faults.text) : span_str(status_text(status)));
    }
    conf_faults_done(&faults);
    return status == STATUS_OK;
}

/* START and RELOAD: what was sent before now holds. */
static void hold(struct role_state *state)
{
    if (state->next) {
        state->log.least = (enum log_level)state->next->root->common.log.level;
        if (state->is_started)
            delivery_set_config(&state->delivery, state->next);
        else
            delivery_init(&state->delivery, state->loop, &state->log, state->next);
        state->is_started = true;
        state->next = NULL;
    }
    if (!state->is_started)
        return;
    if (state->queue_fd >= 0)
        delivery_set_queue(&state->delivery, state->queue_fd);
    state->queue_fd = -1;
    channel_send(state->supervisor, SUPERVISOR_READY, SPAN_NONE);
}

static void take_queue(struct role_state *state, int *fd)
{
    if (state->is_started) {
        delivery_set_queue(&state->delivery, *fd);
    } else {
        if (state->queue_fd >= 0)
            close(state->queue_fd);
        state->queue_fd = *fd;
    }
    *fd = -1;
}

static void take_log(struct role_state *state, int *fd)
{
    log_flush(&state->log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    state->log_fd = state->log.fd = *fd;
    *fd = -1;
}

static void on_drained(void *arg)
{
    struct role_state *state = arg;
    if (state->delivery.queue)
        channel_flush(state->delivery.queue);
    channel_send(state->supervisor, SUPERVISOR_DRAINED, SPAN_NONE);
    channel_flush(state->supervisor);
    leave(state, 0);
}

static void on_order(void *arg, struct channel *channel, struct channel_message *message)
{
    struct role_state *state = arg;
    struct supervisor_peer peer;
    switch (message->kind) {
    case SUPERVISOR_SETTINGS:
        if (!take_settings(state, message->body) && !state->is_started)
            leave(state, 1);
        break;
    case SUPERVISOR_LOG:
        if (message->fd_count)
            take_log(state, &message->fds[0]);
        break;
    case SUPERVISOR_PEER:
        if (message->fd_count && supervisor_peer_get(message->body, &peer) && peer.role == ROLE_QUEUE)
            take_queue(state, &message->fds[0]);
        break;
    case SUPERVISOR_START:
    case SUPERVISOR_RELOAD: hold(state); break;
    case SUPERVISOR_DRAIN:
        if (state->is_started)
            delivery_drain(&state->delivery, on_drained, state);
        else
            on_drained(state);
        break;
    default: /* listeners and tickets are for others */
        break;
    }
}

static void on_supervisor_gone(void *arg, struct channel *channel, enum status why)
{
    leave(arg, 1); /* another supervisor starts its own */
}

static void on_flush(struct loop_task *task)
{
    log_flush(&CONTAINER(task, struct role_state, flush)->log);
}

static void role_done(struct role_state *state)
{
    if (state->is_started)
        delivery_done(&state->delivery);
    delivery_config_unref(state->next);
    if (state->queue_fd >= 0)
        close(state->queue_fd);
    channel_free(state->supervisor);
    loop_turn(state->loop, 0); /* what was to be freed later */
    log_done(&state->log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    loop_hook_remove(&state->flush);
    loop_free(state->loop);
}

int delivery_main(void)
{
    static const struct channel_events events = { on_order, on_supervisor_gone };
    struct role_state state = { .loop = loop_new(), .log_fd = -1, .queue_fd = -1 };
    log_init(&state.log, -1, role_name(ROLE_DELIVERY), LOG_INFO);
    if (!state.loop)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    loop_hook_add(state.loop, &state.flush, on_flush);
    state.supervisor = channel_new(state.loop, SUPERVISOR_FD, &events, &state);
    if (!state.supervisor)
        return 1;
    loop_run(state.loop);
    role_done(&state);
    return state.exit_status;
}
