#include "base/hash.h"
#include "test.h"

/* Check values of CRC-32C: RFC 3720 section B.4. */
static void test_crc32c(void **state)
{
    unsigned char block[32];
    assert_true(crc32c(0, "123456789", 9) == 0xE3069283u);
    memset(block, 0, sizeof block);
    assert_true(crc32c(0, block, sizeof block) == 0x8A9136AAu);
    memset(block, 0xFF, sizeof block);
    assert_true(crc32c(0, block, sizeof block) == 0x62A8AB43u);
    for (unsigned char i = 0; i < 32; i++)
        block[i] = i;
    assert_true(crc32c(0, block, sizeof block) == 0x46DD794Eu);
    for (size_t cut = 0; cut <= 32; cut++) /* in two parts: the same */
        assert_true(crc32c(crc32c(0, block, cut), block + cut, 32 - cut) == 0x46DD794Eu);
}

static void test_case(void **state)
{
    assert_true(hash_bytes_case(SPAN("Example.ORG")) == hash_bytes_case(SPAN("example.org")));
    assert_true(hash_bytes_case(SPAN("example.org")) != hash_bytes_case(SPAN("example.com")));
    assert_true(hash_bytes(SPAN("a")) == hash_bytes(SPAN("a")));
    char far_apart[600];
    memset(far_apart, 'a', sizeof far_apart);
    uint64_t before = hash_bytes_case(span_of(far_apart, sizeof far_apart));
    far_apart[599] = 'b';
    assert_true(before != hash_bytes_case(span_of(far_apart, sizeof far_apart)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_crc32c), cmocka_unit_test(test_case) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
