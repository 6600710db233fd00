/* wire/smtpd_directory.h -- smtpd asks, directory knows: who is this, and what may he send.
 *
 * Every question carries a token that smtpd chose and that comes back with the answer; answers may come in
 * another order. A directory that dies answers nothing: smtpd then refuses with 454 or 451 "try again later".
 *
 * directory also keeps the private keys of TLS: smtpd has only certificates and sends what a handshake wants signed.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define WIRE_SASL_MAX 12288    /* octets of one SASL message, decoded from base64 (RFC 4954 section 4) */
#define WIRE_BINDING_MAX 64    /* octets of a channel binding */
#define WIRE_LOGIN_MAX 512
#define WIRE_ASK_MAX 64        /* addresses in one question */
/* How long a yes answers for the same account: what is asked again within this time is not asked. Counted from the
 * question, so a change of the accounts holds everywhere this long after it was written. */
#define WIRE_VOUCHED_MS 250

enum smtpd_directory_kind {
    /* smtpd -> directory */
    ASK_AUTH_START = 1,    /* struct ask_auth_start */
    ASK_AUTH_NEXT,         /* struct ask_auth_next: the client's answer to a challenge */
    ASK_AUTH_CANCEL,       /* struct ask_cancel: the client sent "*" or went away; no answer */
    ASK_MAY_SEND,          /* struct ask_may_send */
    ASK_IS_RECIPIENT,      /* struct ask_is_recipient */
    ASK_SIGN,              /* struct ask_sign */
    ASK_COUNT,             /* struct ask_count: have the limits room for this? */
    ASK_UNDO,              /* struct ask_undo: what was counted did not become a message; no answer */
    /* directory -> smtpd */
    TELL_CHALLENGE = 32,   /* struct tell_challenge */
    TELL_AUTH,             /* struct tell_auth: the end of an exchange */
    TELL_VERDICT,          /* struct tell_verdict */
    TELL_MECHANISMS,       /* struct tell_mechanisms: what to announce; sent when the channel opens, and when it changes */
    TELL_SIGNATURE,        /* struct tell_signature */
    TELL_COUNT,            /* struct tell_count: what to ask about; sent when the channel opens, and when it changes */
    TELL_COUNTED,          /* struct tell_counted */
};

struct ask_auth_start {
    uint64_t token;
    struct span mechanism;     /* upper case: "PLAIN" */
    uint8_t has_initial;       /* an initial response was given (it may be empty) */
    struct span initial;       /* decoded from base64 */
    struct span client;        /* address of the client as text, for the log and for slowing guessers */
    uint8_t tls;               /* the session is encrypted */
    /* Channel bindings, of SCRAM only; empty: the connection has none, and what needs one was not offered. */
    struct span exporter, unique, end_point;
};
struct ask_auth_next {
    uint64_t token;
    struct span response;      /* decoded */
};
struct ask_cancel {
    uint64_t token;
};
enum may_send_which { MAY_SEND_ENVELOPE, MAY_SEND_HEADER };
struct ask_may_send {
    uint64_t token;
    struct span account;       /* the identity that TELL_AUTH gave */
    uint64_t credential;       /* and its number */
    uint8_t which;             /* enum may_send_which: for the sentence */
    uint32_t count;            /* 1 .. WIRE_ASK_MAX */
    struct span addresses[WIRE_ASK_MAX];
};
struct ask_is_recipient {
    uint64_t token;
    struct span address;       /* already without source route */
};

#define WIRE_KEY_ID 32         /* octets: SHA-256 of the public key */
#define WIRE_SIGN_MAX 512      /* octets to be signed */
#define WIRE_SIGNATURE_MAX 1024
struct ask_sign {
    uint64_t token;
    struct span key;           /* WIRE_KEY_ID octets */
    uint16_t scheme;           /* RFC 8446 section 4.2.3 */
    struct span content;       /* all that is to be signed: directory looks whether it is a TLS server's */
};

/* What of a message is to be counted, and what it is. */
enum {
    COUNT_MESSAGE = 1,
    COUNT_RECIPIENT = 2,       /* one */
    COUNT_OCTETS = 4,
    COUNT_LOCAL = 8,           /* to an address of ours, or a message with no other */
    COUNT_NULL = 16            /* of a null sender */
};
struct ask_count {
    uint64_t token;
    struct span account;       /* on whom it is counted; empty: a machine that did not log in */
    uint64_t credential;       /* 0: none */
    uint8_t which;             /* COUNT_x */
    uint64_t octets;           /* with COUNT_OCTETS */
    struct span address;       /* with COUNT_RECIPIENT */
};
struct ask_undo {
    struct span account;
    uint64_t credential;
    uint8_t which;             /* COUNT_x, all of one kind */
    uint32_t recipients;       /* with COUNT_RECIPIENT: so many */
    uint64_t octets;
    uint64_t taken_ms;         /* of the last answer */
};

