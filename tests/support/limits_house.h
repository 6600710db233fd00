/* What tests of the limits have in common: nodes from text, requests at a fixed day. */
#pragma once
#include "limits/tree.h"
#include "test.h"

/* 2026-11-23 13:20:00 UTC */
#define HOUSE_BEGIN INT64_C(1795440000000)
#define HOUSE_MINUTE (INT64_C(60) * 1000)
#define HOUSE_HOUR (60 * HOUSE_MINUTE)

struct house_node {
    struct limits_rule rules[LIMITS_RULES_MOST];
    struct limits_node node;
};

/* `texts` are rules, with ';' between them. */
static inline struct limits_node house_node(struct house_node *house, enum limits_kind kind, const char *name,
                                            const char *texts)
{
    struct span left = span_str(texts), text;
    uint8_t n = 0;
    while (span_cut(&left, ';', &text)) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(256);
        if (limits_rule_parse(text, &house->rules[n++], &why) != STATUS_OK)
            fail_msg("%.*s: %s", SPAN_ARGS(text), buf_cstr(&why));
    }
    house->node = (struct limits_node){ span_str(name), house->rules, (uint8_t)kind, n };
    return house->node;
}

static inline struct limits_request house_request(const struct limits_node *chain, size_t n, enum limits_what what,
                                                  uint64_t count, int64_t after_ms)
{
    return (struct limits_request){ chain, n, what, 0, count, HOUSE_BEGIN + after_ms, HOUSE_BEGIN + after_ms };
}

/* Takes from the chain; how many were granted. */
static inline uint64_t house_take(struct limits_tree *tree, const struct limits_node *chain, size_t n,
                                  enum limits_what what, uint64_t count, int64_t after_ms)
{
    struct limits_request request = house_request(chain, n, what, count, after_ms);
    struct limits_verdict verdict;
    limits_tree_take(tree, &request, &verdict);
    return verdict.granted;
}
