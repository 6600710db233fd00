#include "conf/number.h"
#include "base/time.h"
#include <inttypes.h>

struct unit {
    const char *name;
    int64_t factor;
    bool write; /* used for writing; the larger first */
};

static const struct unit size_units[] = {
    { "TiB", INT64_C(1) << 40, true },     { "GiB", 1 << 30, true },  { "MiB", 1 << 20, true },
    { "KiB", 1 << 10, true },              { "TB", INT64_C(1000000000000), false },
    { "GB", 1000000000, false },           { "MB", 1000000, false },  { "kB", 1000, false },
    { "B", 1, false },                     { 0 },
};

static const struct unit time_units[] = {
    { "w", 7 * TIME_DAY_MS, false }, { "d", TIME_DAY_MS, true },  { "h", TIME_HOUR_MS, true },
    { "min", TIME_MINUTE_MS, true }, { "s", TIME_SECOND_MS, true }, { "ms", 1, true }, { 0 },
};

static const struct unit *units_of(enum conf_kind kind)
{
    static const struct unit none[] = { { 0 } };
    return kind == CONF_SIZE ? size_units : kind == CONF_TIME_MS ? time_units : none;
}

static const char *example_of(enum conf_kind kind)
{
    return kind == CONF_SIZE      ? "a size is written like 25MiB (units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)"
           : kind == CONF_TIME_MS ? "a time is written like 5min or 1h30min (units: ms, s, min, h, d, w)"
                                  : "a whole number is needed";
}

static const struct unit *find_unit(const struct unit *units, struct span name)
{
    for (; units->name; units++)
        if (span_eq_case(span_str(units->name), name))
            return units;
    return NULL;
}

/* Cuts "90", "90 min" off the front. Only a size, a count and 0 may stand without a unit. */
static bool cut_part(enum conf_kind kind, struct span *text, int64_t *ret)
{
    size_t digits = 0, letters;
    while (digits < text->n && ascii_digit(text->p[digits]))
        digits++;
    uint64_t number;
    if (digits == 0 || digits > 19 || !span_u64(span_head(*text, digits), INT64_MAX, &number))
        return false;
    *text = span_trim(span_from(*text, digits));
    for (letters = 0; letters < text->n && ascii_alpha(text->p[letters]);)
        letters++;
    int64_t factor = 1;
    if (letters) {
        const struct unit *unit = find_unit(units_of(kind), span_head(*text, letters));
        if (!unit)
            return false;
        factor = unit->factor;
    } else if (kind == CONF_TIME_MS && number != 0) {
        return false;
    }
    *text = span_trim(span_from(*text, letters));
    return !__builtin_mul_overflow((int64_t)number, factor, ret);
}

bool conf_number_parse(enum conf_kind kind, struct span text, int64_t *ret, struct buf *why)
{
    struct span left = span_trim(text);
    int64_t sum = 0, part = 0;
    bool negative = kind == CONF_INTEGER && left.n > 1 && left.p[0] == '-', good = false;
    if (negative)
        left = span_from(left, 1);
    do {
        good = cut_part(kind, &left, &part) && !__builtin_add_overflow(sum, part, &sum);
    } while (good && left.n && kind == CONF_TIME_MS); /* 1h30min */
    if (!good || left.n) {
        buf_add_str(why, example_of(kind));
        return false;
    }
    *ret = negative ? -sum : sum;
    return true;
}

void conf_number_write(enum conf_kind kind, int64_t number, struct buf *ret)
{
    const struct unit *unit = units_of(kind);
    while (unit->name && (!unit->write || number == 0 || number % unit->factor != 0))
        unit++;
    if (unit->name)
        buf_printf(ret, "%" PRId64 "%s", number / unit->factor, unit->name);
    else
        buf_printf(ret, "%" PRId64, number);
}

bool conf_rate_parse(struct span text, struct conf_rate *ret, struct buf *why)
{
    size_t slash = span_find(text, '/');
    struct span time = span_trim(span_from(text, slash + 1));
    uint64_t count;
    int64_t per_ms = 0;
    bool good = slash < text.n && slash <= 19 && span_u64(span_trim(span_head(text, slash)), INT64_MAX, &count);
    if (good && time.n && ascii_alpha(time.p[0])) {
        const struct unit *unit = find_unit(time_units, time); /* 20/min is 20/1min */
        per_ms = unit ? unit->factor : 0;
    } else if (good) {
        AUTO(buf_done) struct buf ignored = BUF_EMPTY(256);
        good = conf_number_parse(CONF_TIME_MS, time, &per_ms, &ignored);
    }
    if (!good || per_ms <= 0) {
        buf_add_str(why, "a rate is written like 300/1h or 20/min");
        return false;
    }
    *ret = (struct conf_rate){ (int64_t)count, per_ms };
    return true;
}
