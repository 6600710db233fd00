/* The process queue in a child, and an smtpd that went over to the enemy: what it may name, and how much it may have. */
#include "test.h"
#include "base/id.h"
#include "base/time.h"
#include "queue/queue.h"
#include "spool/envelope.h"
#include "spool/log.h"
#include "wire/channel.h"
#include "wire/smtpd_queue.h"
#include "wire/supervisor.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct house {
    pid_t child;
    struct loop *loop;
    struct channel *supervisor, *writer;
    unsigned ready, drained, welcomes, segments, bodies, closed;
    uint32_t segment;
    int segment_fd, body_fd; /* the last ones */
    uint64_t body;
    struct id_source ids;
};

static void keep(int *fd, struct channel_message *message)
{
    if (!message->fd_count)
        return;
    if (*fd > 0)
        close(*fd);
    *fd = message->fds[0];
    message->fds[0] = -1;
}

static void on_queue(struct house *house, struct channel_message *message)
{
    struct queue_welcome welcome;
    struct queue_segment segment;
    struct queue_body body;
    if (message->kind == QUEUE_WELCOME && queue_welcome_get(message->body, &welcome)) {
        house->welcomes++;
        house->ids = (struct id_source){ .last = welcome.id_floor, .writer = welcome.writer };
    } else if (message->kind == QUEUE_SEGMENT && queue_segment_get(message->body, &segment)) {
        house->segments++;
        house->segment = segment.number;
        keep(&house->segment_fd, message);
    } else if (message->kind == QUEUE_BODY && queue_body_get(message->body, &body)) {
        house->bodies++;
        house->body = body.number;
        keep(&house->body_fd, message);
    }
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct house *house = arg;
    if (channel == house->writer)
        on_queue(house, message);
    house->ready += channel == house->supervisor && message->kind == SUPERVISOR_READY;
    house->drained += channel == house->supervisor && message->kind == SUPERVISOR_DRAINED;
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct house *house = arg;
    house->closed += channel == house->writer;
}

static const struct channel_events events = { on_message, on_closed };

static void wait_for(struct house *house, const unsigned *counter, unsigned least)
{
    int64_t until = time_mono_ms() + 60000;
    while (*counter < least && time_mono_ms() < until) {
        channel_flush(house->supervisor);
        if (house->writer)
            channel_flush(house->writer);
        loop_turn(house->loop, 100);
    }
    assert_true(*counter >= least);
}

/* A new smtpd 0. */
static void writer_begin(struct house *house)
{
    int pair[2];
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    unsigned welcomes = house->welcomes;
    channel_free(house->writer);
    house->closed = house->segments = house->bodies = 0;
    assert_int_equal(channel_pair(pair), STATUS_OK);
    supervisor_peer_put(&body, &(struct supervisor_peer){ ROLE_SMTPD, 0, 1 });
    channel_send_fds(house->supervisor, SUPERVISOR_PEER, buf_span(&body), &pair[1], 1);
    close(pair[1]);
    house->writer = channel_new(house->loop, pair[0], &events, house);
    wait_for(house, &house->welcomes, welcomes + 1);
    channel_send(house->writer, WRITER_NEED_SEGMENT, SPAN_NONE);
    wait_for(house, &house->segments, 1);
}

static void settings_send(struct house *house, const char *folder)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096), body = BUF_EMPTY(65536);
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    buf_printf(&text, "hostname: mx.example.org\nstate-dir: %s\nrun-dir: %s\nspool: { segment: 1MiB, reserve: 0 }\n",
               folder, folder);
    settings->count = 1;
    settings->file = SPAN("goniec.conf");
    settings->text = buf_span(&text);
    supervisor_settings_put(&body, settings);
    free(settings);
    channel_send(house->supervisor, SUPERVISOR_SETTINGS, buf_span(&body));
}

static void house_begin(struct house *house, const char *folder)
{
    int pair[2];
    *house = (struct house){ 0 };
    assert_int_equal(channel_pair(pair), STATUS_OK);
    house->child = fork();
    if (house->child == 0) {
        dup2(pair[1], SUPERVISOR_FD);
        for (int fd = SUPERVISOR_FD + 1; fd < 64; fd++)
            close(fd);
        _exit(queue_main());
    }
    close(pair[1]);
    house->loop = loop_new();
    house->supervisor = channel_new(house->loop, pair[0], &events, house);
    settings_send(house, folder);
    channel_send(house->supervisor, SUPERVISOR_START, SPAN_NONE);
    wait_for(house, &house->ready, 1);
}

