/* A file of counters with any contents: the checksums are made right first. Whatever it holds, the tree stays within its
 * memory, what it says of itself agrees, it counts on, and what it writes reads back. */
#include "limits/store.h"
#include "base/hash.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1795440000000)
enum { HEADER = 32, MOST = 256 << 10 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Batches follow each other as their lengths say; each gets the checksum and the number that it needs. */
static void mend(char *file, size_t size)
{
    uint64_t number = 1;
    for (size_t at = 0; size - at >= HEADER; number++) {
        uint32_t octets, check, magic = 0x4d494c47, version = 1;
        memcpy(&octets, file + at + 24, sizeof octets);
        octets = (uint32_t)MIN(octets & 0xffff, size - at - HEADER);
        memcpy(file + at, &magic, sizeof magic);
        memcpy(file + at + 8, &number, sizeof number);
        memcpy(file + at + 24, &octets, sizeof octets);
        memcpy(file + at + 28, &version, sizeof version);
        check = crc32c(0, file + at + 8, HEADER - 8 + octets);
        memcpy(file + at + 4, &check, sizeof check);
        at += HEADER + octets;
    }
}

static void count_on(struct limits_tree *tree)
{
    static const struct limits_rule rules[] = {
        { .amount = 300, .burst = 50, .per_ms = 3600000, .what = LIMITS_MESSAGES, .action = LIMITS_DEFER },
        { .amount = 5, .per_ms = 60000, .what = LIMITS_MESSAGES, .action = LIMITS_DEFER },
    };
    struct limits_node chain[] = { { SPAN("a"), rules, LIMITS_SENDER, 2 }, { SPAN(""), rules, LIMITS_SERVER, 1 } };
    for (unsigned i = 0; i < 4; i++) {
        struct limits_request request = { chain, 2, LIMITS_MESSAGES, 0, i * 20, NOW + i * 1000, NOW + i * 1000 };
        struct limits_verdict asked, verdict;
        limits_tree_ask(tree, &request, &asked);
        limits_tree_take(tree, &request, &verdict);
        must(verdict.granted <= request.n);
        must(verdict.outcome == LIMITS_VERDICT_FULL || (asked.granted == verdict.granted && asked.outcome == verdict.outcome));
        must(verdict.outcome != LIMITS_VERDICT_LIMITED || verdict.clear_wall_ms > NOW);
        limits_tree_undo(tree, &request, NOW);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct limits_tree_setup setup = { .most_octets = MOST };
    struct limits_store store = { 0 }, other = { 0 };
    struct limits_tree *tree = limits_tree_new(&setup), *again = limits_tree_new(&setup);
    AUTO(buf_done) struct buf file = BUF_EMPTY(1 << 20), written = BUF_EMPTY(2 * LIMITS_STORE_BATCH_MOST);
    must(tree && again && limits_store_replay(&store, tree, span_of(data, size), NOW, NOW) <= size);
    limits_tree_sweep(tree, NOW + 100 * LIMITS_PER_MOST_MS, SIZE_MAX);
    must(limits_tree_totals(tree).nodes == 0);
    buf_add(&file, span_of(data, MIN(size, 1u << 20)));
    mend(file.p, file.n);
    size_t good = limits_store_replay(&store, tree, buf_span(&file), NOW, NOW);
    must(good <= file.n && file.n - good < HEADER);
    /* A ceiling is passed by no more than the places that were being filled. */
    must(limits_tree_totals(tree).octets <= MOST + (16 << 10));
    count_on(tree);
    limits_store_rewrite(tree);
    must(limits_store_changes(&store, tree, NOW + 4000, NOW + 4000, &written) == STATUS_OK);
    must(limits_store_is_rewritten(tree) && !limits_store_is_dirty(tree));
    must(limits_store_replay(&other, again, buf_span(&written), NOW + 4000, NOW + 4000) == written.n);
    must(limits_tree_totals(again).nodes == limits_tree_totals(tree).nodes);
    limits_tree_sweep(tree, NOW + 100 * LIMITS_PER_MOST_MS, SIZE_MAX);
    must(limits_tree_totals(tree).nodes == 0);
    limits_tree_free(tree);
    limits_tree_free(again);
    return 0;
}
