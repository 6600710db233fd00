/* Where Redis is, as anything at all: what is taken has a host or a path, and texts that can be C strings. */
#include "share/place.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(share_place_done) struct share_place place;
    if (!share_place_parse(span_of(data, size), &place))
        return 0;
    must((place.host.n > 0) != (place.path.n > 0));
    must(place.port > 0 && place.port < 65536 && place.number < 65536);
    must(strlen(buf_cstr(&place.host)) == place.host.n && strlen(buf_cstr(&place.path)) == place.path.n);
    must(strlen(buf_cstr(&place.password)) == place.password.n);
    return 0;
}
