#include "share/place.h"
#include "test.h"

static void test_good(void **state)
{
    AUTO(share_place_done) struct share_place place, other, local, six;
    assert_true(share_place_parse(SPAN("redis://:s%65c%3aret@redis.example:7000/12"), &place));
    assert_span(buf_span(&place.host), "redis.example");
    assert_span(buf_span(&place.password), "sec:ret");
    assert_true(place.port == 7000 && place.number == 12 && place.user.n == 0 && place.path.n == 0);
    assert_true(share_place_parse(SPAN("redis://mx:p@192.0.2.1"), &other));
    assert_span(buf_span(&other.user), "mx");
    assert_true(other.port == 6379 && other.number == 0);
    assert_true(share_place_parse(SPAN("unix:/run/redis.sock"), &local));
    assert_span(buf_span(&local.path), "/run/redis.sock");
    assert_true(share_place_parse(SPAN("redis://[::1]:6380"), &six));
    assert_span(buf_span(&six.host), "::1");
    assert_int_equal(six.port, 6380);
}

static void test_wrong(void **state)
{
    static const char *const wrong[] = { "", "redis://", "redis://:6379", "redis://h:", "redis://h:0", "redis://h:65536", "redis://h/x", "redis://p@h", "http://h",
                                         "unix:", "unix:redis.sock", "redis://[::1", "redis://:%4@h", "redis://:%zz@h", "redis://:%00@h", "redis://[::1]x" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO(share_place_done) struct share_place place;
        if (share_place_parse(span_str(wrong[i]), &place))
            fail_msg("%s was taken", wrong[i]);
    }
}

static void test_length(void **state)
{
    for (size_t n = 100; n < 1100; n++) {
        char text[1200] = "unix:/";
        memset(text + 6, 'a', n - 6);
        AUTO(share_place_done) struct share_place local, remote;
        assert_int_equal(share_place_parse(span_of(text, n), &local), n - 5 <= 107);
        assert_true(n - 5 > 107 || strlen(buf_cstr(&local.path)) == n - 5);
        memcpy(text, "redis://", 8);
        assert_int_equal(share_place_parse(span_of(text, n), &remote), n <= 1024);
        assert_true(n > 1024 || strlen(buf_cstr(&remote.host)) == n - 8);
    }
}

static void test_machine(void **state)
{
    assert_true(share_machine_is_good(SPAN("mail-1.example.org")));
    assert_false(share_machine_is_good(SPAN("")));
    assert_false(share_machine_is_good(SPAN("a b")));
    assert_false(share_machine_is_good(SPAN("a:b")));
    assert_false(share_machine_is_good(SPAN("12345678901234567890123456789012345678901234567890123456789012345")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_wrong), cmocka_unit_test(test_length), cmocka_unit_test(test_machine) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
