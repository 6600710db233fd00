/* Whatever comes in: what is stored has a header that ends where everybody sees it end, without the fields that must
 * not pass; a submitted message has one From:, whose addresses are those that are asked about. */
#include "intake/intake.h"
#include "mail/header.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

struct asked {
    const struct intake *intake;
    uint32_t n;
};

static enum status on_address(void *arg, const struct address *address)
{
    struct asked *asked = arg;
    check(asked->n < intake_from_count(asked->intake));
    check(span_eq(address->text, intake_from(asked->intake, asked->n++)));
    return STATUS_OK;
}

static unsigned count(struct span header, const char *name)
{
    unsigned n = 0;
    struct header_field field;
    header_find(header, span_str(name), &field, &n);
    return n;
}

static void check_submitted(const struct intake *intake, struct span header, unsigned allow)
{
    struct asked asked = { intake, 0 };
    struct header_field field;
    check(count(header, "From") == 1 && count(header, "Bcc") == 0 && count(header, "Resent-Bcc") == 0);
    check(count(header, "Date") >= 1 && count(header, "Message-ID") >= 1);
    check(header_find(header, SPAN("From"), &field, NULL));
    check(header_addresses(field.value, allow, on_address, &asked) == STATUS_OK);
    check(asked.n == intake_from_count(intake) && asked.n > 0);
}

static void check_stored(const struct intake *intake, const struct intake_facts *facts)
{
    size_t pieces = 0, header = 0, body = 0;
    AUTO(buf_done) struct buf stored = BUF_EMPTY(8u << 20);
    const struct span *piece = intake_pieces(intake, &pieces);
    buf_add(&stored, buf_span(&intake->added));
    for (size_t i = 0; i < pieces; i++)
        buf_add(&stored, piece[i]);
    check(stored.n == intake->octets);
    check(((intake->flags & SPOOL_8BIT) == 0) == span_is_ascii(buf_span(&stored)));
    bool dots = (stored.n && stored.p[0] == '.') || span_find_span(buf_span(&stored), SPAN("\n.")) < stored.n;
    check(((intake->flags & SPOOL_LEADING_DOTS) != 0) == dots);
    check(header_measure(buf_span(&stored), 2 * HEADER_MAX, &header, &body) == STATUS_OK);
    check(body == header + 2);
    struct span lines = span_head(buf_span(&stored), header);
    check(count(lines, "Return-Path") == 0);
    if (facts->submission && !facts->is_report)
        check_submitted(intake, lines, facts->utf8 ? ADDRESS_UTF8 : 0);
}

/* As smtp/body.h gives it: every line ends with CRLF, and neither stands alone. */
static void clean(struct span in, struct buf *ret)
{
    for (size_t i = 0; i < in.n; i++) {
        bool is_end = in.p[i] == '\r' || in.p[i] == '\n';
        i += in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n';
        check((is_end ? buf_add_str(ret, "\r\n") : buf_add_char(ret, in.p[i])) == STATUS_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    AUTO(buf_done) struct buf octets = BUF_EMPTY(8u << 20);
    clean(span_of(data + 1, size - 1), &octets);
    struct intake intake;
    struct intake_facts facts = {
        .hostname = SPAN("mail.example.org"), .helo = span_of(data, MIN(size, (size_t)9)), .client_address = SPAN("192.0.2.1"),
        .protocol = SPAN("ESMTPS"), .tls_version = SPAN("TLSv1.3"), .account = SPAN("anna@example.org"),
        .submission = data[0] & 1, .utf8 = data[0] & 2, .is_report = data[0] & 4, .hide_client = data[0] & 8, .id = 1,
    };
    intake_init(&intake, 4u << 20);
    check(intake_sender(&intake, data[0] & 16 ? SPAN_NONE : SPAN("bob@example.org")) == STATUS_OK);
    check(intake_recipient(&intake, SPAN("eve@example.net"), SPAN_NONE, 0) == STATUS_OK);
    check(intake_take(&intake, buf_span(&octets)) == STATUS_OK);
    if (intake_header(&intake, &facts) == STATUS_OK) {
        check_stored(&intake, &facts);
        check(intake_compose(&intake, &facts) == STATUS_OK);
    } else {
        check(intake.refusal.reply >= 400 && intake.refusal.text[0]);
    }
    intake_done(&intake);
    return 0;
}
