/* How counts grow old, and what is learnt from them. */
#include "score/score_priv.h"
#include <math.h>

enum {
    WEEK_FADES = 4, /* codes a week that an hour of the week loses: to 0.7 */
    DAYS_OF_CODE = 2 /* a peak loses one code in so many days: a half in 16 */
};
static const double MEAN_WEIGHT = 0.1;

const uint32_t score_window_s[WINDOWS] = {
    [RECIPIENTS_HOUR] = HOUR_S, [RECIPIENTS_DAY] = DAY_S, [STRANGERS_SHORT] = 20 * MINUTE_S, [STRANGERS_DAY] = DAY_S,
    [FAILURES_HOUR] = HOUR_S,   [FAILURES_DAY] = DAY_S,   [MESSAGES_HOUR] = HOUR_S,          [NETWORKS_DAY] = DAY_S,
    [AT_ONCE_HOUR] = HOUR_S,
};

/* 0 stays 0, and so does nothing else. */
uint8_t score_code(double count)
{
    return count <= 0 ? 0 : (uint8_t)MIN(lround(log2(count + 1) * CODES_OF_DOUBLE), 255L);
}

double score_decode_count(uint8_t code) { return exp2(code / (double)CODES_OF_DOUBLE) - 1; }

double score_window_count(const struct score_sender *sender, enum score_window which)
{
    const struct score_counter *counter = &sender->windows[which];
    uint32_t length = score_window_s[which], gone = sender->last_s - MIN(counter->begin_s, sender->last_s);
    return counter->now + counter->before * (1 - MIN(gone, length) / (double)length);
}

static void fade(uint8_t *code, uint64_t steps) { *code = *code > steps ? (uint8_t)(*code - steps) : 0; }

static void learn(struct score_sender *sender, enum score_window which)
{
    sender->peaks[which] = MAX(sender->peaks[which], score_code(sender->windows[which].now));
}

static void age_window(struct score_sender *sender, enum score_window which, uint32_t now_s)
{
    struct score_counter *counter = &sender->windows[which];
    uint32_t length = score_window_s[which];
    if (counter->begin_s == 0)
        counter->begin_s = now_s / length * length;
    uint32_t pieces = now_s > counter->begin_s ? (now_s - counter->begin_s) / length : 0;
    if (pieces == 0)
        return;
    if (sender->worst < SCORE_PACE) {
        learn(sender, which);
        double first = sender->days <= 1 && counter->mean == 0 ? 1 : MEAN_WEIGHT;
        double mean = counter->mean + ((double)counter->now - counter->mean) * first;
        counter->mean = (float)(pieces > 1 ? mean * pow(1 - MEAN_WEIGHT, pieces - 1) : mean);
    }
    counter->before = pieces == 1 ? counter->now : 0;
    counter->now = 0;
    counter->begin_s += pieces * length;
    if (which == AT_ONCE_HOUR) {
        sender->at_once[1] = pieces == 1 ? sender->at_once[0] : 0;
        sender->at_once[0] = 0;
    }
}

/* The hours that are over: the one that stood is learnt, those in which nothing came fade. */
static void age_hours(struct score_sender *sender, uint32_t now_s)
{
    uint32_t hour = now_s / HOUR_S;
    if (sender->hour == 0)
        sender->hour = hour;
    if (hour <= sender->hour)
        return;
    uint32_t gone = hour - sender->hour, weeks = gone / HOURS, rest = gone % HOURS, at = sender->hour % HOURS;
    for (uint32_t i = 0; i < HOURS; i++)
        fade(&sender->hours[(at + i) % HOURS], (uint64_t)WEEK_FADES * (weeks + (i < rest)));
    if (sender->worst < SCORE_PACE && sender->in_hour)
        sender->hours[at] = MAX(sender->hours[at], score_code(sender->in_hour));
    sender->hour = hour;
    sender->in_hour = 0;
}

static void age_texts(struct score_sender *sender, uint32_t now_s)
{
    for (size_t i = 0; i < TEXTS; i++) {
        struct score_same *same = &sender->texts[i];
        if (same->print == 0 || now_s - MIN(same->last_s, now_s) < DAY_S / 4)
            continue;
        if (sender->worst < SCORE_PACE)
            sender->text_peak = MAX(sender->text_peak, score_code(same->strangers));
        *same = (struct score_same){ 0 };
    }
}

static void learn_per_message(struct score_sender *sender)
{
    const struct score_counter *messages = &sender->windows[MESSAGES_HOUR];
    if (sender->worst >= SCORE_PACE || messages->now == 0)
        return;
    double here = sender->windows[RECIPIENTS_HOUR].now / (double)messages->now;
    double weight = sender->per_message > 0 ? MEAN_WEIGHT : 1;
    sender->per_message = (float)(sender->per_message + (here - sender->per_message) * weight);
}

void score_age(struct score_sender *sender, uint32_t now_s)
{
    uint32_t days = sender->last_s ? now_s / DAY_S - sender->last_s / DAY_S : 0;
    if (now_s / HOUR_S != sender->last_s / HOUR_S) {
        learn_per_message(sender);
        age_hours(sender, now_s);
        age_texts(sender, now_s);
    }
    for (unsigned i = 0; i < WINDOWS; i++)
        age_window(sender, i, now_s);
    uint32_t fades = now_s / (DAYS_OF_CODE * DAY_S) - (sender->last_s ? sender->last_s : now_s) / (DAYS_OF_CODE * DAY_S);
    for (unsigned i = 0; fades && i < WINDOWS; i++)
        fade(&sender->peaks[i], fades);
    if (fades)
        fade(&sender->text_peak, fades);
    sender->last_s = now_s;
    if (days) { /* a bad day ends when what it counted is calm again */
        struct score_verdict verdict;
        score_judge(sender, &verdict);
        sender->worst = (uint8_t)verdict.step;
    }
}

void score_learn_now(struct score_sender *sender)
{
    for (unsigned i = 0; i < WINDOWS; i++)
        sender->peaks[i] = MAX(sender->peaks[i], score_code(score_window_count(sender, i)));
    uint8_t *hour = &sender->hours[sender->hour % HOURS];
    *hour = MAX(*hour, score_code(MAX(sender->in_hour, score_window_count(sender, RECIPIENTS_HOUR))));
    for (size_t i = 0; i < TEXTS; i++)
        sender->text_peak = MAX(sender->text_peak, score_code(sender->texts[i].strangers));
    double messages = score_window_count(sender, MESSAGES_HOUR);
    if (messages > 0)
        sender->per_message = (float)(score_window_count(sender, RECIPIENTS_HOUR) / messages);
    sender->country_s = 0;
    sender->worst = SCORE_CALM;
}
