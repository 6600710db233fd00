#include "base/id.h"
#include "mail/date.h"
#include "mail/dsn_priv.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/message_id.h"
#include "mail/xtext.h"
#include <assert.h>
#include <stdio.h>

struct writer {
    const struct dsn *dsn;
    struct buf *out;
    char boundary[64];
    struct span header, body; /* what of the original is returned */
    bool returns_body;
    bool utf8;                /* the report travels with SMTPUTF8 */
};

/* Whole fields from the front that fit into `most` octets. */
static struct span header_cut(struct span header, size_t most)
{
    struct span rest = header;
    struct header_field field;
    size_t n = 0;
    while (header_next(&rest, &field) && header.n - rest.n <= most)
        n = header.n - rest.n;
    return span_head(header, n);
}

static void choose_return(struct writer *w)
{
    const struct dsn *dsn = w->dsn;
    w->header = dsn->header;
    w->returns_body = dsn->ret == DSN_RETURN_FULL && dsn->header.n && dsn->header.n <= dsn->return_max
                      && dsn->body.n <= dsn->return_max - dsn->header.n;
    w->body = w->returns_body ? dsn->body : SPAN_NONE;
    if (!w->returns_body)
        w->header = header_cut(dsn->header, dsn->return_max);
}

/* A boundary that stands nowhere in what is returned (RFC 2046 section 5.1.1), whatever a sender guessed. */
static void choose_boundary(struct writer *w)
{
    char id[ID_TEXT_SIZE];
    unsigned again = 0;
    struct span boundary;
    do {
        snprintf(w->boundary, sizeof w->boundary, "=_goniec_%s_%u", id_text(w->dsn->report_id, id), again++);
        boundary = span_str(w->boundary);
    } while (span_find_span(w->header, boundary) < w->header.n || span_find_span(w->body, boundary) < w->body.n);
}

static void field_add(struct writer *w, const char *name, const char *type, struct span value)
{
    if (value.n == 0)
        return;
    buf_printf(w->out, "%s: %s", name, type);
    dsn_add_safe(w->out, value, w->utf8, ADDRESS_MAX);
    buf_add_str(w->out, "\r\n");
}

static void date_add(struct writer *w, const char *name, int64_t wall_ms)
{
    char date[DATE_TEXT_SIZE];
    if (wall_ms)
        buf_printf(w->out, "%s: %s\r\n", name, date_text(wall_ms, date));
}

/* Names the report as an answer to the original, so that mail programs show the two together. */
static void references_add(struct writer *w)
{
    struct header_field field;
    if (!header_find(w->dsn->header, SPAN("Message-ID"), &field, NULL))
        return;
    struct span id = message_id_inner(field.value);
    if (id.n == 0 || id.n > 250 || span_find(id, ' ') < id.n)
        return;
    for (unsigned i = 0; i < 2; i++) {
        buf_add_str(w->out, i ? "References: <" : "In-Reply-To: <");
        dsn_add_safe(w->out, id, w->utf8, 250);
        buf_add_str(w->out, ">\r\n");
    }
}

static void report_header_add(struct writer *w, bool eight_bit)
{
    const struct dsn *dsn = w->dsn;
    buf_add_str(w->out, "From: \"Mail delivery\" <");
    dsn_add_safe(w->out, dsn->postmaster, w->utf8, ADDRESS_MAX);
    buf_add_str(w->out, ">\r\nTo: <");
    dsn_add_safe(w->out, dsn->to, w->utf8, ADDRESS_MAX);
    buf_add_str(w->out, ">\r\nSubject: ");
    dsn_add_subject(dsn, w->out);
    buf_add_str(w->out, "\r\n");
    date_add(w, "Date", dsn->now_wall_ms);
    buf_add_str(w->out, "Message-ID: ");
    message_id_write(dsn->report_id, dsn->hostname, w->out);
    buf_add_str(w->out, "\r\n");
    references_add(w);
    buf_printf(w->out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
               "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"%s\"\r\n%s\r\n",
               w->utf8 ? "global-delivery-status" : "delivery-status", w->boundary,
               eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

static void part_begin(struct writer *w, const char *type, const char *encoding)
{
    buf_printf(w->out, "--%s\r\nContent-Type: %s\r\n", w->boundary, type);
    if (encoding)
        buf_printf(w->out, "Content-Transfer-Encoding: %s\r\n", encoding);
    buf_add_str(w->out, "\r\n");
}

static void people_part_add(struct writer *w)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4u << 20);
    dsn_add_text(w->dsn, w->returns_body, &text);
    w->out->failed |= text.failed;
    if (span_is_ascii(buf_span(&text))) {
        part_begin(w, "text/plain; charset=us-ascii", NULL);
        buf_add(w->out, buf_span(&text));
    } else {
        part_begin(w, "text/plain; charset=utf-8", "quoted-printable");
        quoted_printable_add(w->out, buf_span(&text));
    }
    buf_add_str(w->out, "\r\n");
}

