#include "share/place.h"
#include "base/attr.h"

#define PORT 6379
#define TEXT_MAX 1024
#define PATH_MOST 107 /* octets of a socket's path, unix(7), without the NUL */

static bool take_number(struct span text, unsigned most, unsigned *ret)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || value > most)
            return false;
        value = value * 10 + (unsigned)(text.p[i] - '0');
    }
    *ret = value;
    return text.n && value <= most;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_word(struct span text, struct buf *ret)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            if (text.n - i < 3 || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
                return false;
            c = (char)(hex(text.p[i + 1]) * 16 + hex(text.p[i + 2]));
            i += 2;
        }
        if (c == '\0' || buf_add(ret, span_of(&c, 1)) != STATUS_OK)
            return false;
    }
    return true;
}

static bool take_host(struct span text, struct share_place *ret)
{
    bool is_bracketed = text.n && text.p[0] == '[';
    size_t end = is_bracketed ? span_find(text, ']') : span_find(text, ':');
    struct span host = is_bracketed ? span_from(span_head(text, end), 1) : span_head(text, end);
    struct span rest = span_from(text, MIN(text.n, end + is_bracketed));
    if (is_bracketed && end == text.n)
        return false;
    if (rest.n && (rest.p[0] != ':' || !take_number(span_from(rest, 1), 65535, &ret->port) || ret->port == 0))
        return false;
    return host.n && span_find(host, '\0') == host.n && buf_add(&ret->host, host) == STATUS_OK;
}

static bool take_login(struct span text, struct share_place *ret)
{
    size_t colon = span_find(text, ':');
    return colon < text.n && take_word(span_head(text, colon), &ret->user) && take_word(span_from(text, colon + 1), &ret->password);
}

bool share_place_parse(struct span text, struct share_place *ret)
{
    const struct span redis = SPAN("redis://"), local = SPAN("unix:");
    *ret = (struct share_place){ BUF_EMPTY(TEXT_MAX + 1), BUF_EMPTY(PATH_MOST + 1), BUF_EMPTY(TEXT_MAX + 1), BUF_EMPTY(TEXT_MAX + 1), PORT, 0 };
    if (text.n > TEXT_MAX)
        return false;
    if (span_eq(span_head(text, local.n), local)) {
        struct span path = span_from(text, local.n);
        return path.n && path.n <= PATH_MOST && path.p[0] == '/' && span_find(path, '\0') == path.n && buf_add(&ret->path, path) == STATUS_OK;
    }
    if (!span_eq(span_head(text, redis.n), redis))
        return false;
    text = span_from(text, redis.n);
    size_t at = span_rfind(text, '@');
    if (at < text.n && !take_login(span_head(text, at), ret))
        return false;
    text = at < text.n ? span_from(text, at + 1) : text;
    size_t slash = span_find(text, '/');
    struct span number = slash < text.n ? span_from(text, slash + 1) : SPAN_NONE;
    return (number.n == 0 || take_number(number, 65535, &ret->number)) && take_host(span_head(text, slash), ret);
}

void share_place_done(struct share_place *place)
{
    buf_done(&place->host);
    buf_done(&place->path);
    buf_wipe(&place->user);
    buf_wipe(&place->password);
}

bool share_machine_is_good(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'))
            return false;
    }
    return name.n > 0 && name.n <= SHARE_MACHINE_MAX;
}
