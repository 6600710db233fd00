/* smtpd/local.h -- a client of this machine: who it is by the kernel's word, and what that one may send.
 *
 * The uid, gid and pid are those of the process that connected (SO_PEERCRED); the user's name and the control group come from
 * the supervisor, because we open no files. Until its answer the client is not greeted. What the program tells about itself
 * (XLOCAL) is written into the event log and believed by nobody.
 */
#pragma once
#include "policy/local.h"
#include "smtp/said.h"
#include "smtpd/session.h"
#include <sys/socket.h>

struct local {
    struct list link;      /* among those that wait for the supervisor */
    struct session *session;
    uint64_t token;        /* of the question; 0: it was answered */
    struct ucred peer;
    struct policy_local_facts facts; /* its texts lie in `name` and `cgroup` */
    struct policy_local_who who;
    struct buf name, cgroup, shown, rights; /* shown: the name for the Received field; rights: the account's */
    struct buf said[SMTP_SAID_COUNT];
};

/* The user whose connections are counted together. False: the kernel does not say. */
MUST_CHECK bool local_peer(int fd, struct ucred *ret);
#define LOCAL_KEY_OCTETS 5
/* The name of such a client for clients_enter(). */
struct span local_key(uid_t uid, char ret[LOCAL_KEY_OCTETS]);

/* Asks the supervisor; session_on_local() follows. False: nobody can be asked, or no memory. */
MUST_CHECK bool local_begin(struct session *session, int fd);
void local_free(struct local *local); /* NULL is fine */
/* The supervisor's answer. */
void local_on_who(struct smtpd *smtpd, const struct supervisor_who_is *who);
void local_on_said(struct session *session, struct span args);

enum local_says { LOCAL_YES, LOCAL_NO, LOCAL_ASK }; /* ASK: directory knows whether the account may */
enum local_says local_judge(const struct session *session, struct span address, bool in_header);
/* Adds the address to the question, unless it is the user's own local name: for those the account only has to be one that
 * may send at all. */
void local_ask_add(const struct session *session, struct span address, struct ask_may_send *ask);
void local_ask_end(struct ask_may_send *ask); /* after the last local_ask_add() */
/* The sentence of a refusal. */
void local_refusal(const struct session *session, struct span address, struct buf *ret);
/* What the header says of it. */
void local_facts(const struct session *session, struct intake_facts *ret);
/* The log's line about the message's origin. */
void local_log(const struct session *session, uint64_t id);
