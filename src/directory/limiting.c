#include "directory/limiting.h"
#include "base/hash.h"
#include "base/time.h"
#include "directory/counters.h"
#include "directory/known.h"
#include "directory/levels.h"
#include "directory/settings.h"
#include "directory/service_priv.h"
#include "directory/tree.h"
#include "directory/verifiers.h"
#include "limits/clock.h"
#include "limits/words.h"
#include <stdlib.h>
#include <time.h>

#define TICK_MS TIME_SECOND_MS
#define SWEEP 2000             /* nodes looked at each second */
#define SLICE 500              /* accounts whose level is looked up in one go, 20 ms at most */
#define SLICE_MS 50
#define STEPS_MOST 8
#define SUSPENDED_MS 5000      /* so long a suspension is not written again: there may be a thousand recipients behind it */
#define ORDERS_MOST 1000       /* lines of the audit log that are looked at for a change */
#define NULL_SENDERS 100       /* messages of the null sender that who logs in may send in a day: receipts, not a way around */

struct limiting {
    struct directory_service *service;
    struct limits_tree *tree;
    struct limits_clock clock;
    struct holders holders;
    struct known known;
    struct counters counters;
    struct levels levels;
    struct loop_timer tick, slice; /* slice: levels are being summed up anew */
    struct accounts *looked;   /* of which generation is */
    int64_t generation;
    int64_t forgot_ms;         /* orders to forget are done up to here, by the wall clock */
    struct tell_count told;
    int notices;               /* enum directory_notices */
    uint64_t suspended;        /* who was last: a hash */
    int64_t suspended_ms;      /* and when */
};

static int64_t now_of(const struct limiting *limiting)
{
    return limits_clock_now(&limiting->clock, loop_now_ms(limiting->service->loop));
}

static struct limits_moment moment_now(void)
{
    time_t at = time(NULL);
    struct tm local = { 0 };
    localtime_r(&at, &local);
    return (struct limits_moment){ time_wall_ms(), (int32_t)(local.tm_gmtoff * 1000) };
}

/* Whose language is spoken, and who the sender is: of a credential ("phone of anna@example.org") whose it is. */
static struct span sender_of(const struct limits_node *node)
{
    size_t at = node->kind == LIMITS_CREDENTIAL ? span_find_span(node->name, SPAN(" of ")) : node->name.n;
    return at < node->name.n ? span_from(node->name, at + 4) : node->name;
}

static enum limits_language language_of(struct limiting *limiting, enum tree_kind kind, struct span name)
{
    enum status status;
    struct tree_node node;
    AUTO(buf_done) struct buf value = BUF_EMPTY(TREE_VALUE_MAX);
    struct accounts *accounts = service_accounts(limiting->service, &status);
    const struct tree_setting *setting = tree_setting_find(SPAN("language"));
    bool known = accounts && setting && (tree_find(accounts, kind, name, &node) == STATUS_OK || tree_find(accounts, TREE_SERVER, SPAN_NONE, &node) == STATUS_OK) &&
                 tree_effective(accounts, node.id, setting, &value) == STATUS_OK;
    return known && span_eq(buf_span(&value), SPAN("pl")) ? LIMITS_POLISH : LIMITS_ENGLISH;
}

static void write_to(struct limiting *limiting, const struct limits_warning *warning, struct span to, enum limits_language language)
{
    AUTO(buf_done) struct buf subject = BUF_EMPTY(WIRE_NOTICE_SUBJECT_MAX), text = BUF_EMPTY(WIRE_NOTICE_TEXT_MAX);
    limits_words_warning_subject(warning, language, &subject);
    limits_words_warning(warning, language, &text);
    if (!directory_backlog_notice(limiting->service, to, buf_span(&subject), buf_span(&text)))
        log_warning(limiting->service->log, "notice-not-stored", LOG_SPAN("to", to), LOG_STR("why", "the queue is not here"));
}

