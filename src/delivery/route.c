#include "delivery/route.h"
#include <stdio.h>

static const char allowed[] = "a route is mx, smtp://host:port, smtps://user:password@host:port, lmtp://host:port, "
                              "lmtp:/path/of/socket, discard, reject or catch";

static enum status wrong(struct buf *why)
{
    if (why)
        buf_add_str(why, allowed);
    return STATUS_SYNTAX;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return ascii_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies with %40 and the like made plain. NUL, CR and LF have no business here. */
static bool copy_decoded(struct span from, char *to, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < from.n; i++) {
        char c = from.p[i];
        if (c == '%') {
            int high = i + 2 < from.n ? hex_digit(from.p[i + 1]) : -1, low = high >= 0 ? hex_digit(from.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || n + 1 >= room)
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return true;
}

/* "host", "host:port", "[2001:db8::1]:port", "1.2.3.4:port". */
static bool take_host(struct span text, uint16_t default_port, struct route *ret)
{
    struct span host = text, port = SPAN_NONE;
    size_t colon = span_rfind(text, ':');
    if (text.n && text.p[0] == '[') {
        size_t end = span_find(text, ']');
        if (end == text.n)
            return false;
        host = span_of(text.p + 1, end - 1);
        port = span_from(text, end + 1);
        if (port.n && port.p[0] != ':')
            return false;
        port = span_from(port, 1);
    } else if (colon < text.n) {
        host = span_head(text, colon);
        port = span_from(text, colon + 1);
        if (port.n == 0)
            return false;
    }
    uint64_t number = default_port;
    if (host.n == 0 || host.n > ROUTE_HOST_MAX || (port.n && !span_u64(port, 65535, &number)) || number == 0)
        return false;
    struct net_address ip;
    bool is_ip = net_address_parse_ip(host, 25, &ip) == STATUS_OK;
    if (!is_ip && address_domain_check(host, 0) != STATUS_OK)
        return false;
    memcpy(ret->host, host.p, host.n);
    for (size_t i = 0; i < host.n; i++)
        ret->host[i] = ascii_lower(host.p[i]);
    ret->host[host.n] = '\0';
    ret->port = (uint16_t)number;
    return true;
}

static bool take_login(struct span text, struct route *ret)
{
    size_t colon = span_find(text, ':');
    return copy_decoded(span_head(text, colon), ret->user, sizeof ret->user) && ret->user[0] &&
           copy_decoded(span_from(text, colon + 1), ret->password, sizeof ret->password);
}

static bool take_options(struct span text, struct route *ret)
{
    static const char *const words[] = { "none", "opportunistic", "required", "verified" };
    if (!span_starts(text, SPAN("tls=")))
        return text.n == 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_eq(span_from(text, 4), span_str(words[i]))) {
            ret->tls = DELIVERY_TLS_NONE + (enum delivery_tls)i;
            return true;
        }
    }
    return false;
}

static enum delivery_tls usual_tls(const struct route *route)
{
    if (route->lmtp)
        return DELIVERY_TLS_NONE; /* such servers stand beside us */
    return route->user[0] || route->implicit_tls ? DELIVERY_TLS_VERIFIED : DELIVERY_TLS_OPPORTUNISTIC;
}

static enum status parse_host(struct span rest, uint16_t default_port, struct route *route)
{
    size_t mark = span_find(rest, '?');
    struct span options = span_from(rest, mark + 1);
    rest = span_head(rest, mark);
    if (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    size_t at = span_rfind(rest, '@');
    if (at < rest.n && !take_login(span_head(rest, at), route))
        return STATUS_SYNTAX;
    if (at < rest.n)
        rest = span_from(rest, at + 1);
    route->kind = ROUTE_HOST;
    if (!take_host(rest, default_port, route) || !take_options(options, route))
        return STATUS_SYNTAX;
    return STATUS_OK;
}

enum status route_parse(struct span via, struct route *ret, struct buf *why)
{
    static const struct {
        const char *word;
        enum route_kind kind;
    } words[] = { { "mx", ROUTE_MX }, { "discard", ROUTE_DISCARD }, { "reject", ROUTE_REJECT }, { "catch", ROUTE_CATCH } };
    static const struct {
        const char *scheme;
        bool lmtp, implicit_tls;
        uint16_t port;
    } schemes[] = { { "smtp://", false, false, 25 }, { "smtps://", false, true, 465 }, { "lmtp://", true, false, 24 } };

