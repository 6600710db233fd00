#include "base/log.h"
#include "conf/parse.h"
#include "directory/directory.h"
#include "directory/secret.h"
#include "directory/service.h"
#include "directory/settings.h"
#include "wire/supervisor.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Where a smtpd asks. Before START nobody reads from it: its questions wait in the socket. */
struct door {
    struct list link;
    struct channel *channel;
    struct directory_peer *peer;
    struct role_state *state;
    uint32_t number; /* of the smtpd */
    int fd;          /* until the channel takes it */
};

struct role_state {
    struct loop *loop;
    struct channel *supervisor;
    struct log log;
    int log_fd;
    struct loop_task flush;
    struct conf *conf;  /* the settings last sent */
    struct buf path;    /* of the database */
    struct directory_service *service; /* from START on */
    struct list doors;  /* struct door: smtpd processes */
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
    log_error(&state->log, "directory-failed", LOG_SPAN("why", why));
    supervisor_failed_put(&body, &(struct supervisor_failed){ why });
    channel_send(state->supervisor, SUPERVISOR_FAILED, buf_span(&body));
}

static void door_close(struct door *door)
{
    list_remove(&door->link);
    directory_peer_free(door->peer);
    if (door->channel)
        channel_free(door->channel);
    if (door->fd >= 0)
        close(door->fd);
    free(door);
}

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    struct door *door = arg;
    channel_send(door->channel, kind, body); /* a dead channel says so by on_closed */
}

static void on_question(void *arg, struct channel *channel, struct channel_message *message)
{
    struct door *door = arg;
    struct log *log = &door->state->log;
    uint16_t kind = message->kind;
    enum status status = directory_peer_feed(door->peer, kind, message->body);
    /* The channel's memory held a password until now. */
    if ((kind == ASK_AUTH_START || kind == ASK_AUTH_NEXT) && message->body.n)
        explicit_bzero((char *)message->body.p, message->body.n);
    if (status == STATUS_OK)
        return;
    log_error(log, "peer-broke-format", LOG_STR("peer", "smtpd"), LOG_INT("number", door->number),
              LOG_INT("kind", kind));
    door_close(door);
}

static void on_door_closed(void *arg, struct channel *channel, enum status why)
{
    struct door *door = arg;
    log_debug(&door->state->log, "peer-gone", LOG_STR("peer", "smtpd"), LOG_INT("number", door->number),
              LOG_STR("why", status_text(why)));
    door_close(door);
}

static void door_begin(struct door *door)
{
    static const struct channel_events events = { on_question, on_door_closed };
    door->channel = channel_new(door->state->loop, door->fd, &events, door);
    if (door->channel) {
        door->fd = -1;
        door->peer = directory_peer_new(door->state->service, on_answer, door);
    }
    if (!door->peer) {
        log_error(&door->state->log, "peer-refused", LOG_STR("peer", "smtpd"), LOG_STR("why", "out of memory"));
        door_close(door);
    }
}

static void door_open(struct role_state *state, const struct supervisor_peer *peer, int *fd)
{
    for (LIST_EACH(link, &state->doors)) /* the one before it died */
        if (CONTAINER(link, struct door, link)->number == peer->number)
            door_close(CONTAINER(link, struct door, link));

    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return;
    *door = (struct door){ .state = state, .number = peer->number, .fd = *fd };
    *fd = -1;
    list_add_last(&state->doors, &door->link);
    if (state->service)
        door_begin(door);
}

/* The new settings, if they are good; otherwise the old ones stay. */
static bool take_settings(struct role_state *state, struct span body)
{
    struct supervisor_settings *settings = malloc(sizeof *settings);
    if (!settings || !supervisor_settings_get(body, settings)) {
        free(settings);
        return false;
    }
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    buf_add(&file, settings->file);
    struct conf_faults faults;
    conf_faults_init(&faults, buf_cstr(&file));
    struct conf *conf = conf_parse(&directory_root_section, settings->text, CONF_PARTIAL, &faults);
    free(settings);
    if (conf) {
        conf_free(state->conf);
        state->conf = conf;
    } else {
        fail(state, buf_span(&faults.text));
    }
    conf_faults_done(&faults);
    return conf != NULL;
}

