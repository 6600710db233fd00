/* A limit as somebody writes it: what is understood is written so that the same is understood; what is not, is said in one
 * line. And its words never run over. */
#include "fuzz.h"
#include "limits/rule.h"
#include "limits/words.h"

static void one_line(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        require((unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span exact = fuzz_exact(span_of(data, size));
    AUTO(buf_done) struct buf why = BUF_EMPTY(256), text = BUF_EMPTY(256), words = BUF_EMPTY(1024);
    struct limits_rule rule, again;
    if (limits_rule_parse(exact, &rule, &why) == STATUS_OK) {
        limits_rule_write(&rule, &text);
        one_line(buf_span(&text));
        require(text.n && !text.failed && limits_rule_parse(buf_span(&text), &again, &why) == STATUS_OK);
        require(again.amount == rule.amount && again.burst == rule.burst && again.per_ms == rule.per_ms && again.what == rule.what &&
                again.action == rule.action && again.flags == rule.flags);
        require(!(rule.flags & LIMITS_RULE_EACH) || again.each == rule.each);
        require(rule.what < LIMITS_WHAT_COUNT && rule.action < LIMITS_ACTION_COUNT);
        require(rule.amount == LIMITS_UNLIMITED || rule.amount <= LIMITS_AMOUNT_MOST);
        limits_words_limit(&rule, LIMITS_ENGLISH, &words);
        limits_words_limit(&rule, LIMITS_POLISH, &words);
        require(!words.failed);
        one_line(span_head(buf_span(&words), 0));
    } else {
        require(why.n > 0);
    }
    free((void *)(uintptr_t)exact.p);
    return 0;
}
