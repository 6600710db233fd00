#include "smtpd/signing.h"
#include <stdlib.h>

#define AGAIN_MS 100

_Static_assert(TLS_KEY_ID == WIRE_KEY_ID && TLS_CONTENT_MAX <= WIRE_SIGN_MAX && TLS_SIGNATURE_MAX >= WIRE_SIGNATURE_MAX,
               "what TLS wants and what directory takes are the same");

/* One that a handshake waits for. */
struct signature {
    struct question question;
    struct list link; /* in `parked` */
    struct signing *signing;
    struct tls_signing *tls;
    int64_t until_ms;
    const char *why;  /* it is parked */
    bool was_lost;    /* a directory died with it: should that be because of it, no other one shall */
};

static void signature_free(struct signature *signature)
{
    list_remove(&signature->link);
    asking_drop(signature->signing->asking, &signature->question);
    free(signature);
}

static void finish(struct signature *signature, struct span octets, const char *why)
{
    struct tls_signing *tls = signature->tls;
    signature_free(signature);
    tls_signing_answer(tls, octets, why);
}

static void park(struct signature *signature, const char *why)
{
    struct signing *signing = signature->signing;
    signature->why = why;
    list_add_last(&signing->parked, &signature->link);
    if (!loop_timer_runs(&signing->again))
        loop_timer_set(&signing->again, AGAIN_MS);
}

static void ask(struct signature *signature)
{
    const struct tls_signing *tls = signature->tls;
    struct ask_sign ask = { .key = tls->key, .scheme = tls->scheme, .content = tls->content };
    if (!asking_sign(signature->signing->asking, &signature->question, &ask))
        park(signature, "the process that keeps the keys is away");
}

static void on_answer(struct question *question, const struct answer *answer)
{
    struct signature *signature = CONTAINER(question, struct signature, question);
    if (answer->kind != ANSWER_SIGNATURE) {
        bool again = !signature->was_lost;
        signature->was_lost = true;
        if (again)
            park(signature, "the process that keeps the keys is away");
        else
            finish(signature, SPAN_NONE, "the process that keeps the keys died");
        return;
    }
    switch (answer->result) {
    case SIGN_OK: finish(signature, answer->text, "the signature cannot be used"); break;
    case SIGN_UNKNOWN_KEY: park(signature, "the certificate's key is not there, or no more"); break;
    case SIGN_BUSY: finish(signature, SPAN_NONE, "too many handshakes wait for a signature"); break;
    default: finish(signature, SPAN_NONE, "the signature was refused"); break;
    }
}

/* Asks again for all that are parked; with those for which it is too late it is over. */
static void ask_again(struct signing *signing)
{
    struct list parked;
    int64_t now = loop_now_ms(signing->loop);
    list_init(&parked);
    for (struct list *link; (link = list_take_first(&signing->parked)) != NULL;)
        list_add_last(&parked, link);
    for (struct list *link; (link = list_take_first(&parked)) != NULL;) {
        struct signature *signature = CONTAINER(link, struct signature, link);
        if (now >= signature->until_ms)
            finish(signature, SPAN_NONE, signature->why);
        else
            ask(signature);
    }
}

static void on_again(struct loop_timer *timer) { ask_again(CONTAINER(timer, struct signing, again)); }

void signing_go_on(struct signing *signing) { ask_again(signing); }

/* -- what a handshake wants -- */

static void on_ask(void *arg, struct tls_signing *tls)
{
    struct signing *signing = arg;
    struct signature *signature = calloc(1, sizeof *signature);
    tls->asked = signature;
    if (!signature) {
        tls_signing_answer(tls, SPAN_NONE, "out of memory");
        return;
    }
    *signature = (struct signature){ .question.on_answer = on_answer, .signing = signing, .tls = tls,
                                     .until_ms = loop_now_ms(signing->loop) + SIGNING_WAIT_MS };
    list_init(&signature->link);
    ask(signature);
}

static void on_cancel(void *arg, struct tls_signing *tls) { signature_free(tls->asked); }

void signing_init(struct signing *signing, struct asking *asking, struct loop *loop)
{
    *signing = (struct signing){ .asking = asking, .loop = loop };
    tls_signer_init(&signing->signer, on_ask, on_cancel, signing);
    list_init(&signing->parked);
    loop_timer_init(loop, &signing->again, on_again);
}

void signing_done(struct signing *signing) { loop_timer_stop(&signing->again); }
