#include "loop/loop.h"
#include "test.h"
#include <signal.h>
#include <unistd.h>

struct counted {
    struct loop_timer timer;
    struct loop_task task;
    struct loop_fd fd;
    int count, order;
    struct counted *other;
};

static int clock_of_calls;

static void on_due(struct loop_timer *timer)
{
    struct counted *counted = CONTAINER(timer, struct counted, timer);
    counted->count++;
    counted->order = ++clock_of_calls;
    loop_stop(timer->loop);
}

static void test_timers(void **state)
{
    struct loop *loop = loop_new();
    struct counted early = { 0 }, late = { 0 }, never = { 0 };
    loop_timer_init(loop, &early.timer, on_due);
    loop_timer_init(loop, &late.timer, on_due);
    loop_timer_init(loop, &never.timer, on_due);
    loop_timer_set(&late.timer, 20);
    loop_timer_set(&early.timer, 50);
    loop_timer_set(&early.timer, 1); /* moved */
    loop_timer_set(&never.timer, 5);
    loop_timer_stop(&never.timer);
    loop_run(loop);
    loop_run(loop);
    assert_int_equal(early.count, 1);
    assert_int_equal(late.count, 1);
    assert_int_equal(never.count, 0);
    assert_true(early.order < late.order);
    assert_false(loop_timer_runs(&early.timer));
    loop_free(loop);
}

static void run_again(struct loop_task *task)
{
    struct counted *counted = CONTAINER(task, struct counted, task);
    if (++counted->count < 3)
        loop_later(task);
}

static void cancel_other(struct loop_task *task)
{
    struct counted *counted = CONTAINER(task, struct counted, task);
    counted->count++;
    loop_task_cancel(&counted->other->task);
}

static void test_tasks(void **state)
{
    struct loop *loop = loop_new();
    struct counted again = { 0 }, cancelled = { 0 }, first = { .other = &cancelled };
    loop_task_init(loop, &again.task, run_again);
    loop_task_init(loop, &first.task, cancel_other);
    loop_task_init(loop, &cancelled.task, run_again);
    loop_later(&again.task);
    loop_later(&again.task); /* asked twice, runs once */
    loop_later(&first.task);
    loop_later(&cancelled.task);
    loop_turn(loop, 0);
    assert_int_equal(again.count, 1);
    assert_int_equal(cancelled.count, 0);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(again.count, 3);
    loop_free(loop);
}

static void hook_removes_both(struct loop_task *task)
{
    struct counted *counted = CONTAINER(task, struct counted, task);
    counted->count++;
    if (counted->count == 2) {
        loop_hook_remove(task);
        loop_hook_remove(&counted->other->task);
    }
}

static void test_hooks(void **state)
{
    struct loop *loop = loop_new();
    struct counted a = { 0 }, b = { 0 };
    a.other = &b;
    b.other = &a;
    loop_hook_add(loop, &a.task, hook_removes_both);
    loop_hook_add(loop, &b.task, hook_removes_both);
    for (int i = 0; i < 4; i++)
        loop_turn(loop, 0);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 1); /* removed by a before its second turn */
    loop_free(loop);
}

/* Both are ready in one turn; whoever comes first removes the other, which must not be called. */
static void remove_other(struct loop_fd *fd, unsigned ready)
{
    struct counted *counted = CONTAINER(fd, struct counted, fd);
    counted->count++;
    loop_fd_remove(&counted->other->fd);
}

static void test_removed_while_ready(void **state)
{
    struct loop *loop = loop_new();
    struct counted a = { 0 }, b = { 0 };
    int pipes[2][2];
    a.other = &b;
    b.other = &a;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1);
    }
    assert_int_equal(loop_fd_add(loop, &a.fd, pipes[0][0], LOOP_READ, remove_other), STATUS_OK);
    assert_int_equal(loop_fd_add(loop, &b.fd, pipes[1][0], LOOP_READ, remove_other), STATUS_OK);
    loop_turn(loop, 0);
    assert_int_equal(a.count + b.count, 1);
    for (int i = 0; i < 4; i++)
        close(pipes[i / 2][i % 2]);
    loop_free(loop);
}

static void count_ready(struct loop_fd *fd, unsigned ready)
{
    struct counted *counted = CONTAINER(fd, struct counted, fd);
    counted->count++;
    counted->order = ++clock_of_calls;
}

static void test_bulk_stands_behind(void **state)
{
    enum { BULK = 20 };
    struct loop *loop = loop_new();
    struct counted bulk[BULK] = { 0 }, short_one = { 0 };
    int pipes[BULK + 1][2];
    for (int i = 0; i <= BULK; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1);
        struct counted *counted = i < BULK ? &bulk[i] : &short_one;
        assert_int_equal(loop_fd_add(loop, &counted->fd, pipes[i][0], LOOP_READ, count_ready), STATUS_OK);
        loop_fd_set_bulk(&counted->fd, i < BULK);
    }
    for (int turn = 1; turn <= 5; turn++) {
        int sum = 0, first = INT32_MAX;
        short_one.order = 0;
        for (int i = 0; i < BULK; i++)
            bulk[i].order = INT32_MAX;
        loop_turn(loop, 1000);
        for (int i = 0; i < BULK; i++) {
            sum += bulk[i].count;
            first = MIN(first, bulk[i].order);
        }
        assert_int_equal(short_one.count, turn);
        assert_true(short_one.order < first);
        assert_int_equal(sum, turn * LOOP_BULK_TURN);
    }
    for (int i = 0; i < BULK; i++)
        assert_int_equal(bulk[i].count, 5 * LOOP_BULK_TURN / BULK); /* all of them in turn */

    loop_fd_set_bulk(&bulk[0].fd, false);
    loop_fd_want(&short_one.fd, 0);
    for (int i = 1; i < BULK; i++)
        loop_fd_remove(&bulk[i].fd);
    loop_turn(loop, 1000);
    assert_int_equal(bulk[0].count, 3); /* an ordinary one again */
    for (int i = 0; i <= BULK; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    loop_free(loop);
}

static void on_signal(void *arg, int signal)
{
    *(int *)arg += signal;
}

static void test_signals(void **state)
{
    struct loop *loop = loop_new();
    int seen = 0;
    assert_int_equal(loop_signal(loop, SIGHUP, on_signal, &seen), STATUS_OK);
    assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, &seen), STATUS_OK);
    raise(SIGHUP);
    raise(SIGUSR1);
    loop_turn(loop, 1000);
    assert_int_equal(seen, SIGHUP + SIGUSR1);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_timers), cmocka_unit_test(test_tasks),
                                        cmocka_unit_test(test_hooks), cmocka_unit_test(test_removed_while_ready), cmocka_unit_test(test_bulk_stands_behind),
                                        cmocka_unit_test(test_signals) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
