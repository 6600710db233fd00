/* The process queue in a child whose disk does not give all of a segment back: what may lie there is nobody else's, and what is
 * over there stays over. */
#include "stored.h"
#include <sys/stat.h>
#include <sys/syscall.h>

static ino_t blind; /* of this file nothing but the first block can be read */

/* In the place of libc's. */
ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    struct stat st;
    if (blind && at > 0 && fstat(fd, &st) == 0 && st.st_ino == blind) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

static ino_t segment_inode(const struct house *house)
{
    struct stat st;
    assert_int_equal(fstat(house->segment_fd, &st), 0);
    return st.st_ino;
}

/* The clock was two hours ahead when they got theirs, and is right again. */
static void test_ids_in_what_cannot_be_read(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-unread-XXXXXX";
    int64_t ahead_ms = time_wall_ms() + 2 * TIME_HOUR_MS;
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    uint64_t readable = id_next(&house.ids, ahead_ms), unreadable = id_next(&house.ids, ahead_ms + TIME_HOUR_MS / 6);
    stored(&house, &readable, 1, SPAN("a@b.example"));
    channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
    wait_for(&house, &house.segments, 2);
    ino_t inode = segment_inode(&house);
    stored(&house, &unreadable, 1, SPAN("a@b.example"));
    killed(&house);
    blind = inode;
    house_begin(&next, folder);
    writer_begin(&next);
    assert_true(next.ids.last > readable);
    assert_true(next.ids.last >= unreadable);
    blind = 0;
    house_end(&next);
    house_done(&house);
    folder_remove(folder);
}

/* A life in which something happens, so that it has a segment of the journal for itself. True: it made a checkpoint, as it
 * decides as soon as it has started. */
static bool life(const char *folder, long long *ret_messages)
{
    static struct house house;
    house_begin(&house, folder);
    *ret_messages = messages(folder);
    bool checkpoint = checkpoint_comes(folder);
    writer_begin(&house);
    assert_true(takes(&house, id_next(&house.ids, time_wall_ms()), 4096, 0));
    assert_non_null(strstr(asked(folder, "{\"op\":\"delete\",\"filter\":{\"all\":true},\"limit\":0}"), "\"done\""));
    killed(&house);
    house_done(&house);
    return checkpoint;
}

/* After some lives a start has many segments of the journal to read, so that a checkpoint is due. */
static void test_what_is_over_in_what_cannot_be_read(void **state)
{
    enum { LIVES = 6 };
    static struct house house;
    char folder[] = "/tmp/goniec-unread-XXXXXX";
    long long left;
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    uint64_t id = id_next(&house.ids, time_wall_ms());
    ino_t inode = segment_inode(&house);
    stored(&house, &id, 1, SPAN("a@b.example"));
    killed(&house);
    house_done(&house);
    house_begin(&house, folder);
    assert_int_equal(messages(folder), 1);
    assert_non_null(strstr(asked(folder, "{\"op\":\"delete\",\"filter\":{\"all\":true},\"limit\":0}"), "\"done\""));
    killed(&house);
    house_done(&house);
    blind = inode;
    for (unsigned i = 0; i < LIVES; i++) {
        life(folder, &left);
        assert_int_equal(left, 0);
    }
    blind = 0;
    bool checkpoint = life(folder, &left);
    assert_int_equal(left, 0);
    assert_true(checkpoint); /* it was due, and nothing is in its way any more */
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ids_in_what_cannot_be_read),
                                        cmocka_unit_test(test_what_is_over_in_what_cannot_be_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
