#include "spool/envelope.h"
#include "spool/le_priv.h"

/* Fixed part, then the texts in this order, zeros up to a multiple of 4, the offset table, the recipients. */
enum { AT_ACCEPTED = 0, AT_FLAGS = 8, AT_RET = 12, AT_COUNT = 16, AT_TABLE = 20, AT_LENGTHS = 24 };
enum { TEXT_ACCOUNT, TEXT_SENDER, TEXT_ENVID, TEXT_CLIENT, TEXT_HELO, TEXT_PROTOCOL, TEXT_COUNT };
#define FIXED_OCTETS (AT_LENGTHS + 2u * TEXT_COUNT)
/* Of a recipient: u8 notify, u8 octets behind the texts (0 or 4), u16 length of the address, u16 length of the ORCPT, then
 * both, then perhaps u32 seconds that it waits. */
#define RECIPIENT_OCTETS 6u
#define WAIT_OCTETS 4

static const size_t text_member[TEXT_COUNT] = {
    [TEXT_ACCOUNT] = offsetof(struct spool_envelope, account), [TEXT_SENDER] = offsetof(struct spool_envelope, sender),
    [TEXT_ENVID] = offsetof(struct spool_envelope, envid),     [TEXT_CLIENT] = offsetof(struct spool_envelope, client),
    [TEXT_HELO] = offsetof(struct spool_envelope, helo),       [TEXT_PROTOCOL] = offsetof(struct spool_envelope, protocol),
};

static struct span *text_of(struct spool_envelope *envelope, unsigned i)
{
    return (struct span *)(void *)((char *)envelope + text_member[i]);
}

static bool texts_fit(const struct spool_envelope *envelope)
{
    struct spool_envelope copy = *envelope;
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        if (text_of(&copy, i)->n > SPOOL_TEXT_MAX)
            return false;
    if (envelope->recipient_count > SPOOL_RECIPIENTS_MAX)
        return false;
    for (uint32_t i = 0; i < envelope->recipient_count; i++)
        if (envelope->recipients[i].address.n > SPOOL_TEXT_MAX || envelope->recipients[i].orcpt.n > SPOOL_TEXT_MAX)
            return false;
    return true;
}

static char *put_span(char *to, struct span text)
{
    if (text.n)
        memcpy(to, text.p, text.n);
    return to + text.n;
}

/* Both parts together: the offset table is filled while the recipients are written behind it. */
static char *put_recipients(const struct spool_envelope *envelope, char *start, char *table)
{
    char *to = table + 4 * (size_t)envelope->recipient_count;
    for (uint32_t i = 0; i < envelope->recipient_count; i++) {
        const struct spool_recipient *recipient = &envelope->recipients[i];
        le32_set(table + 4 * (size_t)i, (uint32_t)(to - start));
        to[0] = (char)recipient->notify;
        to[1] = recipient->wait_s ? WAIT_OCTETS : 0;
        le16_set(to + 2, (uint16_t)recipient->address.n);
        le16_set(to + 4, (uint16_t)recipient->orcpt.n);
        to = put_span(to + RECIPIENT_OCTETS, recipient->address);
        to = put_span(to, recipient->orcpt);
        if (recipient->wait_s) {
            le32_set(to, recipient->wait_s);
            to += WAIT_OCTETS;
        }
    }
    return to;
}

static size_t align4(size_t n) { return (n + 3u) & ~(size_t)3u; }

enum status spool_envelope_encode(const struct spool_envelope *envelope, struct buf *ret)
{
    if (!texts_fit(envelope))
        return STATUS_TOO_LONG;
    struct spool_envelope copy = *envelope;
    size_t texts = 0, recipients = 0;
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        texts += text_of(&copy, i)->n;
    for (uint32_t i = 0; i < envelope->recipient_count; i++)
        recipients += 4u + RECIPIENT_OCTETS + envelope->recipients[i].address.n + envelope->recipients[i].orcpt.n +
                      (envelope->recipients[i].wait_s ? WAIT_OCTETS : 0u);
    size_t table = align4(FIXED_OCTETS + texts);
    enum status status = buf_reserve(ret, table + recipients);
    if (status != STATUS_OK)
        return status;

    char *start = ret->p + ret->n, *to = start + FIXED_OCTETS;
    memset(start, 0, table);
    le64_set(start + AT_ACCEPTED, (uint64_t)envelope->accepted_wall_ms);
    le32_set(start + AT_FLAGS, envelope->flags);
    le32_set(start + AT_RET, (uint32_t)envelope->ret);
    le32_set(start + AT_COUNT, envelope->recipient_count);
    le32_set(start + AT_TABLE, (uint32_t)table);
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        le16_set(start + AT_LENGTHS + 2 * (size_t)i, (uint16_t)text_of(&copy, i)->n);
        to = put_span(to, *text_of(&copy, i));
    }
    put_recipients(envelope, start, start + table);
    ret->n += table + recipients;
    return STATUS_OK;
}

