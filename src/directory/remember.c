#include "directory/remember.h"
#include <sodium.h>
#include <stdlib.h>

#define WAYS 4 /* entries in a bucket */

struct entry {
    struct remember_name name;
    int64_t until_ms; /* monotonic; 0: empty */
};

struct remember {
    unsigned char key[crypto_generichash_KEYBYTES];
    int64_t life_ms;
    size_t buckets; /* a power of two */
    struct entry entries[];
};

struct remember *remember_new(size_t count, int64_t life_ms)
{
    size_t buckets = 1;
    while (buckets * WAYS < count)
        buckets *= 2;
    struct remember *remember = calloc(1, sizeof *remember + buckets * WAYS * sizeof(struct entry));
    if (!remember)
        return NULL;
    remember->buckets = buckets;
    remember->life_ms = life_ms;
    randombytes_buf(remember->key, sizeof remember->key);
    return remember;
}

struct remember *remember_new_like(const struct remember *other, size_t count, int64_t life_ms)
{
    struct remember *remember = remember_new(count, life_ms);
    if (remember)
        memcpy(remember->key, other->key, sizeof remember->key);
    return remember;
}

void remember_free(struct remember *remember)
{
    if (remember)
        explicit_bzero(remember, sizeof *remember + remember->buckets * WAYS * sizeof(struct entry));
    free(remember);
}

void remember_set_life(struct remember *remember, int64_t life_ms)
{
    remember->life_ms = life_ms;
}

/* Length first, so that no two triples make the same octets. */
static void mix(crypto_generichash_state *state, struct span text)
{
    uint64_t n = text.n;
    crypto_generichash_update(state, (const unsigned char *)&n, sizeof n);
    if (text.n)
        crypto_generichash_update(state, (const unsigned char *)text.p, text.n);
}

struct remember_name remember_name(const struct remember *remember, struct span login, struct span stored,
                                   struct span password)
{
    struct remember_name name;
    crypto_generichash_state state;
    crypto_generichash_init(&state, remember->key, sizeof remember->key, sizeof name.octets);
    mix(&state, login);
    mix(&state, stored);
    mix(&state, password);
    crypto_generichash_final(&state, name.octets, sizeof name.octets);
    explicit_bzero(&state, sizeof state);
    return name;
}

static size_t bucket_of(const struct remember *remember, const struct remember_name *name)
{
    uint64_t bits;
    memcpy(&bits, name->octets, sizeof bits);
    return (size_t)(bits & (remember->buckets - 1)) * WAYS;
}

bool remember_has(const struct remember *remember, const struct remember_name *name, int64_t now_ms)
{
    const struct entry *bucket = &remember->entries[bucket_of(remember, name)];
    bool found = false;
    for (size_t i = 0; i < WAYS; i++)
        if (bucket[i].until_ms > now_ms && sodium_memcmp(bucket[i].name.octets, name->octets, REMEMBER_OCTETS) == 0)
            found = true;
    return found && remember->life_ms > 0;
}

void remember_add(struct remember *remember, const struct remember_name *name, int64_t now_ms)
{
    struct entry *bucket = &remember->entries[bucket_of(remember, name)];
    struct entry *place = &bucket[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(bucket[i].name.octets, name->octets, REMEMBER_OCTETS) == 0) {
            place = &bucket[i];
            break;
        }
        if (bucket[i].until_ms < place->until_ms)
            place = &bucket[i];
    }
    if (remember->life_ms > 0)
        *place = (struct entry){ *name, now_ms + remember->life_ms };
}
