#include "delivery/delivery.h"
#include "net/stream.h"
#include "wire/process.h"
#include <stdlib.h>
#include <unistd.h>

struct delivery_role {
    struct process process;
    struct delivery_config *next; /* sent, and in force with START or RELOAD */
    struct delivery delivery;
    bool is_started;
    bool unix_sockets;            /* its lock allows them */
    int queue_fd;                 /* that came before START */
};

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct delivery_role *role = arg;
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    buf_add(&file, settings->file);
    struct conf_faults faults;
    conf_faults_init(&faults, buf_cstr(&file));
    struct delivery_config *config = NULL;
    struct delivery_files files = { supervisor_settings_blob(settings, SPAN(CONF_AUTHORITIES)),
                                    supervisor_settings_blob(settings, SPAN(CONF_RESOLV_CONF)),
                                    supervisor_settings_blob(settings, SPAN(CONF_HOSTS)) };
    enum status status = delivery_config_new(role->process.loop, settings->text, &files, &faults, &config);
    if (status == STATUS_OK) {
        delivery_config_unref(role->next);
        role->next = config;
    } else {
        process_failed(&role->process, faults.text.n ? buf_span(&faults.text) : span_str(status_text(status)));
    }
    conf_faults_done(&faults);
    return status == STATUS_OK;
}

/* No file; sockets of this machine only where a route leads to one. */
static bool on_lock(void *arg, struct lock *lock)
{
    struct delivery_role *role = arg;
    lock->unix_sockets = role->unix_sockets = delivery_config_has_socket(role->next);
    return role->next->root->common.locks;
}

/* START and RELOAD: what was sent before now holds. */
static void hold(void *arg)
{
    struct delivery_role *role = arg;
    if (role->next) {
        if (role->process.locked && !role->unix_sockets && delivery_config_has_socket(role->next))
            log_warning(&role->process.log, "restart-needed",
                        LOG_STR("why", "the first route to a socket of this machine opens a lock, which only a restart can"));
        role->process.log.least = (enum log_level)role->next->root->common.log.level;
        if (role->is_started)
            delivery_set_config(&role->delivery, role->next);
        else
            delivery_init(&role->delivery, role->process.loop, &role->process.log, role->next);
        role->is_started = true;
        role->next = NULL;
    }
    if (role->queue_fd >= 0)
        delivery_set_queue(&role->delivery, role->queue_fd);
    role->queue_fd = -1;
    process_ready(&role->process);
}

static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    struct delivery_role *role = arg;
    if (peer->role != ROLE_QUEUE) {
        close(fd);
    } else if (role->is_started) {
        delivery_set_queue(&role->delivery, fd);
    } else {
        if (role->queue_fd >= 0)
            close(role->queue_fd);
        role->queue_fd = fd;
    }
}

static void on_drained(void *arg)
{
    struct delivery_role *role = arg;
    if (role->delivery.queue)
        channel_flush(role->delivery.queue);
    process_drained(&role->process);
}

static void on_drain(void *arg)
{
    struct delivery_role *role = arg;
    if (role->is_started)
        delivery_drain(&role->delivery, on_drained, role);
    else
        process_drained(&role->process);
}

static bool is_joined(void *arg) { return ((const struct delivery_role *)arg)->delivery.queue; }

int delivery_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .peer = on_peer, .lock = on_lock, .start = hold, .reload = hold,
                                                  .drain = on_drain, .is_joined = is_joined };
    struct delivery_role *role = calloc(1, sizeof *role);
    if (!role || process_init(&role->process, ROLE_DELIVERY, &orders, role) != STATUS_OK) {
        free(role);
        return 1;
    }
    role->queue_fd = -1;
    int exit_status = process_run(&role->process);
    if (role->is_started)
        delivery_done(&role->delivery);
    delivery_config_unref(role->next);
    if (role->queue_fd >= 0)
        close(role->queue_fd);
    loop_turn(role->process.loop, 0); /* sessions free themselves at the end of a turn */
    stream_free_closing();
    process_done(&role->process);
    free(role);
    return exit_status;
}
