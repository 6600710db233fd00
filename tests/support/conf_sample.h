/* A small settings table that has every kind of directive, for the tests and the fuzzer of conf. */
#pragma once
#include "conf/common.h"
#include "conf/parse.h"
#include "conf/print.h"

struct sample_route {
    struct span domain, via;
    int64_t weight;
};
struct sample_part {
    int64_t processes, max_octets, idle_ms;
    struct conf_rate rate;
    bool hide;
    int newline;
    struct conf_networks networks;
    struct conf_addresses resolvers;
    struct conf_texts names;
    struct span secret;
};
struct sample {
    struct conf_common common;
    struct sample_part part;
    struct conf_list routes;
};

static bool sample_via(const void *value, struct buf *why)
{
    if (span_starts(*(const struct span *)value, SPAN("smtp://")) || span_eq(*(const struct span *)value, SPAN("mx")))
        return true;
    buf_add_str(why, "allowed is mx or smtp://host:port");
    return false;
}

static bool sample_part_fits(const void *values, struct buf *why)
{
    const struct sample_part *part = values;
    if (part->idle_ms <= 600000 || part->hide)
        return true;
    buf_add_str(why, "idle over 10min needs hide");
    return false;
}

static const char *const sample_newlines[] = { "refuse", "fix", NULL };

#define AT(member) CONF_AT(struct sample_part, member)
static const struct conf_directive sample_part_rows[] = {
    { "processes", CONF_INTEGER, AT(processes), "auto", "1", "64", "How many.", .zero = "auto" },
    { "max-size", CONF_SIZE, AT(max_octets), "25MiB", "1KiB", "1GiB", "Largest message." },
    { "idle", CONF_TIME_MS, AT(idle_ms), "5min", "1s", "1h", "How long." },
    { "rate", CONF_RATE, AT(rate), "unlimited", NULL, NULL, "How often.", .zero = "unlimited" },
    { "hide", CONF_BOOL, AT(hide), "yes", NULL, NULL, "Whether." },
    { "newline", CONF_ENUM, AT(newline), "refuse", NULL, NULL, "Which.", .words = sample_newlines },
    { "networks", CONF_NETWORKS, AT(networks), "[127.0.0.0/8, \"::1\"]", NULL, NULL, "Whose." },
    { "resolvers", CONF_ADDRESSES, AT(resolvers), NULL, NULL, NULL, "Whom to ask." },
    { "names", CONF_TEXTS, AT(names), NULL, NULL, NULL, "Who." },
    { "secret", CONF_TEXT, AT(secret), NULL, NULL, NULL, "Never shown.", .flags = CONF_SECRET },
    { 0 }
};
static const struct conf_section sample_part_section = { sample_part_rows, sizeof(struct sample_part),
                                                         sample_part_fits };
#undef AT
#define AT(member) CONF_AT(struct sample_route, member)
static const struct conf_directive sample_route_rows[] = {
    { "domain", CONF_TEXT, AT(domain), NULL, "1", "253", "Recipient's domain.", .flags = CONF_REQUIRED },
    { "via", CONF_TEXT, AT(via), "mx", NULL, NULL, "The way.", .check = sample_via },
    { "weight", CONF_INTEGER, AT(weight), "10", "-5", "100", "How much." },
    { 0 }
};
static const struct conf_section sample_route_section = { sample_route_rows, sizeof(struct sample_route), NULL };
#undef AT
#define AT(member) CONF_AT(struct sample, member)
static const struct conf_directive sample_rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "part", CONF_SECTION, AT(part), .help = "A part.", .section = &sample_part_section },
    { "routes", CONF_LIST, AT(routes), .help = "The ways.", .section = &sample_route_section },
    { 0 }
};
static const struct conf_section sample_section = { sample_rows, sizeof(struct sample), NULL };
#undef AT
