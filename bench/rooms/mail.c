#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/received.h"
#include "message.h"
#include "room.h"

static struct buf out = { NULL, 0, 0, 1u << 20, false };

static enum status on_address(void *arg, const struct address *address)
{
    char text[ADDRESS_MAX];
    room_must(address_canonical(address, text).n > 0);
    ++*(unsigned *)arg;
    return STATUS_OK;
}

/* Measures the header, walks over its fields, reads the addresses in four of them. */
static void header(void)
{
    struct header_field field;
    size_t octets, body;
    unsigned fields = 0, addresses = 0;
    room_must(header_measure(room_message(), HEADER_MAX, &octets, &body) == STATUS_OK);
    for (struct span rest = span_head(room_message(), octets); header_next(&rest, &field); fields++)
        if (header_is(&field, SPAN("From")) || header_is(&field, SPAN("To")) || header_is(&field, SPAN("Cc")) ||
            header_is(&field, SPAN("Reply-To")))
            room_must(header_addresses(field.value, 0, on_address, &addresses) == STATUS_OK);
    room_must(fields == 14 && addresses == 5);
}

/* What MAIL and RCPT bring. */
static void path(void)
{
    struct span in = SPAN("<anna+orders@Mail.Example.ORG> SIZE=4096");
    struct address address;
    char text[ADDRESS_MAX];
    room_must(address_path_take(&in, ADDRESS_NULL, &address) == STATUS_OK);
    room_must(address_canonical(&address, text).n == 28);
}

static void received(void)
{
    struct received trace = {
        .helo = SPAN("laptop.example.org"), .client_address = SPAN("192.0.2.7"), .client_name = SPAN("laptop.example.org"),
        .hostname = SPAN("mail.example.org"), .with = SPAN("ESMTPSA"), .tls_version = SPAN("TLSv1.3"),
        .tls_cipher = SPAN("TLS_AES_256_GCM_SHA384"), .tls_bits = 256, .id = 0x1122334455667788,
        .recipient = SPAN("bob@example.com"), .now_wall_ms = INT64_C(1795443607000),
    };
    buf_clear(&out);
    room_must(received_write(&trace, &out) == STATUS_OK);
}

/* A report about one recipient that does not exist. */
static void report(void)
{
    struct dsn_recipient bob = {
        .address = SPAN("bob@example.com"), .original = SPAN("rfc822;bob@example.com"), .action = DSN_FAILED,
        .status = { 5, 1, 1 }, .remote_host = SPAN("mx.example.com"), .remote_address = SPAN("192.0.2.25"), .reply = 550,
        .text = SPAN("5.1.1 <bob@example.com>: No such user"), .attempt_wall_ms = INT64_C(1795443607000),
    };
    struct dsn dsn = {
        .hostname = SPAN("mail.example.org"), .postmaster = SPAN("postmaster@example.org"), .to = SPAN("anna@example.org"),
        .report_id = 2, .message_id = 1, .now_wall_ms = INT64_C(1795443608000), .arrival_wall_ms = INT64_C(1795443606000),
        .envid = SPAN("QQ314"), .recipients = &bob, .recipient_count = 1, .header = span_str(room_header),
        .ret = DSN_RETURN_HEADERS, .return_max = 50000,
    };
    bool utf8;
    buf_clear(&out);
    room_must(dsn_write(&dsn, &out, &utf8) == STATUS_OK);
}

static const struct room_work works[] = {
    { "header", NULL, header },
    { "path", NULL, path },
    { "received", NULL, received },
    { "report", NULL, report },
};
ROOM_MAIN(works)
