#include "base/memory.h"
#include "queue/role_priv.h"
#include "queue/settle.h"
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- settings -- */

/* Our name: as set, or as the supervisor found it. */
static void hostname_choose(const struct queue_root *root, const struct supervisor_settings *settings, struct buf *ret)
{
    buf_clear(ret);
    buf_add(ret, root->common.hostname.n ? root->common.hostname
                                         : supervisor_settings_blob(settings, span_str(CONF_HOSTNAME)));
}

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct queue_role *role = arg;
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    buf_add(&file, settings->file);
    struct conf_faults faults;
    conf_faults_init(&faults, buf_cstr(&file));
    struct conf *conf = conf_parse(&queue_root_section, settings->text, CONF_PARTIAL, &faults);
    if (conf) {
        conf_free(role->conf_next);
        role->conf_next = conf;
        hostname_choose(conf_values(conf), settings, &role->hostname_next);
    } else {
        process_failed(&role->process, buf_span(&faults.text));
    }
    conf_faults_done(&faults);
    return conf != NULL;
}

/* What was sent last is in force from now on. */
static void settings_hold(struct queue_role *role)
{
    if (role->conf_next) {
        conf_free(role->conf);
        role->conf = role->conf_next;
        role->conf_next = NULL;
    }
    const struct queue_root *root = role_root(role);
    buf_clear(&role->hostname);
    buf_add(&role->hostname, buf_span(&role->hostname_next));
    buf_clear(&role->postmaster);
    if (root->dsn.postmaster.n)
        buf_add(&role->postmaster, root->dsn.postmaster);
    else
        buf_printf(&role->postmaster, "postmaster@%.*s", SPAN_ARGS(buf_span(&role->hostname)));
    role->process.log.least = (enum log_level)root->common.log.level;
    role->queue.settings = &root->queue;
    role->queue.hostname = buf_span(&role->hostname);
    role->queue.postmaster = root->dsn.double_bounce == DSN_DOUBLE_POSTMASTER ? buf_span(&role->postmaster) : SPAN_NONE;
}

/* -- turns -- */

static void on_due(struct loop_timer *timer)
{
    struct queue_role *role = CONTAINER(timer, struct queue_role, due);
    role->due_ms = INT64_MAX;
    queue_tick(&role->queue, role_now(role));
}

static void timer_follow(struct queue_role *role)
{
    int64_t next = role->draining ? INT64_MAX : queue_next_ms(&role->queue);
    if (next == role->due_ms)
        return;
    role->due_ms = next;
    if (next == INT64_MAX)
        loop_timer_stop(&role->due);
    else
        loop_timer_set(&role->due, MAX(next - role_now(role), 0));
}

static void on_turn(struct loop_task *task)
{
    struct queue_role *role = CONTAINER(task, struct queue_role, turn);
    if (!role->started)
        return;
    timer_follow(role);
    directory_turn(role);
    checkpoints_turn(role);
    compact_turn(role);
    if (queue_give_back(&role->queue))
        memory_give_back();
}

/* -- the supervisor's orders -- */

static void start_failed(struct queue_role *role, const char *what)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    buf_add_str(&text, what);
    if (role->trouble.n)
        buf_printf(&text, " (%.*s): %.*s", SPAN_ARGS(buf_span(&role->path)), SPAN_ARGS(buf_span(&role->trouble)));
    process_failed(&role->process, buf_span(&text));
    process_leave(&role->process, 1);
}

static void core_init(struct queue_role *role)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed = (uint64_t)loop_wall_ms(role->process.loop);
    role->wall_base_ms = loop_wall_ms(role->process.loop) - loop_now_ms(role->process.loop);
    role->due_ms = INT64_MAX;
    role->acts = (struct queue_acts){ .resolve = on_act_resolve, .grant = on_act_grant, .journal = on_act_journal,
                                      .report = on_act_report, .segment_empty = on_act_segment_empty,
                                      .body_unused = on_act_body_unused };
    const struct queue_settings *settings = &((const struct queue_root *)conf_values(role->conf_next))->queue;
    queue_init(&role->queue, settings, &role->acts, role, role_log(role), seed, role_now(role));
}

/* The spool, which must be there to be named, the control socket's folder, and the list of what stands above the spool:
 * its name is synced. */