static void notify(struct limiting *limiting, const struct limits_warning *warning)
{
    static const enum tree_kind kinds[] = { [LIMITS_CREDENTIAL] = TREE_SENDER, [LIMITS_SENDER] = TREE_SENDER, [LIMITS_DOMAIN] = TREE_DOMAIN,
                                            [LIMITS_CUSTOMER] = TREE_CUSTOMER, [LIMITS_SERVER] = TREE_SERVER };
    struct span sender = sender_of(warning->node);
    bool is_sender = kinds[warning->node->kind] == TREE_SENDER && span_find(sender, '@') < sender.n && span_find(sender, ' ') == sender.n;
    if (is_sender && (limiting->notices == DIRECTORY_NOTICES_BOTH || limiting->notices == DIRECTORY_NOTICES_SENDER))
        write_to(limiting, warning, sender, language_of(limiting, TREE_SENDER, sender));
    if (limiting->notices == DIRECTORY_NOTICES_BOTH || limiting->notices == DIRECTORY_NOTICES_OPERATOR)
        write_to(limiting, warning, SPAN_NONE, language_of(limiting, TREE_SERVER, SPAN_NONE));
}

static void on_warning(void *arg, const struct limits_warning *warning)
{
    struct limiting *limiting = arg;
    AUTO(buf_done) struct buf limit = BUF_EMPTY(256);
    limits_words_limit(warning->rule, LIMITS_ENGLISH, &limit);
    log_warning(limiting->service->log, warning->percent >= 100 ? "limit-reached" : "limit-near",
                LOG_STR("kind", limits_kind_name(warning->node->kind)), LOG_SPAN("node", warning->node->name),
                LOG_SPAN("limit", buf_span(&limit)), LOG_INT("count", warning->count),
                LOG_STR("action", limits_action_name(warning->rule->action)));
    notify(limiting, warning);
}

/* -- what smtpd has to ask about -- */

void limiting_tell(struct limiting *limiting, struct directory_peer *peer)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    tell_count_put(&body, &limiting->told);
    peer->answer(peer->arg, TELL_COUNT, buf_span(&body));
}

static void on_order(void *arg, const struct tree_audit *audit)
{
    static const enum limits_kind kinds[] = { [TREE_SERVER] = LIMITS_SERVER, [TREE_CUSTOMER] = LIMITS_CUSTOMER,
                                              [TREE_DOMAIN] = LIMITS_DOMAIN, [TREE_SENDER] = LIMITS_SENDER };
    struct limiting *limiting = arg;
    enum tree_kind kind;
    if (!span_eq(audit->action, SPAN(TREE_FORGET)) || !tree_kind_find(audit->kind, &kind))
        return;
    bool any = limits_tree_forget(limiting->tree, kinds[kind], audit->name);
    log_info(limiting->service->log, "limits-forgotten", LOG_SPAN("kind", audit->kind), LOG_SPAN("node", audit->name),
             LOG_SPAN("by", audit->who), LOG_BOOL("counted", any));
}

/* Orders stand in the audit log, where a person looks for them, too. */
static void take_orders(struct limiting *limiting, struct accounts *accounts)
{
    int64_t now_ms = time_wall_ms();
    if (accounts && tree_audit(accounts, SPAN_NONE, limiting->forgot_ms, ORDERS_MOST, on_order, limiting) == STATUS_OK)
        limiting->forgot_ms = MAX(limiting->forgot_ms, now_ms - TICK_MS); /* who wrote it looked at his clock before */
}

