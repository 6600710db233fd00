#include "queue/filter.h"
#include "base/order.h"
#include <stdlib.h>

#define TEXT_MAX 1100

static const char *ids_parse(struct filter *filter, const json_t *ids)
{
    size_t n = json_array_size(ids);
    if (!json_is_array(ids) || n == 0 || n > FILTER_IDS_MAX)
        return "\"ids\" is a list of 1 to 10000 ids";
    filter->ids = calloc(n, sizeof *filter->ids);
    if (!filter->ids)
        return "out of memory";
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_string(id) || !id_parse(span_of(json_string_value(id), json_string_length(id)), &filter->ids[i]))
            return "an id has 13 letters and digits, such as 0N8T1SFT01000";
    }
    filter->id_count = n;
    qsort(filter->ids, n, sizeof *filter->ids, order_u64);
    return NULL;
}

static const char *state_parse(struct filter *filter, const char *state)
{
    for (unsigned place = 0; place < QUEUE_PLACE_COUNT; place++)
        if (strcmp(state, queue_place_name(place)) == 0)
            filter->places |= 1u << place;
    if (filter->places & 1u << QUEUE_DUE)
        filter->places |= 1u << QUEUE_RESOLVING | 1u << QUEUE_READY;
    return filter->places ? NULL : "a state is waiting, resolving, ready, delivering, held, suspended or reporting";
}

static const char *age_parse(const json_t *value, int64_t *ret)
{
    json_int_t seconds = json_integer_value(value);
    if (!json_is_integer(value) || seconds <= 0 || seconds > INT64_C(10000000000))
        return "an age is a number of seconds";
    *ret = seconds * TIME_SECOND_MS;
    return NULL;
}

static const char *text_parse(const json_t *value, const char **ret)
{
    if (!json_is_string(value) || json_string_length(value) > TEXT_MAX ||
        strlen(json_string_value(value)) != json_string_length(value))
        return "a text of the filter is too long or no text";
    *ret = json_string_value(value);
    return NULL;
}

static const char *member_parse(struct filter *filter, const char *name, const json_t *value)
{
    const char *state = NULL, *why;
    struct { const char *name; const char **at; } texts[] = {
        { "account", &filter->account }, { "sender", &filter->sender }, { "recipient", &filter->recipient },
        { "domain", &filter->domain }, { "site", &filter->site }, { "state", &state },
    };
    if (strcmp(name, "ids") == 0)
        return ids_parse(filter, value);
    if (strcmp(name, "older_s") == 0)
        return age_parse(value, &filter->older_ms);
    if (strcmp(name, "younger_s") == 0)
        return age_parse(value, &filter->younger_ms);
    if (strcmp(name, "all") == 0)
        return json_is_boolean(value) ? NULL : "\"all\" is true or false";
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(name, texts[i].name) == 0) {
            why = text_parse(value, texts[i].at);
            return why ? why : state ? state_parse(filter, state) : NULL;
        }
    return "unknown member of the filter";
}

const char *filter_parse(struct filter *filter, json_t *json)
{
    const char *why = NULL;
    *filter = (struct filter){ 0 };
    if (!json_is_object(json) || json_object_size(json) == 0)
        return "a filter is needed; {\"all\": true} means everything";
    for (void *at = json_object_iter(json); at && !why; at = json_object_iter_next(json, at))
        why = member_parse(filter, json_object_iter_key(at), json_object_iter_value(at));
    return why;
}

void filter_done(struct filter *filter)
{
    free(filter->ids);
    *filter = (struct filter){ 0 };
}

/* * stands for anything, ? for one octet. One step back is enough: no longer than |pattern| x |text|. */
static bool matches(const char *pattern, struct span text)
{
    const char *star = NULL;
    size_t at = 0, again = 0;
    if (!pattern)
        return true;
    while (at < text.n) {
        if (*pattern == '*') {
            star = ++pattern;
            again = at;
        } else if (*pattern && (*pattern == '?' || ascii_lower(*pattern) == ascii_lower(text.p[at]))) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star;
            at = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

bool filter_share(const struct filter *filter, const struct queue_share *share)
{
    if (filter->places && !(filter->places & 1u << share->place))
        return false;
    if (filter->site && !(share->domain->site && matches(filter->site, queue_site_key(share->domain->site))))
        return false;
    return matches(filter->domain, queue_domain_name(share->domain));
}

bool filter_message(const struct filter *filter, const struct queue_message *message, int64_t now_ms)
{
    int64_t age = now_ms - id_time_wall_ms(message->id);
    if (filter->ids && !bsearch(&message->id, filter->ids, filter->id_count, sizeof message->id, order_u64))
        return false;
    if ((filter->older_ms && age < filter->older_ms) || (filter->younger_ms && age > filter->younger_ms))
        return false;
    if (!matches(filter->account, queue_account_name(message->account)))
        return false;
    for (const struct queue_share *share = message->shares; share; share = share->next)
        if (filter_share(filter, share))
            return true;
    return false;
}

bool filter_needs_record(const struct filter *filter) { return filter->sender || filter->recipient; }

bool filter_sender(const struct filter *filter, const struct spool_envelope *envelope)
{
    return !filter->sender || (envelope && matches(filter->sender, envelope->sender));
}

bool filter_recipient(const struct filter *filter, const struct spool_envelope *envelope, uint32_t index)
{
    if (!filter->recipient)
        return true;
    return envelope && index < envelope->recipient_count &&
           matches(filter->recipient, spool_envelope_recipient(envelope, index).address);
}
