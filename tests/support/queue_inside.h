/* The process queue inside a fuzzer: its own main with everything that belongs to it, in our thread and by our clock.
 *
 * Linked with --wrap (tests/fuzz/queue/meson.build): its loop does not run, it is driven; store, journal and log work in
 * the loop's thread on a folder in memory, small segments in it, and syncs that are not waited for; time stands still
 * until the fuzzer moves it. Its peers are channels of the same loop. */
#pragma once
#include "base/time.h"
#include "fuzz.h"
#include "queue/queue.h"
#include "spool/journal.h"
#include "spool/writer.h"
#include "wire/supervisor.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INSIDE_WALL_MS INT64_C(1800000000000)
#define INSIDE_SEGMENT (12u * SPOOL_BLOCK)

static struct inside {
    char folder[64];
    int64_t now_us;          /* of both clocks; the wall's adds INSIDE_WALL_MS */
    uint64_t random;
    struct loop *loop;       /* while the process runs */
    struct queue *queue;
    struct channel *supervisor;
    unsigned ready, failed;
    void (*drive)(void);
} inside;

/* -- what is behind the process -- */

int64_t __wrap_time_mono_us(void);
int64_t __wrap_time_mono_ms(void);
int64_t __wrap_time_wall_ms(void);
int64_t __wrap_time_mono_us(void) { return inside.now_us; }
int64_t __wrap_time_mono_ms(void) { return inside.now_us / 1000; }
int64_t __wrap_time_wall_ms(void) { return INSIDE_WALL_MS + inside.now_us / 1000; }

static int no_sync(const struct spool_ops *ops, int fd) { return 0; }
static int even_random(const struct spool_ops *ops, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)((inside.random = inside.random * 6364136223846793005u + 1442695040888963407u) >> 56);
    return 0;
}

static const struct spool_ops *inside_ops(void)
{
    static struct spool_ops ops;
    ops = spool_ops_system;
    ops.fdatasync = ops.fsync = no_sync;
    ops.write_out = NULL;
    ops.forget = NULL;
    ops.random = even_random;
    return &ops;
}

enum status __real_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret);
enum status __wrap_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret);
enum status __wrap_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret)
{
    struct spool_store_settings mine = *settings;
    mine.ops = inside_ops();
    mine.no_thread = true;
    mine.segment_octets = INSIDE_SEGMENT;
    mine.reserve_octets = 1;
    mine.ahead = mine.bodies_ahead = 1;
    mine.lock_wait_ms = 0;
    return __real_spool_store_open(loop, path, &mine, events, arg, ret);
}

struct spool_journal *__real_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg);
struct spool_journal *__wrap_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg);
struct spool_journal *__wrap_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg)
{
    return __real_spool_journal_new(loop, store, true, events, arg);
}

struct spool_writer *__real_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg);
struct spool_writer *__wrap_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg);
struct spool_writer *__wrap_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg)
{
    struct spool_writer_settings mine = *settings;
    mine.ops = inside_ops();
    mine.no_thread = true;
    return __real_spool_writer_new(loop, &mine, events, arg);
}

void __real_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms);
void __wrap_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms);
void __wrap_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms)
{
    inside.queue = queue;
    __real_queue_init(queue, settings, acts, arg, log, 1, now_ms);
}

/* The fuzzer goes on living: it stays open to its own tools. */
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...) { return 0; }

/* -- the supervisor -- */

static void inside_turns(unsigned n)
{
    while (n--) {
        inside.now_us += 100;
        loop_turn(inside.loop, 0);
    }
}

static inline void inside_pass(int64_t ms)
{
    inside.now_us += ms * 1000;
    inside_turns(2);
}

static void inside_on_order_answer(void *arg, struct channel *channel, struct channel_message *message)
{
    inside.ready += message->kind == SUPERVISOR_READY;
    inside.failed += message->kind == SUPERVISOR_FAILED;
}

static void inside_on_gone(void *arg, struct channel *channel, enum status why) {}

