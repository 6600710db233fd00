/* A header's fields, put together, are the header again; every address found in one is an address. */
#include "mail/header.h"
#include "mail/message_id.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static enum status on_address(void *arg, const struct address *address)
{
    struct address again = { 0 };
    check(address_parse(address->text, *(unsigned *)arg, &again) == STATUS_OK);
    check(address_eq(address, &again));
    return STATUS_OK;
}

static void check_field(const struct header_field *field, unsigned allow)
{
    char text[100];
    check(field->name.n > 0 && field->name.p == field->all.p);
    check(span_ends_case(field->all, SPAN("\r\n")));
    check(field->value.p + field->value.n + 2 == field->all.p + field->all.n);
    struct span plain = header_unfold(field->value, text, sizeof text);
    check(span_find(plain, '\r') == plain.n && span_find(plain, '\n') == plain.n);
    enum status status = header_addresses(field->value, allow, on_address, &allow);
    check(status == STATUS_OK || status == STATUS_SYNTAX || status == STATUS_TOO_LONG || status == STATUS_DENIED);
    message_id_inner(field->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned allow = data[0] & (ADDRESS_NULL | ADDRESS_UTF8 | ADDRESS_LOCAL);
    struct span message = span_of(data + 1, size - 1);
    size_t header = 0, body = 0, sum = 0;
    struct header_field field;
    (void)!header_addresses(message, allow, on_address, &allow);
    if (header_measure(message, HEADER_MAX, &header, &body) != STATUS_OK)
        return 0;
    check(header <= body && body <= message.n && (body == header || body == header + 2));
    struct span rest = span_head(message, header);
    while (header_next(&rest, &field)) {
        check_field(&field, allow);
        sum += field.all.n;
    }
    check(sum == header);
    return 0;
}
