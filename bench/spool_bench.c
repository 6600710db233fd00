/* Measures the spool's writer alone: W messages of N octets always under way, each answered by the next.
 *
 *     spool_bench DIR [writers] [octets] [seconds]
 *
 * Prints messages/s, CPU per message and messages per sync. DIR gets a spool of its own, removed by whoever made DIR.
 */
#include "base/time.h"
#include "spool/store.h"
#include "spool/writer.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct bench {
    struct loop *loop;
    struct spool_store *store;
    struct spool_writer *writer;
    unsigned wanted;      /* segments asked for and not ready */
    struct spool_append *appends;
    uint64_t done, failed, commits, next_id;
    int64_t end_us;
    unsigned under_way;
    uint32_t segments_used;
};

static void give(struct bench *bench)
{
    int fd;
    uint32_t number;
    while (bench->wanted > 0 && spool_store_take(bench->store, SPOOL_MESSAGES, 1, &fd, &number) == STATUS_OK) {
        bench->wanted--;
        if (spool_writer_give(bench->writer, fd) != STATUS_OK)
            exit(1);
    }
}

static void on_report(void *arg, const char *name, const char *what) { fprintf(stderr, "%s: %s\n", name, what); }
static void on_ready(void *arg) { give(arg); }
static void on_released(void *arg, uint32_t segment) {}
static void on_low(void *arg, bool low) { fprintf(stderr, "disk %s\n", low ? "low" : "no longer low"); }
static void on_need(void *arg)
{
    struct bench *bench = arg;
    bench->wanted++;
    give(bench);
}
static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why)
{
    struct bench *bench = arg;
    bench->segments_used++;
    spool_store_release(bench->store, segment); /* all its messages count as delivered */
}

static void on_done(struct spool_append *append, enum status status)
{
    struct bench *bench = append->arg;
    bench->done += status == STATUS_OK;
    bench->failed += status != STATUS_OK;
    if (time_mono_us() >= bench->end_us) {
        if (--bench->under_way == 0)
            loop_stop(bench->loop);
        return;
    }
    append->id = bench->next_id++;
    if (spool_writer_append(bench->writer, append) != STATUS_OK)
        exit(1);
}

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int counting_sync(const struct spool_ops *ops, int fd);
static struct spool_ops counting;
static uint64_t syncs;
static int counting_sync(const struct spool_ops *ops, int fd)
{
    syncs++;
    return spool_ops_system.fdatasync(&spool_ops_system, fd);
}

int main(int argc, char **argv)
{
    static const struct spool_store_events store_events = { on_report, on_ready, on_released, on_low };
    static const struct spool_writer_events writer_events = { on_need, on_sealed };
    unsigned writers = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
    size_t octets = argc > 3 ? (size_t)atol(argv[3]) : 4096;
    int64_t seconds = argc > 4 ? atoll(argv[4]) : 5;
    struct bench bench = { .loop = loop_new(), .next_id = 1, .under_way = writers };
    struct spool_store_settings store_settings = { .ahead = 4 };
    counting = spool_ops_system;
    counting.fdatasync = counting_sync;
    struct spool_writer_settings writer_settings = { .ahead = 2, .ops = &counting };
    if (argc < 2 || spool_store_open(bench.loop, argv[1], &store_settings, &store_events, &bench, &bench.store) != STATUS_OK) {
        fprintf(stderr, "usage: spool_bench DIR [writers] [octets] [seconds]\n");
        return 1;
    }
    spool_store_start(bench.store);
    bench.writer = spool_writer_new(bench.loop, &writer_settings, &writer_events, &bench);
    while (bench.writer && (bench.wanted > 0 || bench.segments_used == 0)) {
        loop_turn(bench.loop, 100);
        if (bench.wanted == 0)
            break;
    }
    char *body = calloc(1, octets);
    struct span piece = span_of(body, octets);
    bench.appends = calloc(writers, sizeof *bench.appends);
    if (!body || !bench.appends || !bench.writer)
        return 1;
    int64_t start_us = time_mono_us();
    double start_cpu = cpu_us();
    bench.end_us = start_us + seconds * 1000000;
    for (unsigned i = 0; i < writers; i++) {
        bench.appends[i] = (struct spool_append){ .id = bench.next_id++, .kind = SPOOL_KIND_MESSAGE, .body = &piece,
            .body_count = 1, .envelope = SPAN("an envelope of some length, as they are, with two addresses in it ...."),
            .headers = SPAN("Received: from laptop by mail.example.org with ESMTPSA; Mon, 23 Nov 2026 12:00:00 +0000\r\n"),
            .on_done = on_done, .arg = &bench };
        if (spool_writer_append(bench.writer, &bench.appends[i]) != STATUS_OK)
            return 1;
    }
    loop_run(bench.loop);
    double took = (double)(time_mono_us() - start_us) / 1e6, cpu = cpu_us() - start_cpu;
    printf("%u writers, %zu octets: %.0f messages/s, %.1f us CPU each, %.1f messages/sync, %.0f syncs/s, %u segments, %llu failed\n",
           writers, octets, (double)bench.done / took, cpu / (double)bench.done, (double)bench.done / (double)syncs,
           (double)syncs / took, bench.segments_used, (unsigned long long)bench.failed);
    spool_writer_free(bench.writer);
    spool_store_free(bench.store);
    loop_free(bench.loop);
    free(bench.appends);
    free(body);
    return bench.failed ? 1 : 0;
}
