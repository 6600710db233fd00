/* Senders over 90 days, made from seeds minute by minute: the honest ones are never more than watched, those whose password
 * or website was stolen on day 60 are stopped. `--table` prints what docs/score.md shows. */
#include "score/score.h"
#include "test.h"
#include <stdlib.h>
#include <time.h>

enum { SEEDS = 40, DAYS = 90, BREAK_IN = 60, FAILURES_LATER = 2, MINUTES_OF_DAY = 1440 };
#define MONDAY INT64_C(1793577600000) /* 2026-11-02 00:00 UTC */

struct life {
    struct score_table *table;
    uint64_t seed;
    unsigned minute, day, time; /* minute of all, day, minute of the day */
    uint32_t failing[FAILURES_LATER + 1];
    struct score_verdict verdict;
    unsigned long events;
    /* since the break-in */
    unsigned broken_at;  /* minute; 0: not yet */
    unsigned out;        /* messages of the thief until he was held */
    unsigned hold_after, suspend_after, out_at_suspend; /* minutes; 0: not yet */
    unsigned sent;
    enum score_step worst;
};

static uint64_t draw(struct life *life)
{
    uint64_t z = (life->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static uint32_t below(struct life *life, uint32_t n) { return (uint32_t)(draw(life) % n); }
static bool chance(struct life *life, double p) { return (double)(draw(life) >> 11) / 9007199254740992.0 < p; }

/* So many of `n`, each with probability `p`. */
static uint32_t some(struct life *life, uint32_t n, double p)
{
    uint32_t count = 0;
    while (n--)
        count += chance(life, p);
    return count;
}

/* A text with something personal in it: a few bits differ. */
static uint64_t personal(struct life *life, uint64_t text)
{
    for (unsigned i = 0; i < 4; i++)
        text ^= UINT64_C(1) << below(life, 64);
    return text;
}

static void count(struct life *life, const struct score_event *event)
{
    struct score_event at = *event;
    at.wall_ms = MONDAY + life->minute * INT64_C(60000);
    assert_int_equal(score_count(life->table, 1, &at, &life->verdict), STATUS_OK);
    life->events++;
    life->worst = MAX(life->worst, life->verdict.step);
    if (!life->broken_at)
        return;
    if (!life->hold_after && life->verdict.step >= SCORE_HOLD) {
        life->hold_after = life->minute - life->broken_at + 1;
        life->out = life->sent;
    }
    if (!life->suspend_after && life->verdict.step >= SCORE_SUSPEND) {
        life->suspend_after = life->minute - life->broken_at + 1;
        life->out_at_suspend = life->sent;
    }
}

static void send_mail(struct life *life, uint32_t recipients, uint32_t strangers, double fail, uint32_t network,
                      const char *country, uint64_t text)
{
    struct score_event event = { .messages = 1, .recipients = recipients, .strangers = strangers, .network = network, .text = text };
    memcpy(event.country, country, 2);
    life->failing[FAILURES_LATER] += some(life, recipients, fail);
    count(life, &event);
}

static bool is_working(const struct life *life) { return life->day % 7 < 5 && life->time >= 7 * 60 && life->time < 16 * 60; }

/* Forty letters a day from the desk, at home, and on the way; a week of travelling; now and then one to the whole club. */
static void office(struct life *life)
{
    bool evening = life->time >= 18 * 60 && life->time < 22 * 60, away = life->day >= 40 && life->day < 45;
    if (!chance(life, is_working(life) ? 0.08 : evening ? 0.004 : 0))
        return;
    uint32_t recipients = chance(life, 0.02) ? 15 + below(life, 15) : 1 + below(life, 3);
    uint32_t place = below(life, 100), network = place < 75 ? 1 : place < 92 ? 2 : 100 + below(life, 40);
    if (away)
        network = place < 70 ? 50 : 300 + below(life, 5);
    send_mail(life, recipients, some(life, recipients, 0.08), 0.01, network, away ? "DE" : "PL\0", draw(life));
}

/* Confirmations and invoices from the shop's own machine, mostly to new customers; three days of a sale. */
static void shop(struct life *life)
{
    double rate = life->time < 6 * 60 ? 0.02 : life->time < 17 * 60 ? 0.12 : 0.2;
    if (life->day >= 60 && life->day < 63)
        rate *= 4;
    if (chance(life, rate))
        send_mail(life, 1, chance(life, 0.5), 0.02, 0, "\0", personal(life, 1000 + UINT64_C(0x9e3779b97f4a7c15) * below(life, 4)));
}

/* Three thousand each Tuesday, the first time to all of them as strangers; once on another day. */
static void newsletter(struct life *life)
{
    bool is_day = life->day % 7 == 1 || life->day == 52;
    unsigned begin = 9 * 60 + (unsigned)(life->day * 7919 % 60);
    if (!is_day || life->time < begin || life->time >= begin + 30)
        return;
    uint64_t text = (life->day + 1) * UINT64_C(0x9e3779b97f4a7c15);
    bool first = life->day == 1;
    for (unsigned i = 0; i < 100; i++)
        send_mail(life, 1, first || chance(life, 0.012), first ? 0.02 : 0.004, 7, "PL", personal(life, text));
}

/* News of answers to those who follow a thread, welcomes to new members, one day of whom there are many. */
static void forum(struct life *life)
{
    double awake = life->time < 6 * 60 ? 0.1 : 1;
    if (chance(life, 0.04 * awake)) {
        uint64_t text = draw(life);
        for (uint32_t i = 3 + below(life, 25); i; i--)
            send_mail(life, 1, 0, 0.005, 0, "\0", personal(life, text));
    }
    if (chance(life, 0.012 * awake * (life->day == 50 ? 4 : 1)))
        send_mail(life, 1, 1, 0.06, 0, "\0", personal(life, UINT64_C(0x123456789abcdef)));
}

/* The office, two weeks of nothing, and on the first morning greetings to three hundred customers. */
static void holidays(struct life *life)
{
    if (life->day >= 49 && life->day < 63)
        return;
    office(life);
    if (life->day == 63 && life->time >= 8 * 60 && life->time < 9 * 60)
        for (unsigned i = 0; i < 5; i++)
            send_mail(life, 1, chance(life, 0.06), 0.03, 1, "PL", personal(life, UINT64_C(0xfeedfacecafebeef)));
}

/* A small firm's website with a form. */
static void website(struct life *life)
{
    if (chance(life, 6.0 / MINUTES_OF_DAY))
        send_mail(life, 1, chance(life, 0.3), 0.02, 0, "\0", personal(life, UINT64_C(0x5555aaaa1234)));
}

/* One letter every other minute, each through another house of the world. */
static void slow(struct life *life)
{
    static const char countries[][3] = { "NG", "VN", "BR", "IN", "ID", "RU", "US" };
    if (!chance(life, 0.5))
        return;
    life->sent++;
    send_mail(life, 1, 1, 0.1, 10000 + below(life, 5000), countries[below(life, 7)],
              personal(life, UINT64_C(0xabcdef) * (1 + below(life, 3))));
}

static void blast(struct life *life)
{
    for (unsigned i = 0; i < 60; i++) {
        life->sent++;
        send_mail(life, 1, 1, 0.15, 9000, "NL", personal(life, UINT64_C(0x7777777)));
    }
}

static void hacked(struct life *life)
{
    for (unsigned i = 0; i < 20; i++) {
        life->sent++;
        send_mail(life, 1, 1, 0.3, 0, "\0", personal(life, UINT64_C(0x31337)));
    }
}

static const struct scenario {
    const char *name;
    void (*honest)(struct life *life);
    void (*thief)(struct life *life); /* NULL: there is none */
    unsigned hold_minutes, out_most;  /* what is promised */
} scenarios[] = {
    { "office", office, NULL, 0, 0 },
    { "shop", shop, NULL, 0, 0 },
    { "newsletter", newsletter, NULL, 0, 0 },
    { "forum", forum, NULL, 0, 0 },
    { "mailing after holidays", holidays, NULL, 0, 0 },
    { "website with a form", website, NULL, 0, 0 },
    { "slow spam, many networks", office, slow, 420, 215 },
    { "fast blast, one network", office, blast, 3, 120 },
    { "hacked website", website, hacked, 10, 150 },
};

static void tell_failures(struct life *life)
{
    struct score_event event = { .failures = life->failing[0] };
    memmove(life->failing, life->failing + 1, sizeof life->failing - sizeof life->failing[0]);
    life->failing[FAILURES_LATER] = 0;
    if (event.failures)
        count(life, &event);
}

static struct life live(const struct scenario *scenario, uint64_t seed)
{
    struct life life = { .table = score_table_new(1), .seed = seed * 1000003 };
    unsigned begin = BREAK_IN * MINUTES_OF_DAY + below(&life, 7 * MINUTES_OF_DAY);
    unsigned end = scenario->thief ? begin + MINUTES_OF_DAY : DAYS * MINUTES_OF_DAY;
    for (; life.minute < end; life.minute++) {
        life.day = life.minute / MINUTES_OF_DAY;
        life.time = life.minute % MINUTES_OF_DAY;
        if (scenario->thief && life.minute == begin)
            life.broken_at = begin;
        tell_failures(&life);
        scenario->honest(&life);
        if (life.broken_at && !life.suspend_after)
            scenario->thief(&life);
        if (life.broken_at && life.suspend_after)
            break;
    }
    score_table_free(life.table);
    return life;
}

static void describe(const struct scenario *scenario, uint64_t seed, const struct life *life, struct buf *ret)
{
    buf_printf(ret, "%s, seed %llu: worst %s, hold after %u min with %u out; last: ", scenario->name, (unsigned long long)seed,
               score_step_name(life->worst), life->hold_after, life->out);
    score_words(&life->verdict, SCORE_ENGLISH, ret);
}

static void test_scenarios(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            const struct scenario *scenario = &scenarios[i];
            struct life life = live(scenario, seed);
            bool good = scenario->thief ? life.hold_after && life.hold_after <= scenario->hold_minutes && life.out <= scenario->out_most
                                        : life.worst <= SCORE_WATCH;
            AUTO(buf_done) struct buf story = BUF_EMPTY(4096);
            describe(scenario, seed, &life, &story);
            if (!good)
                fail_msg("%s", buf_cstr(&story));
        }
}

struct row {
    unsigned watched, alarms, held, suspended, hold[SEEDS], out[SEEDS], suspend[SEEDS];
    unsigned long events;
};

static int by_size(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static void print_row(const struct scenario *scenario)
{
    struct row row = { 0 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct life life = live(scenario, seed);
        row.watched += !scenario->thief && life.worst == SCORE_WATCH;
        row.alarms += !scenario->thief && life.worst > SCORE_WATCH;
        row.events += life.events;
        if (life.hold_after) {
            row.hold[row.held] = life.hold_after;
            row.out[row.held++] = life.out;
        }
        if (life.suspend_after)
            row.suspend[row.suspended++] = life.suspend_after;
    }
    if (!scenario->thief) {
        printf("| %s | - | - | - | %u of %u | %u of %u |\n", scenario->name, row.watched, SEEDS, row.alarms, SEEDS);
        return;
    }
    qsort(row.hold, row.held, sizeof row.hold[0], by_size);
    qsort(row.out, row.held, sizeof row.out[0], by_size);
    qsort(row.suspend, row.suspended, sizeof row.suspend[0], by_size);
    printf("| %s | %u, at most %u min (%u of %u) | %u, at most %u | ", scenario->name, row.hold[SEEDS / 2], row.hold[SEEDS - 1],
           row.held, SEEDS, row.out[SEEDS / 2], row.out[SEEDS - 1]);
    if (row.suspended)
        printf("%u, at most %u min (%u of %u) | - | - |\n", row.suspend[row.suspended / 2], row.suspend[row.suspended - 1],
               row.suspended, SEEDS);
    else
        printf("never | - | - |\n");
}

static void print_table(void)
{
    printf("| scenario | held after (median) | messages out by then | suspended after | watched | false alarms |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        print_row(&scenarios[i]);
    struct score_table *table = score_table_new(SCORE_SENDERS_MOST);
    struct score_verdict verdict;
    unsigned n = 2000000;
    clock_t begin = clock();
    for (unsigned i = 0; i < n; i++) {
        struct score_event event = { MONDAY + i * INT64_C(997), 1, 1 + i % 3, i % 2, i % 50 == 0, 1 + i % 5, "PL", i * UINT64_C(77777777) };
        if (score_count(table, i % SCORE_SENDERS_MOST, &event, &verdict) != STATUS_OK)
            abort();
    }
    printf("\n%.2f us of CPU for an event among %zu senders; %zu octets a sender\n",
           (double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC / n, score_table_count(table), (size_t)SCORE_SENDER_OCTETS);
    score_table_free(table);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        print_table();
        return 0;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_scenarios) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