static void look(struct limiting *limiting)
{
    struct directory_service *service = limiting->service;
    enum status status;
    int64_t generation = 0;
    struct tell_count count;
    struct accounts *accounts = service_accounts(service, &status);
    if (!accounts && status != STATUS_NOT_FOUND)
        return; /* what held holds */
    if (accounts && verifiers_generation(accounts, &generation) != STATUS_OK)
        return;
    if (accounts == limiting->looked && generation == limiting->generation)
        return;
    take_orders(limiting, accounts);
    holders_forget(&limiting->holders);
    levels_forget_sums(&limiting->levels);
    loop_timer_set(&limiting->slice, 0);
    if (holders_masks(&limiting->holders, accounts, &count.accounts, &count.relayed) != STATUS_OK)
        return;
    limiting->looked = accounts;
    limiting->generation = generation;
    if (count.accounts == limiting->told.accounts && count.relayed == limiting->told.relayed)
        return;
    limiting->told = count;
    for (LIST_EACH(link, &service->peers))
        limiting_tell(limiting, CONTAINER(link, struct directory_peer, link));
}

static void on_slice(struct loop_timer *timer)
{
    struct limiting *limiting = CONTAINER(timer, struct limiting, slice);
    enum status status;
    struct accounts *accounts = service_accounts(limiting->service, &status);
    bool more = (!accounts && status != STATUS_NOT_FOUND) || levels_go_on(&limiting->levels, &limiting->holders, accounts, SLICE);
    if (more)
        loop_timer_set(timer, SLICE_MS);
}

static void on_tick(struct loop_timer *timer)
{
    struct limiting *limiting = CONTAINER(timer, struct limiting, tick);
    int64_t now = now_of(limiting), wall = time_wall_ms();
    look(limiting);
    counters_write(&limiting->counters, now, wall);
    known_write(&limiting->known, wall);
    limits_tree_sweep(limiting->tree, now, SWEEP);
    loop_timer_set(timer, TICK_MS);
}

void limiting_set_defaults(struct limiting *limiting, const struct conf_texts *texts, int64_t wait_most_ms, int notices)
{
    holders_set_defaults(&limiting->holders, texts);
    limits_tree_set_wait(limiting->tree, wait_most_ms);
    limiting->notices = notices;
    limiting->looked = NULL;
    limiting->generation = -1;
    look(limiting);
}

/* -- counting -- */

struct step {
    enum limits_what what;
    unsigned flags;
    uint64_t n;
    bool only_asks;   /* what happens elsewhere is counted elsewhere */
};

static unsigned flags_of(uint8_t which, bool has_account)
{
    return (which & COUNT_LOCAL ? LIMITS_LOCAL : 0u) | (has_account ? 0u : LIMITS_RELAYED);
}

static void add_step(const struct holder *holder, struct step *steps, size_t *n, struct step step)
{
    if (holder->whats >> step.what & 1)
        steps[(*n)++] = step;
}

static size_t steps_of(const struct ask_count *ask, const struct holder *holder, bool is_new, struct step *ret)
{
    size_t n = 0;
    unsigned flags = flags_of(ask->which, ask->account.n > 0);
    if (ask->which & COUNT_MESSAGE) {
        add_step(holder, ret, &n, (struct step){ LIMITS_FAILURES, flags, 1, true });
        add_step(holder, ret, &n, (struct step){ LIMITS_MESSAGES, flags, 1, false });
    }
    if (ask->which & COUNT_RECIPIENT)
        add_step(holder, ret, &n, (struct step){ LIMITS_RECIPIENTS, flags, 1, false });
    if (ask->which & COUNT_RECIPIENT && is_new)
        add_step(holder, ret, &n, (struct step){ LIMITS_NEW_RECIPIENTS, flags, 1, false });
    if (ask->which & COUNT_OCTETS)
        add_step(holder, ret, &n, (struct step){ LIMITS_BYTES, flags | LIMITS_WHOLE, ask->octets, false });
    return n;
}

static struct limits_request request_of(struct limiting *limiting, const struct holder *holder, const struct step *step)
{
    return (struct limits_request){ holder->chain, holder->chain_count, step->what, step->flags, step->n, now_of(limiting),
                                    time_wall_ms() };
}

