#include "directory/service_priv.h"
#include "base/time.h"
#include "directory/tree.h"
#include "policy/sender.h"
#include <stdlib.h>
#include <sys/stat.h>

#define LOOK_MS 500 /* how often the file is looked at: made, replaced or removed meanwhile? */

static void on_turn_end(struct loop_task *task)
{
    struct directory_service *service = CONTAINER(task, struct directory_service, turn_end);
    accounts_turn_end(service->accounts);
    service->signed_in_turn = 0;
}

struct directory_service *directory_service_new(struct loop *loop, struct log *log, const char *path,
                                                const struct directory_limits *limits)
{
    struct directory_service *service = calloc(1, sizeof *service);
    if (!service)
        return NULL;
    *service = (struct directory_service){ .loop = loop, .log = log, .path = BUF_EMPTY(4096), .clients = MAP_EMPTY,
                                           .waiting_max = limits->waiting, .looked_ms = INT64_MIN / 2 };
    list_init(&service->checks);
    list_init(&service->signings);
    service->scram = DIRECTORY_SCRAM_NO;
    offer_init(service);
    keys_init(&service->keys, loop);
    service->remember = remember_new(REMEMBER_COUNT, limits->remember_ms);
    bool guarded = guard_new(service, &limits->guess);
    service->workers = workers_new(loop, limits->threads, limits->waiting);
    service->signers = workers_new(loop, limits->signers, SIGNINGS_MAX);
    loop_hook_add(loop, &service->turn_end, on_turn_end);
    if (!service->remember || !guarded || !service->workers || !service->signers ||
        buf_add_str(&service->path, path) != STATUS_OK || !(service->limiting = limiting_new(service, limits->counters))) {
        directory_service_free(service);
        return NULL;
    }
    directory_service_on_level(service, limiting_on_level, service->limiting);
    return service;
}

void directory_service_free(struct directory_service *service)
{
    if (!service)
        return;
    if (service->workers)
        workers_free(service->workers); /* first: it waits for those that still touch their checks */
    if (service->signers)
        workers_free(service->signers);
    sign_free_all(service);
    limiting_free(service->limiting);
    keys_done(&service->keys);
    for (LIST_EACH(link, &service->checks))
        login_check_free(CONTAINER(link, struct check, link));
    offer_done(service);
    explicit_bzero(service->salt_secret, sizeof service->salt_secret);
    loop_hook_remove(&service->turn_end);
    accounts_close(service->accounts);
    remember_free(service->remember);
    guard_free(service);
    map_done(&service->clients);
    buf_done(&service->path);
    free(service);
}

static void forget_database(struct directory_service *service)
{
    accounts_close(service->accounts);
    service->accounts = service->accounts_looked = NULL;
}

void directory_service_change(struct directory_service *service, const char *path, int64_t remember_ms)
{
    remember_set_life(service->remember, remember_ms);
    if (span_eq(buf_span(&service->path), span_str(path)))
        return;
    buf_clear(&service->path);
    buf_add_str(&service->path, path);
    service->has_salt_secret = false;
    forget_database(service);
    service->looked_ms = INT64_MIN / 2;
}

enum status directory_service_set_keys(struct directory_service *service, struct key_set *set)
{
    return keys_replace(&service->keys, set);
}

void directory_service_limits(struct directory_service *service, const struct conf_texts *defaults, int64_t wait_most_ms, int notices)
{
    limiting_set_defaults(service->limiting, defaults, wait_most_ms, notices);
}

void service_trouble(struct directory_service *service, enum status status)
{
    if (service->trouble == status)
        return;
    service->trouble = status;
    if (status == STATUS_OK)
        log_info(service->log, "accounts-readable", LOG_SPAN("database", buf_span(&service->path)));
    else if (status == STATUS_NOT_FOUND)
        log_warning(service->log, "accounts-missing", LOG_SPAN("database", buf_span(&service->path)),
                    LOG_STR("advice", "nobody can log in; `goniec account add` makes the database"));
    else
        log_error(service->log, "accounts-unreadable", LOG_SPAN("database", buf_span(&service->path)),
                  LOG_STR("why", service->accounts ? accounts_why(service->accounts) : status_text(status)));
}

