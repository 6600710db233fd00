/* Base64: what can be read is written as it was; nothing is added where it cannot be read to its end. */
#include "fuzz.h"
#include "smtp/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, MIN(size, (size_t)16384));
    AUTO(buf_done) struct buf plain = BUF_EMPTY((size_t)1 << 16), text = BUF_EMPTY((size_t)1 << 16);
    if (base64_decode(in, &plain) == STATUS_OK) {
        require(base64_encode(buf_span(&plain), &text) == STATUS_OK && span_eq(buf_span(&text), in));
        require(plain.n <= in.n / 4 * 3);
    }
    buf_clear(&plain);
    buf_clear(&text);
    require(base64_encode(in, &text) == STATUS_OK && text.n == (in.n + 2) / 3 * 4);
    require(base64_decode(buf_span(&text), &plain) == STATUS_OK && span_eq(buf_span(&plain), in));
    return 0;
}
