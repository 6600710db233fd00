/* wire/codec.h -- numbers and texts in the messages between processes: little-endian, every text with its length.
 *
 * A reader checks every length against what is left; the first wrong one marks it `bad` and everything read after
 * that is zero and empty, so that a decoder looks once, at the end (wire_end()). The sender is treated as hostile.
 */
#pragma once
#include "base/buf.h"

struct wire_reader {
    struct span left;
    bool bad;
};

static inline struct wire_reader wire_read(struct span body) { return (struct wire_reader){ body, false }; }
uint8_t wire_get_u8(struct wire_reader *reader);
uint16_t wire_get_u16(struct wire_reader *reader);
uint32_t wire_get_u32(struct wire_reader *reader);
uint64_t wire_get_u64(struct wire_reader *reader);
int64_t wire_get_i64(struct wire_reader *reader);
/* u32 length, then the octets; borrowed from the body. Longer than `most`: bad. */
struct span wire_get_span(struct wire_reader *reader, size_t most);
/* True when everything was read well and nothing is left. */
MUST_CHECK bool wire_end(const struct wire_reader *reader);

void wire_put_u8(struct buf *buf, uint8_t value);
void wire_put_u16(struct buf *buf, uint16_t value);
void wire_put_u32(struct buf *buf, uint32_t value);
void wire_put_u64(struct buf *buf, uint64_t value);
void wire_put_i64(struct buf *buf, int64_t value);
void wire_put_span(struct buf *buf, struct span value);
