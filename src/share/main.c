#include "base/log.h"
#include "base/time.h"
#include "conf/parse.h"
#include "share/redis.h"
#include "share/settings.h"
#include "share/share.h"
#include "wire/process.h"
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_MS 1000               /* after a fault */
#define ANEW_MS TIME_DAY_MS         /* so often everything is told anew: Redis forgets who sends no more */
#define WAITING_MOST (8u << 20)     /* octets on their way to directory, before we wait for it */
#define ADDRESS_SIZE 64

struct role_state {
    struct process process;
    struct conf *conf;
    struct share_place place;
    struct buf machine, hostname;
    char address[ADDRESS_SIZE];  /* of the place's host, as it was before the lock */
    struct loop_timer tick;
    struct channel *directory;   /* NULL: it is away */
    int directory_fd;            /* of one that came before START; or -1 */
    struct share_redis *redis;   /* NULL: away */
    bool is_fresh;               /* one of the two is new: everything is to be told */
    bool is_asked;               /* directory owes an answer */
    bool told_away, told_twin, told_nodes;
    int64_t all_ms;              /* when everything was told last */
};

static const struct share_root *root_of(const struct role_state *state) { return conf_values(state->conf); }

static void end_redis(struct role_state *state, struct span why)
{
    if (!state->told_away)
        log_warning(&state->process.log, "share-away", LOG_SPAN("why", why), LOG_STR("means", "limits are counted for this machine alone"));
    state->told_away = true;
    share_redis_free(state->redis);
    state->redis = NULL;
}

/* -- what others count, for directory -- */

static void flush_others(struct role_state *state, uint32_t *count, struct buf *entries)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(CHANNEL_BODY_MAX);
    if (*count) {
        share_nodes_put(&body, &(struct share_nodes){ false, *count, buf_span(entries) });
        channel_send(state->directory, SHARE_OTHERS, buf_span(&body));
    }
    *count = 0;
    buf_clear(entries);
    if (channel_waiting(state->directory) > WAITING_MOST && channel_flush(state->directory) != STATUS_OK)
        log_debug(&state->process.log, "share-slow");
}

static void on_news(void *arg, struct span machine, int64_t age_ms, uint32_t count, struct span entries)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf others = BUF_EMPTY(2 * WIRE_SHARE_OCTETS);
    struct wire_reader reader = wire_read(entries);
    uint32_t n = 0;
    for (uint32_t i = 0; state->directory && i < count; i++) {
        struct share_other other = { machine, (uint32_t)MIN(age_ms, (int64_t)UINT32_MAX), { SPAN_NONE, SPAN_NONE } };
        if (!share_node_get(&reader, &other.node)) {
            if (!state->told_nodes)
                log_warning(&state->process.log, "share-not-understood", LOG_SPAN("machine", machine));
            state->told_nodes = true;
            break;
        }
        share_other_put(&others, &other);
        if (++n == WIRE_SHARE_NODES_MAX || others.n > WIRE_SHARE_OCTETS)
            flush_others(state, &n, &others);
    }
    if (state->directory)
        flush_others(state, &n, &others);
}

/* -- an exchange: directory is asked, Redis is told, Redis is asked, directory is told -- */

static void give(struct role_state *state)
{
    state->is_asked = true;
    channel_send(state->directory, SHARE_GIVE, SPAN_NONE);
}

static bool connect_redis(struct role_state *state, struct buf *why)
{
    if (state->redis)
        return true;
    state->redis = share_redis_new(&state->place, state->address, buf_span(&state->machine), why);
    state->is_fresh = true;
    return state->redis != NULL;
}

static bool begin(struct role_state *state, struct buf *why)
{
    if (!share_redis_begin(state->redis, on_news, state, why))
        return false;
    channel_send(state->directory, SHARE_ALL, SPAN_NONE);
    state->is_fresh = false;
    state->all_ms = loop_now_ms(state->process.loop);
    if (state->told_away)
        log_info(&state->process.log, "share-back");
    else
        log_info(&state->process.log, "share-joined", LOG_SPAN("machine", buf_span(&state->machine)));
    state->told_away = false;
    return true;
}

static void on_tick(struct loop_timer *timer)
{
    struct role_state *state = CONTAINER(timer, struct role_state, tick);
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    int64_t every_ms = root_of(state)->share.every_ms;
    loop_timer_set(timer, every_ms);
    if (!state->directory || state->is_asked)
        return;
    state->is_fresh |= loop_now_ms(state->process.loop) - state->all_ms > ANEW_MS;
    if (!connect_redis(state, &why) || (state->is_fresh && !begin(state, &why))) {
        end_redis(state, buf_span(&why));
        loop_timer_set(timer, MAX(every_ms, (int64_t)AGAIN_MS));
        return;
    }
    give(state);
}

static bool ask_news(struct role_state *state, struct buf *why)
{
    bool twin = false;
    bool good = share_redis_news(state->redis, on_news, state, &twin, why);
    if (twin && !state->told_twin)
        log_error(&state->process.log, "share-name-taken", LOG_SPAN("machine", buf_span(&state->machine)),
                  LOG_STR("why", "another machine counts under the same name; the setting share.machine gives this one its own"));
    state->told_twin |= twin;
    return good;
}