struct tell_challenge {
    uint64_t token;
    struct span challenge;     /* to be sent in base64 after 334 */
};
enum auth_result { AUTH_OK, AUTH_DENIED, AUTH_BUSY, AUTH_BROKEN, AUTH_UNKNOWN_MECHANISM };
struct tell_auth {
    uint64_t token;
    uint8_t result;            /* enum auth_result: 235, 535 5.7.8, 454 4.7.0, 501 5.5.2, 504 5.5.4 */
    struct span account;       /* the identity that everything is counted on; when OK */
    struct span text;          /* a sentence for the client; may be empty */
    uint64_t credential;       /* with what it logged in, when OK; 0: with nothing that has a number */
    uint8_t restricted;        /* that may not even send as the account's own address without a question */
};
enum verdict { VERDICT_YES, VERDICT_NO, VERDICT_LATER };
struct tell_verdict {
    uint64_t token;
    uint8_t verdict;           /* enum verdict */
    struct span text;          /* the sentence of a refusal, without codes, no CR or LF */
};
struct tell_mechanisms {
    struct span names;         /* separated by one space: "PLAIN LOGIN"; what ends in -PLUS needs channel bindings */
};

enum sign_result { SIGN_OK, SIGN_UNKNOWN_KEY, SIGN_BUSY, SIGN_REFUSED };
struct tell_signature {
    uint64_t token;
    uint8_t result;            /* enum sign_result; UNKNOWN_KEY: perhaps not yet, while settings are being read again */
    struct span signature;     /* when OK */
};

/* Masks of COUNT_MESSAGE, COUNT_RECIPIENT, COUNT_OCTETS: of what there is a limit anywhere; COUNT_LOCAL: also for addresses of
 * ours. Nothing else has to be asked. */
struct tell_count {
    uint8_t accounts;          /* for who logged in */
    uint8_t relayed;           /* for machines that did not */
};
enum counted {
    COUNTED_YES,
    COUNTED_DEFER,             /* 450 4.7.1 */
    COUNTED_REJECT,            /* 550 5.7.1 */
    COUNTED_TOO_LARGE,         /* 552 5.3.4: alone more than the limit */
    COUNTED_FULL,              /* 451 4.3.1: no memory to count with */
    COUNTED_LATER              /* 451 4.3.0: nothing can be said now */
};
struct tell_counted {
    uint64_t token;
    uint8_t result;            /* enum counted */
    uint64_t taken_ms;         /* for ask_undo, in directory's own time */
    uint32_t message_wait_s;   /* with YES: so long the message is kept before anything of it goes out, */
    uint32_t recipient_wait_s; /* or this recipient of it */
    struct span text;          /* of a refusal, as in tell_verdict */
};

void ask_auth_start_put(struct buf *buf, const struct ask_auth_start *value);
void ask_auth_next_put(struct buf *buf, const struct ask_auth_next *value);
void ask_cancel_put(struct buf *buf, const struct ask_cancel *value);
void ask_may_send_put(struct buf *buf, const struct ask_may_send *value);
void ask_is_recipient_put(struct buf *buf, const struct ask_is_recipient *value);
void ask_sign_put(struct buf *buf, const struct ask_sign *value);
void ask_count_put(struct buf *buf, const struct ask_count *value);
void ask_undo_put(struct buf *buf, const struct ask_undo *value);
void tell_challenge_put(struct buf *buf, const struct tell_challenge *value);
void tell_auth_put(struct buf *buf, const struct tell_auth *value);
void tell_verdict_put(struct buf *buf, const struct tell_verdict *value);
void tell_mechanisms_put(struct buf *buf, const struct tell_mechanisms *value);
void tell_signature_put(struct buf *buf, const struct tell_signature *value);
void tell_count_put(struct buf *buf, const struct tell_count *value);
void tell_counted_put(struct buf *buf, const struct tell_counted *value);

/* All spans are borrowed from `body`. False: the sender broke the format. */
MUST_CHECK bool ask_auth_start_get(struct span body, struct ask_auth_start *ret);
MUST_CHECK bool ask_auth_next_get(struct span body, struct ask_auth_next *ret);
MUST_CHECK bool ask_cancel_get(struct span body, struct ask_cancel *ret);
MUST_CHECK bool ask_may_send_get(struct span body, struct ask_may_send *ret);
MUST_CHECK bool ask_is_recipient_get(struct span body, struct ask_is_recipient *ret);
MUST_CHECK bool ask_sign_get(struct span body, struct ask_sign *ret);
MUST_CHECK bool ask_count_get(struct span body, struct ask_count *ret);
MUST_CHECK bool ask_undo_get(struct span body, struct ask_undo *ret);
MUST_CHECK bool tell_challenge_get(struct span body, struct tell_challenge *ret);
MUST_CHECK bool tell_auth_get(struct span body, struct tell_auth *ret);
MUST_CHECK bool tell_verdict_get(struct span body, struct tell_verdict *ret);
MUST_CHECK bool tell_mechanisms_get(struct span body, struct tell_mechanisms *ret);
MUST_CHECK bool tell_signature_get(struct span body, struct tell_signature *ret);
MUST_CHECK bool tell_count_get(struct span body, struct tell_count *ret);
MUST_CHECK bool tell_counted_get(struct span body, struct tell_counted *ret);
