#include "base/id.h"
#include "base/mutant.h"

#define EPOCH_MS INT64_C(1704067200000) /* 2024-01-01 UTC */
#define COUNT_BITS 15
#define WRITER_BITS 8

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

uint64_t id_next(struct id_source *source, int64_t now_wall_ms)
{
    uint64_t ms = now_wall_ms > EPOCH_MS ? (uint64_t)(now_wall_ms - EPOCH_MS) : 1;
    uint64_t last_ms = source->last >> (COUNT_BITS + WRITER_BITS);
    uint64_t count = 0;
    if (MUTANT(IDS_REUSED))
        ms -= ms % 3600000; /* else only a clock that goes back would show it */
    if (ms <= last_ms) {
        ms = last_ms;
        count = (source->last & ((1u << COUNT_BITS) - 1)) + 1;
        if (count >> COUNT_BITS) {
            ms++;
            count = 0;
        }
    }
    source->last = ms << (COUNT_BITS + WRITER_BITS) | (uint64_t)source->writer << COUNT_BITS | count;
    return source->last;
}

int64_t id_time_wall_ms(uint64_t id)
{
    return (int64_t)(id >> (COUNT_BITS + WRITER_BITS)) + EPOCH_MS;
}

uint8_t id_writer(uint64_t id)
{
    return (uint8_t)(id >> COUNT_BITS);
}

char *id_text(uint64_t id, char ret[ID_TEXT_SIZE])
{
    for (int i = ID_TEXT_SIZE - 2; i >= 0; i--, id >>= 5)
        ret[i] = alphabet[id & 31];
    ret[ID_TEXT_SIZE - 1] = '\0';
    return ret;
}

bool id_parse(struct span text, uint64_t *ret)
{
    uint64_t id = 0;
    if (text.n != ID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        const char *at = c ? strchr(alphabet, c) : NULL;
        if (!at || (i == 0 && at - alphabet > 15))
            return false;
        id = id << 5 | (uint64_t)(at - alphabet);
    }
    *ret = id;
    return true;
}
