/* A message through the real log, on a simulated disk, and read back as delivery will read it. */
#include "intake/intake.h"
#include "spool/reader.h"
#include "spool_sample.h"
#include "test.h"

struct scene {
    struct simdisk *disk;
    struct loop *loop;
    struct spool_writer *writer;
    unsigned stored;
    enum status status;
};

static void on_need(void *arg)
{
    struct scene *scene = arg;
    static uint32_t number = 1;
    assert_int_equal(spool_writer_give(scene->writer, sample_segment(scene->disk, number++, SAMPLE_OCTETS)), STATUS_OK);
}
static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why) {}
static const struct spool_writer_events events = { on_need, on_sealed };

static void on_stored(struct intake *intake, enum status status)
{
    struct scene *scene = intake->arg;
    scene->stored++;
    scene->status = status;
}

static void test_store(void **state)
{
    struct scene scene = { .disk = simdisk_new(1), .loop = loop_new() };
    struct spool_writer_settings settings = { .ops = &scene.disk->ops, .ahead = 1, .no_thread = true };
    scene.writer = spool_writer_new(scene.loop, &settings, &events, &scene);
    loop_turn(scene.loop, 0);
    struct intake intake;
    struct intake_facts facts = { .hostname = SPAN("m"), .protocol = SPAN("ESMTPSA"), .account = SPAN("anna@example.org"),
                                  .submission = true, .id = 7, .now_wall_ms = 1000 };
    intake_init(&intake, 1u << 20);
    for (unsigned round = 1; round <= 3; round++) {
        intake_clear(&intake);
        intake.arg = &scene;
        assert_int_equal(intake_sender(&intake, SPAN("anna@example.org")), STATUS_OK);
        assert_int_equal(intake_recipient(&intake, SPAN("bob@example.com"), SPAN_NONE, 0), STATUS_OK);
        assert_int_equal(intake_take(&intake, SPAN("Bcc: eve@x\r\nSubject: hi\r\nBcc: joe@x\r\n\r\nbody\r\n")), STATUS_OK);
        assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
        assert_int_equal(intake_compose(&intake, &facts), STATUS_OK);
        assert_int_equal(intake_store(&intake, scene.writer, NULL, on_stored), STATUS_OK);
        assert_int_equal(scene.stored, round - 1); /* not before the sync */
        loop_turn(scene.loop, 0);
        assert_int_equal(scene.stored, round);
        assert_int_equal(scene.status, STATUS_OK);

        char name[SPOOL_SEGMENT_NAME_SIZE];
        struct spool_place place = intake_place(&intake);
        struct spool_segment segment = { 0 };
        struct spool_message message;
        AUTO(buf_done) struct buf record = BUF_EMPTY(1u << 20);
        int fd = scene.disk->ops.openat(&scene.disk->ops, AT_FDCWD, spool_segment_name(place.segment, name), O_RDONLY, 0);
        assert_int_equal(spool_message_read(&scene.disk->ops, fd, &segment, place, &record, &message), STATUS_OK);
        scene.disk->ops.close(&scene.disk->ops, fd);
        assert_int_equal(message.header.id, 7);
        assert_int_equal(message.octets, intake.octets);
        assert_span(message.envelope.protocol, "ESMTPSA");
        assert_true(span_ends_case(message.headers, SPAN("From: <anna@example.org>\r\n")));
        assert_span(message.body, "Subject: hi\r\n\r\nbody\r\n");
        assert_span(spool_envelope_recipient(&message.envelope, 0).address, "bob@example.com");
    }
    intake_done(&intake);
    spool_writer_free(scene.writer);
    loop_free(scene.loop);
    simdisk_free(scene.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_store) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
