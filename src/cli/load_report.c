/* cli/load_report.c -- what `goniec load` measured. */
#include "base/log.h"
#include "base/order.h"
#include "base/time.h"
#include "cli/load_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void load_taken(struct load *load, int64_t end_us, uint64_t octets)
{
    load->taken++;
    load->octets += octets;
    load->last_us = time_mono_us();
    if (load->latency_count == load->latency_room) {
        uint64_t room = MAX(2 * load->latency_room, (uint64_t)8192);
        uint32_t *grown = room <= LOAD_LATENCY_MAX ? realloc(load->latency_us, room * sizeof(*grown)) : NULL;
        if (!grown)
            return;
        load->latency_us = grown;
        load->latency_room = room;
    }
    load->latency_us[load->latency_count++] = (uint32_t)MIN(load->last_us - end_us, (int64_t)UINT32_MAX);
}

void load_failed(struct load *load, const char *step, struct span why, bool lost_message)
{
    char text[sizeof(load->errors[0].text)];
    if (lost_message)
        load->failed++;
    snprintf(text, sizeof(text), "%s: %.*s", step, SPAN_ARGS(why));
    for (unsigned i = 0; i < load->error_count; i++) {
        if (strcmp(load->errors[i].text, text) == 0) {
            load->errors[i].count++;
            return;
        }
    }
    if (load->error_count == LOAD_ERRORS_MAX)
        return;
    struct load_error *error = &load->errors[load->error_count++];
    memcpy(error->text, text, sizeof(text));
    error->count = 1;
}

static double percentile_ms(const struct load *load, unsigned percent)
{
    if (!load->latency_count)
        return 0;
    size_t at = (load->latency_count - 1) * percent / 100;
    return load->latency_us[at] / 1e3;
}

static void print_json(const struct load *load, double seconds, double rate)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(1 << 20);
    buf_printf(&out, "{\"run\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"taken\": %" PRIu64 ", \"failed\": %" PRIu64
                     ", \"connections\": %" PRIu64 ", \"tls\": %" PRIu64 ", \"octets\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f"
                     ", \"start_us\": %" PRId64 ", \"last_us\": %" PRId64 ", \"idle\": %" PRIu64,
               load->options.run, load->begun, load->taken, load->failed, load->connections, load->secured, load->octets, seconds,
               rate, load->start_us, load->last_us, load->idle_held);
    buf_printf(&out, ", \"latency_ms\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"errors\": [",
               percentile_ms(load, 50), percentile_ms(load, 90), percentile_ms(load, 99), percentile_ms(load, 100));
    for (unsigned i = 0; i < load->error_count; i++) {
        buf_printf(&out, "%s{\"count\": %" PRIu64 ", \"error\": ", i ? ", " : "", load->errors[i].count);
        json_add_string(&out, span_str(load->errors[i].text));
        buf_add_str(&out, "}");
    }
    buf_add_str(&out, "]}\n");
    fwrite(out.p, 1, out.n, stdout);
}

static void print_text(const struct load *load, double seconds, double rate)
{
    printf("%" PRIu64 " of %" PRIu64 " messages taken in %.3f s: %.1f/s, %.1f MiB/s, over %" PRIu64 " connections\n", load->taken,
           load->begun, seconds, rate, seconds > 0 ? (double)load->octets / seconds / 1048576 : 0.0, load->connections);
    printf("reply to the end of data: p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, longest %.3f ms\n", percentile_ms(load, 50),
           percentile_ms(load, 90), percentile_ms(load, 99), percentile_ms(load, 100));
    for (unsigned i = 0; i < load->error_count; i++)
        printf("%8" PRIu64 " x %s\n", load->errors[i].count, load->errors[i].text);
}

void load_report(struct load *load)
{
    double seconds = (double)(load->last_us - load->start_us) / 1e6;
    double rate = seconds > 0 ? (double)load->taken / seconds : 0;
    if (load->latency_count)
        qsort(load->latency_us, load->latency_count, sizeof(*load->latency_us), order_u32);
    if (load->options.json)
        print_json(load, seconds, rate);
    else if (!load->options.quiet)
        print_text(load, seconds, rate);
    fflush(stdout);
}