/* What waits now is no counter: the queue has told it, of each account some 100 ms ago. False: the tightest rule in `ret`. */
static bool has_room_to_wait(struct limiting *limiting, const struct holder *holder, struct limits_verdict *ret)
{
    for (size_t i = 0; i < holder->chain_count; i++) {
        const struct limits_node *node = &holder->chain[i];
        struct level_sum sum = levels_of(&limiting->levels, node->kind, node->name);
        for (size_t j = 0; j < node->rule_count; j++) {
            const struct limits_rule *rule = &node->rules[j];
            bool octets = rule->what == LIMITS_QUEUED_BYTES;
            if ((!octets && rule->what != LIMITS_QUEUED) || (octets ? sum.octets : sum.messages) < rule->amount)
                continue;
            *ret = (struct limits_verdict){ .outcome = LIMITS_VERDICT_LIMITED, .rule = rule, .node = node, .asked = 1,
                                            .count = octets ? sum.octets : sum.messages };
            if (rule->flags & LIMITS_RULE_DRY)
                ret->dry_rule = rule, ret->dry_node = node;
            else if (rule->action != LIMITS_NOTIFY)
                return false;
        }
    }
    return true;
}

static void tell_dry(struct limiting *limiting, const struct limits_verdict *verdict)
{
    AUTO(buf_done) struct buf limit = BUF_EMPTY(256);
    limits_words_limit(verdict->dry_rule, LIMITS_ENGLISH, &limit);
    log_info(limiting->service->log, "limit-would-stop", LOG_STR("kind", limits_kind_name(verdict->dry_node->kind)),
             LOG_SPAN("node", verdict->dry_node->name), LOG_SPAN("limit", buf_span(&limit)),
             LOG_STR("action", limits_action_name(verdict->dry_rule->action)));
}

/* Rounded up; and what waits for long waits for a full minute, so that not every recipient is a share of its own in the queue. */
static uint32_t seconds_of(int64_t wait_ms)
{
    int64_t unit = wait_ms > 10 * TIME_MINUTE_MS ? TIME_MINUTE_MS : TIME_SECOND_MS;
    return (uint32_t)MIN((wait_ms + unit - 1) / unit * unit / TIME_SECOND_MS, (int64_t)UINT32_MAX);
}

/* How long what passes is kept first: the recipient, or all of the message. `hold` keeps a message together, `pace` lets its
 * recipients out one after the other. */
struct delay {
    int64_t message_ms, recipient_ms;
};

static void note_delay(struct limiting *limiting, const struct limits_verdict *verdict, struct delay *delay)
{
    if (verdict->wait_ms == 0)
        return;
    enum limits_what what = verdict->late_rule->what;
    bool alone = verdict->late_rule->action == LIMITS_PACE && (what == LIMITS_RECIPIENTS || what == LIMITS_NEW_RECIPIENTS);
    int64_t *of = alone ? &delay->recipient_ms : &delay->message_ms;
    *of = MAX(*of, verdict->wait_ms);
    AUTO(buf_done) struct buf limit = BUF_EMPTY(256);
    limits_words_limit(verdict->late_rule, LIMITS_ENGLISH, &limit);
    log_info(limiting->service->log, "limit-waits", LOG_STR("kind", limits_kind_name(verdict->late_node->kind)),
             LOG_SPAN("node", verdict->late_node->name), LOG_SPAN("limit", buf_span(&limit)),
             LOG_STR("action", limits_action_name(verdict->late_rule->action)), LOG_INT("wait_s", seconds_of(verdict->wait_ms)));
}

/* All steps count, or none. */
static bool take_all(struct limiting *limiting, const struct holder *holder, const struct step *steps, size_t n,
                     struct delay *delay, struct limits_verdict *ret)
{
    for (size_t i = 0; i < n; i++) {
        struct limits_request request = request_of(limiting, holder, &steps[i]);
        (steps[i].only_asks ? limits_tree_ask : limits_tree_take)(limiting->tree, &request, ret);
        if (ret->dry_rule)
            tell_dry(limiting, ret);
        if (ret->outcome == LIMITS_VERDICT_PASS) {
            note_delay(limiting, ret, delay);
            continue;
        }
        while (i-- > 0) {
            request = request_of(limiting, holder, &steps[i]);
            if (!steps[i].only_asks)
                limits_tree_undo(limiting->tree, &request, request.now_ms);
        }
        return false;
    }
    return true;
}

