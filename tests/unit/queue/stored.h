/* Messages that lie in segments, and the operator who asks about them: for tests of a queue that is killed and comes back. */
#pragma once
#include "house.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

/* One message as one commit in the segment that the writer got last, which it has no more then. */
static UNUSED void stored(struct house *house, const uint64_t *ids, size_t n, struct span recipient)
{
    enum { MOST = 64 };
    struct spool_recipient to = { .address = recipient };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &to, .recipient_count = 1 };
    AUTO(buf_done) struct buf packed = BUF_EMPTY(4096);
    struct span body = SPAN("\r\nhello\r\n");
    struct spool_append append[MOST];
    struct spool_log log;
    assert_true(n > 0 && n <= MOST);
    assert_int_equal(spool_envelope_encode(&envelope, &packed), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        append[i] = (struct spool_append){ .id = ids[i], .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&packed),
                                           .headers = SPAN("Subject: x\r\n"), .body = &body, .body_count = 1,
                                           .next = i + 1 < n ? &append[i + 1] : NULL };
    spool_log_init(&log, &spool_ops_system);
    assert_int_equal(spool_log_open(&log, house->segment_fd), STATUS_OK);
    assert_int_equal(spool_log_commit(&log, append), STATUS_OK);
    spool_log_done(&log);
    house->segment_fd = -1;
}

/* Asks over the control socket, once, and gives the answer: valid until the next. */
static UNUSED const char *asked(const char *folder, const char *request)
{
    static char text[1000];
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t n = 0;
    snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    assert_int_equal(write(fd, "\n", 1), 1);
    do {
        ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        assert_true(got > 0 || (got < 0 && errno == EINTR));
        n += got > 0 ? (size_t)got : 0;
        text[n] = 0;
    } while (!strchr(text, '\n'));
    close(fd);
    return text;
}

/* How many messages are in the queue. */
static UNUSED long long messages(const char *folder)
{
    const char *text = asked(folder, "{\"op\":\"status\"}"), *at = strstr(text, "\"messages\":");
    if (!at)
        fail_msg("%s", text);
    return atoll(at + strlen("\"messages\":"));
}

static UNUSED void killed(struct house *house)
{
    kill(house->child, SIGKILL);
    assert_int_equal(waitpid(house->child, NULL, 0), house->child);
}

/* Of one whose child is dead. */
static UNUSED void house_done(struct house *house)
{
    channel_free(house->writer);
    channel_free(house->supervisor);
    loop_free(house->loop);
}

static UNUSED bool is_there(const char *folder, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/spool/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* The checkpoint that has been begun, if one was, is made. */
static UNUSED bool checkpoint_comes(const char *folder)
{
    for (int64_t until = time_mono_ms() + 60000; is_there(folder, "checkpoint.new") && time_mono_ms() < until;)
        usleep(1000);
    return is_there(folder, "checkpoint");
}

static UNUSED void folder_remove(const char *folder)
{
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}
