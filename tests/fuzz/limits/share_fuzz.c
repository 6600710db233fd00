/* What another machine says of its counters, with any contents: the tree stays within its memory, counts on, never lets more pass than the
 * rule allows, and tells its own again. */
#include "limits/share.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1795440000000)
enum { MOST = 64 << 10 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t count_on(struct limits_tree *tree, int64_t now_ms)
{
    static const struct limits_rule rules[] = {
        { .amount = 300, .burst = 50, .per_ms = 3600000, .what = LIMITS_MESSAGES, .action = LIMITS_DEFER },
        { .amount = 5, .per_ms = 60000, .what = LIMITS_MESSAGES, .action = LIMITS_PACE },
    };
    const struct limits_node node = { SPAN("anna"), rules, LIMITS_SENDER, ARRAY_LEN(rules) };
    struct limits_request request = { &node, 1, LIMITS_MESSAGES, 0, 3, now_ms, now_ms };
    struct limits_verdict verdict;
    limits_tree_take(tree, &request, &verdict);
    must(verdict.granted <= 3);
    struct limits_reading reading;
    limits_tree_read(tree, &node, &rules[0], now_ms, &reading);
    must(reading.room <= 50 && (reading.count < 300 || reading.room == 0));
    return verdict.granted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct limits_tree *tree = limits_tree_new(&(struct limits_tree_setup){ .most_octets = MOST });
    must(tree != NULL);
    limits_share_all(tree);
    int64_t now_ms = NOW;
    struct span left = span_of(data, size);
    for (unsigned i = 0; left.n >= 4 && i < 200; i++) {
        unsigned char head[4];
        memcpy(head, left.p, sizeof head);
        size_t n = head[2] | (size_t)(head[3] & 7) << 8;
        struct span value = span_head(span_from(left, 4), n), key = head[3] & 0x80 ? SPAN("\1anna") : span_head(value, 6);
        enum status status = limits_share_set(tree, head[0] & 63, key, (int64_t)head[1] << 12, value, now_ms);
        must(status == STATUS_OK || status == STATUS_SYNTAX || status == STATUS_MEMORY);
        left = span_from(left, 4 + n);
        now_ms += head[0] >> 6 << 14;
        count_on(tree, now_ms);
        must(limits_tree_totals(tree).octets <= MOST);
    }
    for (unsigned n = 0;; n++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(LIMITS_SHARE_KEY_MOST), value = BUF_EMPTY(LIMITS_SHARE_VALUE_MOST);
        if (!limits_share_next(tree, now_ms, &key, &value))
            break;
        must(n < 100000 && !key.failed && !value.failed);
        must(limits_share_set(tree, 3, buf_span(&key), 0, buf_span(&value), now_ms) != STATUS_SYNTAX);
    }
    limits_tree_sweep(tree, now_ms, 1000);
    limits_tree_free(tree);
    return 0;
}