static enum counted result_of(const struct limits_verdict *verdict)
{
    if (verdict->outcome == LIMITS_VERDICT_FULL)
        return COUNTED_FULL;
    const struct limits_rule *rule = verdict->rule;
    if (verdict->clear_wall_ms == LIMITS_NEVER && rule->action != LIMITS_SUSPEND)
        return rule->what == LIMITS_BYTES ? COUNTED_TOO_LARGE : COUNTED_REJECT;
    return rule->action == LIMITS_REJECT || rule->action == LIMITS_SUSPEND ? COUNTED_REJECT : COUNTED_DEFER;
}

/* Until somebody lifts it. The tree is changed as a person would change it; we open it for that alone. */
static void suspend(struct limiting *limiting, struct span account, struct span reason)
{
    struct directory_service *service = limiting->service;
    struct accounts *accounts = NULL;
    struct tree_node node = { 0 };
    int64_t now_ms = loop_now_ms(service->loop);
    uint64_t hash = hash_bytes(account);
    if (limiting->suspended == hash && now_ms - limiting->suspended_ms < SUSPENDED_MS)
        return;
    limiting->suspended = hash;
    limiting->suspended_ms = now_ms;
    enum status status = accounts_open_to_change(buf_cstr(&service->path), -1, -1, &accounts);
    if (status == STATUS_OK)
        status = tree_find(accounts, TREE_SENDER, account, &node);
    if (status == STATUS_OK && !node.suspended) {
        accounts_set_who(accounts, SPAN("limits"));
        status = tree_suspend(accounts, &node, span_head(reason, MIN(reason.n, (size_t)TREE_TEXT_MAX)), time_wall_ms());
    }
    if (status == STATUS_OK)
        log_warning(service->log, "sender-suspended", LOG_SPAN("account", account), LOG_SPAN("why", reason));
    else
        log_error(service->log, "sender-not-suspended", LOG_SPAN("account", account), LOG_SPAN("limit", reason),
                  LOG_STR("why", status == STATUS_NOT_FOUND || !accounts ? status_text(status) : accounts_why(accounts)));
    accounts_close(accounts);
}

static void refuse(struct limiting *limiting, const struct ask_count *ask, const struct limits_verdict *verdict,
                   struct tell_counted *tell, struct buf *text)
{
    bool suspends = verdict->outcome == LIMITS_VERDICT_LIMITED && verdict->rule->action == LIMITS_SUSPEND;
    size_t head = text->n;
    if (suspends) {
        buf_add_str(text, "sending is suspended until the administrator lifts it: ");
        head = text->n;
    }
    limits_words_reason(verdict, moment_now(), text);
    tell->result = (uint8_t)result_of(verdict);
    if (suspends && ask->account.n)
        suspend(limiting, ask->account, span_from(buf_span(text), head));
}

/* By definition counted in no limit; that a stolen password could not use it for more than a few, it has a small one of its own. */
static const struct holder *null_holder(struct span account, struct holder *ret)
{
    static const struct limits_rule rule = { .amount = NULL_SENDERS, .per_ms = TIME_DAY_MS, .what = LIMITS_RECIPIENTS,
                                             .action = LIMITS_DEFER };
    *ret = (struct holder){ .chain = { { account, &rule, LIMITS_SENDER, 1 } }, .whats = 1u << LIMITS_RECIPIENTS, .chain_count = 1 };
    return ret;
}

