/* smtpd/signing.h -- signatures of TLS handshakes: the keys are directory's, here are only certificates.
 *
 * A handshake outlives one directory: what was asked is asked again of the next one. A key that directory does not know
 * may come with the settings that it reads just now, so it is asked for again, too, for SIGNING_WAIT_MS.
 */
#pragma once
#include "net/tls.h"
#include "smtpd/asking.h"

#define SIGNING_WAIT_MS 10000

struct signing {
    struct tls_signer signer; /* for tls_server_new() */
    struct asking *asking;
    struct loop *loop;
    struct list parked;       /* struct signature: to be asked again */
    struct loop_timer again;  /* runs while some are */
};

void signing_init(struct signing *signing, struct asking *asking, struct loop *loop);
void signing_done(struct signing *signing); /* no handshake waits any more */
void signing_go_on(struct signing *signing); /* there is a new directory */
