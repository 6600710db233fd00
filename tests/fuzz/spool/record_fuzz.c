/* A record as it is read from disk: the header, then the envelope. The checksum is made right first, else nothing
 * would get past it. */
#include "spool/envelope.h"
#include "spool/record.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_envelope(struct span bytes)
{
    struct spool_envelope envelope;
    if (spool_envelope_decode(bytes, &envelope) != STATUS_OK)
        return;
    size_t octets = envelope.account.n + envelope.sender.n + envelope.envid.n;
    for (uint32_t i = 0; i < envelope.recipient_count; i++) {
        struct spool_recipient recipient = spool_envelope_recipient(&envelope, i);
        octets += recipient.address.n + recipient.orcpt.n;
        if (recipient.address.p < bytes.p || recipient.orcpt.p + recipient.orcpt.n > bytes.p + bytes.n)
            abort();
    }
    if (octets > bytes.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_envelope(span_of(data, size));
    if (size < SPOOL_HEADER_OCTETS)
        return 0;
    uint8_t bytes[SPOOL_HEADER_OCTETS], place[4] = { 0, 16, 0, 0 };
    memcpy(bytes, data, sizeof bytes);
    uint32_t check = crc32c(crc32c(5, place, sizeof place), bytes, 60);
    for (unsigned i = 0; i < 4; i++)
        bytes[60 + i] = (uint8_t)(check >> 8 * i);
    struct spool_header header;
    if (spool_header_decode(bytes, 5, 4096, size + 4096, &header) != STATUS_OK)
        return 0;
    if (spool_header_length(&header) > size)
        abort();
    read_envelope(span_of(data + SPOOL_HEADER_OCTETS, header.envelope));
    return 0;
}
