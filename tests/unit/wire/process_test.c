/* The frame of a role: orders that come when they may not. */
#include "role_child.h"
#include "wire/process.h"

/* What the role was told to do, as its exit status. */
static struct frame {
    struct process process;
    unsigned starts, reloads, listeners, peers, drains;
} role;

static bool on_settings(void *arg, const struct supervisor_settings *settings) { return true; }
static bool on_lock(void *arg, struct lock *lock) { return false; }
static void on_start(void *arg)
{
    role.starts++;
    process_ready(&role.process);
}
static void on_reload(void *arg) { role.reloads++; }
static void on_listener(void *arg, uint32_t index, int fd)
{
    role.listeners++;
    close(fd);
}
static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    role.peers++;
    close(fd);
}
static void on_drain(void *arg)
{
    role.drains++;
    process_drained(&role.process);
}

static int role_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .listener = on_listener, .peer = on_peer, .lock = on_lock,
                                                  .start = on_start, .reload = on_reload, .drain = on_drain };
    if (process_init(&role.process, ROLE_QUEUE, &orders, &role) != STATUS_OK)
        return 99;
    int status = process_run(&role.process);
    process_done(&role.process);
    return status ? status : (int)(role.starts + 2 * role.reloads + 4 * role.listeners + 8 * role.peers + 16 * role.drains);
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message) {}
static void on_closed(void *arg, struct channel *channel, enum status why) { *(bool *)arg = true; }

struct scene {
    struct loop *loop;
    struct channel *channel;
    pid_t child;
    bool closed;
};

static void scene_begin(struct scene *scene)
{
    static const struct channel_events events = { on_message, on_closed };
    int fd;
    *scene = (struct scene){ .child = role_begin(role_main, &fd), .loop = loop_new() };
    scene->channel = channel_new(scene->loop, fd, &events, &scene->closed);
    assert_non_null(scene->channel);
}

static void say(struct scene *scene, enum supervisor_kind kind)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(256);
    if (kind == SUPERVISOR_SETTINGS) {
        role_settings(scene->channel, SPAN("x"), NULL);
        return;
    }
    if (kind == SUPERVISOR_LISTENER)
        supervisor_listener_put(&body, &(struct supervisor_listener){ 0 });
    if (kind == SUPERVISOR_PEER)
        supervisor_peer_put(&body, &(struct supervisor_peer){ ROLE_SMTPD, 0, 1, 1 });
    int fd = kind == SUPERVISOR_LISTENER || kind == SUPERVISOR_PEER ? STDERR_FILENO : -1;
    assert_int_equal(channel_send_fds(scene->channel, (uint16_t)kind, buf_span(&body), &fd, fd >= 0), STATUS_OK);
}

static int scene_end(struct scene *scene)
{
    while (!scene->closed)
        loop_turn(scene->loop, 1000);
    channel_free(scene->channel);
    loop_free(scene->loop);
    return role_end(scene->child);
}

static void in_order(void **state)
{
    static const enum supervisor_kind orders[] = { SUPERVISOR_SETTINGS, SUPERVISOR_LISTENER, SUPERVISOR_PEER, SUPERVISOR_START,
                                                   SUPERVISOR_RELOAD, SUPERVISOR_DRAIN };
    struct scene scene;
    scene_begin(&scene);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        say(&scene, orders[i]);
    assert_int_equal(scene_end(&scene), 1 + 2 + 4 + 8 + 16);
}

/* Nothing that comes at the wrong time reaches the role; a second START would make its state anew. */
static void out_of_order(void **state)
{
    static const enum supervisor_kind orders[] = {
        SUPERVISOR_START, SUPERVISOR_RELOAD, SUPERVISOR_LISTENER, SUPERVISOR_PEER, SUPERVISOR_SETTINGS, SUPERVISOR_RELOAD,
        SUPERVISOR_START, SUPERVISOR_START, SUPERVISOR_SETTINGS, SUPERVISOR_START, SUPERVISOR_DRAIN, SUPERVISOR_DRAIN,
    };
    struct scene scene;
    scene_begin(&scene);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        say(&scene, orders[i]);
    assert_int_equal(scene_end(&scene), 1 + 16);
}

/* Nothing is in hand yet. */
static void drained_before_the_start(void **state)
{
    struct scene scene;
    scene_begin(&scene);
    say(&scene, SUPERVISOR_SETTINGS);
    say(&scene, SUPERVISOR_DRAIN);
    assert_int_equal(scene_end(&scene), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_order), cmocka_unit_test(out_of_order),
                                        cmocka_unit_test(drained_before_the_start) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
