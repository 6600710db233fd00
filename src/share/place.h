/* share/place.h -- where Redis is, as an operator writes it. */
#pragma once
#include "base/buf.h"

#define SHARE_MACHINE_MAX 64

struct share_place {
    struct buf host;     /* a name or an address; empty: `path` */
    struct buf path;     /* of a socket of this machine */
    struct buf user, password; /* or empty */
    unsigned port, number; /* number: of the database */
};

/* redis://[[user]:password@]host[:port][/number] (an IPv6 address in brackets) or unix:/path. What has other signs in user or password
 * is written %XX. False: it is nothing of the kind. Either way the caller ends with share_place_done(). */
MUST_CHECK bool share_place_parse(struct span text, struct share_place *ret);
void share_place_done(struct share_place *place);

bool share_machine_is_good(struct span name);