/* Another file under the name (a backup put back), or none any more: what is open is not what people see. */
static void look_at_file(struct directory_service *service)
{
    struct stat now;
    bool is_there = stat(buf_cstr(&service->path), &now) == 0;
    uint64_t file[2] = { is_there ? now.st_dev : 0, is_there ? now.st_ino : 0 };
    if (service->accounts && memcmp(file, service->file, sizeof file) == 0)
        return;
    forget_database(service);
    memcpy(service->file, file, sizeof file);
    enum status status = accounts_open(buf_cstr(&service->path), &service->accounts);
    service_trouble(service, status);
    if (status != STATUS_OK)
        forget_database(service);
}

struct accounts *service_accounts(struct directory_service *service, enum status *ret_why)
{
    int64_t now_ms = loop_now_ms(service->loop);
    if (now_ms - service->looked_ms >= LOOK_MS) {
        service->looked_ms = now_ms;
        look_at_file(service);
    }
    *ret_why = service->accounts ? STATUS_OK : service->trouble;
    return service->accounts;
}

struct directory_peer *directory_peer_new(struct directory_service *service, directory_answer *answer, void *arg)
{
    struct directory_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    *peer = (struct directory_peer){ .service = service, .answer = answer, .arg = arg, .exchanges = MAP_EMPTY };
    offer_to(peer);
    limiting_tell(service->limiting, peer);
    return peer;
}

void directory_peer_free(struct directory_peer *peer)
{
    if (!peer)
        return;
    for (MAP_EACH(node, &peer->exchanges))
        login_exchange_free(CONTAINER(node, struct exchange, node));
    sign_forget_peer(peer);
    list_remove(&peer->link);
    map_done(&peer->exchanges);
    free(peer);
}

static void tell(struct directory_peer *peer, uint64_t token, enum verdict verdict, struct span text)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    tell_verdict_put(&body, &(struct tell_verdict){ token, (uint8_t)verdict, text });
    peer->answer(peer->arg, TELL_VERDICT, buf_span(&body));
}

static void say_suspended(const struct account *account, struct span login, struct buf *ret)
{
    policy_add_shown(ret, login, 72);
    if (span_eq(account->who, login)) {
        buf_add_str(ret, " is suspended");
    } else {
        buf_add_str(ret, " may not send: ");
        buf_add_str(ret, span_eq(account->who, SPAN(TREE_SERVER_NAME)) ? "the " : "");
        policy_add_shown(ret, account->who, 72);
        buf_add_str(ret, " is suspended");
    }
    if (account->reason.n) {
        buf_add_str(ret, " (");
        policy_add_shown(ret, account->reason, 160);
        buf_add_str(ret, ")");
    }
    buf_add_str(ret, "; ask the administrator");
}

static void name_credential(const struct account *account, struct span login, struct buf *ret)
{
    buf_add_str(ret, "the credential ");
    policy_add_shown(ret, account->credential, CREDENTIAL_NAME_MAX);
    buf_add_str(ret, " of ");
    policy_add_shown(ret, login, 72);
}

bool service_credential_opens(const struct account *account, struct span login, struct span client, struct buf *why)
{
    char iso[TIME_TEXT_SIZE];
    if (account->suspended) {
        say_suspended(account, login, why);
        return false;
    }
    if (!account->has_credential) {
        buf_add_str(why, "what this login was made with has been changed or revoked; log in again");
        return false;
    }
    if (account->expires_ms && account->expires_ms <= time_wall_ms()) {
        name_credential(account, login, why);
        buf_printf(why, " expired at %s; log in with another, or have a new one made", time_iso(account->expires_ms, iso));
        return false;
    }
    if (client.n && !credential_allows_network(account->networks, client)) {
        name_credential(account, login, why);
        buf_printf(why, " may not be used from %.*s; use another, or have its networks changed", SPAN_ARGS(client));
        return false;
    }
    return true;
}

struct ownership {
    struct accounts *accounts;
    const struct account *account;
    enum status status; /* of the last question that failed, or OK */
};

