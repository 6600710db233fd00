#include "loop/workers.h"
#include "test.h"

#define MANY 5000

struct job {
    struct work work;
    int input, output;
};

static struct loop *loop;
static int finished;

static void square(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    job->output = job->input * 2;
}

static void on_done(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    assert_int_equal(job->output, job->input * 2);
    finished++;
}

static void test_all_come_back(void **state)
{
    static struct job jobs[MANY];
    loop = loop_new();
    struct workers *workers = workers_new(loop, 4, MANY);
    assert_non_null(workers);
    for (int i = 0; i < MANY; i++) {
        jobs[i] = (struct job){ .work = { .run = square, .on_done = on_done }, .input = i };
        assert_int_equal(workers_do(workers, &jobs[i].work), STATUS_OK);
    }
    while (finished < MANY)
        loop_turn(loop, 1000);
    workers_free(workers);
    loop_free(loop);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(struct work *work)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void test_bounded(void **state)
{
    struct job jobs[4] = { 0 };
    loop = loop_new();
    finished = 0;
    struct workers *workers = workers_new(loop, 1, 2);
    pthread_mutex_lock(&gate);
    unsigned refused = 0, taken = 0;
    for (int i = 0; i < 4; i++) { /* one in hand at the most, two waiting: at least one is refused */
        jobs[i].work = (struct work){ .run = wait_at_gate, .on_done = on_done };
        if (workers_do(workers, &jobs[i].work) == STATUS_OK)
            taken++;
        else
            refused++;
    }
    assert_true(refused >= 1 && taken >= 2);
    pthread_mutex_unlock(&gate);
    while (finished < (int)taken)
        loop_turn(loop, 1000);
    workers_free(workers);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_come_back), cmocka_unit_test(test_bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
