#include "conf/value_priv.h"
#include "conf/number.h"
#include <assert.h>
#include <inttypes.h>

enum { TEXT_OCTETS_MAX = 4096, NAMES_LENGTH_MAX = 64 };

static const struct {
    const char *name;
    size_t size, item_size;
} kinds[CONF_KIND_COUNT] = {
    [CONF_TEXT] = { "text", sizeof(struct span), 0 },
    [CONF_HOST] = { "host name", sizeof(struct span), 0 },
    [CONF_PATH] = { "path", sizeof(struct span), 0 },
    [CONF_BOOL] = { "yes or no", sizeof(bool), 0 },
    [CONF_INTEGER] = { "number", sizeof(int64_t), 0 },
    [CONF_SIZE] = { "size", sizeof(int64_t), 0 },
    [CONF_TIME_MS] = { "time", sizeof(int64_t), 0 },
    [CONF_RATE] = { "rate", sizeof(struct conf_rate), 0 },
    [CONF_ENUM] = { "word", sizeof(int), 0 },
    [CONF_ADDRESS] = { "address:port", sizeof(struct conf_address), 0 },
    [CONF_NETWORKS] = { "list of networks", sizeof(struct conf_networks), sizeof(struct conf_network) },
    [CONF_ADDRESSES] = { "list of address:port", sizeof(struct conf_addresses), sizeof(struct conf_address) },
    [CONF_TEXTS] = { "list of text", sizeof(struct conf_texts), sizeof(struct span) },
    [CONF_SECTION] = { "section", 0, 0 },
    [CONF_INLINE] = { "section", 0, 0 },
    [CONF_LIST] = { "list of sections", sizeof(struct conf_list), 0 },
};

const char *conf_kind_name(enum conf_kind kind) { return kinds[kind].name; }
bool conf_kind_is_list(enum conf_kind kind) { return kinds[kind].item_size != 0; }
size_t conf_kind_item_size(enum conf_kind kind) { return kinds[kind].item_size; }

size_t conf_kind_size(const struct conf_directive *directive)
{
    size_t size = kinds[directive->kind].size;
    return size ? size : directive->section->size;
}

static bool limit(const struct conf_directive *directive, const char *text, enum conf_kind kind, int64_t *ret)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(256);
    if (!text)
        return false;
    bool good = conf_number_parse(kind, span_str(text), ret, &why);
    assert(good && "a directive's limit is written wrong");
    return good;
}

static bool number_in_limits(const struct conf_directive *directive, enum conf_kind kind, int64_t number,
                             struct buf *why)
{
    int64_t edge;
    bool low = limit(directive, directive->least, kind, &edge) ? number < edge : number < 0;
    bool high = limit(directive, directive->most, kind, &edge) && number > edge;
    if (!low && !high)
        return true;
    if (directive->least && directive->most)
        buf_printf(why, "allowed is %s to %s", directive->least, directive->most);
    else if (low)
        buf_printf(why, "allowed is %s or more", directive->least ? directive->least : "0");
    else
        buf_printf(why, "allowed is %s or less", directive->most);
    if (directive->zero)
        buf_printf(why, ", or %s", directive->zero);
    return false;
}

static bool parse_number(struct conf_arena *arena UNUSED, const struct conf_directive *directive, struct span text,
                         void *member, struct buf *why)
{
    int64_t number;
    if (!conf_number_parse(directive->kind, text, &number, why)) {
        if (directive->zero)
            buf_printf(why, ", or the word %s", directive->zero);
        return false;
    }
    if (!number_in_limits(directive, directive->kind, number, why))
        return false;
    *(int64_t *)member = number;
    return true;
}

static bool parse_rate(struct conf_arena *arena UNUSED, const struct conf_directive *directive, struct span text,
                       void *member, struct buf *why)
{
    struct conf_rate rate;
    if (!conf_rate_parse(text, &rate, why) || !number_in_limits(directive, CONF_INTEGER, rate.count, why))
        return false;
    *(struct conf_rate *)member = rate;
    return true;
}

