#include "spool_sample.h"
#include "test.h"

static struct seen seen;
static struct spool_scan scan;

static struct spool_log open_log(struct simdisk *disk, uint32_t number)
{
    struct spool_log log;
    spool_log_init(&log, &disk->ops);
    assert_int_equal(spool_log_open(&log, sample_segment(disk, number, SAMPLE_OCTETS)), STATUS_OK);
    return log;
}

static uint8_t *octets_of(struct simdisk *disk, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    return disk->files[sim_find(disk, 0, spool_segment_name(number, name), false)->now].now;
}

static void finds_all_in_order(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, 1);
    assert_int_equal(sample_commit(&log, 10, 3, 100, NULL), STATUS_OK);
    assert_int_equal(sample_commit(&log, 20, 1, 9000, NULL), STATUS_OK);
    assert_int_equal(sample_commit(&log, 30, 2, 0, NULL), STATUS_OK);
    assert_int_equal(sample_scan(disk, 1, 0, SPOOL_SCAN_DEEP, &scan, &seen), STATUS_OK);
    const uint64_t expected[] = { 10, 11, 12, 20, 30, 31 };
    assert_int_equal(seen.count, ARRAY_LEN(expected));
    assert_memory_equal(seen.ids, expected, sizeof expected);
    assert_int_equal(seen.damages, 0);
    assert_false(scan.torn);
    assert_int_equal(scan.end, log.at);
    assert_int_equal(scan.last_commit, 3);
    assert_int_equal(sample_scan(disk, 1, seen.places[3].offset, 0, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.ids[0], 30);
    spool_log_done(&log);
    simdisk_free(disk);
}

/* Each sync is one write and one sync, whatever gathered. */
static void one_write_one_sync(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, 1);
    unsigned writes = disk->writes, syncs = disk->syncs;
    assert_int_equal(sample_commit(&log, 10, 50, 100, NULL), STATUS_OK);
    assert_int_equal(disk->writes - writes, 1);
    assert_int_equal(disk->syncs - syncs, 1);
    assert_int_equal(log.at % SPOOL_BLOCK, 0);
    spool_log_done(&log);
    simdisk_free(disk);
}

/* The last commit reaches the disk only up to some sector: what was synced before is all there, and nothing broken is
 * handed out (seen_record would abort). */
static void torn_at_every_sector(void **state)
{
    for (uint32_t cut = 0; cut < 5 * SPOOL_BLOCK; cut += SIM_SECTOR) {
        struct simdisk *disk = simdisk_new(1);
        struct spool_log log = open_log(disk, 1);
        assert_int_equal(sample_commit(&log, 10, 2, 100, NULL), STATUS_OK);
        uint32_t start = log.at;
        assert_int_equal(sample_commit(&log, 20, 5, 3000, NULL), STATUS_OK);
        memset(octets_of(disk, 1) + start + cut, 0, log.at - start - MIN(cut, log.at - start));
        assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_OK);
        assert_true(seen_has(&seen, 10) && seen_has(&seen, 11));
        assert_int_equal(seen.damages, 0);
        size_t whole = MIN(cut / (3000 + 64 + 34), 5u);
        assert_in_range(seen.count, 2 + whole - (whole > 0), 2 + whole + 1);
        spool_log_done(&log);
        simdisk_free(disk);
    }
}

/* One lost sector in the middle of a commit that others followed: that record is reported, its neighbours live. */
static void damage_in_the_middle(void **state)
{
    for (uint32_t at = 0; at < 4 * SPOOL_BLOCK; at += SIM_SECTOR) {
        struct simdisk *disk = simdisk_new(1);
        struct spool_log log = open_log(disk, 1);
        assert_int_equal(sample_commit(&log, 10, 2, 100, NULL), STATUS_OK);
        uint32_t start = log.at;
        assert_int_equal(sample_commit(&log, 20, 5, 3000, NULL), STATUS_OK);
        assert_int_equal(sample_commit(&log, 30, 2, 100, NULL), STATUS_OK);
        memset(octets_of(disk, 1) + start + at, 0xee, 8);
        assert_int_equal(sample_scan(disk, 1, 0, SPOOL_SCAN_DEEP, &scan, &seen), STATUS_OK);
        assert_true(seen_has(&seen, 10) && seen_has(&seen, 11) && seen_has(&seen, 30) && seen_has(&seen, 31));
        if (start + at < log.at - SPOOL_BLOCK) {
            assert_in_range(seen.count, 4 + 3, 4 + 5);
            assert_int_equal(seen.count == 9, seen.damages == 0); /* or only padding was hit */
            if (seen.damages)
                assert_in_range(start + at, seen.damage.offset, seen.damage.offset + seen.damage.octets - 1);
        }
        spool_log_done(&log);
        simdisk_free(disk);
    }
}

