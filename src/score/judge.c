/* The parts of a score: each compares a figure with the usual one. */
#include "score/score_priv.h"
#include <math.h>

static const uint8_t most_points[SCORE_PART_COUNT] = {
#define X(name, text, most) most,
    SCORE_PART_LIST(X)
#undef X
};

/* So much of everything is nobody's fault, whoever he is. */
static const struct {
    double floor;
    double doublings; /* above what is allowed, until a part has all its points */
} bounds[WINDOWS] = {
    [RECIPIENTS_HOUR] = { 60, 3 }, [STRANGERS_SHORT] = { 15, 3 }, [STRANGERS_DAY] = { 40, 2 },
    [FAILURES_HOUR] = { 5, 2 },    [FAILURES_DAY] = { 8, 2 },     [AT_ONCE_HOUR] = { 4, 2 },
};
static const double TEXT_FLOOR = 20, PER_MESSAGE_FLOOR = 10, PEAK_ROOM = 1.5;

/* 0 up to `allowed`, 1 from as many doublings of it on. */
static double over(double figure, double allowed, double doublings)
{
    return figure <= allowed ? 0 : MIN(log2(figure / allowed) / doublings, 1.0);
}

static double peak(const struct score_sender *sender, enum score_window which)
{
    return score_decode_count(sender->peaks[which]);
}

/* Who has no past yet cannot break with it: half at first. */
static double trust(const struct score_sender *sender)
{
    return 0.5 + 0.5 * MIN(sender->days, SCORE_LEARN_DAYS) / SCORE_LEARN_DAYS;
}

static void say(struct score_verdict *verdict, enum score_part part, double share, double figure, double usual, uint32_t per_s)
{
    unsigned points = (unsigned)lround(most_points[part] * share);
    struct score_reason *reason = &verdict->reasons[part];
    if (points < reason->points)
        return;
    *reason = (struct score_reason){ (uint8_t)points, figure, usual, per_s, { 0, 0 } };
}

static void judge_window(const struct score_sender *sender, enum score_part part, enum score_window which, double usual,
                         double weight, struct score_verdict *ret)
{
    double figure = score_window_count(sender, which);
    double allowed = MAX(bounds[which].floor, PEAK_ROOM * peak(sender, which));
    say(ret, part, weight * over(figure, allowed, bounds[which].doublings), figure, usual, score_window_s[which]);
}

/* This hour of his week and its neighbours, and half of what was ever much for him. */
static void judge_volume(const struct score_sender *sender, struct score_verdict *ret)
{
    uint8_t code = 0;
    for (uint32_t i = 0; i < 3; i++)
        code = MAX(code, sender->hours[(sender->hour + HOURS - 1 + i) % HOURS]);
    double usual = score_decode_count(code), figure = score_window_count(sender, RECIPIENTS_HOUR);
    double allowed = MAX(MAX(bounds[RECIPIENTS_HOUR].floor, PEAK_ROOM * usual), peak(sender, RECIPIENTS_HOUR) / 2);
    say(ret, SCORE_VOLUME, trust(sender) * over(figure, allowed, bounds[RECIPIENTS_HOUR].doublings), figure, usual, HOUR_S);
}

/* Failures count where they are many among what was sent, too. */
static void judge_failures(const struct score_sender *sender, struct score_verdict *ret)
{
    static const enum score_window pairs[][2] = { { FAILURES_DAY, RECIPIENTS_DAY }, { FAILURES_HOUR, RECIPIENTS_HOUR } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        double failed = score_window_count(sender, pairs[i][0]), sent = score_window_count(sender, pairs[i][1]);
        double share = failed / MAX(sent, MAX(failed, 1.0));
        judge_window(sender, SCORE_FAILURES, pairs[i][0], sender->windows[FAILURES_DAY].mean,
                     MIN(MAX((share - 0.05) / 0.10, 0.0), 1.0), ret);
    }
}

static void judge_places(const struct score_sender *sender, struct score_verdict *ret)
{
    judge_window(sender, SCORE_AT_ONCE, AT_ONCE_HOUR, sender->windows[AT_ONCE_HOUR].mean, 1, ret);
    if (sender->days <= 3) /* all are new then */
        return;
    double figure = score_window_count(sender, NETWORKS_DAY);
    double above = figure - peak(sender, NETWORKS_DAY);
    say(ret, SCORE_NETWORKS, MIN(MAX(above / 2, 0.0), 1.0), figure, sender->windows[NETWORKS_DAY].mean, DAY_S);
    if (sender->country_s && sender->last_s - MIN(sender->country_s, sender->last_s) < DAY_S) {
        say(ret, SCORE_COUNTRY, 1, 1, 0, DAY_S);
        memcpy(ret->reasons[SCORE_COUNTRY].country, sender->strange, 2);
    }
}

/* On no day of his week did he write at this hour or beside it. */
static void judge_hour(const struct score_sender *sender, struct score_verdict *ret)
{
    if (sender->days <= SCORE_LEARN_DAYS || sender->in_hour < 3)
        return;
    for (uint32_t day = 0; day < 7; day++)
        for (uint32_t i = 0; i < 3; i++)
            if (sender->hours[(sender->hour + HOURS - 1 + i + day * 24) % HOURS])
                return;
    say(ret, SCORE_HOUR, 1, sender->hour % 24, 0, 0);
}

static void judge_text(const struct score_sender *sender, struct score_verdict *ret)
{
    double usual = score_decode_count(sender->text_peak), allowed = MAX(TEXT_FLOOR, PEAK_ROOM * usual);
    for (size_t i = 0; i < TEXTS; i++)
        say(ret, SCORE_TEXT, trust(sender) * over(sender->texts[i].strangers, allowed, 2), sender->texts[i].strangers, usual, 0);
}

static void judge_per_message(const struct score_sender *sender, struct score_verdict *ret)
{
    double figure = score_window_count(sender, RECIPIENTS_HOUR) / MAX(score_window_count(sender, MESSAGES_HOUR), 1.0);
    double allowed = MAX(PER_MESSAGE_FLOOR, 3.0 * sender->per_message);
    say(ret, SCORE_PER_MESSAGE, trust(sender) * over(figure, allowed, 3), figure, sender->per_message, 0);
}

void score_judge(const struct score_sender *sender, struct score_verdict *ret)
{
    static const unsigned from[SCORE_STEP_COUNT] = { 0, SCORE_WATCH_FROM, SCORE_PACE_FROM, SCORE_HOLD_FROM, SCORE_SUSPEND_FROM };
    *ret = (struct score_verdict){ 0 };
    judge_volume(sender, ret);
    double strangers = sender->windows[STRANGERS_DAY].mean;
    judge_window(sender, SCORE_STRANGERS, STRANGERS_DAY, strangers, trust(sender), ret);
    judge_window(sender, SCORE_STRANGERS, STRANGERS_SHORT, strangers, trust(sender), ret);
    judge_failures(sender, ret);
    judge_places(sender, ret);
    judge_hour(sender, ret);
    judge_text(sender, ret);
    judge_per_message(sender, ret);
    for (unsigned i = 0; i < SCORE_PART_COUNT; i++)
        ret->score += ret->reasons[i].points;
    while (ret->step + 1 < SCORE_STEP_COUNT && ret->score >= from[ret->step + 1])
        ret->step++;
}
