/* What the limits cost: a million checks over 100,000 senders, each over a chain of four nodes, and the memory of it.
 *
 *     ninja -C BUILD bench/limits_bench && BUILD/bench/limits_bench [SENDERS] [CHECKS]
 *
 * CPU time of this thread; memory is the process's own, before and after. Two senders share a domain, ten domains a
 * customer. A sender has four rules, of which a recipient meets two; each parent has one. */
#include "base/memory.h"
#include "limits/new_recipients.h"
#include "limits/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BEGIN INT64_C(1795440000000)
enum { NAME = 48 };

static const struct limits_rule sender_rules[] = {
    { .amount = 300, .per_ms = 3600000, .what = LIMITS_RECIPIENTS, .action = LIMITS_DEFER },
    { .amount = 2000, .per_ms = 86400000, .what = LIMITS_RECIPIENTS, .action = LIMITS_REJECT },
    { .amount = 1000, .per_ms = 86400000, .what = LIMITS_MESSAGES, .action = LIMITS_DEFER },
    { .amount = 200, .per_ms = 86400000, .what = LIMITS_NEW_RECIPIENTS, .action = LIMITS_DEFER },
};
static const struct limits_rule domain_rule = { .amount = 5000, .per_ms = 86400000, .what = LIMITS_RECIPIENTS,
                                                .action = LIMITS_DEFER };
static const struct limits_rule customer_rule = { .amount = 20000, .per_ms = 86400000, .what = LIMITS_RECIPIENTS,
                                                  .action = LIMITS_DEFER };
static const struct limits_rule server_rule = { .amount = UINT64_C(1) << 40, .per_ms = 86400000,
                                                .what = LIMITS_RECIPIENTS, .action = LIMITS_DEFER };

static double cpu_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double resident_mib(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

/* The chain of a sender; the names lie in `room`. */
static void chain_of(unsigned sender, char room[3][NAME], struct limits_node ret[4])
{
    int a = snprintf(room[0], NAME, "sender%u@domain%u.example", sender, sender / 2);
    int b = snprintf(room[1], NAME, "domain%u.example", sender / 2);
    int c = snprintf(room[2], NAME, "customer %u", sender / 20);
    ret[0] = (struct limits_node){ span_of(room[0], (size_t)a), sender_rules, LIMITS_SENDER, ARRAY_LEN(sender_rules) };
    ret[1] = (struct limits_node){ span_of(room[1], (size_t)b), &domain_rule, LIMITS_DOMAIN, 1 };
    ret[2] = (struct limits_node){ span_of(room[2], (size_t)c), &customer_rule, LIMITS_CUSTOMER, 1 };
    ret[3] = (struct limits_node){ SPAN("mail.example.org"), &server_rule, LIMITS_SERVER, 1 };
}

/* Every check is of another sender, in no order; time goes on by `step_us` with each. With `ask_only` chains are made
 * and nothing else: what the play itself costs. */
static double play(struct limits_tree *tree, unsigned senders, unsigned checks, int64_t begin_ms, int64_t step_us,
                   enum limits_what what, uint64_t *refused)
{
    double begin = cpu_s();
    char room[3][NAME];
    struct limits_node chain[4];
    uint64_t seed = 1;
    for (unsigned i = 0; i < checks; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        chain_of((unsigned)(seed >> 33) % senders, room, chain);
        if (!tree)
            continue;
        int64_t now = begin_ms + (int64_t)i * step_us / 1000;
        struct limits_request request = { chain, 4, what, 0, 1, now, now };
        struct limits_verdict verdict;
        limits_tree_take(tree, &request, &verdict);
        *refused += verdict.outcome != LIMITS_VERDICT_PASS;
    }
    return cpu_s() - begin;
}

/* Every sender's windows are filled with as many entries as they can have. */
static void fill(struct limits_tree *tree, unsigned senders, int64_t *now_ms)
{
    static const enum limits_what whats[] = { LIMITS_RECIPIENTS, LIMITS_MESSAGES, LIMITS_NEW_RECIPIENTS };
    char room[3][NAME];
    struct limits_node chain[4];
    for (unsigned round = 0; round < 60; round++, *now_ms += 27 * 60 * 1000) {
        for (unsigned i = 0; i < senders; i++) {
            chain_of(i, room, chain);
            for (unsigned w = 0; w < ARRAY_LEN(whats); w++) {
                struct limits_request request = { chain, 4, whats[w], 0, 1, *now_ms, *now_ms };
                struct limits_verdict verdict;
                limits_tree_take(tree, &request, &verdict);
            }
        }
    }
}

static void report(const struct limits_tree *tree, const char *when, double before_mib)
{
    struct limits_tree_totals totals = limits_tree_totals(tree);
    printf("%-40s %8zu nodes, %6.1f MiB by its own account, %6.1f MiB resident; no memory for %llu, coarse %llu\n", when,
           totals.nodes, (double)totals.octets / 1048576, resident_mib() - before_mib,
           (unsigned long long)totals.refused_full, (unsigned long long)totals.coarse);
}

static void measure_store(struct limits_tree *tree, int64_t now_ms)
{
    struct limits_store store = { 0 };
    AUTO(buf_done) struct buf file = BUF_EMPTY((size_t)1 << 30);
    double begin = cpu_s();
    unsigned batches = 0;
    limits_store_rewrite(tree);
    for (; limits_store_is_dirty(tree); batches++)
        if (limits_store_changes(&store, tree, now_ms, now_ms, &file) != STATUS_OK)
            exit(1);
    double written = cpu_s();
    struct limits_tree_setup setup = { .most_octets = (size_t)1 << 30 };
    struct limits_tree *again = limits_tree_new(&setup);
    if (!again || limits_store_replay(&store, again, buf_span(&file), now_ms, now_ms) != file.n)
        exit(1);
    printf("%-40s %.0f MiB in %u batches, %.2f s CPU; read back in %.2f s\n", "all counters written whole",
           (double)file.n / 1048576, batches, written - begin, cpu_s() - written);
    limits_tree_free(again);
}

int main(int argc, char **argv)
{
    unsigned senders = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000;
    unsigned checks = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000000;
    double before = resident_mib();
    struct limits_tree_setup setup = { 0 };
    struct limits_tree *tree = limits_tree_new(&setup);
    uint64_t refused = 0;
    if (!tree || senders == 0 || checks == 0)
        return 1;
    double frame = play(NULL, senders, checks, 0, 0, 0, &refused);
    double first = play(tree, senders, checks, BEGIN, 60, LIMITS_RECIPIENTS, &refused);
    report(tree, "after the first round", before);
    double second = play(tree, senders, checks, BEGIN + 3600000, 3600, LIMITS_RECIPIENTS, &refused);
    report(tree, "after the second, over an hour", before);
    printf("%-40s %.2f us, then %.2f us (the play's own %.2f us taken off); refused %llu\n", "CPU time of a check",
           (first - frame) * 1e6 / checks, (second - frame) * 1e6 / checks, frame * 1e6 / checks,
           (unsigned long long)refused);
    int64_t now_ms = BEGIN + 3 * 3600000;
    fill(tree, senders, &now_ms);
    report(tree, "every window of every sender full", before);
    double third = play(tree, senders, checks, now_ms, 3600, LIMITS_RECIPIENTS, &refused);
    printf("%-40s %.2f us\n", "CPU time of a check, windows full", (third - frame) * 1e6 / checks);
    measure_store(tree, now_ms);
    limits_tree_free(tree);
    return 0;
}
