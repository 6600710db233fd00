/* Whatever a client calls itself: keys are stable, and nobody gets a right that was not given. */
#include "policy/sender.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool owns_nothing(void *arg, struct span key)
{
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct policy_keys keys, again;
    if (policy_keys_make(input, &keys) == STATUS_OK) {
        require(policy_keys_make(keys.exact, &again) == STATUS_OK);
        require(span_eq(again.exact, keys.exact) && span_eq(again.base, keys.base));
        require(policy_keys_make(keys.base, &again) == STATUS_OK && span_eq(again.exact, keys.base));
        require(keys.base.n <= keys.exact.n && span_ends_case(keys.exact, keys.domain));
    }

    /* login LF address */
    struct span address = input, login;
    if (!span_cut(&address, '\n', &login))
        return 0;
    struct policy_sender_question question = { login, address, true };
    enum status status = policy_sender_check(&question, owns_nothing, NULL);
    if (status == STATUS_OK) /* then it can only be its own name, or a detail of it */
        require(policy_keys_make(login, &keys) == STATUS_OK && policy_keys_make(address, &again) == STATUS_OK &&
                (span_eq(again.exact, keys.exact) || span_eq(again.base, keys.exact)));
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    policy_sender_refusal(&question, &login, 1, 1, &text);
    require(!text.failed && span_is_ascii(buf_span(&text)));
    require(span_find(buf_span(&text), '\r') == text.n && span_find(buf_span(&text), '\n') == text.n);
    return 0;
}
