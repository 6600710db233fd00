#include "net/stream.h"
#include "smtpd/door.h"
#include "smtpd/local.h"
#include "smtpd/smtpd.h"
#include "wire/process.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define DOORS_WAIT_MS 10000 /* how long the first opening waits for queue and directory */

/* A listening socket that was sent and waits for START or RELOAD. */
struct waiting_door {
    struct list link;
    uint32_t index;
    int fd;
};

struct role_state {
    struct process process;
    struct smtpd smtpd;
    struct smtpd_config *next;   /* sent, not yet in force */
    struct loop_timer deadline;  /* of a drain; before the doors open: of the waiting for queue and directory */
    bool wants_doors;            /* START or RELOAD came, the doors are not open yet */
    bool was_open;
    unsigned char ticket_secret[TLS_TICKET_SECRET];
    size_t ticket_secret_n;
    struct list waiting_doors;
    struct doors doors;
};

/* -- settings and doors -- */

static void on_tickets(void *arg, const struct supervisor_tickets *tickets)
{
    struct role_state *state = arg;
    if (tickets->count == 0)
        return;
    memcpy(state->ticket_secret, tickets->keys[0], sizeof state->ticket_secret);
    state->ticket_secret_n = sizeof state->ticket_secret;
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

/* Before the settings, and once. */
static void on_tally(void *arg, const struct supervisor_tally *tally, int fd)
{
    struct role_state *state = arg;
    struct tally shared;
    if (tally->place < tally->processes && tally_map(fd, tally->processes, tally->place, &shared) == STATUS_OK) {
        tally_unmap(&state->smtpd.tally);
        state->smtpd.tally = shared;
    }
    close(fd);
}

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf why = BUF_EMPTY(1u << 16);
    struct span secret = span_of(state->ticket_secret, state->ticket_secret_n);
    drop_waiting_doors(state); /* of a reload that never came */
    struct smtpd_config *config = smtpd_config_new(settings, secret, &state->smtpd.signing.signer, &state->smtpd.configs,
                                                   &why);
    if (!config) {
        process_failed(&state->process, buf_span(&why));
        return false;
    }
    smtpd_config_unref(state->next);
    state->next = config;
    return true;
}

static void on_listener(void *arg, uint32_t index, int fd)
{
    struct role_state *state = arg;
    struct waiting_door *door = calloc(1, sizeof *door);
    if (!door) {
        close(fd);
        return;
    }
    *door = (struct waiting_door){ .index = index, .fd = fd };
    list_add_last(&state->waiting_doors, &door->link);
}

static enum status open_doors(struct role_state *state, struct doors *fresh)
{
    enum status status = STATUS_OK;
    for (LIST_EACH(link, &state->waiting_doors)) {
        struct waiting_door *door = CONTAINER(link, struct waiting_door, link);
        if (status == STATUS_OK) {
            status = doors_open(fresh, &state->smtpd, state->smtpd.config, door->index, door->fd);
            door->fd = -1;
        }
    }
    drop_waiting_doors(state);
    return status;
}

static void open_or_fail(struct role_state *state)
{
    struct doors fresh;
    doors_init(&fresh);
    state->wants_doors = false;
    state->was_open = true;
    loop_timer_stop(&state->deadline);
    enum status status = open_doors(state, &fresh);
    if (status == STATUS_OK) {
        doors_replace(&state->doors, &fresh);
        process_ready(&state->process);
        return;
    }
    doors_close(&fresh);
    process_failed(&state->process, span_str(status_text(status)));
    if (list_is_empty(&state->doors.open))
        process_leave(&state->process, 1); /* one that lets nobody in is started again */
}

/* The first clients shall not hear "later" only because queue and directory take a moment longer to start than we: they
 * wait in the socket, for a while. */
static void open_when_ready(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    bool ready = asking_mechanisms(&smtpd->asking).n > 0 && store_check(&smtpd->store) != STATUS_DENIED;
    if (!state->wants_doors || smtpd->draining)
        return;
    if (ready || state->was_open)
        open_or_fail(state);
    else if (!loop_timer_runs(&state->deadline))
        loop_timer_set(&state->deadline, DOORS_WAIT_MS);
}

static void on_mechanisms(void *arg, struct span names)
{
    struct role_state *state = arg;
    smtpd_config_set_mechanisms(&state->smtpd.configs, names);
    open_when_ready(state);
}

/* No file, no new socket: what it needs is open, or comes over its channels. */
static bool on_lock(void *arg, struct lock *lock)
{
    const struct role_state *state = arg;
    return state->next->root->common.locks;
}

/* START and RELOAD: what was sent before now holds. Sessions keep what they began with. */
static void on_hold(void *arg)
{
    struct role_state *state = arg;
    struct smtpd *smtpd = &state->smtpd;
    if (smtpd->draining)
        return;
    if (state->next) {
        smtpd_config_unref(smtpd->config);
        smtpd->config = state->next;
        state->next = NULL;
    }
    smtpd->log->least = (enum log_level)smtpd->config->root->common.log.level;
    state->wants_doors = true;
    on_mechanisms(state, asking_mechanisms(&smtpd->asking));
}

