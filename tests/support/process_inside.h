/* A process of ours inside a fuzzer: its own main with everything that belongs to it, in our thread and by our clock.
 *
 * Linked with --wrap: its loop does not run, it is driven; time stands still until the fuzzer moves it; it stays open to
 * the fuzzer's own tools. Its peers are channels of the same loop. */
#pragma once
#include "base/time.h"
#include "fuzz.h"
#include "wire/supervisor.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define INSIDE_WALL_MS INT64_C(1800000000000)

static struct inside {
    char folder[64];
    int64_t now_us;          /* of both clocks; the wall's adds INSIDE_WALL_MS */
    struct loop *loop;       /* while the process runs */
    struct channel *supervisor;
    unsigned ready, failed;
    char why[512];           /* what failed */
    void (*drive)(void);
    void (*before_start)(void); /* NULL: nothing is done between the settings and START */
} inside;

int64_t __wrap_time_mono_us(void);
int64_t __wrap_time_mono_ms(void);
int64_t __wrap_time_wall_ms(void);
int64_t __wrap_time_mono_us(void) { return inside.now_us; }
int64_t __wrap_time_mono_ms(void) { return inside.now_us / 1000; }
int64_t __wrap_time_wall_ms(void) { return INSIDE_WALL_MS + inside.now_us / 1000; }

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
    struct supervisor_failed failed;
    if (message->kind != SUPERVISOR_FAILED || !supervisor_failed_get(message->body, &failed))
        return;
    snprintf(inside.why, sizeof inside.why, "%.*s", SPAN_ARGS(failed.text)); /* for a debugger */
    inside.failed++;
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
    if (inside.before_start)
        inside.before_start();
    channel_send(inside.supervisor, SUPERVISOR_START, SPAN_NONE);
    inside_turns(4);
    return inside.ready == 1 && !inside.failed;
}

/* Runs the process once; `drive` begins with inside_start(inside_end). */
static int inside_end;
static inline int inside_run(int (*process)(void), void (*drive)(void))
{
    int pair[2], others = fcntl(SUPERVISOR_FD, F_DUPFD_CLOEXEC, 10); /* the fuzzer's own file, while it merges */
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
    int exit_status = process();
    if (others >= 0 && dup2(others, SUPERVISOR_FD) == SUPERVISOR_FD)
        close(others);
    return exit_status;
}

/* -- its folder -- */

static void folder_empty(const char *below)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", inside.folder, below);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0); /* folders stay */
    if (folder)
        closedir(folder);
}

static const char *const inside_folders[] = { "/spool/segments", "/spool/bodies", "/spool/quarantine", "/spool", "" };

static void inside_tidy(void)
{
    char path[512];
    for (size_t i = 0; i < ARRAY_LEN(inside_folders); i++) {
        folder_empty(inside_folders[i]);
        snprintf(path, sizeof path, "%s%s", inside.folder, inside_folders[i]);
        rmdir(path);
    }
}

/* Empty folders, and the clock at its beginning. */
static void inside_begin(void)
{
    if (!inside.folder[0]) {
        bool memory = access("/dev/shm", W_OK) == 0;
        snprintf(inside.folder, sizeof inside.folder, "%s/goniec-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
        require(mkdtemp(inside.folder) != NULL);
        atexit(inside_tidy);
    }
    for (size_t i = 0; i < ARRAY_LEN(inside_folders); i++)
        folder_empty(inside_folders[i]);
    if (fcntl(SUPERVISOR_FD, F_GETFD) < 0) { /* so that it is nobody else's */
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null != SUPERVISOR_FD && dup2(null, SUPERVISOR_FD) >= 0)
            close(null);
    }
    inside.now_us = 1000000;
}
