/* The control socket of a queue in a child: nothing that changes a message is answered before it is synced. */
#include "house.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { MESSAGES = 250 }; /* more than the queue looks at in one turn */

/* The disk, as both processes see it. */
static struct disk {
    atomic_bool shut;    /* no sync ends */
    atomic_bool broken;  /* each fails */
    atomic_uint syncs;   /* that have begun */
} *disk;

/* In the place of libc's. */
int fdatasync(int fd)
{
    disk->syncs++;
    while (disk->shut)
        poll(NULL, 0, 1);
    if (!disk->broken)
        return (int)syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

static int dial(const char *folder)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static int ask(const char *folder, const char *op)
{
    char line[100];
    int fd = dial(folder), n = snprintf(line, sizeof line, "{\"op\":\"%s\",\"filter\":{\"all\":true},\"limit\":0}\n", op);
    assert_int_equal(write(fd, line, (size_t)n), n);
    return fd;
}

static bool is_answered(int fd, int wait_ms)
{
    return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, wait_ms) == 1;
}

/* The last line, which is the only one. */
static const char *answer(int fd)
{
    static char text[1000];
    assert_true(is_answered(fd, 60000));
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = 0;
    return text;
}

static void asked(const char *folder, const char *op, const char *says)
{
    int fd = ask(folder, op);
    const char *text = answer(fd);
    if (!strstr(text, says))
        fail_msg("%s: %s", op, text);
    close(fd);
}

static void begin(struct house *house, char *folder, unsigned messages)
{
    if (!disk)
        disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(disk != MAP_FAILED);
    *disk = (struct disk){ 0 };
    assert_non_null(mkdtemp(folder));
    house_begin(house, folder);
    writer_begin(house);
    for (unsigned i = 0; i < messages; i++)
        assert_true(takes(house, id_next(&house->ids, 1800000000000), 4096 + i * 64, 0));
}

static void end(struct house *house, const char *folder)
{
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    house_end(house);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

static void test_answer_waits_for_the_sync(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-control-XXXXXX";
    static const char *const ops[] = { "hold", "release", "delete" };
    begin(&house, folder, MESSAGES);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        unsigned before = disk->syncs;
        disk->shut = true;
        int fd = ask(folder, ops[i]);
        for (int64_t until = time_mono_ms() + 60000; disk->syncs == before && time_mono_ms() < until;)
            poll(NULL, 0, 1);
        asked(folder, "status", "\"done\"");
        asked(folder, "retry", "\"done\"");
        assert_false(is_answered(fd, 100));
        disk->shut = false;
        assert_non_null(strstr(answer(fd), "\"messages\":250"));
        close(fd);
        assert_true(disk->syncs - before < MESSAGES / 10);
    }
    end(&house, folder);
}

static void test_operator_leaves_before_the_answer(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-control-XXXXXX";
    begin(&house, folder, 3);
    unsigned before = disk->syncs;
    disk->shut = true;
    int gone = ask(folder, "hold"), stays = ask(folder, "delete");
    for (int64_t until = time_mono_ms() + 60000; disk->syncs == before && time_mono_ms() < until;)
        poll(NULL, 0, 1);
    close(gone);
    asked(folder, "status", "\"done\"");
    disk->shut = false;
    assert_non_null(strstr(answer(stays), "\"done\""));
    close(stays);
    asked(folder, "status", "\"recipients\":0");
    end(&house, folder);
}

static void test_what_cannot_be_written_is_said(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-control-XXXXXX";
    begin(&house, folder, 3);
    disk->broken = true;
    asked(folder, "hold", "the journal cannot be written");
    asked(folder, "release", "the journal cannot be written"); /* known to be in trouble */
    asked(folder, "status", "\"done\"");
    disk->broken = false;
    int64_t until = time_mono_ms() + 60000;
    const char *text;
    do { /* it tries again by itself */
        int fd = ask(folder, "hold");
        text = answer(fd);
        close(fd);
        if (!strstr(text, "\"messages\":3"))
            asked(folder, "release", "");
    } while (!strstr(text, "\"messages\":3") && time_mono_ms() < until);
    assert_non_null(strstr(text, "\"messages\":3"));
    end(&house, folder);
}

/* Who waits, and who has not asked yet, is told what happens. */
static void test_a_queue_that_stops_says_so(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-control-XXXXXX";
    begin(&house, folder, 3);
    unsigned before = disk->syncs;
    disk->shut = true;
    int idle = dial(folder), waits = ask(folder, "hold");
    for (int64_t until = time_mono_ms() + 60000; disk->syncs == before && time_mono_ms() < until;)
        poll(NULL, 0, 1);
    asked(folder, "status", "\"done\""); /* the others have been let in before it */
    channel_send(house.supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    wait_for(&house, &house.drained, 1);
    assert_non_null(strstr(answer(waits), "hold: done for 3 recipients, but the queue is stopping"));
    assert_non_null(strstr(answer(idle), "the queue is stopping: ask again"));
    disk->shut = false;
    close(idle);
    close(waits);
    end(&house, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_answer_waits_for_the_sync),
                                        cmocka_unit_test(test_operator_leaves_before_the_answer),
                                        cmocka_unit_test(test_what_cannot_be_written_is_said),
                                        cmocka_unit_test(test_a_queue_that_stops_says_so) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