static bool parse_bool(struct conf_arena *arena UNUSED, const struct conf_directive *directive UNUSED,
                       struct span text, void *member, struct buf *why)
{
    static const char *const words[] = { "no", "false", "off", "yes", "true", "on" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_eq_case(text, span_str(words[i]))) {
            *(bool *)member = i >= 3;
            return true;
        }
    }
    buf_add_str(why, "allowed is yes or no");
    return false;
}

static const char *word_name(const void *list, size_t i) { return ((const char *const *)list)[i]; }

static bool parse_enum(struct conf_arena *arena UNUSED, const struct conf_directive *directive, struct span text,
                       void *member, struct buf *why)
{
    size_t count = 0;
    for (; directive->words[count]; count++) {
        if (span_eq_case(text, span_str(directive->words[count]))) {
            *(int *)member = (int)count;
            return true;
        }
    }
    buf_add_str(why, "allowed is ");
    for (size_t i = 0; i < count; i++)
        buf_printf(why, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", directive->words[i]);
    const char *near = conf_nearest(text, word_name, directive->words, count);
    if (near)
        buf_printf(why, "; did you mean %s?", near);
    return false;
}

static bool parse_text(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                       void *member, struct buf *why)
{
    int64_t most = TEXT_OCTETS_MAX, least = 0;
    limit(directive, directive->most, CONF_INTEGER, &most);
    limit(directive, directive->least, CONF_INTEGER, &least);
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f) {
            buf_add_str(why, "control characters and line ends are not allowed");
            return false;
        }
    }
    if (text.n > (size_t)most || text.n < (size_t)least) {
        buf_printf(why, "allowed are %" PRId64 " to %" PRId64 " octets", least, most);
        return false;
    }
    if (conf_arena_copy(arena, text, member))
        return true;
    buf_add_str(why, "out of memory");
    return false;
}

/* Letters, digits, hyphens (RFC 5321 section 2.3.5 and RFC 1123 section 2.1), at most 63 to a label. */
static bool host_is_good(struct span host)
{
    struct span label;
    if (host.n == 0 || host.n > 253)
        return false;
    while (span_cut(&host, '.', &label)) {
        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!ascii_alnum(label.p[i]) && label.p[i] != '-')
                return false;
    }
    return true;
}

static bool parse_host(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                       void *member, struct buf *why)
{
    if (!host_is_good(text) || text.p[text.n - 1] == '.') {
        buf_add_str(why, "a host name is written like mail.example.org");
        return false;
    }
    struct span *host = member;
    if (!parse_text(arena, directive, text, host, why))
        return false;
    char *lower = (char *)(uintptr_t)host->p; /* our own copy, just made */
    for (size_t i = 0; i < host->n; i++)
        lower[i] = ascii_lower(lower[i]);
    return true;
}

static bool parse_path(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                       void *member, struct buf *why)
{
    if (text.n == 0 || text.p[0] != '/') {
        buf_add_str(why, "a path from the root is needed, like /var/lib/goniec");
        return false;
    }
    return parse_text(arena, directive, text, member, why);
}

static bool parse_address(struct conf_arena *arena UNUSED, const struct conf_directive *directive, struct span text,
                          void *member, struct buf *why)
{
    struct conf_address address;
    if (!conf_address_parse(text, &address)) {
        buf_add_str(why, "an address with its port is written like 192.0.2.1:25 or \"[2001:db8::1]:25\"");
        return false;
    }
    if (address.port == 0 && !directive->least) {
        buf_add_str(why, "allowed ports are 1 to 65535");
        return false;
    }
    *(struct conf_address *)member = address;
    return true;
}

static bool parse_network(struct conf_arena *arena UNUSED, const struct conf_directive *directive UNUSED,
                          struct span text, void *member, struct buf *why)
{
    if (conf_network_parse(text, member))
        return true;
    buf_add_str(why, "a network is written like 192.0.2.0/24, 192.0.2.7 or \"2001:db8::/32\", the part behind the "
                     "prefix being zero");
    return false;
}

typedef bool parse_fn(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                      void *member, struct buf *why);

