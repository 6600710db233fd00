/* What goes wrong by itself: processes die, the power goes, disks fail and fill, the clock jumps, octets rot. */
#include "spool/scan.h"
#include "spool/ops.h"
#include "world.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void nap(int64_t least, int64_t most)
{
    kernel_sleep_ms(between(least, MAX(least, most)));
}

/* -- deaths -- */

static enum incident_kind kind_of(const char *role)
{
    return role[0] == 's' ? KILLED_SMTPD : role[0] == 'q' ? KILLED_QUEUE : KILLED_DELIVERY;
}

static int victim(const char **ret_role)
{
    static const char *const roles[] = { "queue", "delivery", "smtpd" };
    const char *role = roles[kernel_below(ARRAY_LEN(roles))];
    *ret_role = role;
    return house_pid(role, (unsigned)kernel_below(2));
}

static void die_soon(int pid)
{
    if (one_in(3))
        kernel_kill_at_disk(pid, kernel_below(30), between(1, 5000));
    else if (one_in(2))
        kernel_kill_within(pid, kernel_below(3000), between(1, 2000));
    else if (one_in(2))
        kernel_kill_after_sync(pid, kernel_below(12), between(1, 20000));
    else
        kernel_kill(pid);
}

static void one_dies(void)
{
    const char *role;
    int pid = victim(&role);
    if (!pid)
        return;
    die_soon(pid);
    ledger_incident(kind_of(role), (uint64_t)pid);
    kernel_trace("chaos: %s is dead", role);
}

static void back_again(void)
{
    nap(10, 3000);
    house_start();
    if (one_in(2))
        house_wait_ready(30000);
}

static void all_die(void)
{
    const char *role;
    int pid = victim(&role);
    house_off();
    if (pid)
        die_soon(pid);
    house_forget();
    ledger_incident(KILLED_ALL, 0);
    kernel_trace("chaos: all are dead");
    verdict_spool("after all were killed");
    back_again();
}

static void look_for_checkpoint(void *arg, const char *path, uint64_t octets)
{
    *(bool *)arg |= span_eq(span_str(path), SPAN("/state/spool/checkpoint.new"));
}

/* A slow disk, until a checkpoint is being written: its steps are seldom, and many things depend on their order. */
static void wait_for_checkpoint(void)
{
    struct kernel_faults *faults = kernel_faults();
    bool found = false;
    faults->slow_sync = 500000;
    faults->slow_sync_ms = (unsigned)between(20, 1000);
    for (unsigned i = 0; i < 500 && !found && !world->calm; i++) {
        kernel_sleep_ms(20);
        kernel_disk_each("/state/spool", look_for_checkpoint, &found);
    }
    if (found)
        nap(0, faults->slow_sync_ms);
    faults->slow_sync = 0;
}

static void power_cut(void)
{
    if (!world->plan.disk && one_in(2))
        wait_for_checkpoint();
    house_off();
    if (one_in(4))
        kernel_power_cut();
    else
        kernel_power_cut_at_disk(kernel_below(60), between(1, 5000));
    ledger_incident(POWER_CUT, 0);
    kernel_trace("chaos: the power is gone");
    house_forget();
    verdict_spool("after a power cut");
    back_again();
}

static void killer(void *arg)
{
    unsigned sum = world->plan.kills + world->plan.power;
    while (!world->calm) {
        nap(10, world->plan.trouble_ms * 100 / (15 * (int64_t)sum));
        if (world->calm)
            break;
        if (kernel_below(sum) < world->plan.power) {
            do
                power_cut();
            while (one_in(2) && !world->calm); /* after a few starts a checkpoint is due */
        } else if (one_in(5))
            all_die();
        else
            one_dies();
    }
    world->killer_left = true;
    kernel_gate_open(&world->all_sent);
}

/* -- the disk -- */

static void disk_spell(void)
{
    struct kernel_faults *faults = kernel_faults();
    unsigned rate = (unsigned)between(1000, 200000);
    switch (kernel_below(7)) {
    case 0: faults->write_eio = rate; break;
    case 1: faults->sync_eio = rate; break;
    case 2: faults->read_eio = rate / 4; break;
    case 3: faults->enospc = rate; break;
    case 4: faults->slow_sync = 500000; faults->slow_sync_ms = (unsigned)between(10, 20000); break;
    case 5: faults->short_io = 300000; break;
    default: kernel_disk_resize(kernel_disk_used() + kernel_below(3 << 20)); break;
    }
}

static void disk_heals(void)
{
    struct kernel_faults *faults = kernel_faults();
    faults->write_eio = faults->sync_eio = faults->read_eio = faults->enospc = faults->slow_sync = faults->short_io = 0;
    kernel_disk_resize(UINT64_C(4) << 30);
}

static void disk_fails(void *arg)
{
    while (!world->calm) {
        nap(100, world->plan.trouble_ms * 10 / (int64_t)world->plan.disk);
        if (world->calm)
            break;
        ledger_incident(DISK_FAILS, 0);
        disk_spell();
        nap(10, MIN(world->plan.trouble_ms / 10, INT64_C(120000)));
        disk_heals();
        ledger_incident(DISK_HEALS, 0);
    }
}

/* -- octets rot -- */

struct rot {
    const struct spool_scan *scan;
    unsigned seen, chosen;
    struct spool_place place;
    uint64_t id;
};

/* Any of them, but not of the last commit: what is torn there is told from what rotted by nobody. */
static bool consider(void *arg, const struct spool_found *found)
{
    struct rot *rot = arg;
    if (found->header.kind != SPOOL_KIND_MESSAGE || found->header.commit + 1 >= rot->scan->last_commit || !one_in(++rot->seen))
        return true;
    rot->place = found->place;
    rot->id = found->header.id;
    return true;
}

