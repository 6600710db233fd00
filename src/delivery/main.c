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
    int queue_fd;                 /* that came before START */
};

/* The content of the authorities' file, when the settings name one: the supervisor has read it. */
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

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct delivery_role *role = arg;
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    buf_add(&file, settings->file);
    struct conf_faults faults;
    conf_faults_init(&faults, buf_cstr(&file));
    struct delivery_config *config = NULL;
    struct span trust = find_trust(settings, &faults);
    enum status status = faults.count ? STATUS_SYNTAX
                                      : delivery_config_new(role->process.loop, settings->text, trust, &faults, &config);
    if (status == STATUS_OK) {
        delivery_config_unref(role->next);
        role->next = config;
    } else {
        process_failed(&role->process, faults.text.n ? buf_span(&faults.text) : span_str(status_text(status)));
    }
    conf_faults_done(&faults);
    return status == STATUS_OK;
}

/* START and RELOAD: what was sent before now holds. */
static void hold(void *arg)
{
    struct delivery_role *role = arg;
    if (role->next) {
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

int delivery_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .peer = on_peer, .start = hold, .reload = hold,
                                                  .drain = on_drain };
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