static bool owns(void *arg, struct span key)
{
    struct ownership *ownership = arg;
    enum status status = accounts_owns(ownership->accounts, ownership->account->row, key);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        ownership->status = status;
    return status == STATUS_OK;
}

#define SHOWN 3 /* addresses that a refusal lists */
struct owned {
    struct span items[SHOWN];
    char room[SHOWN][ADDRESS_MAX];
    size_t n;
};

static void owned_add(void *arg, struct span address)
{
    struct owned *owned = arg;
    if (owned->n >= SHOWN)
        return;
    address = span_head(address, ADDRESS_MAX);
    memcpy(owned->room[owned->n], address.p, address.n);
    owned->items[owned->n] = span_of(owned->room[owned->n], address.n);
    owned->n++;
}

static void add_refusal(struct ownership *ownership, const struct policy_sender_question *question, struct buf *ret)
{
    struct owned owned = { 0 };
    struct policy_keys own;
    if (policy_keys_make(question->login, &own) == STATUS_OK)
        owned_add(&owned, question->login);
    size_t self = owned.n, total = 0;
    if (accounts_aliases(ownership->accounts, ownership->account->row, SHOWN, owned_add, &owned, &total) != STATUS_OK)
        total = owned.n - self;
    policy_sender_refusal(question, owned.items, owned.n, self + total, ret);
}

/* Besides what it owns: what its place in the tree lets it send as. Asked only where ownership does not do. */
static bool place_allows(struct ownership *ownership, struct span address)
{
    const struct tree_setting *setting = tree_setting_find(SPAN("from"));
    AUTO(buf_done) struct buf from = BUF_EMPTY(TREE_VALUE_MAX);
    struct policy_keys keys;
    struct tree_node domain = { 0 };
    if (policy_keys_make(address, &keys) != STATUS_OK)
        return false;
    enum status status = tree_effective(ownership->accounts, ownership->account->row, setting, &from);
    bool needs_domain = span_eq(buf_span(&from), SPAN("domain")) || span_eq(buf_span(&from), SPAN("customer"));
    if (status == STATUS_OK && needs_domain)
        status = tree_find(ownership->accounts, TREE_DOMAIN, keys.domain, &domain);
    if (status != STATUS_OK) {
        if (status != STATUS_NOT_FOUND)
            ownership->status = status;
        return false;
    }
    if (span_eq(buf_span(&from), SPAN("domain")))
        return domain.id == ownership->account->domain;
    if (span_eq(buf_span(&from), SPAN("customer")))
        return domain.parent == ownership->account->customer;
    return span_eq(buf_span(&from), SPAN("any"));
}

/* A credential may be for some addresses alone. */
static bool credential_stops(const struct ownership *ownership, const struct policy_sender_question *question, struct buf *text)
{
    const struct account *account = ownership->account;
    if ((!question->address.n && !question->in_header) || credential_allows_sender(account->senders, question->address))
        return false;
    name_credential(account, question->login, text);
    buf_add_str(text, " may not send as ");
    policy_add_shown(text, question->address, 72);
    buf_add_str(text, ", but as ");
    policy_add_shown(text, account->senders, 100);
    buf_add_str(text, "; log in with another, or ask the administrator");
    return true;
}

/* YES, or NO with a sentence, or LATER: about one address. */
static enum verdict judge(struct ownership *ownership, const struct policy_sender_question *question, struct buf *text)
{
    if (credential_stops(ownership, question, text))
        return VERDICT_NO;
    switch (policy_sender_check(question, owns, ownership)) {
    case STATUS_OK:
        return VERDICT_YES;
    case STATUS_DENIED:
        if (ownership->status == STATUS_OK && place_allows(ownership, question->address))
            return VERDICT_YES;
        if (ownership->status != STATUS_OK)
            return VERDICT_LATER;
        add_refusal(ownership, question, text);
        return VERDICT_NO;
    default:
        policy_add_shown(text, question->address, 100);
        buf_add_str(text, " is not a mail address");
        return VERDICT_NO;
    }
}

