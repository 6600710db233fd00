#include "conf/common.h"
#include "conf/parse.h"
#include "room.h"

struct part {
    int64_t processes, octets, idle_ms;
    struct conf_rate rate;
    bool hide;
    struct conf_networks networks;
    struct conf_texts names;
};
struct route {
    struct span domain, via;
};
struct root {
    struct conf_common common;
    struct part part;
    struct conf_list routes;
};

#define AT(member) CONF_AT(struct part, member)
static const struct conf_directive part_rows[] = {
    { "processes", CONF_INTEGER, AT(processes), "auto", "1", "64", "How many.", .zero = "auto" },
    { "max-size", CONF_SIZE, AT(octets), "25MiB", "1KiB", "1GiB", "Largest message." },
    { "idle", CONF_TIME_MS, AT(idle_ms), "5min", "1s", "1h", "How long." },
    { "rate", CONF_RATE, AT(rate), "unlimited", NULL, NULL, "How often.", .zero = "unlimited" },
    { "hide", CONF_BOOL, AT(hide), "true", NULL, NULL, "Whether." },
    { "networks", CONF_NETWORKS, AT(networks), NULL, NULL, NULL, "Whose." },
    { "names", CONF_TEXTS, AT(names), NULL, NULL, NULL, "Who." },
    { 0 }
};
static const struct conf_section part_section = { part_rows, sizeof(struct part), NULL };
#undef AT
#define AT(member) CONF_AT(struct route, member)
static const struct conf_directive route_rows[] = {
    { "domain", CONF_TEXT, AT(domain), NULL, "1", "253", "Whose.", .flags = CONF_REQUIRED },
    { "via", CONF_TEXT, AT(via), "mx", NULL, NULL, "The way." },
    { 0 }
};
static const struct conf_section route_section = { route_rows, sizeof(struct route), NULL };
#undef AT
#define AT(member) CONF_AT(struct root, member)
static const struct conf_directive rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "part", CONF_SECTION, AT(part), .help = "A part.", .section = &part_section },
    { "routes", CONF_LIST, AT(routes), .help = "The ways.", .section = &route_section },
    { 0 }
};
static const struct conf_section section = { rows, sizeof(struct root), NULL };

static const char text[] =
    "hostname: mail.example.org\n"
    "part:\n"
    "  processes: 4\n"
    "  max-size: 50MiB\n"
    "  idle: 1min30s\n"
    "  rate: 300/1h\n"
    "  hide: false\n"
    "  networks: [ 192.0.2.0/24, \"2001:db8::/32\", 127.0.0.1 ]\n"
    "  names: [ anna, bob, carol ]\n"
    "routes:\n"
    "  - { domain: example.org, via: \"smtp://10.0.0.1:25\" }\n"
    "  - { domain: example.net, via: \"smtp://10.0.0.2:25\" }\n"
    "  - { domain: example.edu, via: mx }\n";

static void settings(void)
{
    struct conf_faults faults;
    conf_faults_init(&faults, "goniec.conf");
    struct conf *conf = conf_parse(&section, span_str(text), 0, &faults);
    room_must(conf && faults.count == 0);
    conf_free(conf);
    conf_faults_done(&faults);
}

static const struct room_work works[] = {
    { "settings", NULL, settings },
};
ROOM_MAIN(works)
