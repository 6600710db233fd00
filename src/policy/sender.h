/* policy/sender.h -- may this login send as this address?
 *
 * A login owns its own address, its aliases, and every address of a domain granted to it as *@domain;
 * owning bob@example.org includes bob+anything@example.org. The null sender of the envelope is nobody's
 * name and may be used by all: read receipts must carry it (RFC 8098 section 3) and the From: field is
 * asked about all the same. Who owns what is in the directory's database; this room knows the rules.
 */
#pragma once
#include "policy/address.h"

struct policy_sender_question {
    struct span login;      /* who logged in */
    struct span address;    /* what MAIL FROM or the From: field says; empty: the null sender */
    bool in_header;         /* asked about the From: field, where the null sender has no business */
};

/* Does the login own `key`? `key` is in the spelling of policy/address.h. */
typedef bool policy_owns(void *arg, struct span key);

/* OK: it may. DENIED: it may not; policy_sender_refusal() says so. SYNTAX, TOO_LONG: no address at all.
 * `owns` is asked for the login's aliases; at most three times. */
MUST_CHECK enum status policy_sender_check(const struct policy_sender_question *question, policy_owns *owns,
                                           void *arg);

/* The sentence for a refused login: names both, what it owns, and what to do. ASCII, at most
 * POLICY_REFUSAL_MAX octets. `owned` are the login's addresses, of which `count` are given and `total` exist. */
#define POLICY_REFUSAL_MAX 420 /* with code and CRLF inside the 512 of RFC 5321 section 4.5.3.1.5 */
void policy_sender_refusal(const struct policy_sender_question *question, const struct span *owned, size_t count,
                           size_t total, struct buf *ret);
