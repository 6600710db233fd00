/* `goniec role mirror`: keeps this machine's accounts as PostgreSQL has them. */
#include "base/log.h"
#include "base/time.h"
#include "conf/parse.h"
#include "directory/directory.h"
#include "directory/postgres.h"
#include "directory/settings.h"
#include "wire/process.h"
#include <stdlib.h>

#define LOOK_MS 500
#define AGAIN_MS 1000

struct role_state {
    struct process process;
    struct conf *conf;
    struct buf place, path, folder;
    struct buf files[POSTGRES_FILES_MOST]; /* that connecting reads */
    unsigned file_count;
    struct loop_timer tick;
    struct postgres *postgres; /* NULL: away */
    struct accounts *accounts; /* NULL: not open */
    bool told_away;
};

static const struct directory_root *root_of(const struct role_state *state) { return conf_values(state->conf); }

static bool on_settings(void *arg, const struct supervisor_settings *settings)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    AUTO(conf_faults_done) struct conf_faults faults;
    buf_add(&file, settings->file);
    conf_faults_init(&faults, buf_cstr(&file));
    struct conf *conf = conf_parse(&directory_root_section, settings->text, CONF_PARTIAL, &faults);
    if (!conf) {
        process_failed(&state->process, buf_span(&faults.text));
        return false;
    }
    conf_free(state->conf);
    state->conf = conf;
    return true;
}

static void away(struct role_state *state, const char *why)
{
    if (!state->told_away)
        log_warning(&state->process.log, "accounts-alone", LOG_STR("why", why), LOG_STR("means", "accounts stay as they are until PostgreSQL is back"));
    state->told_away = true;
    postgres_free(state->postgres);
    state->postgres = NULL;
    accounts_close(state->accounts);
    state->accounts = NULL;
}

static bool look(struct role_state *state, struct buf *why)
{
    AUTO(buf_done) struct buf id = BUF_EMPTY(65);
    int64_t revision = 0;
    bool changed = false;
    if (!state->postgres)
        state->postgres = postgres_new(buf_cstr(&state->place), why);
    if (!state->postgres)
        return false;
    bool good = postgres_begin(state->postgres, false, &id, &revision);
    if (good && !state->accounts && accounts_open_to_change(buf_cstr(&state->path), -1, -1, &state->accounts) != STATUS_OK) {
        buf_add_str(why, state->accounts ? accounts_why(state->accounts) : "out of memory");
        return false;
    }
    good = good && postgres_pull(state->postgres, state->accounts, buf_cstr(&id), revision, &changed) && postgres_commit(state->postgres, 0);
    if (!good)
        buf_add_str(why, postgres_why(state->postgres));
    if (good && changed)
        log_info(&state->process.log, "accounts-mirrored", LOG_INT("revision", revision));
    return good;
}

static void on_tick(struct loop_timer *timer)
{
    struct role_state *state = CONTAINER(timer, struct role_state, tick);
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    bool good = look(state, &why);
    if (!good)
        away(state, buf_cstr(&why));
    else if (state->told_away)
        log_info(&state->process.log, "accounts-together");
    state->told_away = !good;
    loop_timer_set(timer, good ? LOOK_MS : AGAIN_MS);
}

static void on_file(void *arg, struct span path)
{
    struct role_state *state = arg;
    if (state->file_count < POSTGRES_FILES_MOST && buf_add(&state->files[state->file_count], path) == STATUS_OK)
        state->file_count++;
}

/* The accounts' folder, connections and what they are proven with; what stands in PostgreSQL is what stands there, too. */
static bool on_lock(void *arg, struct lock *lock)
{
    struct role_state *state = arg;
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    if (!postgres_place(root_of(state)->accounts.postgresql.p, &state->place, &why))
        log_error(&state->process.log, "accounts-alone", LOG_SPAN("why", buf_span(&why)));
    directory_database_folder(root_of(state), &state->folder);
    directory_database_path(root_of(state), &state->path);
    lock_allow(lock, buf_cstr(&state->folder), LOCK_MAY_READ | LOCK_MAY_WRITE);
    postgres_files(buf_cstr(&state->place), on_file, state);
    for (unsigned i = 0; i < state->file_count; i++)
        lock_allow(lock, buf_cstr(&state->files[i]), LOCK_MAY_READ);
    return root_of(state)->common.locks;
}

static void on_hold(void *arg)
{
    struct role_state *state = arg;
    state->process.log.least = (enum log_level)root_of(state)->common.log.level;
    loop_timer_set(&state->tick, 0);
    process_ready(&state->process);
}

static void on_drain(void *arg)
{
    struct role_state *state = arg;
    process_drained(&state->process);
}

int mirror_main(void)
{
    static const struct process_orders orders = { .settings = on_settings, .lock = on_lock, .start = on_hold, .reload = on_hold, .drain = on_drain };
    struct role_state state = { .place = BUF_EMPTY(4096), .path = BUF_EMPTY(8192), .folder = BUF_EMPTY(8192) };
    for (unsigned i = 0; i < POSTGRES_FILES_MOST; i++)
        state.files[i] = BUF_EMPTY(4096);
    if (process_init(&state.process, ROLE_MIRROR, &orders, &state) != STATUS_OK)
        return 1;
    loop_timer_init(state.process.loop, &state.tick, on_tick);
    int exit_status = process_run(&state.process);
    loop_timer_stop(&state.tick);
    postgres_free(state.postgres);
    accounts_close(state.accounts);
    conf_free(state.conf);
    buf_wipe(&state.place);
    buf_done(&state.path);
    buf_done(&state.folder);
    for (unsigned i = 0; i < POSTGRES_FILES_MOST; i++)
        buf_done(&state.files[i]);
    process_done(&state.process);
    return exit_status;
}
