/* DNS messages from anywhere; the first octet says which type was asked for. */
#include "net/dns_priv.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dns_record records[DNS_RECORDS_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = { DNS_A, DNS_MX, DNS_AAAA, DNS_TLSA, DNS_CNAME, DNS_TXT };
    char canonical[DNS_NAME_MAX];
    struct dns_answer answer;
    if (size == 0)
        return 0;
    struct span packet = span_of(data + 1, size - 1);
    uint8_t type = types[data[0] % sizeof(types)];
    if (dns_packet_read(packet, SPAN("mail.example"), type, records, canonical, &answer) != STATUS_OK)
        return 0;
    if (answer.count > DNS_RECORDS_MAX || strlen(canonical) >= DNS_NAME_MAX)
        abort();
    for (unsigned i = 0; i < answer.count; i++) {
        const struct dns_record *record = &records[i];
        if (record->octets.p < packet.p || record->octets.p + record->octets.n > packet.p + packet.n)
            abort();
        if (strlen(record->name) >= DNS_NAME_MAX || (type == DNS_A && record->octets.n != 4))
            abort();
    }
    return 0;
}