static bool on_lock(void *arg, struct lock *lock)
{
    struct queue_role *role = arg;
    const struct queue_root *root = conf_values(role->conf_next);
    buf_clear(&role->path);
    buf_printf(&role->path, "%.*s/spool", SPAN_ARGS(root->common.state_dir));
    control_who_read(role);
    mkdir(buf_cstr(&role->path), 0700); /* what is wrong with it shows when it is opened */
    lock_allow(lock, buf_cstr(&role->path), LOCK_MAY_READ | LOCK_MAY_WRITE);
    lock_allow(lock, root->common.state_dir.p, LOCK_MAY_LIST);
    lock_allow(lock, root->common.run_dir.p, LOCK_MAY_SOCKET);
    return root->common.locks;
}

static void on_start(void *arg)
{
    struct queue_role *role = arg;
    core_init(role);
    settings_hold(role);
    reports_init(role);
    if (disk_open(role) != STATUS_OK || disk_recover(role) != STATUS_OK || disk_start(role) != STATUS_OK) {
        start_failed(role, "the spool cannot be used");
        return;
    }
    if (control_open(role) != STATUS_OK) {
        start_failed(role, "the control socket cannot be opened");
        return;
    }
    role->started = true;
    writers_begin(role);
    directory_begin(role);
    deliveries_begin(role);
    process_ready(&role->process);
}

static void on_reload(void *arg)
{
    struct queue_role *role = arg;
    settings_hold(role);
    spool_store_set_reserve(role->store, (uint64_t)role_root(role)->common.spool.reserve_octets);
    queue_settings_changed(&role->queue, role_now(role));
    process_ready(&role->process);
}

static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    struct queue_role *role = arg;
    if (peer->role == ROLE_SMTPD || peer->role == ROLE_WEB)
        writers_peer(role, peer, fd);
    else if (peer->role == ROLE_DELIVERY)
        deliveries_peer(role, peer, fd);
    else if (peer->role == ROLE_DIRECTORY)
        directory_peer_came(role, fd);
    else
        close(fd);
}

void role_drain_check(struct queue_role *role)
{
    if (!role->draining || role->stopping || role->report_count || !list_is_empty(&role->reports))
        return;
    role->stopping = true;
    process_drained(&role->process); /* what the journal holds is written and synced on the way out */
}

static void on_drain(void *arg)
{
    struct queue_role *role = arg;
    role->draining = true;
    role->queue.recovering = true; /* no new leases */
    queue_collected_tick(&role->queue, true);
    role_drain_check(role);
}

int queue_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .peer = on_peer, .lock = on_lock, .start = on_start,
                                                  .reload = on_reload, .drain = on_drain };
    struct queue_role *role = calloc(1, sizeof *role);
    if (!role || process_init(&role->process, ROLE_QUEUE, &orders, role) != STATUS_OK)
        return 1;
    role->directory_fd = -1;
    role->hostname = role->hostname_next = BUF_EMPTY(512);
    role->postmaster = BUF_EMPTY(1024);
    role->path = BUF_EMPTY(8192);
    role->trouble = BUF_EMPTY(2048);
    list_init(&role->writers);
    list_init(&role->deliveries);
    list_init(&role->givings);
    list_init(&role->reports);
    list_init(&role->notices);
    list_init(&role->report_jobs);
    list_init(&role->operators);
    loop_timer_init(role->process.loop, &role->due, on_due);
    loop_hook_add(role->process.loop, &role->turn, on_turn);
    int exit_status = process_run(&role->process);
    control_close(role);
    control_who_done(role);
    disk_stop(role); /* before the rest: until then its thread reads what the others own */
    compact_close(role);
    checkpoints_close(role);
    reports_close(role);
    notices_close(role);
    writers_close(role);
    deliveries_close(role);
    directory_close(role);
    disk_close(role);
    if (role->acts.grant)
        queue_done(&role->queue);
    loop_hook_remove(&role->turn);
    conf_free(role->conf);
    conf_free(role->conf_next);
    buf_done(&role->hostname);
    buf_done(&role->hostname_next);
    buf_done(&role->postmaster);
    buf_done(&role->path);
    buf_done(&role->trouble);
    process_done(&role->process);
    free(role);
    return exit_status;
}