/* utf-8-addr-xtext (RFC 6533 section 3): what is not ASCII as \x{HEX}, so that the report itself stays ASCII. */
static void utf8_address_add(struct buf *out, struct span address)
{
    for (size_t i = 0; i < address.n; i++) {
        unsigned char c = (unsigned char)address.p[i];
        if (c < 0x80) {
            if (c <= ' ' || c == 0x7F || c == '+' || c == '=' || c == '\\')
                buf_printf(out, "\\x{%02X}", (unsigned)c);
            else
                buf_add_char(out, (char)c);
            continue;
        }
        unsigned more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1, point = c & (0x3Fu >> more);
        for (; more && i + 1 < address.n; more--)
            point = point << 6 | ((unsigned char)address.p[++i] & 0x3Fu);
        buf_printf(out, "\\x{%02X}", point);
    }
}

static void final_recipient_add(struct writer *w, struct span address)
{
    address = span_head(address, ADDRESS_MAX);
    if (span_is_ascii(address)) {
        field_add(w, "Final-Recipient", "rfc822; ", address);
    } else if (w->utf8) {
        field_add(w, "Final-Recipient", "utf-8; ", address);
    } else if (span_is_utf8(address)) {
        buf_add_str(w->out, "Final-Recipient: utf-8; ");
        utf8_address_add(w->out, address);
        buf_add_str(w->out, "\r\n");
    } else {
        field_add(w, "Final-Recipient", "rfc822; ", address);
    }
}

/* "rfc822;anna+2Bx@a.org" as ORCPT brought it becomes "rfc822; anna+x@a.org". */
static void original_recipient_add(struct writer *w, struct span orcpt)
{
    AUTO(buf_done) struct buf plain = BUF_EMPTY(2 * XTEXT_ORCPT_MAX);
    size_t semicolon = span_find(orcpt, ';');
    struct span type = span_head(orcpt, semicolon), text = span_from(orcpt, semicolon + 1);
    if (!xtext_orcpt_check(orcpt, w->utf8))
        return;
    if (!span_eq_case(type, SPAN("utf-8"))) {
        if (xtext_decode(text, &plain) != STATUS_OK)
            return;
        text = buf_span(&plain);
    }
    buf_add_str(w->out, "Original-Recipient: ");
    dsn_add_safe(w->out, type, false, 64);
    buf_add_str(w->out, "; ");
    dsn_add_safe(w->out, text, w->utf8, XTEXT_ORCPT_MAX);
    buf_add_str(w->out, "\r\n");
}

/* In pieces: with DSN_TEXT_MAX octets the line would be over the 998 of RFC 5322 section 2.1.1. */
static void diagnostic_add(struct writer *w, const struct dsn_recipient *recipient)
{
    struct span text = span_head(recipient->text, DSN_TEXT_MAX);
    if (text.n == 0 && !recipient->reply)
        return;
    buf_add_str(w->out, "Diagnostic-Code: ");
    buf_add_str(w->out, recipient->reply ? "smtp; " : "X-Goniec; ");
    if (recipient->reply)
        dsn_add_codes(recipient, w->out);
    for (size_t taken = 0; taken < text.n; taken += 500) {
        buf_add_str(w->out, taken ? "\r\n " : "");
        dsn_add_safe(w->out, span_head(span_from(text, taken), 500), false, 500);
    }
    buf_add_str(w->out, "\r\n");
}