/* What other servers are told in a command: with an end of line in it, it would be two. Nothing lies below `least`. */
static bool is_clean(const char *p, size_t n, unsigned char least)
{
    bool clean = true;
    for (size_t i = 0; i < n; i++)
        clean &= (unsigned char)p[i] >= least && p[i] != 0x7F;
    return clean;
}

static bool is_address(const char *p, size_t n) { return is_clean(p, n, ' '); } /* a quoted local part may have blanks */
static bool is_xtext(const char *p, size_t n) { return is_clean(p, n, ' ' + 1); } /* behind a blank another parameter would begin */

/* The recipients lie one behind the other, from the end of the table to the end of the envelope. */
static bool recipients_whole(const struct spool_envelope *envelope)
{
    struct span bytes = envelope->stored;
    uint64_t at = envelope->table + 4 * (uint64_t)envelope->recipient_count;
    if (at > bytes.n)
        return false;
    for (uint32_t i = 0; i < envelope->recipient_count; i++) {
        if (le32_get(bytes.p + envelope->table + 4 * (size_t)i) != at || at + RECIPIENT_OCTETS > bytes.n)
            return false;
        uint16_t address = le16_get(bytes.p + at + 2), orcpt = le16_get(bytes.p + at + 4);
        uint8_t more = (uint8_t)bytes.p[at + 1];
        if ((more != 0 && more != WAIT_OCTETS) || address > SPOOL_TEXT_MAX || orcpt > SPOOL_TEXT_MAX ||
            at + RECIPIENT_OCTETS + address + orcpt + more > bytes.n ||
            (more && le32_get(bytes.p + at + RECIPIENT_OCTETS + address + orcpt) == 0) ||
            !is_address(bytes.p + at + RECIPIENT_OCTETS, address) || !is_xtext(bytes.p + at + RECIPIENT_OCTETS + address, orcpt))
            return false;
        at += RECIPIENT_OCTETS + (uint64_t)address + orcpt + more;
    }
    return at == bytes.n;
}

enum status spool_envelope_decode(struct span bytes, struct spool_envelope *ret)
{
    if (bytes.n < FIXED_OCTETS || bytes.n > UINT32_MAX)
        return STATUS_DAMAGED;
    uint32_t ret_kind = le32_get(bytes.p + AT_RET);
    struct spool_envelope envelope = {
        .accepted_wall_ms = (int64_t)le64_get(bytes.p + AT_ACCEPTED),
        .flags = le32_get(bytes.p + AT_FLAGS),
        .ret = (enum spool_ret)MIN(ret_kind, (uint32_t)SPOOL_RET_HDRS),
        .recipient_count = le32_get(bytes.p + AT_COUNT),
        .table = le32_get(bytes.p + AT_TABLE),
        .stored = bytes,
    };
    size_t at = FIXED_OCTETS;
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        uint16_t n = le16_get(bytes.p + AT_LENGTHS + 2 * (size_t)i);
        if (n > SPOOL_TEXT_MAX || at + n > bytes.n)
            return STATUS_DAMAGED;
        *text_of(&envelope, i) = span_of(bytes.p + at, n);
        at += n;
    }
    if (ret_kind > SPOOL_RET_HDRS || envelope.recipient_count > SPOOL_RECIPIENTS_MAX || envelope.table != align4(at) ||
        !is_address(envelope.sender.p, envelope.sender.n) || !is_xtext(envelope.envid.p, envelope.envid.n) ||
        !recipients_whole(&envelope))
        return STATUS_DAMAGED;
    *ret = envelope;
    return STATUS_OK;
}

struct spool_recipient spool_envelope_recipient(const struct spool_envelope *envelope, uint32_t i)
{
    const char *p = envelope->stored.p + le32_get(envelope->stored.p + envelope->table + 4 * (size_t)i);
    uint16_t address = le16_get(p + 2), orcpt = le16_get(p + 4);
    return (struct spool_recipient){
        .address = span_of(p + RECIPIENT_OCTETS, address),
        .orcpt = span_of(p + RECIPIENT_OCTETS + address, orcpt),
        .notify = (uint8_t)p[0],
        .wait_s = p[1] ? le32_get(p + RECIPIENT_OCTETS + address + orcpt) : 0,
    };
}
