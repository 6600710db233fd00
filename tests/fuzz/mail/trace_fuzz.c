/* What strangers say about themselves in the lines that we write: xtext goes there and back, and the trace field stays one
 * field whatever the client calls itself. */
#include "fuzz.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/received.h"
#include "mail/status_code.h"
#include "mail/xtext.h"

static void check_xtext(struct span text)
{
    AUTO(buf_done) struct buf plain = BUF_EMPTY((size_t)1 << 20), again = BUF_EMPTY((size_t)1 << 20), back = BUF_EMPTY((size_t)1 << 20);
    enum status status = xtext_decode(text, &plain);
    require((status == STATUS_OK) == xtext_check(text));
    if (status == STATUS_OK) {
        require(xtext_encode(buf_span(&plain), &again) == STATUS_OK && xtext_check(buf_span(&again)));
        require(xtext_decode(buf_span(&again), &back) == STATUS_OK && span_eq(buf_span(&back), buf_span(&plain)));
    }
    buf_clear(&again);
    buf_clear(&back);
    require(xtext_encode(text, &again) == STATUS_OK && xtext_check(buf_span(&again)));
    require(xtext_decode(buf_span(&again), &back) == STATUS_OK && span_eq(buf_span(&back), text));
    bool ascii = xtext_orcpt_check(text, false), utf8 = xtext_orcpt_check(text, true);
    require(!ascii || (utf8 && span_is_ascii(text)));
    require(!utf8 || (span_is_utf8(text) && span_find(text, ' ') == text.n && span_find(text, '\n') == text.n));
}

static void check_received(struct choices *choices)
{
    struct received received = {
        .helo = choose_text(choices, 255), .client_address = choose_text(choices, 50), .client_name = choose_text(choices, 255),
        .hide_client = choose(choices) & 1, .hostname = SPAN("mx.example.org"), .with = SPAN("ESMTPSA"),
        .tls_version = choose_text(choices, 20), .tls_cipher = choose_text(choices, 60), .tls_bits = choose(choices), .id = 1,
        .now_wall_ms = (int64_t)choose_octets(choices, 8),
    };
    AUTO(buf_done) struct buf text = BUF_EMPTY(65536);
    struct header_field field;
    require(received_write(&received, &text) == STATUS_OK && span_is_ascii(buf_span(&text)));
    struct span lines = buf_span(&text), line;
    require(header_next(&lines, &field) && lines.n == 0 && span_eq(field.name, SPAN("Received")));
    for (lines = field.all; span_cut(&lines, '\n', &line);) {
        require(line.n <= 999 && (line.n == 0 || line.p[line.n - 1] == '\r'));
        require(span_find(line, '\r') + 1 >= line.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, MIN(size, (size_t)8192));
    struct span in = choices.left;
    struct status_code code;
    char text[STATUS_CODE_TEXT_SIZE];
    check_xtext(choices.left);
    if (status_code_take(&in, &code)) {
        require(code.class >= 2 && code.class <= 5 && code.subject <= 999 && code.detail <= 999);
        require(strlen(status_code_text(code, text)) < sizeof text && in.n < choices.left.n);
        require(status_code_meaning(code)[0] && status_code_advice(code) != NULL);
    }
    check_received(&choices);
    return 0;
}
