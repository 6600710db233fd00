/* cli/sink_counts.c -- what arrived, and whether every message of a load arrived exactly once. */
#include "base/order.h"
#include "base/time.h"
#include "cli/sink_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 200000000 /* messages of one run that are told apart */
#define LATENCY_MAX 20000000

#define ID_MAX 96 /* octets of the line; one that began in what was seen before is found again */

void sink_id_find(struct span head, size_t seen, struct sink_id *ret)
{
    struct span name = SPAN("X-Load-Id: "), word;
    struct span rest = span_from(head, seen > ID_MAX ? seen - ID_MAX : 0);
    rest = span_from(rest, span_find_span(rest, name) + name.n);
    size_t end = span_find(rest, '\r');
    struct span line = span_head(rest, end);
    struct sink_id id = { .found = true };
    if (end < rest.n && span_cut(&line, '-', &word) && span_u64(word, UINT64_MAX, &id.run) && span_cut(&line, '-', &word) &&
        span_u64(word, SEEN_MAX, &id.number) && span_u64(line, INT64_MAX, &id.sent_us))
        *ret = id;
}

static struct sink_run *run_of(struct sink_counts *counts, uint64_t id)
{
    for (unsigned i = 0; i < counts->run_count; i++) {
        if (counts->runs[i].id == id)
            return &counts->runs[i];
    }
    if (counts->run_count == SINK_RUNS_MAX)
        return NULL;
    struct sink_run *run = &counts->runs[counts->run_count++];
    *run = (struct sink_run){ .id = id };
    return run;
}

static bool reach(struct sink_run *run, uint64_t number)
{
    if (number < run->room)
        return true;
    uint64_t room = MAX(number + 1, MAX(2 * run->room, (uint64_t)4096));
    uint16_t *seen = realloc(run->seen, room * sizeof(*seen));
    if (!seen)
        return false;
    memset(seen + run->room, 0, (room - run->room) * sizeof(*seen));
    run->seen = seen;
    run->room = room;
    return true;
}

static void note_latency(struct sink_counts *counts, int64_t us)
{
    if (counts->latency_count == counts->latency_room) {
        uint64_t room = MAX(2 * counts->latency_room, (uint64_t)4096);
        uint32_t *grown = room <= LATENCY_MAX ? realloc(counts->latency_us, room * sizeof(*grown)) : NULL;
        if (!grown)
            return;
        counts->latency_us = grown;
        counts->latency_room = room;
    }
    us = MAX(us, (int64_t)0);
    counts->latency_us[counts->latency_count++] = (uint32_t)MIN(us, (int64_t)UINT32_MAX);
}

static void note_id(struct sink_counts *counts, const struct sink_id *id, unsigned recipients, unsigned each, uint64_t only,
                    int64_t now_us)
{
    if (id->found && only && id->run != only)
        return;
    struct sink_run *run = id->found ? run_of(counts, id->run) : NULL;
    if (!run || !reach(run, id->number)) {
        counts->unnamed++;
        return;
    }
    unsigned before = run->seen[id->number], after = MIN(before + recipients, 65535u);
    run->seen[id->number] = (uint16_t)after;
    if (before < each && after >= each) {
        counts->unique++;
        note_latency(counts, now_us - (int64_t)id->sent_us);
    }
    if (after > each)
        counts->surplus += after - MAX(before, each);
}

void sink_counts_message(struct sink_counts *counts, const struct sink_id *id, uint64_t octets, unsigned recipients, unsigned each,
                         uint64_t only)
{
    int64_t now_us = time_mono_us();
    if (counts->messages++ == 0)
        counts->first_us = now_us;
    counts->last_us = now_us;
    counts->recipients += recipients;
    counts->octets += octets;
    note_id(counts, id, recipients, each, only, now_us);
}

static uint32_t percentile(const struct sink_counts *counts, unsigned percent)
{
    return counts->latency_count ? counts->latency_us[(counts->latency_count - 1) * percent / 100] : 0;
}

void sink_counts_print(struct sink_counts *counts, uint64_t expected)
{
    double seconds = (double)(counts->last_us - counts->first_us) / 1e6;
    if (counts->latency_count)
        qsort(counts->latency_us, counts->latency_count, sizeof(*counts->latency_us), order_u32);
    printf("{\"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"octets\": %" PRIu64 ", \"connections\": %" PRIu64
           ", \"open\": %" PRIu64 ", \"tls\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"broken\": %" PRIu64,
           counts->messages, counts->recipients, counts->octets, counts->connections, counts->open, counts->tls, counts->refused,
           counts->dropped, counts->broken);
    printf(", \"seconds\": %.3f, \"rate\": %.1f", seconds, seconds > 0 ? (double)(counts->messages - 1) / seconds : 0.0);
    printf(", \"unique\": %" PRIu64 ", \"surplus\": %" PRIu64 ", \"unnamed\": %" PRIu64 ", \"missing\": %" PRIu64, counts->unique,
           counts->surplus, counts->unnamed, expected > counts->unique ? expected - counts->unique : 0);
    printf(", \"first_us\": %" PRId64 ", \"last_us\": %" PRId64, counts->first_us, counts->last_us);
    printf(", \"arrival_ms\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}}\n", percentile(counts, 50) / 1e3,
           percentile(counts, 90) / 1e3, percentile(counts, 99) / 1e3, percentile(counts, 100) / 1e3);
    fflush(stdout);
}

void sink_counts_done(struct sink_counts *counts)
{
    for (unsigned i = 0; i < counts->run_count; i++)
        free(counts->runs[i].seen);
    free(counts->latency_us);
}
