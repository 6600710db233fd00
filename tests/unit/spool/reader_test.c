#include "spool/move.h"
#include "spool/reader.h"
#include "spool_sample.h"
#include "test.h"

static struct spool_recipient one = { SPAN("to@example.net"), SPAN_NONE, 0 };

/* Commits a message with a real envelope and returns its place. */
static struct spool_place store(struct spool_log *log, struct span body, struct spool_body_ref file)
{
    struct spool_envelope envelope = { .sender = SPAN("from@example.org"), .recipient_count = 1, .recipients = &one };
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 16);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    struct spool_append append = { .id = 7, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&buf),
                                   .headers = SPAN("Received: x\r\n"), .body = &body, .body_count = 1, .file = file };
    assert_int_equal(spool_log_commit(log, &append), STATUS_OK);
    return append.place;
}

static struct spool_log open_log(struct simdisk *disk, uint32_t octets)
{
    struct spool_log log;
    spool_log_init(&log, &disk->ops);
    assert_int_equal(spool_log_open(&log, sample_segment(disk, 1, octets)), STATUS_OK);
    return log;
}

/* Small ones come with one read, large ones in pieces; both are the same message. */
static void reads_small_and_large(void **state)
{
    const size_t sizes[] = { 0, 1, 4000, SPOOL_READ_ALONG - 200, SPOOL_READ_ALONG, 300000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct simdisk *disk = simdisk_new(1);
        struct spool_log log = open_log(disk, 1u << 20);
        char *body = malloc(sizes[i] + 1), *got = malloc(sizes[i] + 14);
        memset(body, 'x', sizes[i]);
        struct spool_place place = store(&log, span_of(body, sizes[i]), (struct spool_body_ref){ 0 });
        struct spool_segment segment = log.segment;
        struct spool_message message;
        AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
        assert_int_equal(spool_message_read(&disk->ops, log.fd, &segment, place, &buf, &message), STATUS_OK);
        assert_span(message.envelope.sender, "from@example.org");
        assert_span(spool_envelope_recipient(&message.envelope, 0).address, "to@example.net");
        assert_span(message.headers, "Received: x\r\n");
        assert_int_equal(message.octets, 13 + sizes[i]);
        assert_int_equal(message.body.p != NULL, place.length <= SPOOL_READ_ALONG);
        assert_int_equal(spool_message_check(&disk->ops, log.fd, -1, &message), STATUS_OK);
        assert_int_equal(spool_message_pread(&disk->ops, log.fd, -1, &message, 0, got, 13 + sizes[i]), STATUS_OK);
        assert_memory_equal(got, "Received: x\r\n", 13);
        assert_memory_equal(got + 13, body, sizes[i]);
        assert_int_equal(spool_message_pread(&disk->ops, log.fd, -1, &message, 1, got, 13 + sizes[i]), STATUS_IO);
        free(body);
        free(got);
        spool_log_done(&log);
        simdisk_free(disk);
    }
}

static void body_in_a_file(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, SAMPLE_OCTETS);
    int body_fd = disk->ops.openat(&disk->ops, AT_FDCWD, "body", O_CREAT | O_RDWR, 0600);
    assert_int_equal(spool_pwrite_all(&disk->ops, body_fd, "text\r\n", 6, 0), STATUS_OK);
    struct spool_place place = store(&log, SPAN_NONE, (struct spool_body_ref){ 5, 6, crc32c(0, "text\r\n", 6) });
    struct spool_segment segment = log.segment;
    struct spool_message message;
    char got[32];
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    assert_int_equal(spool_message_read(&disk->ops, log.fd, &segment, place, &buf, &message), STATUS_OK);
    assert_int_equal(message.header.file, 5);
    assert_null(message.body.p);
    assert_int_equal(message.octets, 19);
    assert_int_equal(spool_message_pread(&disk->ops, log.fd, body_fd, &message, 10, got, 9), STATUS_OK);
    assert_memory_equal(got, "x\r\ntext\r\n", 9);
    assert_int_equal(spool_message_check(&disk->ops, log.fd, body_fd, &message), STATUS_OK);
    disk->files[disk->fds[body_fd]].now[2] ^= 1;
    assert_int_equal(spool_message_check(&disk->ops, log.fd, body_fd, &message), STATUS_DAMAGED);
    spool_log_done(&log);
    simdisk_free(disk);
}

