/* sim -- plays goniec's own processes on a simulated machine, one whole life for each seed, and holds the ledger to the
 * promises. See world.h and docs/tools.md.
 *
 *     sim --seeds N --from K [--scenario NAME] [--minutes M] [--jobs J] [--replay] [--mutant NAME]
 */
#include "world.h"
#include "base/mutant.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct world *world;

struct options {
    uint64_t from, seeds;
    const char *scenario, *mutant;
    long minutes;
    unsigned jobs;
    bool replay, quiet;
};

/* What a seed's process tells the one that counts. */
struct verdict {
    bool failed;
    struct totals totals;
    char scenario[24];
    char why[600];
};

/* -- one life -- */

static void folders_make(void)
{
    mkdir("/state", 0750);
    mkdir("/run", 0750);
    kernel_disk_settle();
}

static void stop_well(const char *when)
{
    char why[600];
    if (!house_stop(90000, why, sizeof why) || why[0])
        kernel_fail("%s: %s", when, why);
    verdict_spool(when);
}

static void trouble(void)
{
    weather_start();
    clients_start();
    operators_start();
    chaos_start();
    kernel_sleep_ms(world->plan.trouble_ms);
    chaos_end();
    kernel_sleep_ms(1000); /* the last death is noted */
    if (!house_wait_ready(120000))
        kernel_fail("not all processes are there, though nothing kept them from it");
    if (story_count("segment-unread")) { /* as the log advises */
        stop_well("at the stop for what could not be read");
        house_start();
        house_wait_ready(120000);
    }
    for (int i = 0; i < 20 && world->clients_left && world->letter_count < world->plan.messages; i++)
        kernel_gate_wait(&world->all_sent, 10000);
    world->over = true;
    while (world->clients_left)
        kernel_gate_wait(&world->all_sent, 60000);
}

/* Once more: what is over stays over, and its space is free. */
static void look_back(void)
{
    struct operator_status status = { 0 };
    int64_t began_ms = kernel_now_ms();
    house_start();
    if (!house_wait_ready(120000))
        kernel_fail("the second start did not come to its end");
    kernel_sleep_ms(90000);
    if (!operator_status(&status) || status.messages)
        kernel_fail("after a stop %" PRIu64 " messages are back", status.messages);
    verdict_nothing_since(began_ms);
    verdict_space();
    stop_well("at the second stop");
}

static void life(void *arg)
{
    folders_make();
    names_make();
    story_start();
    house_begin();
    peers_start();
    house_start();
    if (!house_wait_ready(120000))
        kernel_fail("the first start did not come to its end");
    trouble();
    verdict_wait_until_empty();
    kernel_sleep_ms(60000);
    stop_well("at the stop");
    look_back();
    verdict_ledger();
}

static void world_make(const struct options *options, uint64_t seed)
{
    world = calloc(1, sizeof *world);
    if (!plan_make(options->scenario, seed, &world->plan)) {
        fprintf(stderr, "sim: no scenario is called %s\n", options->scenario);
        exit(2);
    }
    world->letters = calloc(WORLD_MESSAGES, sizeof *world->letters);
    world->reports = calloc(WORLD_REPORTS, sizeof *world->reports);
    world->incidents = calloc(WORLD_INCIDENTS, sizeof *world->incidents);
}

static void seed_run(const struct options *options, uint64_t seed, struct verdict *ret)
{
    world_make(options, seed);
    kernel_begin(&(struct kernel_options){ .seed = seed, .trace = options->replay });
    bool good = kernel_run(life, NULL);
    const struct kernel_figures *figures = kernel_figures();
    struct totals *totals = &world->totals;
    totals->seeds = 1;
    totals->failed = !good;
    totals->hours = (double)figures->simulated_ms / 3600000;
    totals->kills = figures->kills;
    totals->power_cuts = figures->power_cuts;
    totals->faults = figures->faults;
    totals->steps = figures->steps;
    *ret = (struct verdict){ .failed = !good, .totals = *totals };
    snprintf(ret->scenario, sizeof ret->scenario, "%s", world->plan.scenario);
    snprintf(ret->why, sizeof ret->why, "%s", good ? "" : kernel_failure());
    if (options->replay)
        fprintf(stderr, "hash %016" PRIx64 "\n", figures->hash);
    if (options->replay && !good)
        story_tail(stderr);
    kernel_end();
}

