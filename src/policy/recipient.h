/* policy/recipient.h -- whose mail do we take from a stranger?
 *
 * A client that neither logged in nor comes from a listed network may only write to the listed domains,
 * and there only to recipients that exist: those listed with the domain, or the accounts and aliases of
 * the directory. Details (bob+news@) are understood; postmaster always exists (RFC 5321 section 4.5.1).
 * Nothing is refused later by a bounce that could have been refused here.
 */
#pragma once
#include "policy/settings.h"

enum policy_recipient {
    POLICY_RECIPIENT_KNOWN,     /* take it */
    POLICY_RECIPIENT_ASK,       /* a listed domain; the directory has to say whether this one exists */
    POLICY_RECIPIENT_ELSEWHERE, /* no domain of ours: relaying denied (550 5.7.1) */
    POLICY_RECIPIENT_INVALID,   /* no address that we understand (553 5.1.3) */
};

/* `address` is local@domain, or just `postmaster` in any case, which is known. */
enum policy_recipient policy_recipient_check(const struct policy_settings *settings, struct span address);

/* Is this one of the listed domains? ASCII letters alike. */
bool policy_domain_is_listed(const struct policy_settings *settings, struct span domain);
