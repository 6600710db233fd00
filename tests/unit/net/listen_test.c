/* Listening, accepting and connecting, in one loop. */
#include "test.h"
#include "net/connect.h"
#include "net/listen.h"
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static struct loop *loop;
static unsigned accepted, exhausted;
static int last_fd = -1;

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    accepted++;
    assert_true(net_address_is_loopback(peer) || peer->as.any.sa_family == AF_UNIX);
    if (last_fd >= 0)
        close(last_fd);
    last_fd = fd;
}

static void on_exhausted(void *arg, struct listener *listener) { exhausted++; }

static const struct listener_events events = { on_accept, on_exhausted };

struct made {
    bool done;
    enum status status;
    int fd, error;
};

static void on_done(void *arg, enum status status, int fd, int error)
{
    struct made *made = arg;
    assert_false(made->done);
    *made = (struct made){ true, status, fd, error };
}

static struct made connect_to(const struct net_address *to, int64_t timeout_ms)
{
    struct made made = { 0 };
    struct connect_options options = { .timeout_ms = timeout_ms };
    assert_non_null(connect_start(loop, to, &options, on_done, &made));
    assert_false(made.done);
    for (int i = 0; i < 1000 && !made.done; i++)
        loop_turn(loop, 10);
    assert_true(made.done);
    return made;
}

static struct net_address address_of(const char *text)
{
    struct net_address address;
    assert_int_equal(net_address_parse(span_str(text), 0, &address), STATUS_OK);
    return address;
}

static struct listener *listen_at(struct net_address *at)
{
    int fd;
    struct listen_options options = { .share = true };
    assert_int_equal(listen_open(at, &options, &fd), STATUS_OK);
    if (at->as.any.sa_family != AF_UNIX)
        assert_int_equal(net_address_local(fd, at), STATUS_OK);
    struct listener *listener = listener_new(loop, fd, &events, NULL);
    assert_non_null(listener);
    return listener;
}

static void accepts(struct net_address at)
{
    struct listener *listener = listen_at(&at);
    accepted = 0;
    struct made made = connect_to(&at, 5000);
    assert_int_equal(made.status, STATUS_OK);
    for (int i = 0; i < 100 && !accepted; i++)
        loop_turn(loop, 10);
    assert_int_equal(accepted, 1);
    assert_int_equal(write(made.fd, "x", 1), 1);
    close(made.fd);

    listener_pause(listener);
    made = connect_to(&at, 5000); /* the kernel takes it; we do not */
    loop_turn(loop, 0);
    assert_int_equal(accepted, 1);
    listener_resume(listener);
    loop_turn(loop, 100);
    assert_int_equal(accepted, 2);
    close(made.fd);
    listener_free(listener);
}

static void accepts_on_every_kind_of_address(void **state)
{
    char path[64];
    snprintf(path, sizeof(path), "unix:/tmp/goniec-listen-test.%d", getpid());
    accepts(address_of("127.0.0.1:0"));
    accepts(address_of("[::1]:0"));
    accepts(address_of(path));
    accepts(address_of(path)); /* what the first one left behind is no hindrance */
    unlink(path + 5);
}

static void tells_why_a_connection_fails(void **state)
{
    struct net_address at = address_of("127.0.0.1:0");
    listener_free(listen_at(&at));
    struct made made = connect_to(&at, 5000);
    assert_int_equal(made.status, STATUS_IO);
    assert_int_equal(made.error, ECONNREFUSED);
    assert_int_equal(made.fd, -1);
    made = connect_to(&(struct net_address){ address_of("unix:/nowhere/at/all").n, { .un = address_of("unix:/nowhere/at/all").as.un } }, 5000);
    assert_int_equal(made.status, STATUS_IO);
    assert_int_equal(made.error, ENOENT);
}

static void cancelled_connections_tell_nothing(void **state)
{
    struct net_address at = address_of("127.0.0.1:0");
    struct listener *listener = listen_at(&at);
    struct made made = { 0 };
    struct connect_options options = { .timeout_ms = 1000 };
    connect_cancel(connect_start(loop, &at, &options, on_done, &made));
    connect_cancel(NULL);
    loop_turn(loop, 10);
    assert_false(made.done);
    listener_free(listener);
}

static void survives_the_end_of_descriptors(void **state)
{
    struct net_address at = address_of("127.0.0.1:0");
    struct listener *listener = listen_at(&at);
    struct made made = { 0 };
    struct connect_options options = { .timeout_ms = 5000 };
    struct rlimit old, low;
    connect_start(loop, &at, &options, on_done, &made);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int highest = dup(0);
    close(highest);
    low = (struct rlimit){ (rlim_t)highest, old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    exhausted = accepted = 0;
    for (int i = 0; i < 100 && !exhausted; i++)
        loop_turn(loop, 10);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(exhausted, 1);
    assert_int_equal(accepted, 0);
    if (made.fd > 0)
        close(made.fd);
    made = connect_to(&at, 5000);
    for (int i = 0; i < 100 && !accepted; i++)
        loop_turn(loop, 10);
    assert_int_equal(accepted, 1);
    close(made.fd);
    listener_free(listener);
}

static int set_up(void **state)
{
    loop = loop_new();
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    if (last_fd >= 0)
        close(last_fd);
    last_fd = -1;
    loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepts_on_every_kind_of_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_why_a_connection_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_connections_tell_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_the_end_of_descriptors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
