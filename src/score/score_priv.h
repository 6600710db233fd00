/* What is kept of a sender; for this room alone. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "score/score.h"

enum {
    HOURS = 168,     /* of a week */
    TEXTS = 3,
    NETWORKS = 6,
    COUNTRIES = 5,
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    CODES_OF_DOUBLE = 8 /* a count is kept as a logarithm: so many steps double it */
};

/* What is counted in a sliding window: the present piece and the weighed one before it. */
enum score_window {
    RECIPIENTS_HOUR, RECIPIENTS_DAY, STRANGERS_SHORT, STRANGERS_DAY, FAILURES_HOUR, FAILURES_DAY,
    MESSAGES_HOUR, NETWORKS_DAY, AT_ONCE_HOUR, WINDOWS
};

struct score_counter {
    uint32_t begin_s, now, before;
    float mean; /* of the pieces that are over */
};

struct score_same {
    uint64_t print;
    uint32_t strangers; /* to whom it went */
    uint32_t last_s;
};

/* Members that are written to a file lie between `saved` and the end. */
struct score_sender {
    struct map_node by_id;
    struct list by_use;  /* the longest unused first */
    uint64_t id;         /* `saved` begins here */
    uint64_t at_once[2]; /* networks of this hour and of the one before: a bit for each */
    struct score_same texts[TEXTS];
    struct score_counter windows[WINDOWS];
    uint32_t last_s, hour; /* number of the hour since 1970 that `hours` stands at */
    uint32_t in_hour;      /* recipients in it */
    uint32_t networks[NETWORKS];
    uint32_t country_s;    /* when there was a strange one */
    float per_message;     /* usual */
    uint16_t network_day[NETWORKS], country_day[COUNTRIES];
    char countries[COUNTRIES][2], strange[2];
    uint16_t day, days;    /* the last day on which he sent, and how many there were */
    uint8_t hours[HOURS];  /* codes of recipients by hour of the week */
    uint8_t peaks[WINDOWS]; /* codes */
    uint8_t text_peak;
    uint8_t worst;         /* step that this day reached */
};
#define SCORE_SAVED_OCTETS (sizeof(struct score_sender) - offsetof(struct score_sender, id))
_Static_assert(sizeof(struct score_sender) <= SCORE_SENDER_OCTETS, "a sender costs what the header says");

struct score_table {
    struct map by_id;
    struct list by_use;
    size_t most;
};

extern const uint32_t score_window_s[WINDOWS];

uint8_t score_code(double count);
double score_decode_count(uint8_t code);
double score_window_count(const struct score_sender *sender, enum score_window which);
/* Brings all that ages to `now_s`. */
void score_age(struct score_sender *sender, uint32_t now_s);
void score_learn_now(struct score_sender *sender); /* the present counts are usual ones */
void score_judge(const struct score_sender *sender, struct score_verdict *ret);
struct score_sender *score_sender_find(const struct score_table *table, uint64_t id);
struct score_sender *score_sender_make(struct score_table *table, uint64_t id); /* NULL: no memory */
