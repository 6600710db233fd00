#include "base/hash.h"
#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif
#include <stdatomic.h>
#include <sys/random.h>

/* Drawn once; two threads that race both keep the value that was stored first. */
static uint64_t seed(void)
{
    static _Atomic uint64_t drawn;
    uint64_t value = atomic_load_explicit(&drawn, memory_order_relaxed);
    if (value == 0) {
        uint64_t fresh = 0x9E3779B97F4A7C15u, none = 0;
        if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) < 0)
            fresh ^= (uint64_t)(uintptr_t)&drawn;
        fresh |= 1;
        value = atomic_compare_exchange_strong(&drawn, &none, fresh) ? fresh : none;
    }
    return value;
}

uint64_t hash_bytes(struct span bytes)
{
    return XXH3_64bits_withSeed(bytes.p, bytes.n, seed());
}

uint64_t hash_seeded(struct span bytes, uint64_t seed_of_all)
{
    return XXH3_64bits_withSeed(bytes.p, bytes.n, seed_of_all);
}

uint64_t hash_bytes_case(struct span bytes)
{
    char lower[256];
    uint64_t hash = seed();
    do {
        size_t n = MIN(bytes.n, sizeof lower);
        for (size_t i = 0; i < n; i++)
            lower[i] = ascii_lower(bytes.p[i]);
        hash = XXH3_64bits_withSeed(lower, n, hash);
        bytes = span_from(bytes, n);
    } while (bytes.n);
    return hash;
}

uint64_t hash_u64(uint64_t value)
{
    value ^= seed();
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCDu;
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53u;
    return value ^ value >> 33;
}

uint64_t hash_stable(struct span bytes)
{
    return XXH3_64bits(bytes.p, bytes.n);
}

static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
        crc_table[i] = crc;
    }
}

static uint32_t crc_soft(uint32_t crc, const unsigned char *p, size_t n)
{
    while (n--)
        crc = crc_table[(crc ^ *p++) & 0xFF] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hard(uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (n--)
        crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_hard(crc, p, n);
#endif
    return ~crc_soft(crc, p, n);
}