/* By name, and its address beside it; one without a name as a literal. */
static void remote_add(struct writer *w, const struct dsn_recipient *recipient)
{
    bool named = recipient->remote_host.n > 0;
    if (!named && recipient->remote_address.n == 0)
        return;
    buf_add_str(w->out, "Remote-MTA: dns; ");
    dsn_add_safe(w->out, recipient->remote_host, w->utf8, 255);
    if (recipient->remote_address.n) {
        buf_add_str(w->out, named ? " (" : "[");
        dsn_add_safe(w->out, recipient->remote_address, false, 64);
        buf_add_str(w->out, named ? ")" : "]");
    }
    buf_add_str(w->out, "\r\n");
}

static void recipient_fields_add(struct writer *w, const struct dsn_recipient *recipient)
{
    static const char *const actions[] = { [DSN_FAILED] = "failed", [DSN_DELAYED] = "delayed",
        [DSN_DELIVERED] = "delivered", [DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded" };
    char code[STATUS_CODE_TEXT_SIZE], id[ID_TEXT_SIZE];
    buf_add_str(w->out, "\r\n");
    original_recipient_add(w, recipient->original);
    final_recipient_add(w, recipient->address);
    buf_printf(w->out, "Action: %s\r\nStatus: %s\r\n", actions[recipient->action], status_code_text(recipient->status, code));
    remote_add(w, recipient);
    diagnostic_add(w, recipient);
    date_add(w, "Last-Attempt-Date", recipient->attempt_wall_ms);
    if (w->dsn->message_id)
        buf_printf(w->out, "Final-Log-ID: %s\r\n", id_text(w->dsn->message_id, id));
    if (recipient->action == DSN_DELAYED)
        date_add(w, "Will-Retry-Until", recipient->retry_until_wall_ms);
}

static void status_part_add(struct writer *w)
{
    const struct dsn *dsn = w->dsn;
    AUTO(buf_done) struct buf envid = BUF_EMPTY(XTEXT_ENVID_MAX);
    part_begin(w, w->utf8 ? "message/global-delivery-status" : "message/delivery-status", w->utf8 ? "8bit" : NULL);
    if (xtext_decode(dsn->envid, &envid) == STATUS_OK)
        field_add(w, "Original-Envelope-Id", "", buf_span(&envid));
    field_add(w, "Reporting-MTA", "dns; ", dsn->hostname);
    field_add(w, "Received-From-MTA", "dns; ", dsn->received_from);
    date_add(w, "Arrival-Date", dsn->arrival_wall_ms);
    for (size_t i = 0; i < dsn->recipient_count; i++)
        recipient_fields_add(w, &dsn->recipients[i]);
    buf_add_str(w->out, "\r\n");
}

static void original_part_add(struct writer *w)
{
    bool eight = !span_is_ascii(w->header) || !span_is_ascii(w->body);
    bool global = !span_is_ascii(w->header) && span_is_utf8(w->header);
    if (w->header.n == 0)
        return;
    if (w->returns_body)
        part_begin(w, global ? "message/global" : "message/rfc822", eight ? "8bit" : NULL);
    else
        part_begin(w, global ? "message/global-headers" : "text/rfc822-headers", eight ? "8bit" : NULL);
    buf_add(w->out, w->header);
    if (w->returns_body) {
        buf_add_str(w->out, "\r\n");
        buf_add(w->out, w->body);
    }
    buf_add_str(w->out, "\r\n");
}

enum status dsn_write(const struct dsn *dsn, struct buf *ret, bool *ret_utf8)
{
    assert(dsn->recipient_count >= 1 && dsn->recipient_count <= DSN_RECIPIENTS_MAX);
    struct writer w = { .dsn = dsn, .out = ret };
    size_t before = ret->n;
    w.utf8 = !span_is_ascii(dsn->to) && span_is_utf8(dsn->to);
    choose_return(&w);
    choose_boundary(&w);
    report_header_add(&w, w.utf8 || !span_is_ascii(w.header) || !span_is_ascii(w.body));
    people_part_add(&w);
    status_part_add(&w);
    original_part_add(&w);
    buf_printf(ret, "--%s--\r\n", w.boundary);
    if (ret->failed) {
        ret->n = before;
        return STATUS_FULL;
    }
    *ret_utf8 = w.utf8;
    return STATUS_OK;
}
