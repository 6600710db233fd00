/* The process itself, in a child: told its settings, started, asked, reloaded, drained. */
#include "base/buf.h"
#include "directory/accounts.h"
#include "directory/directory.h"
#include "role_child.h"
#include "wire/smtpd_directory.h"
#include "wire/supervisor.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct house {
    char folder[64];
    pid_t child;
    struct loop *loop;
    struct channel *supervisor, *smtpd;
    unsigned ready, drained, failed;
    unsigned told; /* by the directory to smtpd */
    uint16_t kind;
    struct tell_verdict verdict;
    bool is_gone;
};

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct house *house = arg;
    if (channel == house->smtpd && message->kind == TELL_COUNT)
        return; /* comes when it has been found out, before the verdict or behind it */
    if (channel == house->smtpd) {
        house->told++;
        house->kind = message->kind;
        if (message->kind == TELL_VERDICT)
            assert_true(tell_verdict_get(message->body, &house->verdict));
        return;
    }
    house->ready += message->kind == SUPERVISOR_READY;
    house->drained += message->kind == SUPERVISOR_DRAINED;
    house->failed += message->kind == SUPERVISOR_FAILED;
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct house *house = arg;
    if (channel == house->supervisor)
        house->is_gone = true;
}

static const struct channel_events events = { on_message, on_closed };

static int setup(void **state)
{
    static struct house fresh;
    fresh = (struct house){ .folder = "/tmp/goniec-process-XXXXXX" };
    struct house *house = *state = &fresh;
    int fd;
    if (!mkdtemp(house->folder))
        return 1;
    house->child = role_begin(directory_main, &fd);
    house->loop = loop_new();
    house->supervisor = channel_new(house->loop, fd, &events, house);
    return house->supervisor ? 0 : 1;
}

static int exit_status(struct house *house)
{
    pid_t child = house->child;
    house->child = 0;
    return role_end(child);
}

static int teardown(void **state)
{
    struct house *house = *state;
    if (house->supervisor)
        channel_free(house->supervisor);
    if (house->smtpd)
        channel_free(house->smtpd);
    loop_free(house->loop);
    if (house->child)
        exit_status(house);
    static const char *const names[] = { "accounts.db", "accounts.db-wal", "accounts.db-shm", "log" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", house->folder, names[i]);
        unlink(path);
    }
    return rmdir(house->folder);
}

static void settle(struct house *house, const unsigned *counter, unsigned until)
{
    /* What is sent outside a turn leaves at its end: not before something else comes. */
    if (channel_flush(house->supervisor) != STATUS_OK || (house->smtpd && channel_flush(house->smtpd) != STATUS_OK))
        fail_msg("cannot send");
    while (*counter < until && !house->is_gone)
        loop_turn(house->loop, -1);
    assert_true(*counter >= until);
}

static void send_settings(struct house *house, const char *format)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    buf_printf(&text, "state-dir: %s\nqueue: { anything: 1 }\naccounts: { %s }\n", house->folder, format);
    role_settings(house->supervisor, buf_span(&text), NULL);
}

static void send_log(struct house *house)
{
    char path[128];
    snprintf(path, sizeof path, "%s/log", house->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_int_equal(channel_send_fds(house->supervisor, SUPERVISOR_LOG, SPAN_NONE, &fd, 1), STATUS_OK);
    close(fd);
}

static void send_peer(struct house *house)
{
    int pair[2];
    assert_int_equal(channel_pair(pair), STATUS_OK);
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    supervisor_peer_put(&body, &(struct supervisor_peer){ ROLE_SMTPD, 0, 1 });
    assert_int_equal(channel_send_fds(house->supervisor, SUPERVISOR_PEER, buf_span(&body), &pair[1], 1), STATUS_OK);
    close(pair[1]);
    if (house->smtpd)
        channel_free(house->smtpd);
    house->smtpd = channel_new(house->loop, pair[0], &events, house);
    assert_non_null(house->smtpd);
}

static void ask(struct house *house, const char *address)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1024);
    ask_is_recipient_put(&body, &(struct ask_is_recipient){ 1, span_str(address) });
    assert_int_equal(channel_send(house->smtpd, ASK_IS_RECIPIENT, buf_span(&body)), STATUS_OK);
}

static void order(struct house *house, enum supervisor_kind kind)
{
    assert_int_equal(channel_send(house->supervisor, kind, SPAN_NONE), STATUS_OK);
}

static void test_life(void **state)
{
    struct house *house = *state;
    send_settings(house, "password-threads: 1");
    send_log(house);
    send_peer(house);
    ask(house, "anna@example.org"); /* before START: it waits */
    order(house, SUPERVISOR_START);
    settle(house, &house->ready, 1);
    settle(house, &house->told, 2); /* mechanisms, then the verdict */
    assert_int_equal(house->kind, TELL_VERDICT);
    assert_int_equal(house->verdict.verdict, VERDICT_NO);

    /* a reload with bad settings changes nothing; a new smtpd is served at once */
    send_settings(house, "password-queue: many");
    settle(house, &house->failed, 1);
    send_settings(house, "remember: 1s");
    order(house, SUPERVISOR_RELOAD);
    settle(house, &house->ready, 2);
    house->told = 0;
    send_peer(house);
    ask(house, "postmaster@example.org");
    settle(house, &house->told, 2);

    order(house, SUPERVISOR_DRAIN);
    settle(house, &house->drained, 1);
    assert_int_equal(exit_status(house), 0);
}

static void test_bad_settings(void **state)
{
    struct house *house = *state;
    send_settings(house, "no-such-key: 1");
    settle(house, &house->failed, 1);
    assert_int_equal(exit_status(house), 1);
}

static void test_supervisor_dies(void **state)
{
    struct house *house = *state;
    send_settings(house, "password-threads: 2");
    order(house, SUPERVISOR_START);
    settle(house, &house->ready, 1);
    channel_free(house->supervisor);
    house->supervisor = NULL;
    assert_int_equal(exit_status(house), 1);
}

static void test_smtpd_talks_nonsense(void **state)
{
    struct house *house = *state;
    send_settings(house, "");
    send_peer(house);
    order(house, SUPERVISOR_START);
    settle(house, &house->told, 1);
    assert_int_equal(channel_send(house->smtpd, 77, SPAN("nonsense")), STATUS_OK);
    assert_int_equal(channel_flush(house->smtpd), STATUS_OK);
    while (!channel_is_dead(house->smtpd)) /* it is cut off ... */
        loop_turn(house->loop, -1);
    house->told = 0;
    send_peer(house); /* ... and its successor served */
    ask(house, "anna@example.org");
    settle(house, &house->told, 2);
    order(house, SUPERVISOR_DRAIN);
    settle(house, &house->drained, 1);
    assert_int_equal(exit_status(house), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_life), CASE(test_bad_settings), CASE(test_supervisor_dies),
                                        CASE(test_smtpd_talks_nonsense) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
