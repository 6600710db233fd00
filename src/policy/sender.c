#include "policy/sender.h"

#define SHOWN_MAX 72 /* octets of the login and of the address */
#define OWNED_MAX 48 /* of each that it owns */
#define OWNED_SHOWN 3

enum status policy_sender_check(const struct policy_sender_question *question, policy_owns *owns, void *arg)
{
    if (!question->address.n)
        return question->in_header ? STATUS_DENIED : STATUS_OK;

    struct policy_keys keys;
    enum status status = policy_keys_make(question->address, &keys);
    if (status != STATUS_OK)
        return status;
    /* A login is an address only where it is spelled as one; "anna" owns nothing by its name. */
    struct policy_keys own;
    if (policy_keys_make(question->login, &own) == STATUS_OK &&
        (span_eq(own.exact, keys.exact) || span_eq(own.exact, keys.base)))
        return STATUS_OK;
    if (owns(arg, keys.exact) || (!span_eq(keys.base, keys.exact) && owns(arg, keys.base)) ||
        owns(arg, keys.wildcard))
        return STATUS_OK;
    return STATUS_DENIED;
}

/* "anna@example.org, info@example.org and 4 more" */
static void add_owned(struct buf *ret, const struct span *owned, size_t count, size_t total)
{
    size_t shown = MIN(count, (size_t)OWNED_SHOWN);
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buf_add_str(ret, i + 1 == total ? " and " : ", ");
        policy_add_shown(ret, owned[i], OWNED_MAX);
    }
    if (total > shown)
        buf_printf(ret, " and %zu more", total - shown);
}

void policy_sender_refusal(const struct policy_sender_question *question, const struct span *owned, size_t count,
                           size_t total, struct buf *ret)
{
    policy_add_shown(ret, question->login, SHOWN_MAX);
    if (question->address.n) {
        buf_add_str(ret, " may not send as ");
        policy_add_shown(ret, question->address, SHOWN_MAX);
    } else {
        buf_add_str(ret, " may not send without a From: address");
    }
    if (count && total) {
        buf_add_str(ret, "; it owns ");
        add_owned(ret, owned, count, total);
    } else {
        buf_add_str(ret, "; it owns no address");
    }
    buf_add_str(ret, "; ask the administrator to add an alias");
}
