#include "directory/keys.h"
#include <stdlib.h>

struct kept_key {
    struct list link;
    struct tls_key *key;
    int64_t until_ms; /* INT64_MAX: in force */
};

/* -- sets -- */

static bool add_key(struct key_set *set, struct span name, struct span pem, struct buf *why)
{
    char error[TLS_ERROR_SIZE] = "out of memory, or too many keys";
    if (set->n < WIRE_BLOBS_MAX && tls_key_new(pem, error, &set->keys[set->n]) == STATUS_OK) {
        set->n++;
        return true;
    }
    buf_printf(why, "tls: %.*s: %s\n", SPAN_ARGS(name), error);
    return false;
}

struct key_set *key_set_new(const struct supervisor_settings *settings, const struct conf_tls *tls, struct buf *why)
{
    const struct conf_certificate *pair = tls->certificates.items;
    struct span own = supervisor_settings_blob(settings, SPAN(CONF_SELF_SIGNED_KEY));
    struct key_set *set = calloc(1, sizeof *set);
    if (!set) {
        buf_add_str(why, "out of memory");
        return NULL;
    }
    set->only_tls13 = tls->minimum == CONF_TLS_1_3;
    bool good = tls->certificates.n || !own.n || add_key(set, SPAN(CONF_SELF_SIGNED_KEY), own, why);
    for (size_t i = 0; good && i < tls->certificates.n; i++) {
        struct span name = pair[i].key.n ? pair[i].key : pair[i].certificate;
        good = add_key(set, name, supervisor_settings_blob(settings, name), why);
    }
    if (good)
        return set;
    key_set_free(set);
    return NULL;
}

void key_set_free(struct key_set *set)
{
    for (unsigned i = 0; set && i < set->n; i++)
        tls_key_unref(set->keys[i]);
    free(set);
}

/* -- in force -- */

static void drop(struct kept_key *kept)
{
    list_remove(&kept->link);
    tls_key_unref(kept->key);
    free(kept);
}

static void on_clean(struct loop_timer *timer)
{
    struct keys *keys = CONTAINER(timer, struct keys, clean);
    int64_t now = loop_now_ms(keys->loop), next = INT64_MAX;
    for (LIST_EACH(link, &keys->all)) {
        struct kept_key *kept = CONTAINER(link, struct kept_key, link);
        if (kept->until_ms <= now)
            drop(kept);
        else
            next = MIN(next, kept->until_ms);
    }
    if (next < INT64_MAX)
        loop_timer_set(&keys->clean, next - now);
}

void keys_init(struct keys *keys, struct loop *loop)
{
    *keys = (struct keys){ .loop = loop, .kept_ms = KEYS_KEPT_MS };
    list_init(&keys->all);
    loop_timer_init(loop, &keys->clean, on_clean);
}

void keys_done(struct keys *keys)
{
    loop_timer_stop(&keys->clean);
    for (LIST_EACH(link, &keys->all))
        drop(CONTAINER(link, struct kept_key, link));
}

static struct kept_key *find(const struct keys *keys, struct span id)
{
    for (LIST_EACH(link, &keys->all)) {
        struct kept_key *kept = CONTAINER(link, struct kept_key, link);
        if (span_eq(span_of(tls_key_id(kept->key), TLS_KEY_ID), id))
            return kept;
    }
    return NULL;
}

enum status keys_replace(struct keys *keys, struct key_set *set)
{
    struct list fresh;
    list_init(&fresh);
    for (unsigned i = 0; i < set->n; i++) {
        struct kept_key *kept = malloc(sizeof *kept);
        if (!kept) {
            for (LIST_EACH(link, &fresh))
                free(CONTAINER(link, struct kept_key, link));
            return STATUS_MEMORY;
        }
        *kept = (struct kept_key){ .key = set->keys[i], .until_ms = INT64_MAX };
        list_add_last(&fresh, &kept->link);
    }
    set->n = 0;
    keys->only_tls13 = set->only_tls13;
    int64_t until_ms = loop_now_ms(keys->loop) + keys->kept_ms;
    for (LIST_EACH(link, &keys->all)) {
        struct kept_key *kept = CONTAINER(link, struct kept_key, link);
        kept->until_ms = MIN(kept->until_ms, until_ms);
    }
    for (struct list *link; (link = list_take_first(&fresh)) != NULL;) {
        struct kept_key *kept = CONTAINER(link, struct kept_key, link), *old;
        while ((old = find(keys, span_of(tls_key_id(kept->key), TLS_KEY_ID))) != NULL)
            drop(old);
        list_add_last(&keys->all, link);
    }
    on_clean(&keys->clean);
    return STATUS_OK;
}

struct tls_key *keys_find(const struct keys *keys, struct span id)
{
    struct kept_key *kept = find(keys, id);
    return kept ? kept->key : NULL;
}
