#include "base/hash.h"
#include "score/score_priv.h"
#include <math.h>

/* A record: magic, checksum of what follows, then the sender from `id` on. */
enum { MAGIC = 0x31524353, HEADER = 8 };

bool score_encode(const struct score_table *table, size_t *from, struct buf *ret)
{
    size_t at = 0;
    for (LIST_EACH(link, &table->by_use)) {
        if (at++ < *from)
            continue;
        const struct score_sender *sender = CONTAINER(link, const struct score_sender, by_use);
        if (buf_reserve(ret, HEADER + SCORE_SAVED_OCTETS) != STATUS_OK)
            return true;
        uint32_t magic = MAGIC, check = crc32c(0, &sender->id, SCORE_SAVED_OCTETS);
        char *p = ret->p + ret->n;
        memcpy(p, &magic, sizeof magic);
        memcpy(p + 4, &check, sizeof check);
        memcpy(p + HEADER, &sender->id, SCORE_SAVED_OCTETS);
        ret->n += HEADER + SCORE_SAVED_OCTETS;
        ++*from;
    }
    return false;
}

/* What the checksum cannot tell: numbers that are none. */
static bool is_good(const struct score_sender *sender)
{
    bool good = isfinite(sender->per_message) && sender->per_message >= 0;
    for (unsigned i = 0; i < WINDOWS; i++)
        good = good && isfinite(sender->windows[i].mean) && sender->windows[i].mean >= 0;
    for (size_t i = 0; i < sizeof sender->countries; i++) {
        char c = ((const char *)sender->countries)[i];
        good = good && (c == 0 || (c >= 'A' && c <= 'Z'));
    }
    for (size_t i = 0; i < sizeof sender->strange; i++)
        good = good && (sender->strange[i] == 0 || (sender->strange[i] >= 'A' && sender->strange[i] <= 'Z'));
    return good && sender->worst < SCORE_STEP_COUNT;
}

static enum status decode_one(struct score_table *table, struct span record)
{
    struct score_sender read = { 0 };
    uint32_t magic, check;
    memcpy(&magic, record.p, sizeof magic);
    memcpy(&check, record.p + 4, sizeof check);
    memcpy(&read.id, record.p + HEADER, SCORE_SAVED_OCTETS);
    if (magic != MAGIC || check != crc32c(0, &read.id, SCORE_SAVED_OCTETS) || !is_good(&read))
        return STATUS_DAMAGED;
    struct score_sender *sender = score_sender_find(table, read.id);
    if (!sender)
        sender = score_sender_make(table, read.id);
    if (!sender)
        return STATUS_MEMORY;
    memcpy(&sender->id, &read.id, SCORE_SAVED_OCTETS);
    return STATUS_OK;
}

enum status score_decode(struct score_table *table, struct span octets)
{
    enum status worst = STATUS_OK;
    while (octets.n >= HEADER + SCORE_SAVED_OCTETS) {
        enum status status = decode_one(table, span_head(octets, HEADER + SCORE_SAVED_OCTETS));
        if (status == STATUS_MEMORY)
            return status;
        worst = status == STATUS_OK ? worst : status;
        octets = span_from(octets, HEADER + SCORE_SAVED_OCTETS);
    }
    return octets.n ? STATUS_DAMAGED : worst;
}