static void house_end(struct house *house)
{
    int status = 0;
    channel_send(house->supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    wait_for(house, &house->drained, 1);
    assert_int_equal(waitpid(house->child, &status, 0), house->child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    channel_free(house->writer);
    channel_free(house->supervisor);
    loop_free(house->loop);
}

/* Announces a message, `offset` in our segment; true: the queue took it. */
static bool takes(struct house *house, uint64_t id, uint32_t offset, uint64_t body)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1024), words = BUF_EMPTY(4096);
    writer_recipient_put(&packed, &(struct writer_recipient){ 0, SPAN("a@b.example") });
    writer_enqueue_put(&words, &(struct writer_enqueue){
        .id = id, .segment = house->segment, .offset = offset, .length = 64, .body = body, .sender = SPAN("c@d.example"),
        .recipient_count = 1, .recipients = buf_span(&packed) });
    channel_send(house->writer, WRITER_ENQUEUE, buf_span(&words));
    /* The answer to this comes behind what it thinks of that. */
    unsigned bodies = house->bodies;
    AUTO(buf_done) struct buf need = BUF_EMPTY(64);
    writer_need_body_put(&need, &(struct writer_need_body){ 1 });
    channel_send(house->writer, WRITER_NEED_BODY, buf_span(&need));
    int64_t until = time_mono_ms() + 60000;
    while (house->bodies == bodies && !house->closed && time_mono_ms() < until) {
        channel_flush(house->writer);
        loop_turn(house->loop, 100);
    }
    return house->bodies > bodies;
}

static void test_names(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    int64_t now = 1800000000000;
    uint64_t mine = id_next(&house.ids, now);
    struct id_source another = { .writer = (uint8_t)(house.ids.writer + 1) };
    assert_int_equal(id_writer(mine), house.ids.writer);
    assert_true(takes(&house, mine, 4096, 0));
    assert_true(takes(&house, id_next(&house.ids, now), 8192, house.body));
    assert_false(takes(&house, id_next(&another, now), 12288, 0)); /* the id of another's message */
    uint64_t latest = house.ids.last;
    writer_begin(&house);
    assert_true(house.ids.last == latest); /* the next one in its place knows where its ids ended */
    assert_false(takes(&house, id_next(&house.ids, now), 4096, 77)); /* another's body */
    writer_begin(&house);
    for (unsigned i = 1; i < 64 && !house.closed; i++) { /* all the disk */
        channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
        int64_t until = time_mono_ms() + 60000;
        while (house.segments == i && !house.closed && time_mono_ms() < until) {
            channel_flush(house.supervisor);
            loop_turn(house.loop, 100);
        }
    }
    assert_true(house.closed && house.segments <= 16);
    house_end(&house);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

static void need_body(struct house *house)
{
    AUTO(buf_done) struct buf need = BUF_EMPTY(64);
    unsigned bodies = house->bodies;
    writer_need_body_put(&need, &(struct writer_need_body){ 1 });
    channel_send(house->writer, WRITER_NEED_BODY, buf_span(&need));
    wait_for(house, &house->bodies, bodies + 1);
}

static bool body_is_there(const char *folder, uint64_t number)
{
    char path[200];
    snprintf(path, sizeof path, "%s/spool/bodies/%016llx.body", folder, (unsigned long long)number);
    return access(path, F_OK) == 0;
}

/* What a writer does whose disk is slow: its queue has died, the next one has looked at everything already. */
static void commit_late(struct house *house, uint64_t body)
{
    struct spool_recipient recipient = { .address = SPAN("a@b.example") };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &recipient, .recipient_count = 1 };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(4096);
    struct spool_log log;
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    struct spool_append append = { .id = id_next(&house->ids, 1800000000000), .kind = SPOOL_KIND_MESSAGE,
                                   .envelope = buf_span(&stored), .headers = SPAN("Subject: x\r\n"),
                                   .file = { .number = body, .octets = 0, .check = 0 } };
    spool_log_init(&log, &spool_ops_system);
    assert_int_equal(spool_log_open(&log, house->segment_fd), STATUS_OK);
    assert_int_equal(spool_log_commit(&log, &append), STATUS_OK);
    spool_log_done(&log);
    house->segment_fd = -1;
}

static void test_bodies_of_writers_that_outlive_a_queue(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    need_body(&house);
    uint64_t unnamed = house.body;
    need_body(&house);
    uint64_t named = house.body;
    kill(house.child, SIGKILL);
    assert_int_equal(waitpid(house.child, NULL, 0), house.child);
    house_begin(&next, folder);
    assert_true(body_is_there(folder, named) && body_is_there(folder, unnamed));
    commit_late(&house, named);
    writer_begin(&next);
    for (int64_t until = time_mono_ms() + 60000; body_is_there(folder, unnamed) && time_mono_ms() < until;)
        loop_turn(next.loop, 10);
    assert_false(body_is_there(folder, unnamed));
    assert_true(body_is_there(folder, named));
    house_end(&next);
    assert_true(body_is_there(folder, named));
    channel_free(house.writer);
    channel_free(house.supervisor);
    loop_free(house.loop);
    close(house.body_fd);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
                                        cmocka_unit_test(test_bodies_of_writers_that_outlive_a_queue) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
