#include "stream_pair.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static void carries_both_ways(void **state)
{
    stream_write(a.stream, SPAN("hello "));
    stream_write(a.stream, SPAN("there"));
    stream_write(b.stream, SPAN("welcome"));
    turns(3);
    assert_span(buf_span(&b.got), "hello there");
    assert_int_equal(b.readable, 1); /* gathered into one */
    assert_span(buf_span(&a.got), "welcome");
    assert_int_equal(stream_waiting(a.stream), 0);
}

static void shows_again_what_was_not_consumed(void **state)
{
    b.consume = 3;
    stream_write(a.stream, SPAN("abcde"));
    turns(3);
    assert_span(buf_span(&b.got), "abc");
    assert_int_equal(b.readable, 1); /* not before more has come */
    stream_write(a.stream, SPAN("f"));
    turns(3);
    assert_span(buf_span(&b.got), "abcdef");
    assert_int_equal(stream_input(b.stream).n, 0);
}

static void paused_streams_are_quiet(void **state)
{
    b.consume = 1;
    b.pause_when_readable = true;
    stream_write(a.stream, SPAN("abc"));
    turns(5);
    assert_span(buf_span(&b.got), "a");
    stream_write(a.stream, SPAN("d"));
    turns(5);
    assert_int_equal(b.readable, 1);
    stream_consume(b.stream, 1); /* outside of a handler */
    stream_resume(b.stream);
    turns(5);
    assert_span(buf_span(&b.got), "ac");
    b.consume = 0;
    b.pause_when_readable = false;
    stream_resume(b.stream);
    turns(5);
    assert_span(buf_span(&b.got), "acd");
}

static void may_be_freed_in_its_own_handler(void **state)
{
    b.free_when_readable = true;
    stream_write(a.stream, SPAN("abc"));
    turns(5);
    assert_null(b.stream);
    assert_int_equal(a.ends, 1);
    assert_int_equal(a.end, STATUS_CLOSED);
}

static void waits_for_a_slow_peer(void **state)
{
    static char big[900000];
    memset(big, 'x', sizeof(big));
    stream_pause(b.stream);
    assert_int_equal(stream_write(a.stream, span_of(big, sizeof(big))), STATUS_OK);
    assert_int_equal(stream_write(a.stream, span_of(big, sizeof(big))), STATUS_FULL);
    turns(5);
    assert_true(stream_waiting(a.stream) > 0);
    assert_int_equal(a.drained, 0);
    /* Who does not read its replies is not read from. */
    stream_write(b.stream, SPAN("more"));
    turns(5);
    assert_int_equal(a.readable, 0);
    stream_resume(b.stream);
    turns(100);
    assert_int_equal(a.drained, 1);
    assert_int_equal(b.got.n, sizeof(big));
    assert_span(buf_span(&a.got), "more");
}

static void sends_pieces_without_copying(void **state)
{
    static char big[3000000];
    memset(big, 'y', sizeof(big));
    struct span pieces[] = { SPAN("head "), { big, sizeof(big) }, SPAN(" tail") };
    size_t all = 10 + sizeof(big), sent = 0;
    stream_write(a.stream, SPAN("before "));
    for (int i = 0; i < 1000 && sent < all; i++) {
        struct span rest[3];
        size_t skip = sent;
        for (unsigned p = 0; p < 3; p++) {
            rest[p] = span_from(pieces[p], skip);
            skip -= MIN(skip, pieces[p].n);
        }
        sent += stream_send(a.stream, rest, 3, true);
        turns(2);
    }
    turns(50);
    assert_int_equal(b.got.n, 7 + all);
    assert_memory_equal(b.got.p, "before head yyy", 15);
    assert_memory_equal(b.got.p + b.got.n - 6, "y tail", 6);
}

static void sends_files(void **state)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    stream_write(a.stream, SPAN("head "));
    assert_int_equal(stream_send_file(a.stream, fd, 2, 5), 5);
    turns(3);
    assert_span(buf_span(&b.got), "head 23456");
    assert_int_equal(stream_send_file(a.stream, -1, 0, 5), 0);
    assert_int_equal(errno, EBADF);
    close(fd);
}

static void half_closed_peers_get_their_answer(void **state)
{
    int fd = stream_fd(a.stream);
    stream_write(a.stream, SPAN("question"));
    stream_flush(a.stream);
    shutdown(fd, SHUT_WR);
    turns(4);
    assert_span(buf_span(&b.got), "question");
    assert_int_equal(b.ends, 1);
    assert_int_equal(b.end, STATUS_CLOSED);
    stream_write(b.stream, SPAN("answer"));
    stream_close(b.stream);
    b.stream = NULL;
    turns(4);
    assert_span(buf_span(&a.got), "answer");
    assert_int_equal(a.end, STATUS_CLOSED);
}

static void closing_sends_what_waits(void **state)
{
    static char big[800000];
    memset(big, 'z', sizeof(big));
    stream_write(a.stream, span_of(big, sizeof(big)));
    stream_close(a.stream);
    a.stream = NULL;
    turns(100);
    assert_int_equal(b.got.n, sizeof(big));
    assert_int_equal(b.end, STATUS_CLOSED);
}

static void lingering_outlasts_a_talking_peer(void **state)
{
    stream_write(b.stream, SPAN("talk"));
    stream_flush(b.stream);
    stream_write(a.stream, SPAN("421 enough\r\n"));
    stream_close_linger(a.stream);
    a.stream = NULL;
    turns(3);
    stream_write(b.stream, SPAN("talk"));
    turns(5);
    assert_span(buf_span(&b.got), "421 enough\r\n");
    assert_int_equal(b.end, STATUS_CLOSED);
    stream_free(b.stream);
    b.stream = NULL;
    turns(5); /* now the lingering one sees the end and frees itself (the leak checker looks) */
}

static void a_broken_stream_takes_no_more(void **state)
{
    stream_free(b.stream);
    b.stream = NULL;
    stream_write(a.stream, SPAN("x"));
    turns(5);
    assert_int_equal(a.ends, 1);
    stream_write(a.stream, SPAN("x"));
    turns(5);
    assert_int_equal(stream_write(a.stream, SPAN("x")), STATUS_CLOSED);
    assert_int_equal(a.ends, 1); /* told once */
    assert_int_equal(stream_errno(a.stream), EPIPE);
}

/* A consumer that takes nothing is not fed for ever. */
static void unconsumed_input_has_a_limit(void **state)
{
    static char big[500000];
    b.consume = 1;
    stream_write(a.stream, span_of(big, sizeof(big)));
    turns(100);
    assert_true(stream_input(b.stream).n >= STREAM_INPUT_MAX);
    assert_true(stream_input(b.stream).n <= STREAM_INPUT_MAX + STREAM_READ_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(carries_both_ways), TEST(shows_again_what_was_not_consumed), TEST(paused_streams_are_quiet),
        TEST(may_be_freed_in_its_own_handler), TEST(waits_for_a_slow_peer), TEST(sends_pieces_without_copying),
        TEST(sends_files), TEST(half_closed_peers_get_their_answer), TEST(closing_sends_what_waits),
        TEST(lingering_outlasts_a_talking_peer), TEST(a_broken_stream_takes_no_more), TEST(unconsumed_input_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
