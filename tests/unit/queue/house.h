/* The process queue in a child, with a supervisor and an smtpd that are ours. */
#pragma once
#include "role_child.h"
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

static UNUSED void keep(int *fd, struct channel_message *message)
{
    if (!message->fd_count)
        return;
    if (*fd > 0)
        close(*fd);
    *fd = message->fds[0];
    message->fds[0] = -1;
}

static UNUSED void on_queue(struct house *house, struct channel_message *message)
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

static UNUSED void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct house *house = arg;
    if (channel == house->writer)
        on_queue(house, message);
    house->ready += channel == house->supervisor && message->kind == SUPERVISOR_READY;
    house->drained += channel == house->supervisor && message->kind == SUPERVISOR_DRAINED;
}

static UNUSED void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct house *house = arg;
    house->closed += channel == house->writer;
}

static const struct channel_events events = { on_message, on_closed };

static UNUSED void wait_for(struct house *house, const unsigned *counter, unsigned least)
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
static UNUSED void writer_begin(struct house *house)
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

static UNUSED void settings_send(struct house *house, const char *folder)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    buf_printf(&text, "hostname: mx.example.org\nstate-dir: %s\nrun-dir: %s\nspool: { segment: 1MiB, reserve: 0 }\n",
               folder, folder);
    role_settings(house->supervisor, buf_span(&text), NULL);
}

/* `log_fd`: where it writes its events to; -1: nowhere. */
static UNUSED void house_prepare(struct house *house, const char *folder, int log_fd)
{
    int fd;
    *house = (struct house){ 0 };
    house->child = role_begin(queue_main, &fd);
    house->loop = loop_new();
    house->supervisor = channel_new(house->loop, fd, &events, house);
    settings_send(house, folder);
    if (log_fd >= 0)
        channel_send_fds(house->supervisor, SUPERVISOR_LOG, SPAN_NONE, &log_fd, 1);
}

static UNUSED void house_start(struct house *house)
{
    channel_send(house->supervisor, SUPERVISOR_START, SPAN_NONE);
    wait_for(house, &house->ready, 1);
}

static UNUSED void house_begin_told(struct house *house, const char *folder, int log_fd)
{
    house_prepare(house, folder, log_fd);
    house_start(house);
}

static UNUSED void house_begin(struct house *house, const char *folder) { house_begin_told(house, folder, -1); }

static UNUSED void house_end(struct house *house)
{
    channel_send(house->supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    wait_for(house, &house->drained, 1);
    assert_int_equal(role_end(house->child), 0);
    channel_free(house->writer);
    channel_free(house->supervisor);
    loop_free(house->loop);
}

/* Announces a message, `offset` in our segment; true: the queue took it. */
static UNUSED bool takes(struct house *house, uint64_t id, uint32_t offset, uint64_t body)
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
