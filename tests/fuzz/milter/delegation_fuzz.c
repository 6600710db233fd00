/* Whatever a policy service answers: the words can stand in a reply, and an answer is the same whether it came at once or
 * octet by octet. */
#include "fuzz.h"
#include "milter/delegation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span exact = fuzz_exact(span_of(data, size)), whole = exact;
    struct delegation_answer answer = { 0 }, again = { 0 };
    enum status status = delegation_take(&whole, &answer), single = STATUS_AGAIN;
    size_t n = 0;
    while (single == STATUS_AGAIN && n < exact.n) {
        struct span part = span_head(exact, ++n);
        single = delegation_take(&part, &again);
    }
    require(status == single);
    if (status == STATUS_OK) {
        require(exact.n - whole.n == n && answer.word == again.word && answer.code == again.code);
        require(span_eq(span_of(answer.text, answer.text_n), span_of(again.text, again.text_n)));
        require(answer.code == 0 || answer.code / 100 == answer.enhanced.class);
        for (size_t i = 0; i < answer.text_n; i++)
            require(answer.text[i] >= ' ' && answer.text[i] <= '~');
    }
    free((void *)(uintptr_t)exact.p);
    return 0;
}
