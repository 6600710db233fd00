/* The process queue in a child that starts with little memory: one allocation fails, each in turn. It starts with all the mail
 * there is, or not at all. */
#include "stored.h"
#include <stdatomic.h>
#include <sys/mman.h>

/* What both processes see. */
static struct stage {
    atomic_uint calls;       /* of the child so far */
    atomic_uint fails;       /* the one that does; 0: none */
} *stage;
static pid_t test_pid;

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool is_there_memory(void)
{
    if (!stage || getpid() == test_pid || ++stage->calls != stage->fails)
        return true;
    errno = ENOMEM;
    return false;
}

void *__wrap_calloc(size_t n, size_t size) { return is_there_memory() ? __real_calloc(n, size) : NULL; }
void *__wrap_malloc(size_t n) { return is_there_memory() ? __real_malloc(n) : NULL; }
void *__wrap_realloc(void *p, size_t n) { return is_there_memory() ? __real_realloc(p, n) : NULL; }

static void fill(const char *folder)
{
    static struct house house;
    house_begin(&house, folder);
    writer_begin(&house);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t id = id_next(&house.ids, time_wall_ms());
        stored(&house, &id, 1, SPAN("a@b.example"));
        channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
        wait_for(&house, &house.segments, 2 + i);
    }
    killed(&house);
    house_done(&house);
}

/* True: it is ready. False: it has died of it. */
static bool starts(struct house *house, const char *folder)
{
    int how;
    house_prepare(house, folder, -1);
    channel_send(house->supervisor, SUPERVISOR_START, SPAN_NONE);
    for (int64_t until = time_mono_ms() + 60000; !house->ready && time_mono_ms() < until;) {
        if (waitpid(house->child, &how, WNOHANG) == house->child)
            return false;
        loop_turn(house->loop, 10);
    }
    assert_true(house->ready);
    return true;
}

static void test_all_or_nothing(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-memory-XXXXXX";
    unsigned ready = 0, fails = 1;
    assert_non_null(mkdtemp(folder));
    fill(folder);
    for (bool was_hit = true; was_hit; fails++) {
        stage->calls = 0;
        stage->fails = fails;
        bool good = starts(&house, folder);
        was_hit = stage->calls >= fails;
        stage->fails = 0;
        if (good) {
            assert_int_equal(messages(folder), 3);
            ready++;
            killed(&house);
        }
        house_done(&house);
    }
    assert_true(ready > 0 && ready < fails);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_or_nothing) };
    test_pid = getpid();
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return stage == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
