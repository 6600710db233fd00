#include "test.h"
#include "net/dns_priv.h"

#define HEAD(rcode, answers, authorities) "\0\0\x81" rcode "\0\1\0" answers "\0" authorities "\0\0"
#define ASKED "\4Mail\7example\0\0\x0f\0\1" /* at 12; "example" at 17 */

static struct dns_record records[DNS_RECORDS_MAX];
static char canonical[DNS_NAME_MAX];
static struct dns_answer answer;

static enum status read_packet(struct span packet, enum dns_type type)
{
    return dns_packet_read(packet, SPAN("MAIL.example."), (uint16_t)type, records, canonical, &answer);
}

static void reads_mx(void **state)
{
    struct span packet = SPAN(HEAD("\x80", "\2", "\0") ASKED
                              "\xc0\x0c\0\x0f\0\1\0\0\1\x2c\0\7\0\x0a\2mX\xc0\x11"
                              "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\3\0\x14\0");
    assert_int_equal(read_packet(packet, DNS_MX), STATUS_OK);
    assert_int_equal(answer.status, STATUS_OK);
    assert_int_equal(answer.count, 2);
    assert_int_equal(answer.ttl_s, 60);
    assert_string_equal(records[0].name, "mx.example");
    assert_int_equal(records[0].preference, 10);
    assert_string_equal(records[1].name, ""); /* the root: null MX */
    assert_string_equal(answer.canonical, "mail.example");
}

static void follows_aliases_in_order(void **state)
{
    struct span packet = SPAN(HEAD("\x80", "\3", "\0") ASKED
                              "\xc0\x0c\0\5\0\1\0\0\0\x0a\0\4\1a\xc0\x11"    /* mail.example -> a.example */
                              "\xc0\x2a\0\1\0\1\0\0\0\x63\0\4\xc0\0\2\1"      /* a.example A */
                              "\xc0\x0c\0\1\0\1\0\0\0\x63\0\4\xc0\0\2\2");    /* not at the end of the chain */
    assert_int_equal(read_packet(packet, DNS_A), STATUS_OK);
    assert_string_equal(answer.canonical, "a.example");
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.ttl_s, 10);
    assert_memory_equal(records[0].octets.p, "\xc0\0\2\1", 4);
}

static void knows_that_there_is_none(void **state)
{
    struct span nothing = SPAN(HEAD("\x83", "\0", "\1") ASKED
                               "\0\0\6\0\1\0\1\x51\x80\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x1e");
    assert_int_equal(read_packet(nothing, DNS_MX), STATUS_OK);
    assert_int_equal(answer.status, STATUS_NOT_FOUND);
    assert_int_equal(answer.ttl_s, 30);
    struct span failed = SPAN(HEAD("\x82", "\0", "\0") ASKED);
    assert_int_equal(read_packet(failed, DNS_MX), STATUS_OK);
    assert_int_equal(answer.status, STATUS_IO);
    assert_int_equal(answer.rcode, 2);
}

static void refuses_what_is_broken(void **state)
{
    static const struct span broken[] = {
        { "", 0 },
        { "\0\0\x81\x80\0\1\0\1\0\0\0\0", 12 },
        { HEAD("\x80", "\0", "\0") "\xc0\x0c\0\1\0\1", 18 },                     /* a pointer to itself */
        { HEAD("\x80", "\1", "\0") ASKED "\xc0\x0c\0\1\0\1\0\0\0\1\0\xff\1", 42 }, /* longer than the packet */
    };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_int_equal(read_packet(broken[i], DNS_A), STATUS_DAMAGED);
}

static void knows_names(void **state)
{
    char label64[66];
    memset(label64, 'a', 65);
    label64[65] = '\0';
    assert_true(dns_name_is_good(SPAN("example.org")) && dns_name_is_good(SPAN("_25._tcp.mx.example.org.")));
    assert_false(dns_name_is_good(SPAN("")) || dns_name_is_good(SPAN(".")) || dns_name_is_good(SPAN("a..b")) ||
                 dns_name_is_good(SPAN("a b")) || dns_name_is_good(SPAN("a\\046b")) || dns_name_is_good(span_str(label64)) ||
                 dns_name_is_good(SPAN("\xc3\xa4.example")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_mx), cmocka_unit_test(follows_aliases_in_order), cmocka_unit_test(knows_that_there_is_none),
        cmocka_unit_test(refuses_what_is_broken), cmocka_unit_test(knows_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