/* A session outlives what it was opened with: that is looked at for each message, its network was at the login. */
static bool may_still_send(const struct account *account, const struct ask_may_send *ask, struct buf *text)
{
    if (ask->credential)
        return service_credential_opens(account, ask->account, SPAN_NONE, text);
    if (account->suspended)
        say_suspended(account, ask->account, text);
    return !account->suspended;
}

static enum verdict judge_all(struct directory_service *service, const struct ask_may_send *ask, struct buf *text)
{
    enum status status;
    struct account account = { 0 };
    struct ownership ownership = { .accounts = service_accounts(service, &status), .account = &account };
    if (ownership.accounts)
        status = accounts_find(ownership.accounts, ask->account, (int64_t)ask->credential, &account);
    if (status == STATUS_NOT_FOUND) {
        policy_add_shown(text, ask->account, 100);
        buf_add_str(text, " may not send any more; ask the administrator");
        return VERDICT_NO;
    }
    service_trouble(service, status);
    if (status != STATUS_OK)
        return VERDICT_LATER;
    if (!may_still_send(&account, ask, text))
        return VERDICT_NO;

    enum verdict verdict = VERDICT_YES;
    for (uint32_t i = 0; i < ask->count && verdict == VERDICT_YES; i++) {
        struct policy_sender_question question = { ask->account, ask->addresses[i], ask->which == MAY_SEND_HEADER };
        verdict = judge(&ownership, &question, text);
    }
    if (verdict == VERDICT_LATER)
        service_trouble(service, ownership.status);
    return verdict;
}

static enum status on_may_send(struct directory_peer *peer, struct span body)
{
    struct ask_may_send ask;
    if (!ask_may_send_get(body, &ask))
        return STATUS_SYNTAX;
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    enum verdict verdict = judge_all(peer->service, &ask, &text);
    if (verdict == VERDICT_NO) /* smtpd tells what came of it */
        log_debug(peer->service->log, "sender-refused", LOG_SPAN("account", ask.account),
                    LOG_SPAN("why", buf_span(&text)));
    tell(peer, ask.token, verdict, buf_span(&text));
    return STATUS_OK;
}

static enum verdict find_recipient(struct directory_service *service, struct span address, struct buf *text)
{
    struct policy_keys keys;
    enum status status = policy_keys_make(address, &keys);
    struct accounts *accounts = NULL;
    /* "*@domain" among the aliases lets somebody send as all of them; nobody receives under it. */
    bool is_wildcard = status == STATUS_OK && span_eq(keys.base, keys.wildcard);
    if (status == STATUS_OK && !is_wildcard)
        accounts = service_accounts(service, &status);
    else
        status = STATUS_NOT_FOUND;
    if (accounts)
        status = accounts_has_address(accounts, keys.exact);
    if (accounts && status == STATUS_NOT_FOUND)
        status = accounts_has_address(accounts, keys.base);
    if (status == STATUS_OK)
        return VERDICT_YES;
    if (status != STATUS_NOT_FOUND) {
        service_trouble(service, status);
        return VERDICT_LATER;
    }
    buf_add_str(text, "no such recipient here: ");
    policy_add_shown(text, address, 200);
    return VERDICT_NO;
}

static enum status on_is_recipient(struct directory_peer *peer, struct span body)
{
    struct ask_is_recipient ask;
    if (!ask_is_recipient_get(body, &ask))
        return STATUS_SYNTAX;
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    enum verdict verdict = find_recipient(peer->service, ask.address, &text);
    tell(peer, ask.token, verdict, buf_span(&text));
    return STATUS_OK;
}

enum status directory_peer_feed(struct directory_peer *peer, uint16_t kind, struct span body)
{
    switch (kind) {
    case ASK_AUTH_START: return login_start(peer, body);
    case ASK_AUTH_NEXT: return login_next(peer, body);
    case ASK_AUTH_CANCEL: return login_cancel(peer, body);
    case ASK_MAY_SEND: return on_may_send(peer, body);
    case ASK_IS_RECIPIENT: return on_is_recipient(peer, body);
    case ASK_SIGN: return sign_start(peer, body);
    case ASK_COUNT: return limiting_count(peer, body);
    case ASK_UNDO: return limiting_undo(peer, body);
    default: return STATUS_SYNTAX;
    }
}
