/* The process queue in a child, and an smtpd that went over to the enemy: what it may name, and how much it may have. */
#include "house.h"

static void test_names(void **state)
{
    static struct house house;
    char folder[] = "/tmp/goniec-writers-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_begin(&house, folder);
    writer_begin(&house);
    int64_t now = 1800000000000;
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
static void commit_late(struct house *house, uint64_t body)
{
    struct spool_recipient recipient = { .address = SPAN("a@b.example") };
    struct spool_envelope envelope = { .sender = SPAN("c@d.example"), .recipients = &recipient, .recipient_count = 1 };
    AUTO(buf_done) struct buf stored = BUF_EMPTY(4096);
    struct spool_log log;
    assert_int_equal(spool_envelope_encode(&envelope, &stored), STATUS_OK);
    struct spool_append append = { .id = id_next(&house->ids, 1800000000000), .kind = SPOOL_KIND_MESSAGE,
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
    commit_late(&house, named);
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
                                        cmocka_unit_test(test_bodies_of_writers_that_outlive_a_queue) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
