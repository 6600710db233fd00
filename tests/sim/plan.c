/* What a run is like: which troubles, how much of each, which settings. */
#include "world.h"

static const struct scenario {
    const char *name, *about;
    unsigned kills, power, disk, flips, clock, weather, rude, operators, reloads, cuts, memory;
    unsigned messages;
} scenarios[] = {
    { "calm", "nothing goes wrong", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120 },
    { "weather", "servers and the DNS in all moods, clients too", .weather = 60, .rude = 40, .messages = 150 },
    { "kills", "processes die, one or all", .kills = 60, .weather = 20, .rude = 10, .messages = 200 },
    { "power", "the power goes", .power = 60, .weather = 20, .rude = 10, .messages = 150 },
    { "disk", "errors, no room, slow syncs", .disk = 60, .weather = 20, .kills = 10, .power = 10, .messages = 150 },
    { "operators", "hold, release, delete, reroute, reload", .operators = 80, .reloads = 40, .weather = 50, .kills = 10,
      .power = 5, .messages = 150 },
    { "clock", "somebody sets the clock", .clock = 80, .weather = 40, .kills = 20, .power = 5, .messages = 120 },
    { "flips", "old records rot", .flips = 60, .kills = 30, .weather = 40, .power = 10, .messages = 150 },
    { "cuts", "connections and channels are cut", .cuts = 80, .weather = 20, .rude = 30, .kills = 5, .messages = 150 },
    { "mixed", "all of it", .kills = 40, .power = 20, .disk = 25, .clock = 10, .weather = 40, .rude = 30, .operators = 30,
      .reloads = 20, .cuts = 30, .messages = 200 },
    { "memory", "there is none, now and then (by name only)", .memory = 60, .weather = 30, .kills = 10, .messages = 120 },
};

enum { BY_NAME_ONLY = 1 }; /* the last ones */

void plan_list(void (*each)(const char *name, const char *about))
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        each(scenarios[i].name, scenarios[i].about);
}

static const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

/* Of its own, so that the same seed has the same plan wherever the world takes its other chances. */
static uint64_t draw(uint64_t *state, uint64_t n)
{
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % n;
}

static int64_t choose(uint64_t *state, const int64_t *list, size_t n) { return list[draw(state, n)]; }
#define CHOOSE(...) choose(&state, (const int64_t[]){ __VA_ARGS__ }, sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

bool plan_make(const char *name, uint64_t seed, struct plan *ret)
{
    uint64_t state = seed;
    const struct scenario *scenario = name ? scenario_find(name) : &scenarios[draw(&state, ARRAY_LEN(scenarios) - BY_NAME_ONLY)];
    if (!scenario)
        return false;
    *ret = (struct plan){
        .scenario = scenario->name, .seed = seed, .kills = scenario->kills, .power = scenario->power, .disk = scenario->disk,
        .flips = scenario->flips, .clock = scenario->clock, .weather = scenario->weather, .rude = scenario->rude,
        .operators = scenario->operators, .reloads = scenario->reloads, .cuts = scenario->cuts, .memory = scenario->memory,
        .smtpds = 1 + (unsigned)draw(&state, 2), .deliveries = 1 + (unsigned)draw(&state, 2),
        .clients = 1 + (unsigned)draw(&state, 6), .messages = 10 + (unsigned)draw(&state, scenario->messages),
        .trouble_ms = CHOOSE(10000, 60000, 600000, 3600000, 6 * 3600000),
        .big_body = (uint32_t)CHOOSE(4096, 16384, 65536),
        .first_retry_ms = CHOOSE(1000, 10000, 60000, 300000), .longest_retry_ms = CHOOSE(60000, 3600000, 4 * 3600000),
        .expire_ms = CHOOSE(3600000, 86400000, 5 * 86400000), .delay_notice_ms = CHOOSE(0, 60000, 4 * 3600000),
        .end_of_data_ms = CHOOSE(30000, 600000), .compact = (unsigned)CHOOSE(0, 10, 90, 90),
        .per_transaction = (unsigned)CHOOSE(3, 50, 100), .double_bounce = draw(&state, 3) == 0,
        .chunking = draw(&state, 2), .pipelining = draw(&state, 4) != 0,
    };
    return true;
}

/* What may change between two reloads. */
static void changing(const struct plan *plan, unsigned reloads, struct buf *ret)
{
    uint64_t state = plan->seed + reloads;
    if (reloads) {
        for (unsigned i = 0; i < 8; i++)
            draw(&state, 2);
        buf_printf(ret, "  connections-per-site: %d\n  messages-ahead: %d\n", (int)CHOOSE(1, 2, 20), (int)CHOOSE(1, 4, 20));
    }
}

void plan_settings(const struct plan *plan, unsigned reloads, struct buf *ret)
{
    buf_printf(ret, "hostname: mx.sim.example\nstate-dir: /state\nrun-dir: /run\nuser: \"\"\ndrain: 10s\n"
               "listen:\n  - { address: \"127.0.0.1:2525\", service: relay, tls: none }\n"
               "spool: { segment: 1MiB, big-body: %uKiB, reserve: 1MiB }\n"
               "relay: { networks: [ 0.0.0.0/0, \"::/0\" ] }\n"
               "smtpd: { processes: %u, max-connections-per-address: 0 }\n", plan->big_body / 1024, plan->smtpds);
    buf_printf(ret, "delivery: { processes: %u, tls: none, end-of-data: %llds, chunking: %s, pipelining: %s }\n", plan->deliveries,
               (long long)plan->end_of_data_ms / 1000, plan->chunking ? "yes" : "no", plan->pipelining ? "yes" : "no");
    buf_printf(ret, "dsn: { double-bounce: %s, postmaster: postmaster@d0.example }\n", plan->double_bounce ? "postmaster" : "drop");
    buf_printf(ret, "queue:\n  first-retry: %llds\n  longest-retry: %llds\n  expire: %llds\n  compact: %u\n"
               "  recipients-per-transaction: %u\n", (long long)plan->first_retry_ms / 1000, (long long)plan->longest_retry_ms / 1000,
               (long long)plan->expire_ms / 1000, plan->compact, plan->per_transaction);
    if (plan->delay_notice_ms)
        buf_printf(ret, "  delay-notice: %llds\n", (long long)plan->delay_notice_ms / 1000);
    else
        buf_add_str(ret, "  delay-notice: never\n");
    changing(plan, reloads, ret);
}