static void directory_connect(struct smtpd *smtpd, int fd)
{
    asking_connect(&smtpd->asking, fd);
    signing_go_on(&smtpd->signing);
}

static void on_peer(void *arg, const struct supervisor_peer *peer, int fd)
{
    struct role_state *state = arg;
    if (peer->role == ROLE_QUEUE)
        store_connect(&state->smtpd.store, fd);
    else if (peer->role == ROLE_DIRECTORY)
        directory_connect(&state->smtpd, fd);
    else
        close(fd);
}

/* -- going down -- */

static void leave_if_empty(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    if (!smtpd->draining || smtpd->session_count > 0 || smtpd->storing > 0)
        return;
    if (smtpd->store.queue)
        channel_flush(smtpd->store.queue); /* what was accepted is announced */
    process_drained(&state->process);
}

static void on_session_end(struct smtpd *smtpd) { leave_if_empty(CONTAINER(smtpd, struct role_state, smtpd)); }

static void on_deadline(struct loop_timer *timer)
{
    struct role_state *state = CONTAINER(timer, struct role_state, deadline);
    if (!state->smtpd.draining) {
        open_or_fail(state);
        return;
    }
    sessions_free(&state->smtpd);
    leave_if_empty(state);
}

static void on_drain(void *arg)
{
    struct role_state *state = arg;
    struct smtpd *smtpd = &state->smtpd;
    doors_close(&state->doors);
    smtpd->draining = true;
    if (smtpd->config)
        loop_timer_set(&state->deadline, smtpd->config->root->common.drain_ms);
    sessions_drain(smtpd);
    leave_if_empty(state);
}

static void on_who_is(void *arg, const struct supervisor_who_is *who) { local_on_who(&((struct role_state *)arg)->smtpd, who); }

/* -- the store's news -- */

static void on_ending(void *arg) { sessions_lose_bodies(&((struct role_state *)arg)->smtpd); }
static void on_ended(void *arg) { bigs_forget(&((struct role_state *)arg)->smtpd); }
static void on_idle(void *arg) { leave_if_empty(arg); }
static void on_begun(void *arg)
{
    struct role_state *state = arg;
    open_when_ready(state);
    sessions_store_ready(&state->smtpd);
}

/* -- the process -- */

static void role_init(struct role_state *state)
{
    static const struct store_events store_events = { on_begun, on_ending, on_ended, on_idle };
    struct smtpd *smtpd = &state->smtpd;
    struct rlimit files;
    smtpd->files = smtpd_files_of(getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 1024);
    smtpd->loop = state->process.loop;
    smtpd->log = &state->process.log;
    list_init(&smtpd->configs);
    list_init(&smtpd->sessions);
    list_init(&smtpd->locals);
    smtpd->supervisor = state->process.supervisor;
    transactions_init(smtpd);
    list_init(&smtpd->given_up);
    list_init(&state->waiting_doors);
    doors_init(&state->doors);
    load_init(smtpd);
    smtpd->clients = CLIENTS_EMPTY(&smtpd->tally);
    smtpd->on_session_end = on_session_end;
    asking_init(&smtpd->asking, smtpd->loop, smtpd->log, on_mechanisms, state);
    signing_init(&smtpd->signing, &smtpd->asking, smtpd->loop);
    store_init(&smtpd->store, smtpd->loop, smtpd->log, &store_events, state);
    loop_timer_init(smtpd->loop, &state->deadline, on_deadline);
}

static void role_done(struct role_state *state)
{
    struct smtpd *smtpd = &state->smtpd;
    smtpd->draining = false; /* nobody is told any more */
    doors_close(&state->doors);
    drop_waiting_doors(state);
    sessions_free(smtpd);
    stream_free_closing();
    store_done(&smtpd->store);
    bigs_forget(smtpd);
    transactions_done(smtpd);
    signing_done(&smtpd->signing);
    asking_done(&smtpd->asking);
    clients_done(&smtpd->clients);
    load_done(smtpd);
    tally_unmap(&smtpd->tally);
    smtpd_config_unref(smtpd->config);
    smtpd_config_unref(state->next);
    loop_timer_stop(&state->deadline);
    explicit_bzero(state->ticket_secret, sizeof state->ticket_secret);
}

static bool is_joined(void *arg)
{
    const struct smtpd *smtpd = &((struct role_state *)arg)->smtpd;
    return smtpd->store.queue && smtpd->asking.directory;
}

int smtpd_main(void)
{
    static const struct process_orders orders = {
        .settings = on_settings, .listener = on_listener, .peer = on_peer, .tickets = on_tickets, .lock = on_lock, .tally = on_tally,
        .who_is = on_who_is,
        .start = on_hold, .reload = on_hold, .drain = on_drain, .is_joined = is_joined,
    };
    struct role_state state = { 0 };
    if (process_init(&state.process, ROLE_SMTPD, &orders, &state) != STATUS_OK)
        return 1;
    if (tally_alone(&state.smtpd.tally) != STATUS_OK)
        return 1;
    role_init(&state);
    int exit_status = process_run(&state.process);
    role_done(&state);
    process_done(&state.process);
    return exit_status;
}
