/* Ways of mail as an operator, or whoever has the control socket, may write them. */
#include "delivery/hops.h"
#include "delivery/route.h"
#include "fuzz.h"

static bool ended(const char *text, size_t room) { return memchr(text, 0, room) != NULL; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span via = fuzz_exact(span_of(data, MIN(size, (size_t)2048)));
    struct route route, again;
    struct net_address address;
    char key[ROUTE_KEY_MAX], key_again[ROUTE_KEY_MAX];
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    if (route_parse(via, &route, &why) == STATUS_OK) {
        require(ended(route.host, sizeof route.host) && ended(route.user, sizeof route.user));
        require(ended(route.password, sizeof route.password) && why.n == 0);
        require(route.kind == ROUTE_MX ? route.tls == DELIVERY_TLS_AUTO : true);
        require(route.kind != ROUTE_HOST || (route.port && route.host[0] && route.tls != DELIVERY_TLS_AUTO));
        require(route.kind != ROUTE_SOCKET || (route.lmtp && route.host[0] == '/'));
        struct span name = route_key(&route, key);
        require(name.n < sizeof key && (name.n == 0) == (route.kind == ROUTE_MX));
        require(route_parse(via, &again, NULL) == STATUS_OK && span_eq(route_key(&again, key_again), name));
    } else {
        require(why.n > 0);
    }
    (void)!hops_literal(via, 25, &address);
    size_t half = via.n / 2;
    route_fits(span_head(via, half), span_from(via, half));
    free((void *)(uintptr_t)via.p);
    return 0;
}
