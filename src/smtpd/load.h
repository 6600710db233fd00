/* smtpd/load.h -- how much is too much for the process: who is turned away, what sessions cost, when silent ones have to
 * make room, and how many TLS handshakes there may be. */
#pragma once
#include "base/log.h"
#include "loop/loop.h"
#include "smtpd/clients.h"

struct smtpd;
struct session;

/* What a session takes, as measured and rounded up; messages are counted by their octets. */
#define LOAD_SESSION_OCTETS (4u << 10)
#define LOAD_TLS_OCTETS (20u << 10)

#define LOAD_LINES 1000

struct load {
    struct list shaking;          /* sessions in a TLS handshake, oldest first */
    unsigned shaking_count;
    uint64_t octets;              /* that sessions take */
    bool was_crowded;
    /* Those turned away since the last line of the log. */
    struct loop_timer tell;
    struct loop_timer minute;     /* runs while lines are counted */
    unsigned lines, unsaid;       /* in this minute, of strangers; those not written */
    uint64_t away;
    enum refusal away_why;
    char away_client[48];
};

void load_init(struct smtpd *smtpd);
void load_done(struct smtpd *smtpd); /* says what has not been said */

/* Counts somebody turned away. The log gets a line at once, and then one a minute, however many they are. */
void load_note_away(struct smtpd *smtpd, const char *client, enum refusal why);
struct span load_refusal_text(enum refusal why);
struct status_code load_refusal_status(enum refusal why);

/* May what a stranger does get a line of its own in the log? Of these there are LOAD_LINES a minute at most; what was not
 * said is summed up. Those who have logged in always may. */
bool load_may_tell(const struct session *session);

/* Is there room for one more session? NONE, FULL or MEMORY. */
enum refusal load_may_enter(const struct smtpd *smtpd);
/* Few places are left: silent strangers are not waited for. */
bool load_is_crowded(const struct smtpd *smtpd);
/* A session takes more octets until its end. */
void load_take(struct session *session, uint32_t octets);
void load_session_ends(struct session *session);

/* May one more TLS handshake begin? An old one is cut off for it, should that help. */
MUST_CHECK bool load_may_shake(struct session *session);
/* A TLS handshake begins. False: there are too many, and this one may not. */
MUST_CHECK bool load_shake_begin(struct session *session);
void load_shake_end(struct session *session); /* however it ended; nothing happens the second time */
