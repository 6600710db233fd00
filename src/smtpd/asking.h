/* smtpd/asking.h -- questions to directory, and their answers. A directory that is away or dies answers AWAY. */
#pragma once
#include "base/log.h"
#include "base/map.h"
#include "wire/smtpd_directory.h"

enum answer_kind { ANSWER_CHALLENGE, ANSWER_LOGIN, ANSWER_VERDICT, ANSWER_SIGNATURE, ANSWER_COUNTED, ANSWER_AWAY };

struct answer {
    enum answer_kind kind;
    uint8_t result;      /* LOGIN: enum auth_result; VERDICT: enum verdict; SIGNATURE: enum sign_result; COUNTED: enum counted */
    struct span account; /* LOGIN */
    struct span text;    /* CHALLENGE, SIGNATURE: its octets; otherwise a sentence, maybe empty. Borrowed during the call */
    uint64_t credential; /* LOGIN: as in struct tell_auth */
    bool restricted;
    uint64_t taken_ms;   /* COUNTED */
    uint32_t message_wait_s, recipient_wait_s; /* COUNTED: as in struct tell_counted */
};

/* One question at a time; lives inside whoever asks. */
struct question {
    struct map_node node;
    uint64_t token;      /* 0: nothing is asked */
    void (*on_answer)(struct question *self, const struct answer *answer); /* never inside the call that asks */
};

#define ASKING_MECHANISMS_MAX 512

struct asking {
    struct loop *loop;
    struct log *log;
    struct channel *directory;  /* NULL: away */
    struct map open;            /* struct question, by token */
    uint64_t token;
    char mechanisms[ASKING_MECHANISMS_MAX];
    size_t mechanisms_n;
    struct tell_count count;    /* what the limits want to know */
    void (*on_mechanisms)(void *arg, struct span names); /* `names` lies in `mechanisms` */
    void *arg;
};

void asking_init(struct asking *asking, struct loop *loop, struct log *log, void (*on_mechanisms)(void *, struct span),
                 void *arg);
static inline struct span asking_mechanisms(const struct asking *asking)
{
    return span_of(asking->mechanisms, asking->mechanisms_n);
}
void asking_done(struct asking *asking);
/* A (new) directory; what was open is answered AWAY. Owns `fd`. */
void asking_connect(struct asking *asking, int fd);

/* Each asks, or says false at once when nobody is there. */
MUST_CHECK bool asking_login(struct asking *asking, struct question *question, struct ask_auth_start *start);
/* Goes on with the login that `question` began and that got a CHALLENGE. */
MUST_CHECK bool asking_login_next(struct asking *asking, struct question *question, struct span response);
MUST_CHECK bool asking_may_send(struct asking *asking, struct question *question, struct ask_may_send *ask);
MUST_CHECK bool asking_is_recipient(struct asking *asking, struct question *question, struct span address);
MUST_CHECK bool asking_sign(struct asking *asking, struct question *question, struct ask_sign *ask);
MUST_CHECK bool asking_count(struct asking *asking, struct question *question, struct ask_count *ask);
/* No answer comes; a directory that is away has counted for nothing. */
void asking_undo(struct asking *asking, const struct ask_undo *undo);
/* No answer is wanted any more; nothing happens when none was. */
void asking_cancel(struct asking *asking, struct question *question);
void asking_drop(struct asking *asking, struct question *question); /* the same without a word to directory */