static void judge(struct limiting *limiting, const struct ask_count *ask, struct tell_counted *tell, struct buf *text)
{
    enum status status;
    struct accounts *accounts = service_accounts(limiting->service, &status);
    struct step steps[STEPS_MOST];
    struct limits_verdict verdict = { 0 };
    struct holder null;
    AUTO(buf_done) struct buf name = BUF_EMPTY(LIMITS_NAME_MOST);
    const struct holder *holder = NULL;
    if (ask->which & COUNT_NULL) {
        buf_add_str(&name, "the null sender of ");
        buf_add(&name, ask->account);
        holder = null_holder(buf_span(&name), &null);
    } else if (accounts || status == STATUS_NOT_FOUND)
        holder = holders_find(&limiting->holders, accounts, ask->account, ask->credential, &status);
    if (!holder) {
        service_trouble(limiting->service, status);
        tell->result = COUNTED_LATER;
        return;
    }
    bool looks = ask->which & COUNT_RECIPIENT && holder->whats >> LIMITS_NEW_RECIPIENTS & 1 && ask->account.n;
    bool is_new = looks && !known_has(&limiting->known, ask->account, ask->address);
    size_t n = steps_of(ask, holder, is_new, steps);
    tell->taken_ms = (uint64_t)now_of(limiting);
    bool waits = ask->which & COUNT_MESSAGE && holder->whats & (1u << LIMITS_QUEUED | 1u << LIMITS_QUEUED_BYTES);
    if (waits && !has_room_to_wait(limiting, holder, &verdict)) {
        refuse(limiting, ask, &verdict, tell, text);
        return;
    }
    if (verdict.dry_rule)
        tell_dry(limiting, &verdict);
    verdict = (struct limits_verdict){ 0 };
    struct delay delay = { 0 };
    if (!take_all(limiting, holder, steps, n, &delay, &verdict)) {
        refuse(limiting, ask, &verdict, tell, text);
        return;
    }
    tell->message_wait_s = seconds_of(delay.message_ms);
    tell->recipient_wait_s = seconds_of(delay.recipient_ms);
    if (looks)
        known_add(&limiting->known, ask->account, ask->address); /* also who is known: he is not to be forgotten */
}

enum status limiting_count(struct directory_peer *peer, struct span body)
{
    struct ask_count ask;
    if (!ask_count_get(body, &ask))
        return STATUS_SYNTAX;
    AUTO(buf_done) struct buf text = BUF_EMPTY(1024);
    AUTO(buf_done) struct buf answer = BUF_EMPTY(4096);
    struct tell_counted tell = { .token = ask.token, .result = COUNTED_YES };
    judge(peer->service->limiting, &ask, &tell, &text);
    tell.text = buf_span(&text);
    tell_counted_put(&answer, &tell);
    peer->answer(peer->arg, TELL_COUNTED, buf_span(&answer));
    return STATUS_OK;
}

/* Whom he now knows he goes on knowing: else a recipient who is refused and tried again would be new each time, or one who is
 * tried and left would be known for nothing. */
enum status limiting_undo(struct directory_peer *peer, struct span body)
{
    struct limiting *limiting = peer->service->limiting;
    struct ask_undo undo;
    enum status status;
    if (!ask_undo_get(body, &undo))
        return STATUS_SYNTAX;
    struct accounts *accounts = service_accounts(peer->service, &status);
    const struct holder *holder = accounts || status == STATUS_NOT_FOUND
                                      ? holders_find(&limiting->holders, accounts, undo.account, undo.credential, &status) : NULL;
    if (!holder || undo.which & COUNT_NULL || undo.taken_ms > INT64_MAX)
        return STATUS_OK; /* it stays counted */
    unsigned flags = flags_of(undo.which, undo.account.n > 0);
    struct step steps[] = { { LIMITS_MESSAGES, flags, undo.which & COUNT_MESSAGE ? 1 : 0, false },
                            { LIMITS_RECIPIENTS, flags, undo.which & COUNT_RECIPIENT ? undo.recipients : 0, false },
                            { LIMITS_BYTES, flags, undo.which & COUNT_OCTETS ? undo.octets : 0, false } };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct limits_request request = request_of(limiting, holder, &steps[i]);
        if (steps[i].n)
            limits_tree_undo(limiting->tree, &request, (int64_t)undo.taken_ms);
    }
    return STATUS_OK;
}

