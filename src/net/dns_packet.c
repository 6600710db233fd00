#include "net/dns_priv.h"
#include <stdio.h>

#define JUMPS_MAX 32        /* compression pointers in one name */
#define TTL_MAX (7u * 86400) /* RFC 8767 section 4 */
#define NEGATIVE_TTL_MAX 3600u
#define TYPE_SOA 6
#define RCODE_NXDOMAIN 3

bool dns_name_is_good(struct span name)
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > 253)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == '.' ? label == 0 : !(ascii_alnum(c) || c == '-' || c == '_'))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label != 0;
}

struct reader {
    struct span packet;
    size_t at;
    bool bad;
};

static unsigned take(struct reader *reader, unsigned octets)
{
    unsigned value = 0;
    if (reader->packet.n - reader->at < octets) {
        reader->bad = true;
        return 0;
    }
    while (octets--)
        value = value << 8 | (unsigned char)reader->packet.p[reader->at++];
    return value;
}

/* Adds a label to the text. A dot, a space or worse inside a label cannot be written as a host's name. */
static bool add_label(struct span label, char *ret, size_t *n)
{
    if (*n + (*n != 0) + label.n >= DNS_NAME_MAX)
        return false;
    if (*n)
        ret[(*n)++] = '.';
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if (c <= ' ' || c == '.' || c == '\\' || c == 0x7f)
            return false;
        ret[(*n)++] = ascii_lower(c);
    }
    return true;
}

/* The name at reader->at, which moves behind it. Pointers may only go back, so they end. False: the name cannot be written
 * (reader->bad: nor read). */
static bool take_name(struct reader *reader, char ret[DNS_NAME_MAX])
{
    size_t n = 0, resume = 0, limit = reader->at;
    bool good = true;
    for (unsigned jumps = 0; !reader->bad && jumps < JUMPS_MAX;) {
        unsigned length = take(reader, 1);
        if (length == 0) {
            ret[n] = '\0';
            reader->at = resume ? resume : reader->at;
            return good && !reader->bad;
        }
        if ((length & 0xc0) == 0xc0) {
            size_t to = (length & 0x3fu) << 8 | take(reader, 1);
            resume = resume ? resume : reader->at;
            if (reader->bad || to >= limit)
                break;
            limit = reader->at = to;
            jumps++;
        } else if (length > 63 || length > reader->packet.n - reader->at) {
            break;
        } else {
            good = good && add_label(span_of(reader->packet.p + reader->at, length), ret, &n);
            reader->at += length;
        }
    }
    reader->bad = true;
    return false;
}

struct record {
    char owner[DNS_NAME_MAX];
    bool owner_good;
    unsigned type, class;
    uint32_t ttl;
    size_t at; /* where its data begins */
    struct span octets;
};

static bool take_record(struct reader *reader, struct record *ret)
{
    ret->owner_good = take_name(reader, ret->owner);
    ret->type = take(reader, 2);
    ret->class = take(reader, 2);
    ret->ttl = take(reader, 4);
    ret->ttl = ret->ttl & 0x80000000u ? 0 : MIN(ret->ttl, TTL_MAX); /* RFC 2181 section 8 */
    size_t n = take(reader, 2);
    if (reader->bad || n > reader->packet.n - reader->at)
        return false;
    ret->at = reader->at;
    ret->octets = span_of(reader->packet.p + reader->at, n);
    reader->at += n;
    return true;
}

static bool data_is_good(const struct record *record)
{
    switch (record->type) {
    case DNS_A: return record->octets.n == 4;
    case DNS_AAAA: return record->octets.n == 16;
    case DNS_MX: return record->octets.n >= 3;
    case DNS_TLSA: return record->octets.n >= 4;
    default: return true;
    }
}

/* False: passed over, because it cannot be used. */
static bool fill(struct span packet, const struct record *record, struct dns_record *ret)
{
    if (!data_is_good(record))
        return false;
    ret->octets = record->octets;
    ret->preference = 0;
    ret->name[0] = '\0';
    if (record->type != DNS_MX)
        return true;
    struct reader data = { span_head(packet, record->at + record->octets.n), record->at, false };
    ret->preference = (uint16_t)take(&data, 2);
    return take_name(&data, ret->name);
}

/* How long "there is none" may be believed: RFC 2308 section 5. */
static uint32_t negative_ttl(struct reader *reader, unsigned count)
{
    uint32_t ttl = 0;
    struct record record;
    while (count-- && take_record(reader, &record)) {
        if (record.type != TYPE_SOA || record.octets.n < 20)
            continue;
        struct reader least = { reader->packet, record.at + record.octets.n - 4, false };
        ttl = take(&least, 4);
        ttl = MIN(MIN(ttl, record.ttl), NEGATIVE_TTL_MAX);
    }
    return ttl;
}

static void copy_name(struct span name, char ret[DNS_NAME_MAX])
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    name = span_head(name, DNS_NAME_MAX - 1);
    for (size_t i = 0; i < name.n; i++)
        ret[i] = ascii_lower(name.p[i]);
    ret[name.n] = '\0';
}

static enum status take_answers(struct reader *reader, unsigned count, uint16_t type, struct dns_record *records,
                                char *canonical, struct dns_answer *ret)
{
    struct record record;
    ret->ttl_s = TTL_MAX;
    while (count--) {
        if (!take_record(reader, &record))
            return STATUS_DAMAGED;
        if (record.class != 1 || !record.owner_good || strcmp(record.owner, canonical) != 0)
            continue;
        if (record.type == type) {
            ret->ttl_s = MIN(ret->ttl_s, record.ttl);
            if (ret->count < DNS_RECORDS_MAX && fill(reader->packet, &record, &records[ret->count]))
                ret->count++;
        } else if (record.type == DNS_CNAME) {
            char target[DNS_NAME_MAX];
            struct reader data = { span_head(reader->packet, record.at + record.octets.n), record.at, false };
            if (!take_name(&data, target))
                return STATUS_DAMAGED;
            ret->ttl_s = MIN(ret->ttl_s, record.ttl);
            memcpy(canonical, target, strlen(target) + 1);
        }
    }
    return STATUS_OK;
}

enum status dns_packet_read(struct span packet, struct span name, uint16_t type, struct dns_record *records,
                            char *canonical, struct dns_answer *ret)
{
    struct reader reader = { packet, 2, false };
    if (packet.n < 12)
        return STATUS_DAMAGED;
    struct dns_answer answer = { .records = records, .canonical = canonical };
    unsigned flags = take(&reader, 2), questions = take(&reader, 2), answers = take(&reader, 2), authorities = take(&reader, 2);
    take(&reader, 2);
    char ignored[DNS_NAME_MAX];
    while (questions-- && !reader.bad) {
        take_name(&reader, ignored);
        take(&reader, 4);
    }
    if (reader.bad)
        return STATUS_DAMAGED;
    copy_name(name, canonical);
    if (take_answers(&reader, answers, type, records, canonical, &answer) != STATUS_OK)
        return STATUS_DAMAGED;
    if (answer.count == 0) {
        uint32_t ttl = negative_ttl(&reader, authorities);
        answer.ttl_s = MIN(answer.ttl_s, ttl);
    }
    answer.rcode = flags & 0xf;
    answer.status = answer.rcode == 0 ? STATUS_OK : answer.rcode == RCODE_NXDOMAIN ? STATUS_NOT_FOUND : STATUS_IO;
    *ret = answer;
    return STATUS_OK;
}
