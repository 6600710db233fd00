#include "limits/new_recipients.h"
#include "limits/store.h"
#include "limits/words.h"
#include "room.h"

#define BEGIN INT64_C(1795440000000)

static struct limits_tree *tree;
static struct limits_rule rules[4];
static struct limits_node chain[4];
static struct limits_known known;

static void begin(void)
{
    static const char *const texts[] = { "recipients 300/1h", "recipients 2000/1d reject", "messages 1000/1d",
                                         "new-recipients 200/1d" };
    AUTO(buf_done) struct buf why = BUF_EMPTY(256);
    struct limits_tree_setup setup = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        room_must(limits_rule_parse(span_str(texts[i]), &rules[i], &why) == STATUS_OK);
    room_must((tree = limits_tree_new(&setup)));
    chain[0] = (struct limits_node){ SPAN("shop@example.org"), rules, LIMITS_SENDER, 4 };
    chain[1] = (struct limits_node){ SPAN("example.org"), rules + 1, LIMITS_DOMAIN, 1 };
    chain[2] = (struct limits_node){ SPAN("customer"), rules + 1, LIMITS_CUSTOMER, 1 };
    chain[3] = (struct limits_node){ SPAN("server"), rules + 1, LIMITS_SERVER, 1 };
    limits_known_init(&known, 1, 100);
    room_must(limits_known_add(&known, SPAN("anna@example.com")) == STATUS_OK);
}

static struct limits_request request_of(uint64_t n)
{
    return (struct limits_request){ chain, 4, LIMITS_RECIPIENTS, 0, n, BEGIN, BEGIN };
}

static void recipient(void)
{
    struct limits_request request = request_of(1);
    struct limits_verdict verdict;
    limits_tree_take(tree, &request, &verdict);
    room_must(verdict.outcome == LIMITS_VERDICT_PASS && limits_known_has(&known, SPAN("Anna@example.com")));
    limits_tree_undo(tree, &request, BEGIN);
}

static void refusal(void)
{
    struct limits_request request = request_of(1000);
    struct limits_verdict verdict;
    AUTO(buf_done) struct buf reply = BUF_EMPTY(512);
    limits_tree_ask(tree, &request, &verdict);
    limits_words_reply(&verdict, (struct limits_moment){ BEGIN, 0 }, &reply);
    room_must(reply.n > 50);
}

static void parse(void)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(256);
    struct limits_rule rule;
    room_must(limits_rule_parse(SPAN("bytes 2GiB/1d burst 100MiB hold dry-run each sender"), &rule, &why) == STATUS_OK);
}

static void batch(void)
{
    struct limits_store store = { 0 };
    AUTO(buf_done) struct buf written = BUF_EMPTY(4096);
    limits_store_rewrite(tree);
    room_must(limits_store_changes(&store, tree, BEGIN, BEGIN, &written) == STATUS_OK && written.n);
}

static const struct room_work works[] = {
    { "recipient-4", begin, recipient },
    { "refusal", NULL, refusal },
    { "rule", NULL, parse },
    { "batch-4", NULL, batch },
};
ROOM_MAIN(works)
