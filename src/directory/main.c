#include "base/cores.h"
#include "base/log.h"
#include "conf/parse.h"
#include "directory/backlog.h"
#include "directory/directory.h"
#include "directory/keys.h"
#include "directory/passwd.h"
#include "directory/secret.h"
#include "directory/service.h"
#include "directory/settings.h"
#include "directory/sharing.h"
#include "wire/process.h"
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Where a smtpd asks, or the queue tells. Before START nobody reads from it: its questions wait in the socket. */
struct door {
    struct list link;
    struct channel *channel;
    struct directory_peer *peer;       /* of a smtpd */
    struct directory_backlog *backlog; /* of the queue */
    struct sharing *sharing;           /* of share */
    struct role_state *state;
    enum role role;
    uint32_t number;
    int fd;          /* until the channel takes it */
};

struct role_state {
    struct process process;
    struct conf *conf;  /* the settings last sent */
    struct key_set *next_keys; /* theirs, not yet in force */
    struct buf path;    /* of the database */
    struct buf folders[PASSWD_FILES_MAX]; /* of its files; the lock borrows them */
    struct passwd *passwd;
    struct directory_service *service; /* from START on */
    struct tally tally;
    struct list doors;  /* struct door: smtpd processes, the queue */
};

static void door_close(struct door *door)
{
    list_remove(&door->link);
    directory_peer_free(door->peer);
    directory_backlog_free(door->backlog);
    directory_sharing_free(door->sharing);
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
    struct log *log = &door->state->process.log;
    uint16_t kind = message->kind;
    enum status status = door->peer ? directory_peer_feed(door->peer, kind, message->body)
                         : door->sharing ? directory_sharing_feed(door->sharing, kind, message->body)
                                         : directory_backlog_feed(door->backlog, kind, message->body);
    /* The channel's memory held a password until now. */
    if (door->peer && (kind == ASK_AUTH_START || kind == ASK_AUTH_NEXT) && message->body.n)
        explicit_bzero((char *)message->body.p, message->body.n);
    if (status == STATUS_OK)
        return;
    log_error(log, "peer-broke-format", LOG_STR("peer", role_name(door->role)), LOG_INT("number", door->number),
              LOG_INT("kind", kind));
    door_close(door);
}

static void on_door_closed(void *arg, struct channel *channel, enum status why)
{
    struct door *door = arg;
    log_debug(&door->state->process.log, "peer-gone", LOG_STR("peer", role_name(door->role)), LOG_INT("number", door->number),
              LOG_STR("why", status_text(why)));
    door_close(door);
}

static void door_begin(struct door *door)
{
    static const struct channel_events events = { on_question, on_door_closed };
    door->channel = channel_new(door->state->process.loop, door->fd, &events, door);
    if (door->channel) {
        door->fd = -1;
        if (door->role == ROLE_QUEUE)
            door->backlog = directory_backlog_new(door->state->service, on_answer, door);
        else if (door->role == ROLE_SHARE)
            door->sharing = directory_sharing_new(door->state->service, on_answer, door);
        else
            door->peer = directory_peer_new(door->state->service, on_answer, door);
    }
    if (!door->peer && !door->backlog && !door->sharing) {
        log_error(&door->state->process.log, "peer-refused", LOG_STR("peer", role_name(door->role)), LOG_STR("why", "out of memory"));
        door_close(door);
    }
}

static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    struct role_state *state = arg;
    bool known = peer->role == ROLE_SMTPD || peer->role == ROLE_QUEUE || peer->role == ROLE_SHARE;
    struct door *door = known ? calloc(1, sizeof *door) : NULL;
    if (!door) {
        close(fd);
        return;
    }
    for (LIST_EACH(link, &state->doors)) /* the one before it died */
        if (CONTAINER(link, struct door, link)->number == peer->number && CONTAINER(link, struct door, link)->role == peer->role)
            door_close(CONTAINER(link, struct door, link));
    *door = (struct door){ .state = state, .role = peer->role, .number = peer->number, .fd = fd };
    list_add_last(&state->doors, &door->link);
    if (state->service)
        door_begin(door);
}

/* Before the settings, and once. */
static void on_tally(void *arg, const struct supervisor_tally *tally, int fd)
{
    struct role_state *state = arg;
    if (!state->tally.page && tally_map(fd, tally->processes, tally->place, &state->tally) != STATUS_OK)
        log_warning(&state->process.log, "tally-missing", LOG_STR("why", "logins are not counted for goniec status"));
    close(fd);
}

static bool take_settings(struct role_state *state, const struct supervisor_settings *settings, struct buf *why)
{
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    AUTO(conf_faults_done) struct conf_faults faults;
    buf_add(&file, settings->file);
    conf_faults_init(&faults, buf_cstr(&file));
    struct conf *conf = conf_parse(&directory_root_section, settings->text, CONF_PARTIAL, &faults);
    if (!conf) {
        buf_add(why, buf_span(&faults.text));
        return false;
    }
    const struct directory_root *root = conf_values(conf);
    struct key_set *keys = key_set_new(settings, &root->common.tls, why);
    if (!keys) {
        conf_free(conf);
        return false;
    }
    conf_free(state->conf);
    key_set_free(state->next_keys);
    state->conf = conf;
    state->next_keys = keys;
    return true;
}