    struct route route = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_eq(via, span_str(words[i].word))) {
            route.kind = words[i].kind;
            *ret = route;
            return STATUS_OK;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!span_starts_case(via, span_str(schemes[i].scheme)))
            continue;
        route.lmtp = schemes[i].lmtp;
        route.implicit_tls = schemes[i].implicit_tls;
        if (parse_host(span_from(via, strlen(schemes[i].scheme)), schemes[i].port, &route) != STATUS_OK)
            return wrong(why);
        if (route.tls == DELIVERY_TLS_AUTO)
            route.tls = usual_tls(&route);
        *ret = route;
        return STATUS_OK;
    }
    if (!span_starts(via, SPAN("lmtp:/")) || via.n - 5 > ROUTE_PATH_MAX || span_find(via, '\0') < via.n)
        return wrong(why);
    route.kind = ROUTE_SOCKET;
    route.lmtp = true;
    route.tls = DELIVERY_TLS_NONE;
    memcpy(route.host, via.p + 5, via.n - 5);
    *ret = route;
    return STATUS_OK;
}

bool route_fits(struct span pattern, struct span domain)
{
    if (span_eq(pattern, SPAN("*")))
        return true;
    if (!span_starts(pattern, SPAN("*.")))
        return span_eq_case(pattern, domain);
    pattern = span_from(pattern, 1);
    return domain.n > pattern.n && span_ends_case(domain, pattern);
}

static enum status from_rule(const struct delivery_route *rule, struct route *ret)
{
    struct route route;
    enum status status = route_parse(rule->via, &route, NULL);
    if (status != STATUS_OK)
        return status;
    if (rule->user.n && rule->user.n <= ROUTE_SECRET_MAX && rule->password.n <= ROUTE_SECRET_MAX) {
        snprintf(route.user, sizeof route.user, "%.*s", SPAN_ARGS(rule->user));
        snprintf(route.password, sizeof route.password, "%.*s", SPAN_ARGS(rule->password));
        route.tls = usual_tls(&route);
    }
    if (rule->tls != DELIVERY_TLS_AUTO)
        route.tls = (enum delivery_tls)rule->tls;
    route.text = rule->text;
    *ret = route;
    return STATUS_OK;
}

enum status route_find(const struct delivery_root *settings, struct span domain, struct span reroute, struct route *ret)
{
    const struct delivery_route *rules = settings->routes.items;
    enum status status = STATUS_OK;
    struct route route = { 0 };
    bool found = false;
    if (reroute.n) {
        status = route_parse(reroute, &route, NULL);
        found = true;
    }
    for (size_t i = 0; !found && i < settings->routes.n; i++) {
        found = route_fits(rules[i].domain, domain);
        if (found)
            status = from_rule(&rules[i], &route);
    }
    if (status != STATUS_OK)
        return status;
    if (route.kind == ROUTE_MX) {
        route.port = (uint16_t)settings->delivery.port;
        bool is_auto = route.tls == DELIVERY_TLS_AUTO && settings->delivery.tls == DELIVERY_TLS_AUTO;
        if (route.tls == DELIVERY_TLS_AUTO)
            route.tls = is_auto ? DELIVERY_TLS_OPPORTUNISTIC : (enum delivery_tls)settings->delivery.tls;
    }
    *ret = route;
    return STATUS_OK;
}

struct span route_key(const struct route *route, char ret[ROUTE_KEY_MAX])
{
    static const char *const names[] = { [ROUTE_DISCARD] = "discard", [ROUTE_REJECT] = "reject", [ROUTE_CATCH] = "catch" };
    static const char tls_letters[] = "-norv";
    int n = 0;
    switch (route->kind) {
    case ROUTE_MX: break;
    case ROUTE_HOST:
        n = snprintf(ret, ROUTE_KEY_MAX, "%s://%s%s%s:%u/%c", route->lmtp ? "lmtp" : route->implicit_tls ? "smtps" : "smtp",
                     route->user, route->user[0] ? "@" : "", route->host, route->port, tls_letters[route->tls]);
        break;
    case ROUTE_SOCKET: n = snprintf(ret, ROUTE_KEY_MAX, "lmtp:%s", route->host); break;
    default: n = snprintf(ret, ROUTE_KEY_MAX, "%s", names[route->kind]); break;
    }
    return span_of(ret, (size_t)MAX(n, 0));
}