static void every_damaged_octet_is_seen(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, SAMPLE_OCTETS);
    struct spool_place place = store(&log, SPAN("the body\r\n"), (struct spool_body_ref){ 0 });
    uint8_t *octets = disk->files[disk->fds[log.fd]].now;
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    struct spool_message message;
    for (uint32_t i = 0; i < place.length; i++) {
        struct spool_segment segment = log.segment;
        octets[place.offset + i] ^= 0x10;
        assert_int_equal(spool_message_read(&disk->ops, log.fd, &segment, place, &buf, &message), STATUS_DAMAGED);
        octets[place.offset + i] ^= 0x10;
    }
    struct spool_place wrong[] = { { 1, place.offset + 8, place.length }, { 1, place.offset, place.length + 1 },
                                   { 1, UINT32_MAX, UINT32_MAX }, { 1, 0, 100 }, { 1, place.offset, 3 } };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(spool_message_read(&disk->ops, log.fd, &log.segment, wrong[i], &buf, &message), STATUS_DAMAGED);
    spool_log_done(&log);
    simdisk_free(disk);
}

/* The reader still remembers the life before. */
static void follows_a_segment_into_its_next_life(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, SAMPLE_OCTETS);
    struct spool_segment remembered = log.segment;
    log.segment.epoch++;
    log.segment.salt++;
    assert_int_equal(spool_segment_write(&disk->ops, log.fd, NULL, &log.segment), STATUS_OK);
    struct spool_place place = store(&log, SPAN("the body\r\n"), (struct spool_body_ref){ 0 });
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    struct spool_message message;
    assert_int_equal(spool_message_read(&disk->ops, log.fd, &remembered, place, &buf, &message), STATUS_OK);
    assert_int_equal(remembered.epoch, log.segment.epoch);
    spool_log_done(&log);
    simdisk_free(disk);
}

/* -- moving -- */

struct target {
    struct simdisk *disk;
    struct spool_writer *writer;
    enum status status;
};

static void on_need(void *arg)
{
    static uint32_t number = 50;
    struct target *target = arg;
    assert_int_equal(spool_writer_give(target->writer, sample_segment(target->disk, number++, 1u << 20)), STATUS_OK);
}
static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why) {}
static void on_moved(struct spool_move *move, enum status status) { ((struct target *)move->arg)->status = status; }

static void survivors_move_to_another_log(void **state)
{
    static const struct spool_writer_events events = { on_need, on_sealed };
    const size_t sizes[] = { 0, 4000, 200000 };
    for (size_t i = 0; i < 4; i++) {
        struct simdisk *disk = simdisk_new(1);
        struct spool_log log = open_log(disk, 1u << 20);
        size_t n = i < 3 ? sizes[i] : 0;
        char *body = calloc(1, n + 1);
        memset(body, 'b', n);
        struct spool_body_ref file = { i < 3 ? 0u : 8u, 77, 5 };
        struct spool_place place = store(&log, span_of(body, n), file);
        struct target target = { disk, NULL, STATUS_COUNT };
        struct loop *loop = loop_new();
        struct spool_writer_settings settings = { .ops = &disk->ops, .no_thread = true };
        target.writer = spool_writer_new(loop, &settings, &events, &target);
        loop_turn(loop, 0);
        struct spool_move move = { .id = 8, .on_done = on_moved, .arg = &target };
        assert_int_equal(spool_move_start(&move, target.writer, &disk->ops, log.fd, &log.segment, place), STATUS_DAMAGED);
        move.id = 7;
        assert_int_equal(spool_move_start(&move, target.writer, &disk->ops, log.fd, &log.segment, place), STATUS_OK);
        loop_turn(loop, 0);
        assert_int_equal(target.status, STATUS_OK);
        assert_int_not_equal(move.place.segment, place.segment);
        assert_int_equal(move.place.length, place.length);

        char name[SPOOL_SEGMENT_NAME_SIZE];
        int fd = disk->ops.openat(&disk->ops, AT_FDCWD, spool_segment_name(move.place.segment, name), O_RDONLY, 0);
        struct spool_segment segment;
        struct spool_message message;
        AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
        assert_int_equal(spool_segment_read(&disk->ops, fd, &segment), STATUS_OK);
        assert_int_equal(spool_message_read(&disk->ops, fd, &segment, move.place, &buf, &message), STATUS_OK);
        assert_int_equal(message.header.id, 7);
        assert_int_equal(message.header.file, file.number);
        assert_int_equal(message.octets, 13 + (file.number ? 77 : n));
        assert_span(message.envelope.sender, "from@example.org");
        if (!file.number)
            assert_int_equal(spool_message_check(&disk->ops, fd, -1, &message), STATUS_OK);
        spool_writer_free(target.writer);
        loop_free(loop);
        spool_log_done(&log);
        simdisk_free(disk);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_small_and_large),
        cmocka_unit_test(body_in_a_file),
        cmocka_unit_test(every_damaged_octet_is_seen),
        cmocka_unit_test(follows_a_segment_into_its_next_life),
        cmocka_unit_test(survivors_move_to_another_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
