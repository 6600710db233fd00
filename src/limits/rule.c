#include "limits/rule.h"
#include "conf/number.h"
#include <inttypes.h>

static const struct {
    const char *name;
    bool level;
} whats[LIMITS_WHAT_COUNT] = {
#define X(name, text, level) [LIMITS_##name] = { text, level },
    LIMITS_WHAT_LIST(X)
#undef X
};

static const char *const actions[LIMITS_ACTION_COUNT] = {
    [LIMITS_NOTIFY] = "notify", [LIMITS_PACE] = "pace",     [LIMITS_HOLD] = "hold",
    [LIMITS_DEFER] = "defer",   [LIMITS_REJECT] = "reject", [LIMITS_SUSPEND] = "suspend",
};

static const char *const kinds[LIMITS_KIND_COUNT] = {
    [LIMITS_CREDENTIAL] = "credential", [LIMITS_SENDER] = "sender", [LIMITS_DOMAIN] = "domain",
    [LIMITS_CUSTOMER] = "customer",     [LIMITS_SERVER] = "server",
};

static const struct {
    const char *name;
    unsigned flag;
} flags[] = {
    { "dry-run", LIMITS_RULE_DRY },
    { "whole", LIMITS_RULE_WHOLE },
    { "local", LIMITS_RULE_LOCAL },
    { "relayed", LIMITS_RULE_RELAYED },
};

const char *limits_what_name(enum limits_what what) { return whats[what].name; }
const char *limits_action_name(enum limits_action action) { return actions[action]; }
const char *limits_kind_name(enum limits_kind kind) { return kinds[kind]; }
bool limits_what_is_level(enum limits_what what) { return whats[what].level; }

static bool is_octets(unsigned what) { return what == LIMITS_BYTES || what == LIMITS_QUEUED_BYTES; }

/* Words with single blanks between them; the front one is cut off. */
static struct span cut_word(struct span *text)
{
    *text = span_trim(*text);
    struct span word = SPAN_NONE;
    span_cut(text, ' ', &word);
    return word;
}

static bool find_what(struct span word, uint8_t *ret, struct buf *why)
{
    for (unsigned i = 0; i < LIMITS_WHAT_COUNT; i++) {
        if (span_eq_case(word, span_str(whats[i].name))) {
            *ret = (uint8_t)i;
            return true;
        }
    }
    buf_printf(why, "what is counted: \"%.*s\" is none of ", SPAN_ARGS(span_head(word, 32)));
    for (unsigned i = 0; i < LIMITS_WHAT_COUNT; i++)
        buf_printf(why, "%s%s", i ? ", " : "", whats[i].name);
    return false;
}