static void named(uint64_t id)
{
    struct letter *letter = ledger_letter_by_id(id);
    struct report *report = ledger_report(id);
    if (letter)
        letter->damaged = true;
    if (report)
        report->damaged = true;
}

static void rot_in(const char *path)
{
    struct rot rot = { 0 };
    struct spool_scan scan = { .ops = &spool_ops_system, .on_record = consider, .arg = &rot };
    rot.scan = &scan;
    scan.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (scan.fd < 0)
        return;
    bool good = spool_segment_read(&spool_ops_system, scan.fd, &scan.segment) == STATUS_OK &&
                scan.segment.use == SPOOL_MESSAGES && spool_scan_run(&scan) == STATUS_OK;
    close(scan.fd);
    if (!good || !rot.id)
        return;
    uint64_t at = rot.place.offset + kernel_below(rot.place.length);
    if (!kernel_disk_flip(path, at, (unsigned)kernel_below(8)))
        return;
    named(rot.id);
    world->totals.flips++;
    ledger_incident(BIT_FLIPPED, rot.id);
    kernel_trace("chaos: a bit of %s at %llu rots", path, (unsigned long long)at);
}

struct pick {
    unsigned seen;
    char path[200];
};

static void pick(void *arg, const char *path, uint64_t octets)
{
    struct pick *pick = arg;
    if (strstr(path, ".seg") && one_in(++pick->seen))
        snprintf(pick->path, sizeof pick->path, "%s", path);
}

static void rots(void *arg)
{
    while (!world->calm) {
        struct pick chosen = { 0 };
        nap(100, world->plan.trouble_ms * 10 / (int64_t)world->plan.flips);
        kernel_disk_each("/state/spool/segments", pick, &chosen);
        if (chosen.seen && !world->calm)
            rot_in(chosen.path);
    }
}

/* -- clock, connections, memory, settings -- */

static void sets_clock(void *arg)
{
    while (!world->calm) {
        nap(100, world->plan.trouble_ms * 10 / (int64_t)world->plan.clock);
        int64_t by = between(-86400000, 86400000) / (one_in(2) ? 1000 : 1);
        if (world->calm)
            break;
        kernel_wall_jump(by);
        world->totals.clock_jumps++;
        kernel_trace("chaos: the clock jumps by %lld ms", (long long)by);
    }
}

static void cuts(void *arg)
{
    while (!world->calm) {
        nap(10, world->plan.trouble_ms * 4 / (int64_t)world->plan.cuts);
        if (world->calm)
            break;
        if (one_in(10))
            house_directory_dies();
        uint64_t connection = world->recent[kernel_below(ARRAY_LEN(world->recent))];
        if (!connection)
            continue;
        if (one_in(3)) {
            ledger_incident(CONNECTION_HELD, connection);
            kernel_hold(connection, true);
            nap(100, 30000);
            kernel_hold(connection, false);
        }
        ledger_incident(CONNECTION_CUT, connection);
        world->totals.cuts++;
        kernel_cut(connection);
    }
}

static void starves(void *arg)
{
    struct kernel_faults *faults = kernel_faults();
    while (!world->calm) {
        nap(100, world->plan.trouble_ms * 10 / (int64_t)world->plan.memory);
        if (world->calm)
            break;
        if (one_in(3))
            faults->open_emfile = faults->accept_fails = 100000;
        else
            faults->no_memory = (unsigned)between(100, 20000);
        nap(10, 5000);
        faults->open_emfile = faults->accept_fails = faults->no_memory = 0;
    }
}

static void reloads(void *arg)
{
    while (!world->calm) {
        nap(100, world->plan.trouble_ms * 10 / (int64_t)world->plan.reloads);
        if (world->calm)
            break;
        house_reload();
        world->totals.reloads++;
    }
}

/* -- all of it -- */

void chaos_start(void)
{
    struct kernel_faults *faults = kernel_faults();
    const struct plan *plan = &world->plan;
    faults->latency_us = (unsigned)between(50, 50000);
    faults->sync_us = (unsigned)between(100, 5000);
    faults->names_in_order = one_in(2);
    if (strcmp(plan->scenario, "calm") != 0) {
        faults->change = (unsigned)between(1000, 300000);
        faults->write_back = (unsigned)between(0, 300000);
        faults->eintr = one_in(2) ? 2000 : 0;
        faults->again = one_in(2) ? 2000 : 0;
        faults->short_io = one_in(2) ? 5000 : 0;
        faults->pause = one_in(2) ? 1000 : 0;
        faults->pause_ms = (unsigned)between(1, 50);
    }
    world->killer_left = plan->kills + plan->power == 0;
    if (!world->killer_left)
        kernel_fiber("killer", killer, NULL);
    if (plan->disk)
        kernel_fiber("disk", disk_fails, NULL);
    if (plan->flips)
        kernel_fiber("rot", rots, NULL);
    if (plan->clock)
        kernel_fiber("clock", sets_clock, NULL);
    if (plan->cuts)
        kernel_fiber("cuts", cuts, NULL);
    if (plan->memory)
        kernel_fiber("memory", starves, NULL);
    if (plan->reloads)
        kernel_fiber("reloads", reloads, NULL);
}

void chaos_end(void)
{
    unsigned latency = kernel_faults()->latency_us;
    world->calm = true;
    world->calm_ms = kernel_now_ms();
    *kernel_faults() = (struct kernel_faults){ .latency_us = latency, .sync_us = 500, .names_in_order = true };
    kernel_disk_resize(UINT64_C(4) << 30);
    while (!world->killer_left)
        kernel_gate_wait(&world->all_sent, 1000);
}