/* The new settings, if they are good; otherwise the old ones stay. */
static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf why = BUF_EMPTY(1u << 16);
    bool good = take_settings(state, settings, &why);
    if (!good)
        process_failed(&state->process, buf_span(&why));
    return good;
}

static const struct directory_root *root_of(const struct role_state *state)
{
    return conf_values(state->conf);
}

/* Their folders: who keeps such a file puts a new one in its place. */
static void allow_passwd_files(struct role_state *state, struct lock *lock)
{
    const struct conf_texts *files = &root_of(state)->accounts.passwd_files;
    for (size_t i = 0; i < files->n && i < PASSWD_FILES_MAX; i++) {
        state->folders[i].most = PATH_MAX;
        size_t slash = span_rfind(files->items[i], '/');
        buf_clear(&state->folders[i]);
        buf_add(&state->folders[i], span_head(files->items[i], slash ? slash : 1));
        lock_allow(lock, buf_cstr(&state->folders[i]), LOCK_MAY_READ);
    }
}

/* The accounts and what SQLite puts beside them; files of users; nothing else of the machine. */
static bool on_lock(void *arg, struct lock *lock)
{
    struct role_state *state = arg;
    buf_clear(&state->path);
    directory_database_folder(root_of(state), &state->path);
    lock_allow(lock, buf_cstr(&state->path), LOCK_MAY_READ | LOCK_MAY_WRITE);
    allow_passwd_files(state, lock);
    return root_of(state)->common.locks;
}

static struct directory_limits limits_of(const struct directory_settings *settings)
{
    return (struct directory_limits){
        .threads = settings->password_threads ? (unsigned)settings->password_threads : cores_allowed(),
        .waiting = (unsigned)settings->password_queue,
        .remember_ms = settings->remember_ms,
        .guess = { (unsigned)settings->guesses_per_login, (unsigned)settings->guesses_per_network, settings->longest_pause_ms,
                   (uint8_t)settings->network_ipv4, (uint8_t)settings->network_ipv6 },
        .signers = cores_allowed(),
        .counters = (size_t)settings->limit_memory,
    };
}

static void fail(struct role_state *state, const char *why)
{
    process_failed(&state->process, span_str(why));
    if (!state->service)
        process_leave(&state->process, 1);
}

static bool make_service(struct role_state *state, const struct directory_limits *limits)
{
    state->service = directory_service_new(state->process.loop, &state->process.log, buf_cstr(&state->path), limits);
    if (state->service)
        directory_service_count(state->service, &state->tally);
    if (state->service)
        state->passwd = passwd_new(state->service);
    return state->service && state->passwd;
}

static bool hold_keys(struct role_state *state)
{
    bool good = !state->next_keys || directory_service_set_keys(state->service, state->next_keys) == STATUS_OK;
    key_set_free(state->next_keys);
    state->next_keys = NULL;
    return good;
}

/* START and RELOAD: what was sent before now holds. */
static void on_hold(void *arg)
{
    struct role_state *state = arg;
    const struct directory_root *root = root_of(state);
    bool first = state->service == NULL;
    buf_clear(&state->path);
    directory_database_path(root, &state->path);
    state->process.log.least = (enum log_level)root->common.log.level;
    struct directory_limits limits = limits_of(&root->accounts);
    if (first && !make_service(state, &limits)) {
        fail(state, "out of memory or threads");
        return;
    }
    if (!hold_keys(state)) {
        fail(state, "out of memory");
        return;
    }
    if (!first)
        directory_service_change(state->service, buf_cstr(&state->path), root->accounts.remember_ms);
    directory_service_scram(state->service, (enum directory_scram)root->accounts.scram, (uint32_t)root->accounts.scram_iterations);
    directory_service_limits(state->service, &root->accounts.limits, root->accounts.limit_wait_ms, root->accounts.limit_notices);
    directory_service_guard(state->service, &limits.guess, &root->relay.networks);
    passwd_set(state->passwd, &root->accounts.passwd_files, root->accounts.passwd_domain);
    for (LIST_EACH(link, &state->doors))
        if (!CONTAINER(link, struct door, link)->channel)
            door_begin(CONTAINER(link, struct door, link));
    process_ready(&state->process);
}

static void on_drain(void *arg)
{
    struct role_state *state = arg;
    process_drained(&state->process);
}

int directory_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .peer = on_peer, .tally = on_tally, .lock = on_lock,
                                                  .start = on_hold, .reload = on_hold, .drain = on_drain };
    struct role_state state = { .path = BUF_EMPTY(8192) };
    list_init(&state.doors);
    tzset(); /* before the locks: refusals tell the local time */
    if (secret_init() != STATUS_OK || process_init(&state.process, ROLE_DIRECTORY, &orders, &state) != STATUS_OK)
        return 1;
    int exit_status = process_run(&state.process);
    for (LIST_EACH(link, &state.doors))
        door_close(CONTAINER(link, struct door, link));
    passwd_free(state.passwd);
    directory_service_free(state.service);
    tally_unmap(&state.tally);
    key_set_free(state.next_keys);
    conf_free(state.conf);
    buf_done(&state.path);
    for (size_t i = 0; i < ARRAY_LEN(state.folders); i++)
        buf_done(&state.folders[i]);
    process_done(&state.process);
    return exit_status;
}