/* -- many -- */

static void add(struct totals *to, const struct totals *from)
{
    to->hours += from->hours;
    uint64_t *a[] = { &to->seeds, &to->failed, &to->kills, &to->power_cuts, &to->faults, &to->cuts, &to->flips, &to->clock_jumps,
                      &to->reloads, &to->restarts, &to->letters, &to->accepted, &to->delivered, &to->bounced, &to->deleted,
                      &to->silent, &to->twice, &to->refused_delivered, &to->steps };
    const uint64_t b[] = { from->seeds, from->failed, from->kills, from->power_cuts, from->faults, from->cuts, from->flips,
                           from->clock_jumps, from->reloads, from->restarts, from->letters, from->accepted, from->delivered,
                           from->bounced, from->deleted, from->silent, from->twice, from->refused_delivered, from->steps };
    for (size_t i = 0; i < ARRAY_LEN(b); i++)
        *a[i] += b[i];
}

struct job {
    pid_t pid;               /* 0: free */
    int fd;
    uint64_t seed;
};

static void job_start(const struct options *options, struct job *job, uint64_t seed)
{
    int pair[2];
    fflush(NULL);
    if (pipe(pair) != 0 || (job->pid = fork()) < 0) {
        perror("sim");
        exit(2);
    }
    job->seed = seed;
    job->fd = pair[0];
    if (job->pid == 0) {
        struct verdict verdict;
        close(pair[0]);
        alarm(600); /* of real time: a run that spins for ever is a fault like others */
        seed_run(options, seed, &verdict);
        ssize_t n = write(pair[1], &verdict, sizeof verdict);
        _exit(n == sizeof verdict ? 0 : 1);
    }
    close(pair[1]);
}

static void tell_failure(const struct options *options, uint64_t seed, const struct verdict *verdict)
{
    printf("seed %" PRIu64 " (%s) FAILED: %s\n    replay: sim --from %" PRIu64 " --seeds 1%s%s --replay\n", seed,
           verdict->scenario, verdict->why, seed, options->scenario ? " --scenario " : "", options->scenario ? options->scenario : "");
    fflush(stdout);
}

/* Waits for one of them. */
static void job_end(const struct options *options, struct job *jobs, struct totals *totals)
{
    int how;
    pid_t pid = wait(&how);
    for (unsigned i = 0; i < options->jobs; i++) {
        struct job *job = &jobs[i];
        struct verdict verdict = { .failed = true, .totals = { .seeds = 1, .failed = 1 }, .scenario = "?" };
        if (job->pid != pid || pid <= 0)
            continue;
        if (read(job->fd, &verdict, sizeof verdict) != sizeof verdict)
            snprintf(verdict.why, sizeof verdict.why, "the simulation itself ended: %s %d", WIFSIGNALED(how) ? "signal" : "exit",
                     WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        close(job->fd);
        job->pid = 0;
        add(totals, &verdict.totals);
        if (verdict.failed)
            tell_failure(options, job->seed, &verdict);
    }
}

static unsigned busy(const struct options *options, const struct job *jobs)
{
    unsigned n = 0;
    for (unsigned i = 0; i < options->jobs; i++)
        n += jobs[i].pid > 0;
    return n;
}

static void run_all(const struct options *options, struct totals *totals)
{
    struct job jobs[64] = { 0 };
    time_t until = options->minutes ? time(NULL) + options->minutes * 60 : 0;
    for (uint64_t seed = options->from; seed < options->from + options->seeds; seed++) {
        if (until && time(NULL) >= until)
            break;
        if (busy(options, jobs) == options->jobs)
            job_end(options, jobs, totals);
        for (unsigned i = 0; i < options->jobs; i++)
            if (jobs[i].pid == 0) {
                job_start(options, &jobs[i], seed);
                break;
            }
    }
    while (busy(options, jobs))
        job_end(options, jobs, totals);
}

static void tell_totals(const struct totals *totals, double seconds)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " failed; %.0f simulated hours in %.0f s; %" PRIu64 " steps\n", totals->seeds, totals->failed,
           totals->hours, seconds, totals->steps);
    printf("trouble: %" PRIu64 " kills, %" PRIu64 " power cuts, %" PRIu64 " faults of calls, %" PRIu64 " cuts of connections, %" PRIu64
           " rotten bits, %" PRIu64 " jumps of the clock, %" PRIu64 " reloads, %" PRIu64 " starts of processes\n", totals->kills,
           totals->power_cuts, totals->faults, totals->cuts, totals->flips, totals->clock_jumps, totals->reloads, totals->restarts);
    printf("%" PRIu64 " letters, %" PRIu64 " recipients promised: %" PRIu64 " delivered, %" PRIu64 " bounced, %" PRIu64
           " deleted by operators, %" PRIu64 " given up without a word as asked; %" PRIu64 " twice in the window, %" PRIu64
           " delivered though refused; lost or unexplained: %s\n", totals->letters, totals->accepted, totals->delivered,
           totals->bounced, totals->deleted, totals->silent, totals->twice, totals->refused_delivered,
           totals->failed ? "see the failures" : "0");
}

