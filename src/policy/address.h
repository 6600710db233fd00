/* policy/address.h -- one spelling for every address that means the same mailbox to us.
 *
 * Ownership and known recipients are stored and looked up as keys: the canonical form of mail/address.h with
 * ASCII letters made small (`"Bob"@Example.ORG` is bob@example.org). RFC 5321 section 2.4 lets only the final
 * host ignore the case of local parts; for the addresses of our own accounts and domains that is us.
 * Pure: no socket, no clock, no database.
 */
#pragma once
#include "base/buf.h"
#include "mail/address.h"

/* The keys under which a right to an address may be stored, most exact first.
 * Passed by pointer, never copied: the spans point into the rooms. */
struct policy_keys {
    struct span exact;    /* bob+news@example.org */
    struct span base;     /* bob@example.org; the same text as `exact` where there is no detail */
    struct span wildcard; /* *@example.org */
    struct span domain;   /* example.org */
    char exact_room[ADDRESS_MAX], base_room[ADDRESS_MAX], wildcard_room[2 + ADDRESS_DOMAIN_MAX];
};

/* SYNTAX, TOO_LONG: not an address with local part and domain. */
MUST_CHECK enum status policy_keys_make(struct span address, struct policy_keys *ret);

/* Adds `text` as it may stand in a reply: control characters and what is not ASCII become `?`
 * (RFC 5321 section 4.2.1), and after `most` octets `...` stands for the rest. */
void policy_add_shown(struct buf *ret, struct span text, size_t most);