/* The same file in its next life: nothing of the old one is seen, also where both lie the same. */
static void recycled_content_is_void(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sample_commit(&log, 10 + i, 1, 100, NULL), STATUS_OK);
    struct spool_segment segment = log.segment;
    segment.epoch++;
    segment.salt ^= 0x5555;
    assert_int_equal(spool_segment_write(&disk->ops, log.fd, NULL, &segment), STATUS_OK);
    assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 0);
    log.segment = segment;
    log.at = SPOOL_SEGMENT_FIRST;
    log.commit = 0;
    assert_int_equal(sample_commit(&log, 90, 1, 100, NULL), STATUS_OK);
    assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.ids[0], 90);
    assert_false(scan.torn);
    spool_log_done(&log);
    simdisk_free(disk);
}

/* A message body that holds a perfect copy of another segment's records. */
static void forged_records_in_a_body(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log forged = open_log(disk, 1), log = open_log(disk, 2);
    assert_int_equal(sample_commit(&forged, 666, 3, 100, NULL), STATUS_OK);
    struct sample carrier;
    sample_init(&carrier, 20, 0);
    carrier.piece[0] = span_of(octets_of(disk, 1) + SPOOL_SEGMENT_FIRST, 2 * SPOOL_BLOCK);
    assert_int_equal(sample_commit(&log, 10, 1, 10, NULL), STATUS_OK);
    uint32_t at = log.at;
    assert_int_equal(spool_log_commit(&log, &carrier.append), STATUS_OK);
    assert_int_equal(sample_commit(&log, 30, 1, 10, NULL), STATUS_OK);
    octets_of(disk, 2)[at + 9] ^= 1; /* the carrier's own header is gone: the scan searches its body */
    assert_int_equal(sample_scan(disk, 2, 0, 0, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 2);
    assert_false(seen_has(&seen, 666));
    assert_int_equal(seen.damages, 1);
    sample_done(&carrier);
    spool_log_done(&forged);
    spool_log_done(&log);
    simdisk_free(disk);
}

static void description_survives_in_its_copy(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log = open_log(disk, 1);
    assert_int_equal(sample_commit(&log, 10, 1, 10, NULL), STATUS_OK);
    memset(octets_of(disk, 1), 0xff, SPOOL_BLOCK);
    assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 1);
    memset(octets_of(disk, 1) + SAMPLE_OCTETS - SPOOL_BLOCK, 0xff, SPOOL_BLOCK);
    assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_DAMAGED);
    spool_log_done(&log);
    simdisk_free(disk);
}

static ssize_t (*read_well)(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at);
static unsigned reads, bad_read; /* counted from 1 */

static ssize_t read_badly(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at)
{
    if (++reads != bad_read)
        return read_well(ops, fd, p, n, at);
    errno = EIO;
    return -1;
}

/* The disk does not give one of the reads, each in turn: what is known already is not handed out, and if not all is, that is
 * said. In a segment larger than what is read at a time the known record is read twice. */
static void known_record_that_cannot_be_read(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct spool_log log;
    spool_log_init(&log, &disk->ops);
    assert_int_equal(spool_log_open(&log, sample_segment(disk, 1, 1u << 20)), STATUS_OK);
    for (uint64_t id = 10; id < 40; id += 10)
        assert_int_equal(sample_commit(&log, id, 1, 3000, NULL), STATUS_OK);
    assert_int_equal(sample_scan(disk, 1, 0, 0, &scan, &seen), STATUS_OK);
    uint32_t known = seen.places[1].offset;
    read_well = disk->ops.pread;
    disk->ops.pread = read_badly;
    unsigned failed = 0;
    for (bad_read = 1; reads + 1 >= bad_read; bad_read++) { /* the last time nothing is bad */
        reads = 0;
        enum status status = sample_scan(disk, 1, known, 0, &scan, &seen);
        failed += status != STATUS_OK;
        assert_false(seen_has(&seen, 10) || seen_has(&seen, 20));
        assert_true(status != STATUS_OK || seen_has(&seen, 30));
    }
    assert_in_range(failed, 2, bad_read);
    spool_log_done(&log);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_all_in_order),
        cmocka_unit_test(one_write_one_sync),
        cmocka_unit_test(torn_at_every_sector),
        cmocka_unit_test(damage_in_the_middle),
        cmocka_unit_test(recycled_content_is_void),
        cmocka_unit_test(forged_records_in_a_body),
        cmocka_unit_test(description_survives_in_its_copy),
        cmocka_unit_test(known_record_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