/* -- the command line -- */

static void list_one(const char *name, const char *about) { printf("  %-10s %s\n", name, about); }

static int usage(void)
{
    puts("usage: sim [--seeds N] [--from K] [--scenario NAME] [--minutes M] [--jobs J] [--replay] [--mutant NAME]\nscenarios:");
    plan_list(list_one);
    return 2;
}

static bool options_take(int argc, char **argv, struct options *ret)
{
    static const struct option all[] = {
        { "seeds", required_argument, NULL, 's' },    { "from", required_argument, NULL, 'f' },
        { "scenario", required_argument, NULL, 'c' }, { "minutes", required_argument, NULL, 'm' },
        { "jobs", required_argument, NULL, 'j' },     { "replay", no_argument, NULL, 'r' },
        { "mutant", required_argument, NULL, 'x' },   { 0 },
    };
    *ret = (struct options){ .from = 1, .seeds = 100, .jobs = 1 };
    for (int c; (c = getopt_long(argc, argv, "", all, NULL)) != -1;)
        switch (c) {
        case 's': ret->seeds = strtoull(optarg, NULL, 10); break;
        case 'f': ret->from = strtoull(optarg, NULL, 10); break;
        case 'c': ret->scenario = optarg; break;
        case 'm': ret->minutes = strtol(optarg, NULL, 10), ret->seeds = UINT64_MAX / 2; break;
        case 'j': ret->jobs = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'r': ret->replay = true; break;
        case 'x': ret->mutant = optarg; break;
        default: return false;
        }
    return optind == argc && ret->jobs >= 1 && ret->jobs <= 64;
}

static bool mutant_choose(const char *name)
{
#ifdef GONIEC_MUTANTS
    return mutant_set(name);
#else
    return !name;
#endif
}

int main(int argc, char **argv)
{
    struct options options;
    struct totals totals = { 0 };
    if (!options_take(argc, argv, &options))
        return usage();
    time_t began = time(NULL);
    if (options.mutant && !mutant_choose(options.mutant)) {
        fprintf(stderr, "sim: there is no mutant %s, or this program was built without any (-Dmutants=true)\n", options.mutant);
        return 2;
    }
    json_set_alloc_funcs(malloc, free); /* the simulated ones, for what it gives is freed by its callers */
    if (options.replay) {
        struct verdict verdict;
        seed_run(&options, options.from, &verdict);
        add(&totals, &verdict.totals);
        if (verdict.failed)
            tell_failure(&options, options.from, &verdict);
    } else {
        run_all(&options, &totals);
    }
    tell_totals(&totals, difftime(time(NULL), began));
    return totals.failed ? 1 : 0;
}
