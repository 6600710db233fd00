/* The process queue in a child, and an smtpd that went over to the enemy: what it may name, and how much it may have. */
#include "house.h"
#include "queue/recover.h"
#include <poll.h>

static void test_names(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    int64_t now = time_wall_ms();
    uint64_t mine = id_next(&house.ids, now);
    struct id_source another = { .writer = (uint8_t)(house.ids.writer + 1) };
    assert_int_equal(id_writer(mine), house.ids.writer);
    assert_true(takes(&house, mine, 4096, 0));
    assert_true(takes(&house, id_next(&house.ids, now), 8192, house.body));
    assert_false(takes(&house, id_next(&another, now), 12288, 0)); /* the id of another's message */
    uint64_t latest = house.ids.last;
    writer_begin(&house);
    assert_true(house.ids.last == latest); /* the next one in its place knows where its ids ended */
    assert_false(takes(&house, id_next(&house.ids, now), 4096, 77)); /* another's body */
    writer_begin(&house);
    for (unsigned i = 1; i < 64 && !house.closed; i++) { /* all the disk */
        channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
        int64_t until = time_mono_ms() + 60000;
        while (house.segments == i && !house.closed && time_mono_ms() < until) {
            channel_flush(house.supervisor);
            loop_turn(house.loop, 100);
        }
    }
    assert_true(house.closed && house.segments <= 16);
    house_end(&house);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

static void need_body(struct house *house)
{
    AUTO(buf_done) struct buf need = BUF_EMPTY(64);
    unsigned bodies = house->bodies;
    writer_need_body_put(&need, &(struct writer_need_body){ 1 });
    channel_send(house->writer, WRITER_NEED_BODY, buf_span(&need));
    wait_for(house, &house->bodies, bodies + 1);
}

static bool body_is_there(const char *folder, uint64_t number)
{
    char path[200];
    snprintf(path, sizeof path, "%s/spool/bodies/%016llx.body", folder, (unsigned long long)number);
    return access(path, F_OK) == 0;
}

/* What a writer does whose disk is slow: its queue has died, the next one has looked at everything already. */
static void commit_late(struct house *house, uint64_t id, uint64_t body)
{
    struct spool_recipient recipient = { .address = SPAN("a@b.example") };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &recipient, .recipient_count = 1 };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(4096);
    struct spool_log log;
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    struct spool_append append = { .id = id, .kind = SPOOL_KIND_MESSAGE,
                                   .envelope = buf_span(&stored), .headers = SPAN("Subject: x\r\n"),
                                   .file = { .number = body, .octets = 0, .check = 0 } };
    spool_log_init(&log, &spool_ops_system);
    assert_int_equal(spool_log_open(&log, house->segment_fd), STATUS_OK);
    assert_int_equal(spool_log_commit(&log, &append), STATUS_OK);
    spool_log_done(&log);
    house->segment_fd = -1;
}

static void test_bodies_of_writers_that_outlive_a_queue(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    need_body(&house);
    uint64_t unnamed = house.body;
    need_body(&house);
    uint64_t named = house.body;
    kill(house.child, SIGKILL);
    assert_int_equal(waitpid(house.child, NULL, 0), house.child);
    house_begin(&next, folder);
    assert_true(body_is_there(folder, named) && body_is_there(folder, unnamed));
    commit_late(&house, id_next(&house.ids, time_wall_ms()), named);
    writer_begin(&next);
    for (int64_t until = time_mono_ms() + 60000; body_is_there(folder, unnamed) && time_mono_ms() < until;)
        loop_turn(next.loop, 10);
    assert_false(body_is_there(folder, unnamed));
    assert_true(body_is_there(folder, named));
    house_end(&next);
    assert_true(body_is_there(folder, named));
    channel_free(house.writer);
    channel_free(house.supervisor);
    loop_free(house.loop);
    close(house.body_fd);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

static void remove_folder(const char *folder)
{
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

/* One message with an id of the end of all time must not use up the ids of those who come after. */
static void test_ids_of_the_far_future(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    int64_t now = time_wall_ms();
    uint64_t near = id_next(&house.ids, now + TIME_HOUR_MS);
    assert_true(takes(&house, near, 4096, 0));
    struct id_source far = { .last = UINT64_MAX - (UINT64_C(256) << 23), .writer = house.ids.writer };
    assert_true(takes(&house, id_next(&far, now), 8192, 0)); /* no mail is refused for its number */
    struct id_source day = { .writer = house.ids.writer };
    assert_true(takes(&house, id_next(&day, now + 2 * TIME_DAY_MS), 12288, 0));
    writer_begin(&house);
    assert_true(house.ids.last == near);

    commit_late(&house, id_next(&far, now), 0); /* nor when it is found by the next queue, before and after it was counted */
    kill(house.child, SIGKILL);
    assert_int_equal(waitpid(house.child, NULL, 0), house.child);
    house_begin(&next, folder);
    writer_begin(&next);
    assert_true(id_time_wall_ms(next.ids.last) <= now + 2 * TIME_HOUR_MS);
    house_end(&next);
    house_begin(&next, folder);
    writer_begin(&next);
    assert_true(id_time_wall_ms(next.ids.last) <= now + 2 * TIME_HOUR_MS);
    house_end(&next);
    channel_free(house.writer);
    channel_free(house.supervisor);
    loop_free(house.loop);
    remove_folder(folder);
}

/* After a clock that was set back by years ids go on where they ended. */
static void test_ids_go_on_after_the_clock_was_set_back(void **state)
{
    struct id_source source = { .writer = 3 };
    int64_t now = 1700000000000 + 400 * TIME_DAY_MS, before = now + 900 * TIME_DAY_MS;
    uint64_t last = id_next(&source, before);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t id = id_next(&source, now);
        assert_true(queue_id_is_near(id, last, now, QUEUE_IDS_SLACK_MS));
        last = id;
    }
    assert_false(queue_id_is_near(id_next(&source, before + TIME_MINUTE_MS), last, now, QUEUE_IDS_SLACK_MS));
    assert_true(queue_id_is_near(id_next(&source, now), 0, before, QUEUE_IDS_SLACK_MS));
}

/* The events up to this one: they leave at the end of a turn of the queue's loop, which may be after it said that it is ready. */
static void read_log(int fd, const char *last, struct buf *ret)
{
    while (!strstr(buf_cstr(ret), last)) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        assert_int_equal(poll(&wait, 1, 60000), 1);
        assert_int_equal(buf_reserve(ret, 4000), STATUS_OK);
        ssize_t n = read(fd, ret->p + ret->n, 4000);
        assert_true(n > 0);
        ret->n += (size_t)n;
    }
}

