#include "spool/record.h"
#include "test.h"

static const struct spool_header sample = {
    .kind = SPOOL_KIND_MESSAGE, .flags = SPOOL_FLAG_LAST, .id = 0x1122334455667788, .epoch = 7, .commit = 3,
    .stride = 4096, .envelope = 100, .headers = 200, .check_meta = 42, .body = 1000, .check_body = 43,
};

static void round_trip(void **state)
{
    uint8_t bytes[SPOOL_HEADER_OCTETS];
    struct spool_header got;
    spool_header_encode(&sample, 99, 8192, bytes);
    assert_int_equal(spool_header_decode(bytes, 99, 8192, 65536, &got), STATUS_OK);
    assert_memory_equal(&got, &sample, sizeof got);
    assert_int_equal(spool_header_length(&got), 64 + 100 + 200 + 1000);
}

static void other_place_or_epoch_is_no_header(void **state)
{
    uint8_t bytes[SPOOL_HEADER_OCTETS];
    struct spool_header got;
    spool_header_encode(&sample, 99, 8192, bytes);
    assert_int_equal(spool_header_decode(bytes, 98, 8192, 65536, &got), STATUS_DAMAGED);
    assert_int_equal(spool_header_decode(bytes, 99, 8200, 65536, &got), STATUS_DAMAGED);
}

static void every_flipped_bit_is_seen(void **state)
{
    uint8_t bytes[SPOOL_HEADER_OCTETS];
    struct spool_header got;
    spool_header_encode(&sample, 99, 8192, bytes);
    for (unsigned i = 0; i < SPOOL_HEADER_OCTETS * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(spool_header_decode(bytes, 99, 8192, 65536, &got), STATUS_DAMAGED);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

/* Well signed, but contradictory. */
static void lengths_must_agree(void **state)
{
    const struct {
        uint32_t stride, envelope, headers;
        uint64_t body, file;
        enum status expected;
    } rows[] = {
        { 4096, 0, 0, 0, 0, STATUS_OK },
        { 64, 0, 0, 0, 0, STATUS_OK },
        { 64, 1, 0, 0, 0, STATUS_DAMAGED },
        { 68, 0, 0, 0, 0, STATUS_DAMAGED },              /* not aligned */
        { 4096, UINT32_MAX, UINT32_MAX, 0, 0, STATUS_DAMAGED },
        { 4096, 0, 0, UINT64_MAX, 0, STATUS_DAMAGED },   /* the sum would wrap */
        { 4096, 0, 0, UINT64_MAX - 64, 0, STATUS_DAMAGED },
        { 4096, 0, 0, 5000, 1, STATUS_OK },              /* in a file: any size */
        { 4096, 0, 0, UINT64_MAX, 1, STATUS_DAMAGED },
        { 65536 - 8192, 0, 0, 0, 0, STATUS_OK },
        { 65536 - 8192 + 8, 0, 0, 0, 0, STATUS_DAMAGED }, /* beyond the segment */
        { 0xfffffff8, 0, 0, 0, 0, STATUS_DAMAGED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spool_header header = sample, got;
        uint8_t bytes[SPOOL_HEADER_OCTETS];
        header.stride = rows[i].stride;
        header.envelope = rows[i].envelope;
        header.headers = rows[i].headers;
        header.body = rows[i].body;
        header.file = rows[i].file;
        spool_header_encode(&header, 1, 8192, bytes);
        if (spool_header_decode(bytes, 1, 8192, 65536, &got) != rows[i].expected)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(other_place_or_epoch_is_no_header),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(lengths_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