static parse_fn *const parsers[CONF_KIND_COUNT] = {
    [CONF_TEXT] = parse_text,       [CONF_HOST] = parse_host,         [CONF_PATH] = parse_path,
    [CONF_BOOL] = parse_bool,       [CONF_INTEGER] = parse_number,    [CONF_SIZE] = parse_number,
    [CONF_TIME_MS] = parse_number,  [CONF_RATE] = parse_rate,         [CONF_ENUM] = parse_enum,
    [CONF_ADDRESS] = parse_address, [CONF_NETWORKS] = parse_network,  [CONF_ADDRESSES] = parse_address,
    [CONF_TEXTS] = parse_text,
};

bool conf_value_parse(struct conf_arena *arena, const struct conf_directive *directive, struct span text,
                      void *member, struct buf *why)
{
    if (directive->zero && span_eq_case(text, span_str(directive->zero))) {
        memset(member, 0, kinds[directive->kind].size);
        return true;
    }
    if (!parsers[directive->kind](arena, directive, text, member, why))
        return false;
    return !directive->check || directive->check(member, why);
}

static void write_rate(const struct conf_rate *rate, struct buf *ret)
{
    if (!rate->per_ms)
        return;
    buf_printf(ret, "%" PRId64 "/", rate->count);
    conf_number_write(CONF_TIME_MS, rate->per_ms, ret);
}

void conf_value_write(const struct conf_directive *directive, const void *member, struct buf *ret)
{
    char text[CONF_ADDRESS_TEXT_SIZE];
    static const char nothing[sizeof(struct conf_rate)];
    if (directive->zero && memcmp(member, nothing, MIN(directive->size, sizeof nothing)) == 0) {
        buf_add_str(ret, directive->zero);
        return;
    }
    switch (directive->kind) {
    case CONF_TEXT:
    case CONF_HOST:
    case CONF_PATH:
    case CONF_TEXTS: buf_add(ret, *(const struct span *)member); break;
    case CONF_BOOL: buf_add_str(ret, *(const bool *)member ? "yes" : "no"); break;
    case CONF_INTEGER:
    case CONF_SIZE:
    case CONF_TIME_MS: conf_number_write(directive->kind, *(const int64_t *)member, ret); break;
    case CONF_RATE: write_rate(member, ret); break;
    case CONF_ENUM: buf_add_str(ret, directive->words[*(const int *)member]); break;
    case CONF_ADDRESS:
    case CONF_ADDRESSES: buf_add_str(ret, conf_address_text(member, text)); break;
    case CONF_NETWORKS: buf_add_str(ret, conf_network_text(member, text)); break;
    default: assert(false && "not a value");
    }
}

bool conf_value_is_unset(const struct conf_directive *directive, const void *member)
{
    switch (directive->kind) {
    case CONF_TEXT:
    case CONF_HOST:
    case CONF_PATH: return ((const struct span *)member)->p == NULL;
    case CONF_RATE: return !directive->zero && ((const struct conf_rate *)member)->per_ms == 0;
    case CONF_ADDRESS: return ((const struct conf_address *)member)->port == 0 && !directive->preset;
    default: return false;
    }
}

/* Levenshtein's distance, letters alike; the row of the shorter text. */
static unsigned distance(struct span a, struct span b)
{
    unsigned row[NAMES_LENGTH_MAX + 1];
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < b.n; j++) {
            unsigned change = corner + (ascii_lower(a.p[i]) != ascii_lower(b.p[j]));
            corner = row[j + 1];
            row[j + 1] = MIN(change, MIN(row[j], corner) + 1);
        }
    }
    return row[b.n];
}

const char *conf_nearest(struct span typed, const char *(*name)(const void *list, size_t i), const void *list,
                         size_t count)
{
    const char *best = NULL;
    unsigned least = (unsigned)MIN(typed.n, (size_t)9) / 3 + 1; /* a third of the letters may be wrong */
    if (typed.n > NAMES_LENGTH_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct span known = span_str(name(list, i));
        if (known.n == 0 || known.n > NAMES_LENGTH_MAX)
            continue;
        unsigned far = distance(typed, known);
        if (far <= least && far < MAX(known.n, typed.n)) {
            least = far ? far - 1 : 0;
            best = name(list, i);
            if (far == 0)
                break;
        }
    }
    return best;
}
