/* queue/filter.h -- which messages and recipients an operator means: the filter F of wire/control.h. */
#pragma once
#include "queue/queue.h"
#include "spool/envelope.h"
#include <jansson.h>

#define FILTER_IDS_MAX 10000

struct filter {
    uint64_t *ids;               /* sorted; NULL: any */
    size_t id_count;
    const char *account, *sender, *recipient, *domain, *site; /* borrowed from the request; NULL: any */
    unsigned places;             /* bits of enum queue_place; 0: any */
    int64_t older_ms, younger_ms; /* 0: any */
};

/* NULL when it is good, else what is wrong with it (static text). `json` must outlive the filter. */
const char *filter_parse(struct filter *filter, json_t *json);
void filter_done(struct filter *filter);

/* What memory alone can tell; true when the rest depends on the record or all is met. */
bool filter_message(const struct filter *filter, const struct queue_message *message, int64_t now_ms);
bool filter_needs_record(const struct filter *filter);
/* `envelope`: the message's, or NULL when filter_needs_record() is false. */
bool filter_sender(const struct filter *filter, const struct spool_envelope *envelope);
bool filter_share(const struct filter *filter, const struct queue_share *share);
bool filter_recipient(const struct filter *filter, const struct spool_envelope *envelope, uint32_t index);
