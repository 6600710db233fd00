/* The process queue in a child whose disk does not give all of a segment back: what may lie there is nobody else's. */
#include "house.h"
#include <errno.h>
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

static void store(struct house *house, uint64_t id)
{
    struct spool_recipient recipient = { .address = SPAN("a@b.example") };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &recipient, .recipient_count = 1 };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(4096);
    struct span body = SPAN("\r\nhello\r\n");
    struct spool_log log;
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    struct spool_append append = { .id = id, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&stored),
                                   .headers = SPAN("Subject: x\r\n"), .body = &body, .body_count = 1 };
    spool_log_init(&log, &spool_ops_system);
    assert_int_equal(spool_log_open(&log, house->segment_fd), STATUS_OK);
    assert_int_equal(spool_log_commit(&log, &append), STATUS_OK);
    spool_log_done(&log);
    house->segment_fd = -1;
}

/* The clock was two hours ahead when they got theirs, and is right again. */
static void test_ids_in_what_cannot_be_read(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-unread-XXXXXX";
    int64_t ahead_ms = time_wall_ms() + 2 * TIME_HOUR_MS;
    struct stat st;
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    uint64_t readable = id_next(&house.ids, ahead_ms), unreadable = id_next(&house.ids, ahead_ms + TIME_HOUR_MS / 6);
    store(&house, readable);
    channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
    wait_for(&house, &house.segments, 2);
    assert_int_equal(fstat(house.segment_fd, &st), 0);
    store(&house, unreadable);
    kill(house.child, SIGKILL);
    assert_int_equal(waitpid(house.child, NULL, 0), house.child);
    blind = st.st_ino;
    house_begin(&next, folder);
    writer_begin(&next);
    assert_true(next.ids.last > readable);
    assert_true(next.ids.last >= unreadable);
    blind = 0;
    house_end(&next);
    channel_free(house.writer);
    channel_free(house.supervisor);
    loop_free(house.loop);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ids_in_what_cannot_be_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