static const struct directory_root *root_of(const struct role_state *state)
{
    return conf_values(state->conf);
}

static struct directory_limits limits_of(const struct directory_settings *settings)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (struct directory_limits){
        .threads = settings->password_threads ? (unsigned)settings->password_threads : (unsigned)MAX(cores, 1L),
        .waiting = (unsigned)settings->password_queue,
        .remember_ms = settings->remember_ms,
    };
}

/* START and RELOAD: what was sent before now holds. */
static void hold(struct role_state *state)
{
    const struct directory_root *root = root_of(state);
    buf_clear(&state->path);
    directory_database_path(root, &state->path);
    state->log.least = (enum log_level)root->common.log.level;
    if (state->service) {
        directory_service_change(state->service, buf_cstr(&state->path), root->accounts.remember_ms);
    } else {
        struct directory_limits limits = limits_of(&root->accounts);
        state->service = directory_service_new(state->loop, &state->log, buf_cstr(&state->path), &limits);
        if (!state->service) {
            fail(state, SPAN("out of memory or threads"));
            leave(state, 1);
            return;
        }
        for (LIST_EACH(link, &state->doors))
            door_begin(CONTAINER(link, struct door, link));
    }
    channel_send(state->supervisor, SUPERVISOR_READY, SPAN_NONE);
}

static void take_log(struct role_state *state, int *fd)
{
    log_flush(&state->log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    state->log_fd = state->log.fd = *fd;
    *fd = -1;
}

static void on_order(void *arg, struct channel *channel, struct channel_message *message)
{
    struct role_state *state = arg;
    struct supervisor_peer peer;
    switch (message->kind) {
    case SUPERVISOR_SETTINGS:
        if (!take_settings(state, message->body) && !state->conf)
            leave(state, 1);
        break;
    case SUPERVISOR_LOG:
        if (message->fd_count)
            take_log(state, &message->fds[0]);
        break;
    case SUPERVISOR_PEER:
        if (message->fd_count && supervisor_peer_get(message->body, &peer) && peer.role == ROLE_SMTPD)
            door_open(state, &peer, &message->fds[0]);
        break;
    case SUPERVISOR_START:
    case SUPERVISOR_RELOAD:
        if (state->conf)
            hold(state);
        break;
    case SUPERVISOR_DRAIN:
        channel_send(state->supervisor, SUPERVISOR_DRAINED, SPAN_NONE);
        channel_flush(state->supervisor);
        leave(state, 0);
        break;
    default: /* listeners and tickets are for others */
        break;
    }
}

static void on_supervisor_gone(void *arg, struct channel *channel, enum status why)
{
    leave(arg, 1); /* another supervisor starts its own directory */
}

static void on_flush(struct loop_task *task)
{
    log_flush(&CONTAINER(task, struct role_state, flush)->log);
}

static void role_done(struct role_state *state)
{
    for (LIST_EACH(link, &state->doors))
        door_close(CONTAINER(link, struct door, link));
    directory_service_free(state->service);
    channel_free(state->supervisor);
    conf_free(state->conf);
    buf_done(&state->path);
    log_done(&state->log);
    if (state->log_fd >= 0)
        close(state->log_fd);
    loop_hook_remove(&state->flush);
    loop_free(state->loop);
}

int directory_main(void)
{
    static const struct channel_events events = { on_order, on_supervisor_gone };
    struct role_state state = { .loop = loop_new(), .log_fd = -1, .path = BUF_EMPTY(8192) };
    list_init(&state.doors);
    log_init(&state.log, -1, role_name(ROLE_DIRECTORY), LOG_INFO);
    if (!state.loop || secret_init() != STATUS_OK)
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
