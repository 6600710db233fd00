#include "test.h"
#include "net/proxy.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

struct row {
    struct span in;
    enum status status;
    const char *client;
    const char *rest;
};
#define IN(text) { text, sizeof(text) - 1 }

static const struct row rows[] = {
    { IN("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\nEHLO x"), STATUS_OK, "192.0.2.7:4711", "EHLO x" },
    { IN("PROXY TCP6 2001:db8::7 ::1 4711 25\r\n"), STATUS_OK, "[2001:db8::7]:4711", "" },
    { IN("PROXY UNKNOWN\r\nx"), STATUS_OK, "unknown", "x" },
    { IN("PROXY UNKNOWN whatever it says\r\nx"), STATUS_OK, "unknown", "x" },
    { IN("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25"), STATUS_AGAIN, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.7 198.51.100.1 4711 99999\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 1\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PROXY TCP4 ::1 ::1 4711 25\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PROXY TCP4  192.0.2.7 198.51.100.1 4711 25\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PROXY TCP9 a b 1 2\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("EHLO there\r\n"), STATUS_SYNTAX, NULL, NULL },
    { IN("PRO"), STATUS_AGAIN, NULL, NULL },
    { IN(""), STATUS_AGAIN, NULL, NULL },
    { IN(V2 "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x12\x67\0\x19tail"), STATUS_OK, "192.0.2.7:4711", "tail" },
    { IN(V2 "\x21\x11\0\x0f\xc0\0\2\7\xc6\x33\x64\1\x12\x67\0\x19\4\0\0x"), STATUS_OK, "192.0.2.7:4711", "x" },
    { IN(V2 "\x21\x11\0\x0b\xc0\0\2\7\xc6\x33\x64\1\x12\x67\0"), STATUS_SYNTAX, NULL, NULL },
    { IN(V2 "\x20\0\0\0x"), STATUS_OK, "local", "x" },
    { IN(V2 "\x21\0\0\1?x"), STATUS_OK, "unknown", "x" },
    { IN(V2 "\x31\x11\0\x0c"), STATUS_SYNTAX, NULL, NULL },
    { IN(V2 "\x21\x11\xff\xff"), STATUS_TOO_LONG, NULL, NULL },
    { IN(V2 "\x21\x21\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x12\x67\0\x19"), STATUS_SYNTAX, NULL, NULL },
};

static void takes_headers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span in = rows[i].in;
        struct proxy_header header;
        char text[NET_ADDRESS_TEXT];
        enum status status = proxy_header_take(&in, &header);
        if (status != rows[i].status)
            fail_msg("row %zu: %s", i, status_text(status));
        if (status != STATUS_OK) {
            assert_int_equal(in.n, rows[i].in.n);
            continue;
        }
        assert_string_equal(header.local ? "local" : net_address_text(&header.client, text), rows[i].client);
        assert_span(in, rows[i].rest);
    }
}

/* Whatever is cut off a good header asks for more, never more and never an error. */
static void waits_octet_by_octet(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status != STATUS_OK)
            continue;
        size_t n = rows[i].in.n - strlen(rows[i].rest);
        for (size_t cut = 0; cut < n; cut++) {
            struct span in = span_head(rows[i].in, cut);
            struct proxy_header header;
            assert_int_equal(proxy_header_take(&in, &header), STATUS_AGAIN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(takes_headers), cmocka_unit_test(waits_octet_by_octet) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