static void on_failures(struct limiting *limiting, struct span account, uint32_t failures)
{
    enum status status;
    struct limits_verdict verdict;
    struct accounts *accounts = service_accounts(limiting->service, &status);
    const struct holder *holder = NULL;
    if (failures && (accounts || status == STATUS_NOT_FOUND))
        holder = holders_find(&limiting->holders, accounts, account, 0, &status);
    if (!holder || !(holder->whats >> LIMITS_FAILURES & 1))
        return;
    struct step step = { LIMITS_FAILURES, 0, failures, false };
    struct limits_request request = request_of(limiting, holder, &step);
    limits_tree_take(limiting->tree, &request, &verdict);
}

bool limiting_login(struct limiting *limiting, struct span account, uint64_t credential, struct buf *why)
{
    enum status status;
    struct limits_verdict verdict = { 0 };
    struct accounts *accounts = service_accounts(limiting->service, &status);
    const struct holder *holder = accounts ? holders_find(&limiting->holders, accounts, account, credential, &status) : NULL;
    struct step step = { LIMITS_LOGINS, 0, 1, false };
    struct delay delay = { 0 };
    if (!holder || !(holder->whats >> LIMITS_LOGINS & 1) || take_all(limiting, holder, &step, 1, &delay, &verdict))
        return true; /* what cannot be read now was read a moment ago, for the password */
    struct tell_counted tell = { 0 };
    refuse(limiting, &(struct ask_count){ .account = account }, &verdict, &tell, why);
    return false;
}

void limiting_on_level(void *arg, struct span account, uint64_t messages, uint64_t octets, uint32_t failures)
{
    struct limiting *limiting = arg;
    enum status status;
    struct accounts *accounts = service_accounts(limiting->service, &status);
    if (levels_set(&limiting->levels, &limiting->holders, accounts, account, messages, octets) != STATUS_OK)
        log_warning(limiting->service->log, "level-lost", LOG_SPAN("account", account), LOG_INT("messages", messages));
    if (failures)
        on_failures(limiting, account, failures);
}

struct limits_tree *limiting_tree(struct limiting *limiting) { return limiting->tree; }
int64_t limiting_now(const struct limiting *limiting) { return now_of(limiting); }

/* -- coming and going -- */

struct limiting *limiting_new(struct directory_service *service, size_t memory)
{
    struct limiting *limiting = calloc(1, sizeof *limiting);
    if (!limiting)
        return NULL;
    limiting->service = service;
    limiting->clock = limits_clock_at(time_wall_ms(), loop_now_ms(service->loop));
    limiting->generation = -1;
    limiting->forgot_ms = time_wall_ms();
    limiting->suspended_ms = INT64_MIN / 2;
    limiting->counters.fd = -1;
    holders_init(&limiting->holders);
    levels_init(&limiting->levels);
    loop_timer_init(service->loop, &limiting->tick, on_tick);
    loop_timer_init(service->loop, &limiting->slice, on_slice);
    limiting->tree = limits_tree_new(&(struct limits_tree_setup){ memory, on_warning, limiting });
    const char *path = buf_cstr(&service->path);
    if (!limiting->tree || known_init(&limiting->known, service->log, path) != STATUS_OK ||
        counters_open(&limiting->counters, service->log, limiting->tree, path, now_of(limiting), time_wall_ms()) != STATUS_OK) {
        limiting_free(limiting);
        return NULL;
    }
    loop_timer_set(&limiting->tick, TICK_MS);
    return limiting;
}

void limiting_free(struct limiting *limiting)
{
    if (!limiting)
        return;
    loop_timer_stop(&limiting->tick);
    loop_timer_stop(&limiting->slice);
    levels_done(&limiting->levels);
    counters_close(&limiting->counters, now_of(limiting), time_wall_ms());
    known_done(&limiting->known, time_wall_ms());
    holders_forget(&limiting->holders);
    limits_tree_free(limiting->tree);
    free(limiting);
}
