/* directory/remember.h -- logins that succeeded a moment ago, so that the next one need not hash again. The same keeps
 * wrong passwords, which a program that nobody looks at may try all day, and from where a login succeeded.
 *
 * What is kept is a keyed hash (BLAKE2b, key from the kernel at start) over login, stored form and password:
 * no password can be got out of it, another password or a changed stored form never fits. Fixed size; the
 * oldest of a bucket makes room. Nothing can be learned from speed but by who knows the password, or tried it before.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"

#define REMEMBER_OCTETS 32

struct remember_name {
    unsigned char octets[REMEMBER_OCTETS];
};

struct remember;

/* Room for about `count` logins, each kept `life_ms`; 0: nothing is kept. NULL: out of memory. */
struct remember *remember_new(size_t count, int64_t life_ms);
/* The same with the names of another one. */
struct remember *remember_new_like(const struct remember *other, size_t count, int64_t life_ms);
void remember_free(struct remember *remember); /* wipes */
void remember_set_life(struct remember *remember, int64_t life_ms);

struct remember_name remember_name(const struct remember *remember, struct span login, struct span stored,
                                   struct span password);
bool remember_has(const struct remember *remember, const struct remember_name *name, int64_t now_ms);
void remember_add(struct remember *remember, const struct remember_name *name, int64_t now_ms);
