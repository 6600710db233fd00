/* mail/received.h -- the trace field that we put on top of a message.
 *
 * RFC 5321 section 4.4 (form), RFC 3848 and RFC 6531 section 4.3 (the "with" words), RFC 8314 section 7.4 (TLS).
 */
#pragma once
#include "base/buf.h"

struct received {
    struct span helo;           /* what the client called itself; hostile */
    struct span client_address; /* "192.0.2.7" or "2001:db8::1"; empty: not over a network */
    struct span client_name;    /* its name by DNS when it was checked; or empty */
    struct span local_user;     /* a user of this machine, then nothing of the three above is written; or empty */
    unsigned local_uid;
    bool hide_client;           /* neither address nor names are written */
    struct span hostname;       /* ours */
    struct span with;           /* received_with(), or our own word ("HTTP", "local") */
    struct span tls_version;    /* "TLSv1.3"; empty: in clear */
    struct span tls_cipher;
    unsigned tls_bits;
    uint64_t id;
    struct span recipient;      /* "for <...>": only where there is just one; or empty */
    int64_t now_wall_ms;
};

/* "SMTP", "ESMTPSA", "UTF8SMTPS", ... : the word of the registry. Static. */
const char *received_with(bool esmtp, bool tls, bool login, bool utf8);
/* Appends the whole field with its CRLF, folded; no line over 998 octets, no octet that could start a new field. */
enum status received_write(const struct received *received, struct buf *ret);
