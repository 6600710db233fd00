#include "wire/channel.h"
#include "wire/codec.h"
#include "test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct channel *channel;
    unsigned messages, closed;
    enum status why;
    uint64_t octets;
    int fds_seen;
    bool free_in_handler;
};

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct side *side = arg;
    side->messages++;
    side->octets += message->body.n;
    if (message->fd_count) { /* each descriptor is a pipe that holds its message's kind */
        char kind = 0;
        assert_int_equal(read(message->fds[0], &kind, 1), 1);
        assert_int_equal(kind, message->kind);
        side->fds_seen++;
    }
    if (side->free_in_handler) {
        channel_free(channel);
        side->channel = NULL;
    }
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct side *side = arg;
    side->closed++;
    side->why = why;
}

static const struct channel_events events = { on_message, on_closed };

static struct loop *open_pair(struct side *a, struct side *b)
{
    int ends[2];
    struct loop *loop = loop_new();
    assert_int_equal(channel_pair(ends), STATUS_OK);
    a->channel = channel_new(loop, ends[0], &events, a);
    b->channel = channel_new(loop, ends[1], &events, b);
    assert_non_null(a->channel);
    assert_non_null(b->channel);
    return loop;
}

static void close_pair(struct loop *loop, struct side *a, struct side *b)
{
    channel_free(a->channel);
    channel_free(b->channel);
    loop_free(loop);
}

static void test_many_both_ways(void **state)
{
    struct side a = { 0 }, b = { 0 };
    struct loop *loop = open_pair(&a, &b);
    static char body[70000];
    uint64_t sent = 0;
    for (size_t i = 0; i < 2000; i++) {
        struct span part = span_of(body, i * 31 % sizeof body);
        assert_int_equal(channel_send(a.channel, 1, part), STATUS_OK);
        assert_int_equal(channel_send(b.channel, 2, part), STATUS_OK);
        sent += part.n;
    }
    while (a.messages < 2000 || b.messages < 2000)
        loop_turn(loop, 1000);
    assert_true(a.octets == sent && b.octets == sent);
    close_pair(loop, &a, &b);
}

/* Descriptors between large messages: each must arrive with its own frame. */
static void test_descriptors(void **state)
{
    struct side a = { 0 }, b = { 0 };
    struct loop *loop = open_pair(&a, &b);
    static char body[300000];
    for (char kind = 1; kind <= 100; kind++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], &kind, 1), 1);
        assert_int_equal(channel_send_fds(a.channel, (uint16_t)kind, span_of(body, (size_t)kind * 2500), ends, 1),
                         STATUS_OK);
        assert_int_equal(channel_send(a.channel, 200, span_of(body, (size_t)kind)), STATUS_OK);
        close(ends[0]);
        close(ends[1]);
    }
    while (b.messages < 200)
        loop_turn(loop, 1000);
    assert_int_equal(b.fds_seen, 100);
    close_pair(loop, &a, &b);
}

static void test_compose_in_place(void **state)
{
    struct side a = { 0 }, b = { 0 };
    struct loop *loop = open_pair(&a, &b);
    wire_put_u32(channel_begin(a.channel, 1), 7);
    assert_int_equal(channel_end(a.channel), STATUS_OK);
    while (b.messages < 1)
        loop_turn(loop, 1000);
    assert_true(b.octets == 4);
    close_pair(loop, &a, &b);
}

static void send_raw_and_expect(struct span octets, enum status why)
{
    struct side a = { 0 };
    int ends[2];
    struct loop *loop = loop_new();
    assert_int_equal(channel_pair(ends), STATUS_OK);
    a.channel = channel_new(loop, ends[0], &events, &a);
    assert_int_equal(write(ends[1], octets.p, octets.n), (ssize_t)octets.n);
    if (why == STATUS_CLOSED)
        close(ends[1]);
    while (!a.closed)
        loop_turn(loop, 1000);
    assert_int_equal(a.why, why);
    assert_int_equal(a.closed, 1);
    assert_int_equal(channel_send(a.channel, 1, SPAN("x")), STATUS_CLOSED);
    channel_free(a.channel);
    if (why != STATUS_CLOSED)
        close(ends[1]);
    loop_free(loop);
}