static void take_counts(struct role_state *state, const struct share_nodes *nodes)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    state->is_asked = false;
    if (!state->redis)
        return; /* it is told everything when it is back */
    if (!share_redis_tell(state->redis, nodes->count, nodes->entries, &why) || (!nodes->more && !ask_news(state, &why)))
        end_redis(state, buf_span(&why));
    else if (nodes->more)
        give(state);
}

static bool is_whole(const struct share_nodes *nodes)
{
    struct wire_reader reader = wire_read(nodes->entries);
    struct share_node node;
    for (uint32_t i = 0; i < nodes->count; i++)
        if (!share_node_get(&reader, &node))
            return false;
    return wire_end(&reader);
}

static void end_directory(struct role_state *state)
{
    channel_free(state->directory);
    state->directory = NULL;
    state->is_asked = false;
}

static void on_counts(void *arg, struct channel *channel, struct channel_message *message)
{
    struct role_state *state = arg;
    struct share_nodes nodes;
    if (message->kind == SHARE_COUNTS && share_nodes_get(message->body, &nodes) && is_whole(&nodes)) {
        take_counts(state, &nodes);
        return;
    }
    log_error(&state->process.log, "peer-broke-format", LOG_STR("peer", role_name(ROLE_DIRECTORY)), LOG_INT("kind", message->kind));
    end_directory(state);
}

static void on_directory_closed(void *arg, struct channel *channel, enum status why)
{
    end_directory(arg);
}

/* -- orders -- */

static void begin_directory(struct role_state *state)
{
    static const struct channel_events events = { on_counts, on_directory_closed };
    if (state->directory_fd < 0)
        return;
    state->directory = channel_new(state->process.loop, state->directory_fd, &events, state);
    if (!state->directory)
        close(state->directory_fd);
    state->directory_fd = -1;
    state->is_fresh = true;
}

static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    struct role_state *state = arg;
    if (peer->role != ROLE_DIRECTORY) {
        close(fd);
        return;
    }
    if (state->directory)
        end_directory(state);
    if (state->directory_fd >= 0)
        close(state->directory_fd);
    state->directory_fd = fd;
    if (state->process.started)
        begin_directory(state);
}

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    AUTO(conf_faults_done) struct conf_faults faults;
    buf_add(&file, settings->file);
    conf_faults_init(&faults, buf_cstr(&file));
    struct conf *conf = conf_parse(&share_root_section, settings->text, CONF_PARTIAL, &faults);
    if (!conf) {
        process_failed(&state->process, buf_span(&faults.text));
        return false;
    }
    conf_free(state->conf);
    state->conf = conf;
    buf_clear(&state->hostname);
    struct span own = root_of(state)->common.hostname;
    buf_add(&state->hostname, own.n ? own : supervisor_settings_blob(settings, SPAN(CONF_HOSTNAME)));
    return true;
}

/* The last moment in which a name can be looked up. */
static void find_address(struct role_state *state)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    const char *host = buf_cstr(&state->place.host);
    int error = state->place.host.n ? getaddrinfo(host, NULL, &hints, &found) : EAI_NONAME;
    if (error == 0)
        error = getnameinfo(found->ai_addr, found->ai_addrlen, state->address, sizeof state->address, NULL, 0, NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    if (error && state->place.host.n)
        log_warning(&state->process.log, "share-host-unknown", LOG_STR("host", host), LOG_STR("why", gai_strerror(error)));
}

static void take_place(struct role_state *state)
{
    struct span machine = root_of(state)->share.machine;
    share_place_done(&state->place);
    if (!share_place_parse(root_of(state)->share.redis, &state->place)) /* was checked with the settings */
        log_error(&state->process.log, "share-no-place");
    buf_clear(&state->machine);
    buf_add(&state->machine, span_head(machine.n ? machine : buf_span(&state->hostname), SHARE_MACHINE_MAX));
    if (!share_machine_is_good(buf_span(&state->machine))) {
        buf_clear(&state->machine);
        buf_add_str(&state->machine, "localhost");
    }
    find_address(state);
}

static bool on_lock(void *arg, struct lock *lock)
{
    struct role_state *state = arg;
    take_place(state);
    if (state->place.path.n)
        lock_allow(lock, buf_cstr(&state->place.path), LOCK_MAY_READ | LOCK_MAY_WRITE);
    return root_of(state)->common.locks;
}

static void on_hold(void *arg)
{
    struct role_state *state = arg;
    state->process.log.least = (enum log_level)root_of(state)->common.log.level;
    begin_directory(state);
    loop_timer_set(&state->tick, 0);
    process_ready(&state->process);
}

static void on_drain(void *arg)
{
    struct role_state *state = arg;
    process_drained(&state->process);
}

int share_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .peer = on_peer, .lock = on_lock, .start = on_hold,
                                                  .reload = on_hold, .drain = on_drain };
    struct role_state state = { .machine = BUF_EMPTY(SHARE_MACHINE_MAX), .hostname = BUF_EMPTY(256), .directory_fd = -1 };
    if (process_init(&state.process, ROLE_SHARE, &orders, &state) != STATUS_OK)
        return 1;
    loop_timer_init(state.process.loop, &state.tick, on_tick);
    int exit_status = process_run(&state.process);
    loop_timer_stop(&state.tick);
    if (state.directory)
        channel_free(state.directory);
    if (state.directory_fd >= 0)
        close(state.directory_fd);
    share_redis_free(state.redis);
    share_place_done(&state.place);
    conf_free(state.conf);
    buf_done(&state.machine);
    buf_done(&state.hostname);
    process_done(&state.process);
    return exit_status;
}
