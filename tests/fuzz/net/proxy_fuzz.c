/* PROXY headers from anywhere: never past the end, and cutting off octets only ever asks for more. */
#include "net/proxy.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size), whole = in;
    struct proxy_header header;
    enum status status = proxy_header_take(&in, &header);
    if (status != STATUS_OK)
        return in.n == whole.n ? 0 : (abort(), 0);
    size_t n = whole.n - in.n;
    if (n == 0 || n > PROXY_HEADER_MAX)
        abort();
    in = span_head(whole, n - 1);
    if (proxy_header_take(&in, &header) != STATUS_AGAIN)
        abort();
    return 0;
}
