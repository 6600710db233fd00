#include "spool/verify.h"
#include "journal_sample.h"
#include "spool/envelope.h"
#include "spool_sample.h"
#include "test.h"

struct report {
    unsigned faults, segments;
    struct spool_fault last;
    char name[128];
};

static void on_fault(void *arg, const struct spool_fault *fault)
{
    struct report *report = arg;
    report->faults++;
    report->last = *fault;
    snprintf(report->name, sizeof report->name, "%s", fault->name);
}

static void on_segment(void *arg, const struct spool_segment *segment, const struct spool_scan *scan)
{
    ((struct report *)arg)->segments++;
}

static struct spool_verify verify(struct scene *scene, struct report *report)
{
    *report = (struct report){ 0 };
    struct spool_verify verify = { .ops = &scene->disk->ops, .on_fault = on_fault, .on_segment = on_segment, .arg = report };
    assert_int_equal(spool_verify_run(&verify, "spool"), STATUS_OK);
    assert_int_equal(verify.faults, report->faults);
    return verify;
}

/* Three messages, of which the second has its body in a file; returns the segment's descriptor. */
static struct spool_log fill(struct scene *scene, struct spool_place ret[3], int *ret_body)
{
    struct spool_recipient one = { SPAN("to@example.net"), SPAN_NONE, 0 };
    struct spool_envelope envelope = { .sender = SPAN("from@example.org"), .recipient_count = 1, .recipients = &one };
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 16);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    int fd;
    uint32_t number;
    uint64_t body;
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    assert_int_equal(spool_store_body_take(scene->store, &body, ret_body), STATUS_OK);
    assert_int_equal(spool_pwrite_all(&scene->disk->ops, *ret_body, "large", 5, 0), STATUS_OK);
    struct spool_log log;
    spool_log_init(&log, &scene->disk->ops);
    assert_int_equal(spool_log_open(&log, fd), STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct span text = SPAN("text");
        struct spool_append append = { .id = 100 + i, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&buf), .body = &text,
                                       .body_count = 1 };
        if (i == 1)
            append.file = (struct spool_body_ref){ body, 5, crc32c(0, "large", 5) };
        assert_int_equal(spool_log_commit(&log, &append), STATUS_OK);
        ret[i] = append.place;
    }
    return log;
}

static void a_whole_spool(void **state)
{
    struct scene *scene = scene_new(1);
    struct report report;
    struct spool_place places[3];
    int body;
    struct spool_log log = fill(scene, places, &body);
    add(scene, 5);
    add(scene, 6);
    turns(scene, 3);
    struct spool_verify found = verify(scene, &report);
    assert_int_equal(found.faults, 0);
    assert_int_equal(found.messages, 3);
    assert_int_equal(found.bodies, 1);
    assert_int_equal(found.journal_records, 2);
    assert_true(found.segments >= 3 && report.segments == found.segments);
    spool_log_done(&log);
    scene_free(scene);
}

static void every_kind_of_fault(void **state)
{
    struct scene *scene = scene_new(1);
    struct report report;
    struct spool_place places[3];
    int body;
    struct spool_log log = fill(scene, places, &body);
    uint8_t *octets = scene->disk->files[scene->disk->fds[log.fd]].now;

    octets[places[0].offset + places[0].length - 2] ^= 1; /* a body in the segment */
    verify(scene, &report);
    assert_int_equal(report.faults, 1);
    assert_int_equal(report.last.kind, SPOOL_FAULT_DAMAGE);
    assert_int_equal(report.last.id, 100);
    assert_int_equal(report.last.offset, places[0].offset);
    octets[places[0].offset + places[0].length - 2] ^= 1;

    scene->disk->files[scene->disk->fds[body]].now[1] ^= 1;
    verify(scene, &report);
    assert_int_equal(report.faults, 1);
    assert_int_equal(report.last.kind, SPOOL_FAULT_BODY);
    assert_int_equal(report.last.id, 101);
    scene->disk->files[scene->disk->fds[body]].now[1] ^= 1;

    octets[0] ^= 1;
    octets[log.segment.octets - SPOOL_BLOCK] ^= 1;
    verify(scene, &report);
    assert_int_equal(report.faults, 1);
    assert_non_null(strstr(report.last.what, "description"));
    octets[0] ^= 1;

    int dir = scene->disk->ops.openat(&scene->disk->ops, AT_FDCWD, "spool", 0, 0);
    scene->disk->ops.openat(&scene->disk->ops, dir, "notes", O_CREAT, 0600);
    verify(scene, &report);
    assert_int_equal(report.faults, 1);
    assert_int_equal(report.last.kind, SPOOL_FAULT_FOREIGN);
    assert_string_equal(report.name, "notes");
    spool_log_done(&log);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_spool),
        cmocka_unit_test(every_kind_of_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
