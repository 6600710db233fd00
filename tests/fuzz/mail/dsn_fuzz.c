/* Hostile words in every place of a report: its lines stay lines, its ASCII stays ASCII. */
#include "mail/dsn.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* Texts are separated by a 0xFE, which no text needs. */
static struct span next(struct span *in)
{
    struct span piece = SPAN_NONE;
    span_cut(in, (char)0xFE, &piece);
    return piece;
}

static void check_report(struct span report)
{
    size_t line = 0;
    for (size_t i = 0; i < report.n; i++) {
        char c = report.p[i];
        check(c == '\t' || c == '\r' || c == '\n' || (c >= ' ' && c <= '~'));
        check(c != '\n' || (i && report.p[i - 1] == '\r'));
        check(c != '\r' || (i + 1 < report.n && report.p[i + 1] == '\n'));
        line = c == '\n' ? 0 : line + 1;
        check(line <= 3200); /* the longest address, every letter of it as \\x{HEX} */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct span in = span_of(data + 4, size - 4);
    struct dsn_recipient recipients[2];
    for (size_t i = 0; i < 2; i++)
        recipients[i] = (struct dsn_recipient){
            .address = next(&in), .original = next(&in), .action = data[i] % 5, .status = { 5, data[2] % 9, data[3] },
            .remote_host = next(&in), .remote_address = next(&in), .reply = data[2] & 1 ? 500 + data[3] : 0,
            .text = next(&in), .attempt_wall_ms = data[3], .retry_until_wall_ms = data[3],
        };
    struct dsn dsn = {
        .hostname = SPAN("mail.example.org"), .postmaster = SPAN("postmaster@example.org"), .to = next(&in),
        .report_id = 2, .message_id = 1, .now_wall_ms = 1, .arrival_wall_ms = 1, .envid = next(&in),
        .received_from = next(&in), .recipients = recipients, .recipient_count = 1 + (data[2] >> 1 & 1),
        .header = next(&in), .ret = data[2] >> 2 & 1, .return_max = data[3] * 16u, .body = in,
    };
    bool utf8 = false;
    AUTO(buf_done) struct buf report = BUF_EMPTY(1u << 20);
    check(dsn_write(&dsn, &report, &utf8) == STATUS_OK);
    check(!utf8 || !span_is_ascii(dsn.to));
    /* With the original's octets left out, all of it is ours. */
    dsn.header = dsn.body = SPAN_NONE;
    buf_clear(&report);
    check(dsn_write(&dsn, &report, &utf8) == STATUS_OK);
    if (!utf8)
        check_report(buf_span(&report));
    return 0;
}
