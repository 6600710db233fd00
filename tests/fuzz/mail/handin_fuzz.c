/* What a program hands in: whatever it is, the header that goes out is one header, has no Bcc, and every recipient is an
 * address. */
#include "mail/handin.h"
#include "mail/lines.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static enum status on_recipient(void *arg, struct span address)
{
    struct address parsed;
    check(address_parse(address, ADDRESS_UTF8, &parsed) == STATUS_OK || address.n > ADDRESS_MAX);
    ++*(unsigned *)arg;
    return STATUS_OK;
}

static void check_lines(struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        check(text.p[i] != 0);
        check(text.p[i] != '\n' || (i > 0 && text.p[i - 1] == '\r'));
        check(text.p[i] != '\r' || (i + 1 < text.n && text.p[i + 1] == '\n'));
    }
    check(text.n == 0 || text.p[text.n - 1] == '\n');
}

static void check_header(struct span text, unsigned froms)
{
    size_t header = 0, body = 0;
    unsigned count = 0;
    struct header_field field;
    check(header_measure(text, 4 * HEADER_MAX, &header, &body) == STATUS_OK && header + 2 == body && body == text.n);
    check(!header_find(span_head(text, header), SPAN("Bcc"), &field, NULL));
    check(!header_find(span_head(text, header), SPAN("Resent-Bcc"), &field, NULL));
    check(header_find(span_head(text, header), SPAN("From"), &field, &count) && (count == 1 || count == froms));
}

static void run(struct span input, bool take, size_t piece)
{
    struct lines lines = { .dot_ends = true };
    struct header_field field;
    unsigned recipients = 0, froms = 0;
    size_t header = 0, body = 0;
    AUTO(buf_done) struct buf clean = BUF_EMPTY(1u << 20), out = BUF_EMPTY(8u << 20);
    for (size_t i = 0; i < input.n; i += piece)
        check(lines_add(&lines, span_head(span_from(input, i), piece), &clean) == STATUS_OK);
    check(lines_end(&lines, &clean) == STATUS_OK);
    check_lines(buf_span(&clean));
    struct span text = span_from(buf_span(&clean), handin_mailbox_line(buf_span(&clean)));
    if (header_measure(text, HEADER_MAX, &header, &body) != STATUS_OK)
        return;
    struct handin how = { .origin = SPAN("host.example"), .sender = SPAN("me@host.example"), .name = span_head(input, 40),
                          .take_recipients = take, .on_recipient = on_recipient, .arg = &recipients };
    (void)header_find(span_head(text, header), SPAN("From"), &field, &froms);
    enum status status = handin_header(&how, span_head(text, header), &out);
    if (status == STATUS_OK)
        check_header(buf_span(&out), froms);
    else
        check(take && how.bad.n > 0);
    (void)!handin_words(&how, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 200000)
        return 0;
    run(span_of(data + 1, size - 1), data[0] & 1, (size_t)(data[0] >> 1) + 1);
    return 0;
}
