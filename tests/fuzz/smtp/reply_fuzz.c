/* Whatever a server sends, what is kept of it is bounded, one line, and UTF-8. */
#include "smtp/reply.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct smtp_reply *reply)
{
    struct span text = smtp_reply_text(reply);
    if (text.n > SMTP_REPLY_TEXT_MAX || !span_is_utf8(text) || reply->code < 200 || reply->code > 599)
        abort();
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 0x20)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply reply;
    smtp_reply_init(&reply);
    size_t step = size ? data[0] % 37 + 1u : 1;
    struct span in = span_of(data, size);
    while (in.n) {
        struct span piece = span_head(in, step);
        in = span_from(in, piece.n);
        while (piece.n) {
            enum status status = smtp_reply_feed(&reply, &piece);
            if (status != STATUS_OK && status != STATUS_AGAIN)
                return 0;
            if (status == STATUS_OK && reply.is_complete)
                check(&reply);
        }
    }
    return 0;
}
