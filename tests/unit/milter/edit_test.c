#include "test.h"
#include "mail/header.h"
#include "milter/edit.h"

#define HEADER "A: 1\r\nB: 2\r\n\tmore\r\na: 3\r\n"

static const struct {
    struct milter_change change;
    enum status status;
    const char *header;
} rows[] = {
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("y") }, STATUS_OK, HEADER "X: y\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN(" y"), .has_blank = true }, STATUS_OK, HEADER "X: y\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("y"), .has_blank = true }, STATUS_OK, HEADER "X:y\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("") }, STATUS_OK, HEADER "X:\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("a\n\tb\r\n c\rd") }, STATUS_OK, HEADER "X: a\r\n\tb\r\n c\r\n\td\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("a\r\n\r\nBcc: b\r\n \r\n") }, STATUS_OK, HEADER "X: a\r\n\tBcc: b\r\n" },
    { { MILTER_ADD_HEADER, 0, SPAN("X"), SPAN("a\x1b") }, STATUS_SYNTAX, HEADER },
    { { MILTER_INSERT_HEADER, 0, SPAN("X"), SPAN("y") }, STATUS_OK, "X: y\r\n" HEADER },
    { { MILTER_INSERT_HEADER, 1, SPAN("X"), SPAN("y") }, STATUS_OK, "A: 1\r\nX: y\r\nB: 2\r\n\tmore\r\na: 3\r\n" },
    { { MILTER_INSERT_HEADER, 2, SPAN("X"), SPAN("y") }, STATUS_OK, "A: 1\r\nB: 2\r\n\tmore\r\nX: y\r\na: 3\r\n" },
    { { MILTER_INSERT_HEADER, UINT32_MAX, SPAN("X"), SPAN("y") }, STATUS_OK, HEADER "X: y\r\n" },
    { { MILTER_CHANGE_HEADER, 1, SPAN("b"), SPAN("y") }, STATUS_OK, "A: 1\r\nb: y\r\na: 3\r\n" },
    { { MILTER_CHANGE_HEADER, 0, SPAN("b"), SPAN("y") }, STATUS_OK, "A: 1\r\nb: y\r\na: 3\r\n" },
    { { MILTER_CHANGE_HEADER, 2, SPAN("A"), SPAN("longer") }, STATUS_OK, "A: 1\r\nB: 2\r\n\tmore\r\nA: longer\r\n" },
    { { MILTER_CHANGE_HEADER, 2, SPAN("A"), SPAN("") }, STATUS_OK, "A: 1\r\nB: 2\r\n\tmore\r\n" },
    { { MILTER_CHANGE_HEADER, 1, SPAN("A"), SPAN("") }, STATUS_OK, "B: 2\r\n\tmore\r\na: 3\r\n" },
    { { MILTER_CHANGE_HEADER, 3, SPAN("A"), SPAN("") }, STATUS_OK, HEADER },
    { { MILTER_CHANGE_HEADER, 3, SPAN("A"), SPAN("y") }, STATUS_OK, HEADER "A: y\r\n" },
};

static void each_change_is_applied_to_the_octets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf header = BUF_EMPTY(HEADER_MAX);
        buf_add_str(&header, HEADER);
        assert_int_equal(milter_edit(&header, &rows[i].change), rows[i].status);
        assert_span(buf_span(&header), rows[i].header);
        buf_done(&header);
    }
}

static void what_is_too_much_changes_nothing(void **state)
{
    (void)state;
    static char value[1001];
    memset(value, 'x', sizeof value);
    struct milter_change change = { .kind = MILTER_ADD_HEADER, .name = SPAN("X"), .value = span_of(value, 996) };
    struct buf header = BUF_EMPTY(1010);
    assert_int_equal(milter_edit(&header, &change), STATUS_TOO_LONG);
    assert_int_equal(header.n, 0);
    change.value.n = 995;
    assert_int_equal(milter_edit(&header, &change), STATUS_OK);
    assert_int_equal(header.n, 1000);
    assert_int_equal(milter_edit(&header, &change), STATUS_FULL);
    assert_int_equal(header.n, 1000);
    buf_done(&header);

    header = BUF_EMPTY(HEADER_MAX);
    for (unsigned i = 0; i < HEADER_FIELDS_MAX; i++)
        buf_add_str(&header, "A:\r\n");
    change.value = SPAN("y");
    assert_int_equal(milter_edit(&header, &change), STATUS_TOO_LONG);
    change = (struct milter_change){ .kind = MILTER_CHANGE_HEADER, .index = 9, .name = SPAN("a"), .value = SPAN("y") };
    assert_int_equal(milter_edit(&header, &change), STATUS_OK);
    buf_done(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_applied_to_the_octets),
        cmocka_unit_test(what_is_too_much_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
