#include "wire/codec.h"

/* The next `n` octets, or NULL and `bad`. */
static const unsigned char *take(struct wire_reader *reader, size_t n)
{
    if (reader->bad || reader->left.n < n) {
        reader->bad = true;
        return NULL;
    }
    const unsigned char *at = (const unsigned char *)reader->left.p;
    reader->left = span_from(reader->left, n);
    return at;
}

static uint64_t get(struct wire_reader *reader, size_t n)
{
    const unsigned char *at = take(reader, n);
    uint64_t value = 0;
    for (size_t i = n; at && i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

uint8_t wire_get_u8(struct wire_reader *reader) { return (uint8_t)get(reader, 1); }
uint16_t wire_get_u16(struct wire_reader *reader) { return (uint16_t)get(reader, 2); }
uint32_t wire_get_u32(struct wire_reader *reader) { return (uint32_t)get(reader, 4); }
uint64_t wire_get_u64(struct wire_reader *reader) { return get(reader, 8); }
int64_t wire_get_i64(struct wire_reader *reader) { return (int64_t)get(reader, 8); }

struct span wire_get_span(struct wire_reader *reader, size_t most)
{
    uint32_t n = wire_get_u32(reader);
    if (n > most)
        reader->bad = true;
    const unsigned char *at = take(reader, n);
    return at ? span_of(at, n) : SPAN_NONE;
}

bool wire_end(const struct wire_reader *reader)
{
    return !reader->bad && reader->left.n == 0;
}

static void put(struct buf *buf, uint64_t value, size_t n)
{
    char octets[8];
    for (size_t i = 0; i < n; i++, value >>= 8)
        octets[i] = (char)(value & 0xFF);
    buf_add(buf, span_of(octets, n));
}

void wire_put_u8(struct buf *buf, uint8_t value) { put(buf, value, 1); }
void wire_put_u16(struct buf *buf, uint16_t value) { put(buf, value, 2); }
void wire_put_u32(struct buf *buf, uint32_t value) { put(buf, value, 4); }
void wire_put_u64(struct buf *buf, uint64_t value) { put(buf, value, 8); }
void wire_put_i64(struct buf *buf, int64_t value) { put(buf, (uint64_t)value, 8); }

void wire_put_span(struct buf *buf, struct span value)
{
    wire_put_u32(buf, (uint32_t)value.n);
    buf_add(buf, value);
}
