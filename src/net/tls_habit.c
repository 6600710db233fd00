/* net/tls_habit.c -- which clients come back with a ticket: the others get few of them.
 *
 * With TLS 1.3 a ticket costs the server a sixth of a full handshake, and a program that logs in for each message throws
 * every one away. Who is never seen with one gets one now and then, in case that changes; who is, always gets a new one. */
#include "net/tls_priv.h"

#define GIVEN_FREELY 8   /* tickets to a client of whom nothing is known */
#define THEN_EVERY 32    /* full handshakes for each further one */

/* Two that fall on the same place take turns: it is only a guess. */
static struct tls_habit *habit_of(struct tls_server *server, uint64_t client)
{
    struct tls_habit *habit = &server->habits[client % TLS_HABITS];
    uint32_t who = (uint32_t)(client >> 32);
    if (habit->who != who)
        *habit = (struct tls_habit){ .who = who };
    return habit;
}

bool tls_habit_wants(struct tls_server *server, uint64_t client)
{
    const struct tls_habit *habit = habit_of(server, client);
    return habit->in_vain < GIVEN_FREELY || habit->in_vain % THEN_EVERY == 0;
}

void tls_habit_note(struct tls_server *server, uint64_t client, bool resumed)
{
    struct tls_habit *habit = habit_of(server, client);
    habit->in_vain = resumed ? 0 : habit->in_vain + 1;
}