static void test_hostile_frames(void **state)
{
    send_raw_and_expect(SPAN("\xFF\xFF\xFF\xFF\x01\x00\x00\x00"), STATUS_DAMAGED); /* too long */
    send_raw_and_expect(SPAN("\x00\x00\x00\x00\x01\x00\x01\x00"), STATUS_DAMAGED); /* a descriptor that is not there */
    send_raw_and_expect(SPAN("\x00\x00\x00\x00\x01\x00\xFF\xFF"), STATUS_DAMAGED);
    send_raw_and_expect(SPAN("\x04\x00\x00\x00\x01\x00\x00\x00" "ab"), STATUS_CLOSED); /* ends in the middle */
}

static void test_freed_in_its_handler(void **state)
{
    struct side a = { 0 }, b = { .free_in_handler = true };
    struct loop *loop = open_pair(&a, &b);
    channel_send(a.channel, 1, SPAN("one"));
    channel_send(a.channel, 1, SPAN("two"));
    while (!a.closed)
        loop_turn(loop, 1000);
    assert_int_equal(b.messages, 1);
    assert_int_equal(a.why, STATUS_CLOSED);
    close_pair(loop, &a, &b);
}

static void test_too_long_to_send(void **state)
{
    struct side a = { 0 }, b = { 0 };
    struct loop *loop = open_pair(&a, &b);
    char *body = calloc(1, CHANNEL_BODY_MAX + 1);
    assert_non_null(body);
    assert_int_equal(channel_send(a.channel, 1, span_of(body, CHANNEL_BODY_MAX + 1)), STATUS_TOO_LONG);
    assert_int_equal(channel_send(a.channel, 1, span_of(body, CHANNEL_BODY_MAX)), STATUS_OK);
    while (b.messages < 1)
        loop_turn(loop, 1000);
    assert_true(b.octets == CHANNEL_BODY_MAX);
    free(body);
    close_pair(loop, &a, &b);
}

/* Nobody is told less than was said, unless the speaker knows it. */
static void test_too_much_waits(void **state)
{
    struct side a = { 0 }, b = { 0 };
    struct loop *loop = open_pair(&a, &b);
    char *body = calloc(1, CHANNEL_BODY_MAX);
    enum status status = STATUS_OK;
    assert_non_null(body);
    while (status == STATUS_OK) {
        buf_add(channel_begin(a.channel, 1), span_of(body, CHANNEL_BODY_MAX));
        status = channel_try_end(a.channel);
    }
    assert_int_equal(status, STATUS_FULL);
    assert_false(a.closed);
    assert_int_equal(channel_send(a.channel, 1, span_of(body, CHANNEL_BODY_MAX)), STATUS_FULL);
    assert_int_equal(channel_send(a.channel, 1, SPAN("x")), STATUS_CLOSED);
    assert_false(a.closed); /* not within a call of ours */
    while (!a.closed || !b.closed)
        loop_turn(loop, 1000);
    assert_int_equal(a.why, STATUS_FULL);
    free(body);
    close_pair(loop, &a, &b);
}

struct looker {
    struct loop_task hook;
    const struct side *side;
    bool saw;
};

static void on_hook(struct loop_task *task)
{
    struct looker *looker = CONTAINER(task, struct looker, hook);
    looker->saw |= looker->side->closed;
}

/* It breaks when the turn's words are written, behind everybody's hooks, and nothing may ever happen again: who looks at the
 * end of each turn whether it is there must have learned it all the same. */
static void test_broken_at_the_turns_end(void **state)
{
    struct side a = { 0 };
    struct looker looker = { .side = &a };
    int ends[2];
    struct loop *loop = loop_new();
    assert_int_equal(channel_pair(ends), STATUS_OK);
    loop_hook_add(loop, &looker.hook, on_hook);
    a.channel = channel_new(loop, ends[0], &events, &a);
    channel_send(a.channel, 1, SPAN("x"));
    close(ends[1]);
    while (!a.closed)
        loop_turn(loop, 1000);
    assert_true(looker.saw);
    loop_hook_remove(&looker.hook);
    channel_free(a.channel);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_many_both_ways), cmocka_unit_test(test_descriptors),
                                        cmocka_unit_test(test_compose_in_place), cmocka_unit_test(test_hostile_frames),
                                        cmocka_unit_test(test_freed_in_its_handler),
                                        cmocka_unit_test(test_too_long_to_send), cmocka_unit_test(test_too_much_waits),
                                        cmocka_unit_test(test_broken_at_the_turns_end) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
