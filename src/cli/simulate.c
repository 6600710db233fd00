#include "cli/simulate.h"
#include "base/hash.h"
#include "base/time.h"
#include "cli/common.h"
#include "limits/new_recipients.h"
#include <stdlib.h>

/* To whom an account has written since the log begins. */
struct simulate_known {
    struct map_node node;
    struct limits_known known;
    size_t account_n;
    char account[];
};

bool simulate_init(struct simulate *simulate, struct holders *holders, struct accounts *accounts, int64_t since_ms)
{
    *simulate = (struct simulate){ .holders = holders, .accounts = accounts, .since_ms = since_ms, .known = MAP_EMPTY };
    simulate->tree = limits_tree_new(&(struct limits_tree_setup){ .most_octets = (size_t)1 << 30 });
    return simulate->tree != NULL;
}

void simulate_done(struct simulate *simulate)
{
    for (MAP_EACH(node, &simulate->known)) {
        struct simulate_known *known = CONTAINER(node, struct simulate_known, node);
        limits_known_done(&known->known);
        map_remove(&simulate->known, node);
        free(known);
    }
    map_done(&simulate->known);
    for (size_t i = 0; i < simulate->row_count; i++)
        buf_done(&simulate->rows[i].name);
    limits_tree_free(simulate->tree);
}

int64_t simulate_time(struct span text)
{
    char seconds[24];
    int64_t ms;
    uint64_t rest = 0;
    if (text.n < 20)
        return -1;
    snprintf(seconds, sizeof seconds, "%.19sZ", text.p);
    if (text.n == 24 && !span_u64(span_head(span_from(text, 20), 3), 999, &rest))
        return -1;
    return common_when(seconds, -1, &ms) ? ms + (int64_t)rest : -1;
}

static bool known_is(const struct map_node *node, const void *key)
{
    const struct simulate_known *known = CONTAINER(node, const struct simulate_known, node);
    return span_eq(span_of(known->account, known->account_n), *(const struct span *)key);
}

static struct limits_known *known_of(struct simulate *simulate, struct span account)
{
    uint64_t hash = hash_bytes(account);
    struct map_node *found = map_find(&simulate->known, hash, known_is, &account);
    if (found)
        return &CONTAINER(found, struct simulate_known, node)->known;
    struct simulate_known *known = calloc(1, sizeof *known + account.n);
    if (!known || map_add(&simulate->known, &known->node, hash) != STATUS_OK) {
        free(known);
        return NULL;
    }
    known->account_n = account.n;
    memcpy(known->account, account.p, account.n);
    limits_known_init(&known->known, 1, LIMITS_KNOWN_MOST);
    return &known->known;
}

/* Recipients of the line to whom the account had not written; they are known from now on. */
static uint64_t strangers(struct simulate *simulate, struct span account, struct span to)
{
    struct limits_known *known = known_of(simulate, account);
    struct span one;
    uint64_t n = 0;
    while (known && span_cut(&to, ' ', &one)) {
        if (one.n && !limits_known_has(known, one)) {
            n++;
            if (limits_known_add(known, one) != STATUS_OK)
                break;
        }
    }
    return n;
}

static struct simulate_row *row_of(struct simulate *simulate, const struct limits_node *node, const struct limits_rule *rule)
{
    for (size_t i = 0; i < simulate->row_count; i++) {
        struct simulate_row *row = &simulate->rows[i];
        if (row->kind == node->kind && memcmp(&row->rule, rule, sizeof *rule) == 0 && span_eq(buf_span(&row->name), node->name))
            return row;
    }
    if (simulate->row_count == SIMULATE_RULES_MOST)
        return NULL;
    struct simulate_row *row = &simulate->rows[simulate->row_count++];
    *row = (struct simulate_row){ .name = BUF_EMPTY(LIMITS_NAME_MOST), .rule = *rule, .kind = node->kind };
    buf_add(&row->name, node->name);
    return row;
}

/* How many of `n` pass. */
static uint64_t take(struct simulate *simulate, const struct holder *holder, enum limits_what what, unsigned flags, uint64_t n,
                     int64_t at_ms)
{
    struct limits_request request = { holder->chain, holder->chain_count, what, flags, n, at_ms, at_ms };
    struct limits_verdict verdict;
    if (!(holder->whats >> what & 1) || !n)
        return n;
    limits_tree_take(simulate->tree, &request, &verdict);
    bool is_dry = verdict.outcome == LIMITS_VERDICT_PASS && verdict.dry_rule;
    if (verdict.outcome == LIMITS_VERDICT_PASS && !is_dry)
        return n;
    const struct limits_rule *rule = is_dry ? verdict.dry_rule : verdict.rule;
    struct simulate_row *row = rule ? row_of(simulate, is_dry ? verdict.dry_node : verdict.node, rule) : NULL;
    if (!row) {
        simulate->cut++;
        return verdict.granted;
    }
    bool single = what == LIMITS_RECIPIENTS || what == LIMITS_NEW_RECIPIENTS;
    row->messages += !single;
    row->recipients += single ? is_dry ? 1 : n - verdict.granted : 0;
    row->first_ms = row->first_ms ? row->first_ms : at_ms;
    row->last_ms = at_ms;
    return is_dry ? n : verdict.granted;
}

/* A number of the line; 0: it has none. */
static uint64_t number(struct span line, struct span key)
{
    uint64_t ret = 0;
    size_t at = span_find_span(line, key), n = 0;
    struct span text = span_from(line, at + (at < line.n ? key.n : 0));
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    return span_u64(span_head(text, n), UINT64_MAX, &ret) ? ret : 0;
}

static void play(struct simulate *simulate, const struct holder *holder, struct span line, uint64_t recipients, int64_t at_ms)
{
    struct span account = history_field(line, "account");
    unsigned flags = account.n ? 0 : LIMITS_RELAYED;
    uint64_t new_ones = account.n ? strangers(simulate, account, history_field(line, "to")) : 0;
    if (take(simulate, holder, LIMITS_MESSAGES, flags, 1, at_ms) == 0)
        return;
    uint64_t passed = take(simulate, holder, LIMITS_NEW_RECIPIENTS, flags, new_ones, at_ms);
    take(simulate, holder, LIMITS_RECIPIENTS, flags, recipients - MIN(recipients, new_ones - passed), at_ms);
    take(simulate, holder, LIMITS_BYTES, flags | LIMITS_WHOLE, number(line, SPAN(",\"octets\":")), at_ms);
}

void simulate_line(struct simulate *simulate, struct span line)
{
    static const struct span begin = { "{\"time\":\"", 9 };
    enum status status;
    if (!span_eq(history_field(line, "event"), SPAN("accepted")) || history_field(line, "about").n || !history_field(line, "from").n)
        return; /* no message of anybody's, or of nobody */
    int64_t at_ms = span_starts(line, begin) ? simulate_time(span_head(span_from(line, begin.n), 24)) : -1;
    uint64_t recipients = number(line, SPAN(",\"recipients\":"));
    if (at_ms < simulate->since_ms || recipients == 0)
        return;
    const struct holder *holder = holders_find(simulate->holders, simulate->accounts, history_field(line, "account"), 0, &status);
    simulate->messages++;
    simulate->recipients += recipients;
    simulate->first_ms = simulate->first_ms ? simulate->first_ms : at_ms;
    simulate->last_ms = at_ms;
    if (holder)
        play(simulate, holder, line, recipients, MAX(at_ms, (int64_t)1));
}