/* `more`: further lines of the settings. */
static void inside_settings(struct span more)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(65536), body = BUF_EMPTY((size_t)1 << 17);
    static struct supervisor_settings settings;
    buf_printf(&text, "hostname: mx.example.org\nlocks: no\nstate-dir: %s\nrun-dir: %s\n%.*s", inside.folder, inside.folder,
               SPAN_ARGS(more));
    settings = (struct supervisor_settings){ .count = 1, .file = SPAN("goniec.conf"), .text = buf_span(&text) };
    supervisor_settings_put(&body, &settings);
    channel_send(inside.supervisor, SUPERVISOR_SETTINGS, buf_span(&body));
}

/* A new peer of that role: our end of its channel's descriptor. */
static inline int inside_peer(enum role role, uint32_t number, uint32_t count)
{
    int pair[2];
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    require(channel_pair(pair) == STATUS_OK);
    supervisor_peer_put(&body, &(struct supervisor_peer){ role, number, count });
    channel_send_fds(inside.supervisor, SUPERVISOR_PEER, buf_span(&body), &pair[1], 1);
    close(pair[1]);
    return pair[0];
}

void __wrap_loop_run(struct loop *loop);
void __wrap_loop_run(struct loop *loop)
{
    inside.loop = loop;
    inside.drive();
    channel_free(inside.supervisor);
    inside.supervisor = NULL;
    inside.loop = NULL;
}

/* Settings, the log, START; the process is ready afterwards unless it says that it cannot be. */
static bool inside_start(int fd, struct span more)
{
    static const struct channel_events events = { inside_on_order_answer, inside_on_gone };
    inside.supervisor = channel_new(inside.loop, fd, &events, NULL);
    require(inside.supervisor != NULL);
    inside.ready = inside.failed = 0;
    inside_settings(more);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    channel_send_fds(inside.supervisor, SUPERVISOR_LOG, SPAN_NONE, &null, 1);
    close(null);
    channel_send(inside.supervisor, SUPERVISOR_START, SPAN_NONE);
    inside_turns(4);
    return inside.ready == 1 && !inside.failed;
}

/* Runs the process once; `drive` begins with inside_start(inside_end). */
static int inside_end;
static int inside_run(void (*drive)(void))
{
    int pair[2];
    require(channel_pair(pair) == STATUS_OK);
    if (pair[0] == SUPERVISOR_FD) { /* that place is the process's */
        pair[0] = dup(pair[0]);
        require(pair[0] >= 0);
    }
    if (pair[1] != SUPERVISOR_FD) {
        require(dup2(pair[1], SUPERVISOR_FD) == SUPERVISOR_FD);
        close(pair[1]);
    }
    inside_end = pair[0];
    inside.drive = drive;
    inside.queue = NULL;
    return queue_main();
}

/* -- its folder -- */

static void folder_empty(const char *below)
{
    char path[512];
    snprintf(path, sizeof path, "%s/spool%s", inside.folder, below);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0); /* folders stay */
    if (folder)
        closedir(folder);
}

static void inside_tidy(void)
{
    static const char *const folders[] = { "/segments", "/bodies", "/quarantine", "" };
    char path[512];
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        folder_empty(folders[i]);
        snprintf(path, sizeof path, "%s/spool%s", inside.folder, folders[i]);
        rmdir(path);
    }
    rmdir(inside.folder);
}

/* An empty spool, and the clock at its beginning. */
static void inside_begin(void)
{
    if (!inside.folder[0]) {
        bool memory = access("/dev/shm", W_OK) == 0;
        snprintf(inside.folder, sizeof inside.folder, "%s/goniec-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
        require(mkdtemp(inside.folder) != NULL);
        atexit(inside_tidy);
    }
    folder_empty("/segments");
    folder_empty("/bodies");
    folder_empty("/quarantine");
    folder_empty("");
    inside.now_us = 1000000;
    inside.random = 7;
}