/* Records that a writer put into its log without a word, for the next start to find. */
static void test_records_of_an_enemy(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    struct id_source another = { .writer = (uint8_t)(house.ids.writer + 1) }, own = house.ids;
    need_body(&house);
    assert_int_equal(write(house.body_fd, "letter", 6), 6);
    uint64_t body = house.body, victim = id_next(&own, time_wall_ms());
    struct spool_recipient recipient = { .address = SPAN("a@b.example") };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &recipient, .recipient_count = 1 };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(4096);
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    const struct spool_append records[] = {
        { .id = victim, .file = { .number = body, .octets = 6, .check = crc32c(0, "letter", 6) } },
        { .id = id_next(&own, time_wall_ms()), .file = { .number = body, .octets = 6, .check = 1 } }, /* wants to see it */
        { .id = id_next(&another, time_wall_ms()), .file = { 0 } },                                   /* another's number */
    };
    struct spool_log log;
    spool_log_init(&log, &spool_ops_system);
    assert_int_equal(spool_log_open(&log, house.segment_fd), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct spool_append append = records[i];
        append.kind = SPOOL_KIND_MESSAGE;
        append.envelope = buf_span(&stored);
        append.headers = SPAN("Subject: x\r\n");
        assert_int_equal(spool_log_commit(&log, &append), STATUS_OK);
    }
    spool_log_done(&log);
    house.segment_fd = -1;
    kill(house.child, SIGKILL);
    assert_int_equal(waitpid(house.child, NULL, 0), house.child);

    int told[2];
    assert_int_equal(pipe2(told, O_NONBLOCK | O_CLOEXEC), 0);
    house_begin_told(&next, folder, told[1]);
    AUTO(buf_done) struct buf text = BUF_EMPTY(65536);
    read_log(told[0], "\"recovered\"", &text);
    char id[3][ID_TEXT_SIZE];
    for (size_t i = 0; i < 3; i++)
        id_text(records[i].id, id[i]);
    assert_non_null(strstr(buf_cstr(&text), "body-not-its-own"));
    assert_non_null(strstr(strstr(buf_cstr(&text), "body-not-its-own"), id[1]));
    assert_non_null(strstr(strstr(buf_cstr(&text), "record-unusable"), id[2]));
    assert_null(strstr(buf_cstr(&text), id[0]));
    assert_true(body_is_there(folder, body));
    house_end(&next);
    assert_true(body_is_there(folder, body));
    close(told[0]);
    close(told[1]);
    channel_free(house.writer);
    channel_free(house.supervisor);
    loop_free(house.loop);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
                                        cmocka_unit_test(test_ids_of_the_far_future),
                                        cmocka_unit_test(test_ids_go_on_after_the_clock_was_set_back),
                                        cmocka_unit_test(test_records_of_an_enemy),
                                        cmocka_unit_test(test_bodies_of_writers_that_outlive_a_queue) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
