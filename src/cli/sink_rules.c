/* cli/sink_rules.c -- "--refuse rcpt=550:*@bad.example:10%" and its like. */
#include "cli/sink_priv.h"
#include <fnmatch.h>
#include <stdlib.h>

static const char *const steps[SINK_STEPS] = { "connect", "auth", "mail", "rcpt", "data", "body", "end" };

static bool take_step(struct span word, enum sink_step *ret)
{
    for (unsigned i = 0; i < SINK_STEPS; i++) {
        if (span_eq(word, span_str(steps[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* One word behind the step: a number, a percentage, or else the pattern (which ends the rule, colons and all). */
static bool take_word(struct sink_rule *rule, struct span word)
{
    uint64_t number;
    if (word.n > 1 && word.p[word.n - 1] == '%' && span_u64(span_head(word, word.n - 1), 100, &number)) {
        rule->chance = (double)number / 100;
        return true;
    }
    if (!span_u64(word, 3600000, &number))
        return false;
    if (rule->act == SINK_DELAY)
        rule->delay_ms = (int64_t)number;
    else
        rule->code = (unsigned)number;
    return true;
}

static const char *check(const struct sink_rule *rule)
{
    if (rule->act == SINK_REFUSE && (rule->code < 400 || rule->code > 599))
        return "a refusal needs a code from 400 to 599";
    if (rule->act == SINK_REFUSE && rule->step == SINK_BODY)
        return "the body cannot be refused; use end";
    if (rule->act == SINK_DELAY && rule->delay_ms <= 0)
        return "a delay needs milliseconds";
    if (rule->act == SINK_DELAY && (rule->step == SINK_BODY || rule->step == SINK_CONNECT))
        return "only auth, mail, rcpt, data and end can be delayed";
    return NULL;
}

bool sink_rule_parse(struct sink_rules *rules, enum sink_act act, const char *text, const char **why)
{
    struct sink_rule rule = { .act = act, .chance = 1, .code = act == SINK_REFUSE ? 550 : 0 };
    struct span rest = span_str(text), step, word;
    *why = "too many rules";
    if (rules->count == SINK_RULES_MAX)
        return false;
    size_t end = MIN(span_find(rest, '='), span_find(rest, ':'));
    step = span_head(rest, end);
    rest = span_from(rest, end + 1);
    *why = "the step is one of connect, auth, mail, rcpt, data, body, end";
    if (!take_step(step, &rule.step))
        return false;
    while (rest.n) {
        struct span before = rest;
        span_cut(&rest, ':', &word);
        if (word.n && !take_word(&rule, word)) {
            rule.pattern = before.p; /* argv lives as long as we do */
            break;
        }
    }
    *why = check(&rule);
    if (*why)
        return false;
    rules->rules[rules->count++] = rule;
    return true;
}

const struct sink_rule *sink_rule_for(const struct sink_rules *rules, enum sink_act act, enum sink_step step, const char *address)
{
    for (unsigned i = 0; i < rules->count; i++) {
        const struct sink_rule *rule = &rules->rules[i];
        if (rule->act != act || rule->step != step)
            continue;
        if (rule->pattern && (!address || fnmatch(rule->pattern, address, FNM_CASEFOLD) != 0))
            continue;
        if (rule->chance >= 1 || drand48() < rule->chance)
            return rule;
    }
    return NULL;
}
