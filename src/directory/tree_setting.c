/* What may be said on a node: the one table of it. */
#include "directory/tree.h"
#include "limits/rule.h"

static bool check_rule(struct span value, struct buf *why)
{
    struct limits_rule rule;
    return limits_rule_parse(value, &rule, why) == STATUS_OK;
}

static const char *const languages[] = { "en", "pl", NULL };
static const char *const from[] = { "own", "domain", "customer", "any", NULL };
static const char *const priorities[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL };

const struct tree_setting tree_settings[] = {
    { "from", TREE_NARROWEST, false, "own", from, NULL,
      "As whom senders may send: own (their login's address and their aliases), domain (besides, every address of their domain), "
      "customer (of every domain of their customer), any (every address there is)." },
    { "language", TREE_NEAREST, false, "en", languages, NULL, "The language of what senders are told: en, pl." },
    { "limit", TREE_ALL, true, "", NULL, check_rule,
      "How much may be sent; each rule counts on the node that says it, for all below it together." },
    { "priority", TREE_NARROWEST, false, "0", priorities, NULL,
      "The highest priority (RFC 6710) that a message may ask for: 0 to 9." },
    { 0 }
};

const struct tree_setting *tree_setting_find(struct span name)
{
    for (const struct tree_setting *setting = tree_settings; setting->name; setting++)
        if (span_eq(name, span_str(setting->name)))
            return setting;
    return NULL;
}

static bool is_text(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
            return false;
    return span_is_utf8(value);
}

bool tree_value_check(const struct tree_setting *setting, struct span value, struct buf *why)
{
    if (value.n > TREE_VALUE_MAX || !is_text(value)) {
        buf_printf(why, "a value has at most %d octets, without control characters", TREE_VALUE_MAX);
        return false;
    }
    if (!setting->words)
        return setting->check(value, why);
    for (size_t i = 0; setting->words[i]; i++)
        if (span_eq(value, span_str(setting->words[i])))
            return true;
    buf_add_str(why, "allowed are");
    for (size_t i = 0; setting->words[i]; i++)
        buf_printf(why, "%s %s", i ? "," : "", setting->words[i]);
    return false;
}
