/* directory/verifiers.h -- what the accounts have for SCRAM, and what is said of those that are none.
 *
 * A login that nobody has, or that has no verifier, is answered with a salt that is the same each time: derived from a
 * secret of this server, which lies beside the database ("accounts.db-salts"). Without it anybody could ask who exists.
 */
#pragma once
#include "directory/accounts.h"
#include "directory/scram.h"

struct verifiers_found {
    struct scram_verifier verifier;
    int64_t credential; /* whose verifier it is: a client names only the login, so that is always the one called "password" */
    bool may_succeed;
    const char *reason; /* for the log, why it cannot succeed */
};

/* `secret`: SCRAM_HASH octets, for who does not exist; `iterations`: what new verifiers have. OK, or nothing can be said now. */
MUST_CHECK enum status verifiers_find(struct accounts *accounts, struct span login, const unsigned char *secret,
                                      uint32_t iterations, struct verifiers_found *ret);

/* Who could not log in by SCRAM? Looks at `most` accounts from *from on (0: the first), which moves on and is 0 again after
 * the last. *ret_found: one of them has a password without a verifier, or an app password. */
MUST_CHECK enum status verifiers_missing(struct accounts *accounts, int64_t *from, unsigned most, bool *ret_found);
/* Another number than before: the database was changed by somebody else meanwhile. */
MUST_CHECK enum status verifiers_generation(struct accounts *accounts, int64_t *ret);

/* The server's secret out of its file, made if it is missing. IO: `ret` is one of chance that is gone with this process. */
enum status verifiers_secret(const char *database, unsigned char ret[SCRAM_HASH]);