static bool parse_number(unsigned what, struct span text, const char *part, uint64_t *ret, struct buf *why)
{
    AUTO(buf_done) struct buf detail = BUF_EMPTY(128);
    int64_t number = 0;
    if (!conf_number_parse(is_octets(what) ? CONF_SIZE : CONF_INTEGER, text, &number, &detail)) {
        buf_printf(why, "%s of %s: \"%.*s\": %s", part, whats[what].name, SPAN_ARGS(span_head(text, 32)),
                   buf_cstr(&detail));
        return false;
    }
    if (number < 1 || (uint64_t)number > LIMITS_AMOUNT_MOST) {
        buf_printf(why, "%s of %s: \"%.*s\": allowed is 1 to %" PRIu64 ", or unlimited", part, whats[what].name,
                   SPAN_ARGS(span_head(text, 32)), LIMITS_AMOUNT_MOST);
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

/* "1h", "min". */
static bool parse_time(unsigned what, struct span text, uint32_t *ret, struct buf *why)
{
    AUTO(buf_done) struct buf one = BUF_EMPTY(64), ignored = BUF_EMPTY(256);
    int64_t ms = 0;
    buf_printf(&one, "%s%.*s", text.n && ascii_alpha(text.p[0]) ? "1" : "", SPAN_ARGS(text));
    if (!conf_number_parse(CONF_TIME_MS, buf_span(&one), &ms, &ignored)) {
        buf_printf(why, "the time of %s: \"%.*s\": written like 1h, 15min or 1d (units: s, min, h, d, w)",
                   whats[what].name, SPAN_ARGS(span_head(text, 32)));
        return false;
    }
    if (ms < LIMITS_PER_LEAST_MS || ms > LIMITS_PER_MOST_MS) {
        buf_printf(why, "the time of %s: \"%.*s\": allowed is 1s to 31d", whats[what].name,
                   SPAN_ARGS(span_head(text, 32)));
        return false;
    }
    *ret = (uint32_t)ms;
    return true;
}

/* "300/1h", "2GiB/1d", "5000" of a level, "unlimited". */
static bool parse_amount(struct limits_rule *rule, struct span word, struct buf *why)
{
    size_t slash = span_find(word, '/');
    if (span_eq_case(word, SPAN("unlimited"))) {
        rule->amount = LIMITS_UNLIMITED;
        return true;
    }
    if (word.n == 0 || (slash == word.n && !whats[rule->what].level)) {
        buf_printf(why, "the amount of %s: %s, like %s/1h, or unlimited", whats[rule->what].name,
                   word.n ? "the time is missing" : "is missing", is_octets(rule->what) ? "2GiB" : "300");
        return false;
    }
    if (slash < word.n && rule->what != LIMITS_CONNECTIONS && whats[rule->what].level) {
        buf_printf(why, "the amount of %s: what waits now is counted, so leave the time out, like %s",
                   whats[rule->what].name, is_octets(rule->what) ? "2GiB" : "5000");
        return false;
    }
    return parse_number(rule->what, span_head(word, slash), "the amount", &rule->amount, why)
        && (slash == word.n || parse_time(rule->what, span_from(word, slash + 1), &rule->per_ms, why));
}

static bool parse_burst(struct limits_rule *rule, struct span word, struct buf *why)
{
    if (rule->per_ms == 0) {
        buf_printf(why, "burst of %s: only what is counted over a time, like 300/1h, has a burst",
                   whats[rule->what].name);
        return false;
    }
    if (!parse_number(rule->what, word, "the burst", &rule->burst, why))
        return false;
    if (rule->burst > rule->amount) {
        buf_printf(why, "the burst of %s is more than the amount: write a smaller one, or none", whats[rule->what].name);
        return false;
    }
    return true;
}

static bool parse_each(struct limits_rule *rule, struct span word, struct buf *why)
{
    for (unsigned i = 0; i < LIMITS_SERVER; i++) {
        if (span_eq_case(word, span_str(kinds[i]))) {
            rule->each = (uint8_t)i;
            rule->flags |= LIMITS_RULE_EACH;
            return true;
        }
    }
    buf_printf(why, "each: \"%.*s\" is none of credential, sender, domain, customer", SPAN_ARGS(span_head(word, 32)));
    return false;
}

static bool parse_word(struct limits_rule *rule, struct span word, bool *has_action, struct buf *why)
{
    for (unsigned i = 0; i < LIMITS_ACTION_COUNT; i++) {
        if (!span_eq_case(word, span_str(actions[i])))
            continue;
        if (*has_action) {
            buf_printf(why, "\"%.*s\": the limit has an action already; write one", SPAN_ARGS(word));
            return false;
        }
        rule->action = (uint8_t)i;
        return *has_action = true;
    }
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        if (span_eq_case(word, span_str(flags[i].name))) {
            rule->flags |= (uint8_t)flags[i].flag;
            return true;
        }
    }
    buf_printf(why, "\"%.*s\" is not known; after the amount may stand: burst N, notify, pace, hold, defer, reject, suspend, "
               "dry-run, whole, local, relayed, each KIND", SPAN_ARGS(span_head(word, 32)));
    return false;
}

enum status limits_rule_parse(struct span text, struct limits_rule *ret, struct buf *why)
{
    struct limits_rule rule = { .action = LIMITS_DEFER };
    bool has_action = false, good = find_what(cut_word(&text), &rule.what, why)
                                 && parse_amount(&rule, cut_word(&text), why);
    while (good && (text = span_trim(text)).n) {
        struct span word = cut_word(&text);
        if (span_eq_case(word, SPAN("burst")))
            good = parse_burst(&rule, cut_word(&text), why);
        else if (span_eq_case(word, SPAN("each")))
            good = parse_each(&rule, cut_word(&text), why);
        else
            good = parse_word(&rule, word, &has_action, why);
    }
    if (!good)
        return STATUS_SYNTAX;
    *ret = rule;
    return STATUS_OK;
}

void limits_rule_write(const struct limits_rule *rule, struct buf *ret)
{
    enum conf_kind kind = is_octets(rule->what) ? CONF_SIZE : CONF_INTEGER;
    buf_printf(ret, "%s ", whats[rule->what].name);
    if (rule->amount == LIMITS_UNLIMITED)
        buf_add_str(ret, "unlimited");
    else
        conf_number_write(kind, (int64_t)rule->amount, ret);
    if (rule->per_ms) {
        buf_add_char(ret, '/');
        conf_number_write(CONF_TIME_MS, rule->per_ms, ret);
    }
    if (rule->burst) {
        buf_add_str(ret, " burst ");
        conf_number_write(kind, (int64_t)rule->burst, ret);
    }
    if (rule->action != LIMITS_DEFER)
        buf_printf(ret, " %s", actions[rule->action]);
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
        if (rule->flags & flags[i].flag)
            buf_printf(ret, " %s", flags[i].name);
    if (rule->flags & LIMITS_RULE_EACH)
        buf_printf(ret, " each %s", kinds[rule->each]);
}

/* Does the rule, written in the set `at`, hold at a node of this kind? */
static bool speaks_of(const struct limits_rule *rule, enum limits_kind kind, size_t at)
{
    bool each = rule->flags & LIMITS_RULE_EACH;
    return at == 0 ? !each : each && rule->each == kind;
}

size_t limits_rules_of(enum limits_kind kind, const struct limits_set *sets, size_t n, struct limits_rule *ret,
                       size_t most)
{
    size_t count = 0;
    bool decided[LIMITS_WHAT_COUNT] = { false };
    for (size_t at = 0; at < n; at++) {
        bool here[LIMITS_WHAT_COUNT] = { false };
        for (size_t i = 0; i < sets[at].n; i++) {
            const struct limits_rule *rule = &sets[at].rules[i];
            if (decided[rule->what] || !speaks_of(rule, kind, at))
                continue;
            here[rule->what] = true;
            if (rule->amount == LIMITS_UNLIMITED)
                continue;
            if (count < most) {
                ret[count] = *rule;
                ret[count].flags &= (uint8_t)~LIMITS_RULE_EACH;
                ret[count].each = 0;
            }
            count++;
        }
        for (unsigned what = 0; what < LIMITS_WHAT_COUNT; what++)
            decided[what] |= here[what];
    }
    return count;
}

static const struct limits_rule presets[] = {
    { .amount = 1000, .per_ms = 24 * 3600 * 1000, .what = LIMITS_MESSAGES, .action = LIMITS_DEFER,
      .each = LIMITS_SENDER, .flags = LIMITS_RULE_EACH },
    { .amount = 200, .per_ms = 24 * 3600 * 1000, .what = LIMITS_NEW_RECIPIENTS, .action = LIMITS_DEFER,
      .each = LIMITS_SENDER, .flags = LIMITS_RULE_EACH },
};

struct limits_set limits_presets(void) { return (struct limits_set){ presets, ARRAY_LEN(presets) }; }
