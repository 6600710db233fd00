#include "directory/service_priv.h"
#include "base/hash.h"
#include <stdlib.h>

/* The sentences of refusals are the same for a wrong password and an unknown login. */
#define TEXT_DENIED "login or password is wrong"
#define TEXT_UNBOUND "this login does not belong to this connection; if it happens again, somebody may be reading along: ask your administrator"
#define TARGET_STORED_MAX (CREDENTIALS_TRIED_MAX * SECRET_STORED_MAX)
#define TEXT_BUSY "cannot check the password now; try again later"

static bool is_token(const struct map_node *node, const void *key)
{
    return CONTAINER(node, struct exchange, node)->token == *(const uint64_t *)key;
}

static struct exchange *exchange_find(struct directory_peer *peer, uint64_t token)
{
    struct map_node *node = map_find(&peer->exchanges, hash_u64(token), is_token, &token);
    return node ? CONTAINER(node, struct exchange, node) : NULL;
}

void login_exchange_free(struct exchange *exchange)
{
    map_remove(&exchange->peer->exchanges, &exchange->node);
    list_remove(&exchange->waiter);
    sasl_done(&exchange->sasl);
    buf_done(&exchange->login);
    buf_done(&exchange->client);
    free(exchange);
}

static void tell_auth(struct directory_peer *peer, const struct tell_auth *auth)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    tell_auth_put(&body, auth);
    peer->answer(peer->arg, TELL_AUTH, buf_span(&body));
}

static void tell_no(struct directory_peer *peer, uint64_t token, enum auth_result result, struct span text)
{
    tell_auth(peer, &(struct tell_auth){ .token = token, .result = (uint8_t)result, .text = text });
}

void login_finish(struct exchange *exchange, enum auth_result result, const char *reason, bool is_news)
{
    struct directory_service *service = exchange->peer->service;
    struct log *log = service->log;
    struct span login = exchange->login.n ? buf_span(&exchange->login) : buf_span(&exchange->sasl.login);
    switch (result) {
    case AUTH_DENIED:
        log_event(log, is_news ? LOG_WARNING : LOG_DEBUG, "login-failed", LOG_SPAN("login", login),
                  LOG_SPAN("client", buf_span(&exchange->client)), LOG_STR("mechanism", sasl_name(&exchange->sasl)),
                  LOG_STR("why", reason));
        tally_more(service->tally, TALLY_LOGINS_FAILED, 1);
        tell_no(exchange->peer, exchange->token, result, SPAN(TEXT_DENIED));
        break;
    case AUTH_BUSY:
        log_warning(log, "login-deferred", LOG_SPAN("login", login), LOG_SPAN("client", buf_span(&exchange->client)),
                    LOG_STR("why", reason));
        tell_no(exchange->peer, exchange->token, result, SPAN(TEXT_BUSY));
        break;
    default:
        tell_no(exchange->peer, exchange->token, result, span_str(reason));
    }
    login_exchange_free(exchange);
}

/* The right password, which opens nothing now: only who has it hears why. */
static void turn_away(struct exchange *exchange, struct span why)
{
    struct directory_service *service = exchange->peer->service;
    log_info(service->log, "login-turned-away", LOG_SPAN("account", buf_span(&exchange->login)),
             LOG_SPAN("client", buf_span(&exchange->client)), LOG_SPAN("why", why));
    tally_more(service->tally, TALLY_LOGINS_FAILED, 1);
    tell_no(exchange->peer, exchange->token, AUTH_DENIED, why);
    login_exchange_free(exchange);
}

/* There were too many logins: a mail program that heard 535 would ask its user for another password. */
static void put_off_by_limit(struct exchange *exchange, struct span why)
{
    log_info(exchange->peer->service->log, "login-limited", LOG_SPAN("account", buf_span(&exchange->login)),
             LOG_SPAN("client", buf_span(&exchange->client)), LOG_SPAN("why", why));
    tell_no(exchange->peer, exchange->token, AUTH_BUSY, why);
    login_exchange_free(exchange);
}

static void welcome(struct exchange *exchange, const struct account *account, int64_t credential, bool is_remembered)
{
    struct directory_service *service = exchange->peer->service;
    struct span login = buf_span(&exchange->login);
    /* a remembered one is no news: a website may log in for each message */
    log_event(service->log, is_remembered ? LOG_DEBUG : LOG_INFO, "login", LOG_SPAN("account", login),
              LOG_SPAN("credential", account->credential), LOG_SPAN("client", buf_span(&exchange->client)),
              LOG_STR("mechanism", sasl_name(&exchange->sasl)));
    guard_know(exchange);
    tally_more(service->tally, TALLY_LOGINS, 1);
    tell_auth(exchange->peer, &(struct tell_auth){ .token = exchange->token, .result = AUTH_OK, .account = login,
                                                   .credential = (uint64_t)credential, .restricted = account->senders.n > 0 });
    login_exchange_free(exchange);
}

void login_admit(struct exchange *exchange, int64_t credential, bool is_remembered)
{
    struct span login = buf_span(&exchange->login);
    struct account account = { 0 };
    AUTO(buf_done) struct buf why = BUF_EMPTY(SERVICE_TEXT_MAX);
    enum status status;
    struct accounts *accounts = service_accounts(exchange->peer->service, &status);
    if (accounts)
        status = accounts_find(accounts, login, credential, &account);
    if (status == STATUS_NOT_FOUND)
        login_finish(exchange, AUTH_DENIED, "the account went while its password was looked at", true);
    else if (status != STATUS_OK)
        login_finish(exchange, AUTH_BUSY, "the accounts cannot be read", true);
    else if (!service_credential_opens(&account, login, buf_span(&exchange->client), &why))
        turn_away(exchange, buf_span(&why));
    else if (!limiting_login(exchange->peer->service->limiting, login, (uint64_t)credential, &why))
        put_off_by_limit(exchange, buf_span(&why));
    else
        welcome(exchange, &account, credential, is_remembered);
}

static bool is_client(const struct map_node *node, const void *key)
{
    return span_eq(buf_span(&CONTAINER(node, struct client, node)->address), *(const struct span *)key);
}

/* Counts one more check of this client. NULL: it has its share of the waiting room, or no memory. */
static struct client *client_enter(struct directory_service *service, struct span address)
{
    uint64_t hash = hash_bytes(address);
    struct map_node *node = map_find(&service->clients, hash, is_client, &address);
    struct client *client = node ? CONTAINER(node, struct client, node) : calloc(1, sizeof *client);
    if (!client)
        return NULL;
    if (!node) {
        client->address = BUF_EMPTY(WIRE_LOGIN_MAX);
        if (buf_add(&client->address, address) != STATUS_OK ||
            map_add(&service->clients, &client->node, hash) != STATUS_OK) {
            buf_done(&client->address);
            free(client);
            return NULL;
        }
    }
    /* One guesser with many connections must leave room for everybody else. */
    if (client->count >= MAX(service->waiting_max / 4, 1u))
        return NULL;
    client->count++;
    return client;
}

static void client_leave(struct directory_service *service, struct client *client)
{
    if (!client || --client->count)
        return;
    map_remove(&service->clients, &client->node);
    buf_done(&client->address);
    free(client);
}

void login_check_free(struct check *check)
{
    for (LIST_EACH(link, &check->waiters))
        list_remove(link);
    if (list_is_linked(&check->link))
        check->service->check_count--;
    list_remove(&check->link);
    if (check->is_counted)
        guard_end(check->service, &check->try, GUESS_UNKNOWN);
    client_leave(check->service, check->client);
    buf_done(&check->stored);
    buf_wipe(&check->password);
    free(check);
}

/* In a worker's thread. */
static void check_run(struct work *work)
{
    struct check *check = CONTAINER(work, struct check, work);
    struct span stored = buf_span(&check->stored);
    check->result = STATUS_SYNTAX;
    for (size_t i = 0; i < check->tried_count && check->result != STATUS_OK; i++) {
        struct span form = secret_for_password(span_head(stored, check->tried[i].octets));
        enum status status = secret_check(form, buf_span(&check->password));
        if (status == STATUS_OK || (status != STATUS_SYNTAX && check->result != STATUS_MEMORY))
            check->result = status; /* one of an unknown form says nothing about the others */
        check->fits = i;
        stored = span_from(stored, check->tried[i].octets);
    }
}

static void check_done(struct work *work)
{
    struct check *check = CONTAINER(work, struct check, work);
    struct directory_service *service = check->service;
    enum auth_result result = AUTH_DENIED;
    const char *reason = check->may_succeed ? "wrong password" : check->reason;
    if (check->may_succeed && check->result == STATUS_OK) {
        result = AUTH_OK;
        remember_add(service->remember, &check->tried[check->fits].name, loop_now_ms(service->loop));
    } else if (check->result == STATUS_MEMORY) {
        result = AUTH_BUSY;
        reason = "out of memory";
    } else if (check->may_succeed && check->result == STATUS_SYNTAX) {
        reason = "the stored password has an unknown form";
    }
    bool is_news = !guess_is_told(service->guess, &check->try); /* the last one before the attack was told, too */
    if (check->result == STATUS_DENIED || check->result == STATUS_SYNTAX) /* not the right one of a disabled account */
        remember_add(service->wrong, &check->name, loop_now_ms(service->loop));
    guard_end(service, &check->try, result == AUTH_OK ? GUESS_RIGHT : result == AUTH_DENIED ? GUESS_WRONG : GUESS_UNKNOWN);
    check->is_counted = false;
    for (LIST_EACH(link, &check->waiters)) {
        struct exchange *exchange = CONTAINER(link, struct exchange, waiter);
        if (result == AUTH_OK)
            login_admit(exchange, check->tried[check->fits].credential, false);
        else
            login_finish(exchange, result, reason, is_news);
    }
    login_check_free(check);
}

/* What an attempt is checked against: what opens the account, or, for nobody's login, somebody else's stored form,
 * so that it takes just as long. */
struct target {
    struct account_secret secrets[CREDENTIALS_TRIED_MAX];
    struct remember_name names[CREDENTIALS_TRIED_MAX]; /* each with the password */
    size_t count;
    struct buf stored; /* all of them, one behind the other */
    bool may_succeed;
    const char *reason;
};

static void target_done(struct target *target) { buf_done(&target->stored); }

static enum status target_find(struct directory_service *service, const struct exchange *exchange, struct target *ret)
{
    enum status status;
    struct span login = buf_span(&exchange->login);
    struct accounts *accounts = service_accounts(service, &status);
    if (accounts && login.n)
        status = accounts_secrets(accounts, login, buf_span(&exchange->sasl.password), CREDENTIALS_TRIED_MAX, &ret->stored,
                                  ret->secrets, &ret->count);
    if (status == STATUS_NOT_FOUND) /* no database yet */
        status = STATUS_OK;
    if (status != STATUS_OK || ret->count)
        return status;

    ret->may_succeed = false;
    ret->reason = "no such account, or none with a password";
    ret->count = 1;
    if (accounts)
        status = accounts_any_stored(accounts, hash_bytes(login), &ret->stored);
    if (!accounts || status == STATUS_NOT_FOUND)
        status = buf_add(&ret->stored, secret_nobody());
    ret->secrets[0] = (struct account_secret){ 0, buf_span(&ret->stored) };
    return status;
}

static struct check *check_new(struct directory_service *service, const struct target *target, struct span password,
                               const struct remember_name *name)
{
    struct check *check = calloc(1, sizeof *check);
    if (!check)
        return NULL;
    *check = (struct check){ .work = { .run = check_run, .on_done = check_done }, .service = service, .name = *name,
                             .may_succeed = target->may_succeed, .reason = target->reason,
                             .stored = BUF_EMPTY(TARGET_STORED_MAX), .password = BUF_EMPTY(SASL_FIELD_MAX) };
    list_init(&check->link);
    list_init(&check->waiters);
    buf_add(&check->stored, buf_span(&target->stored));
    check->tried_count = target->count;
    for (size_t i = 0; i < target->count; i++) {
        check->tried[i].credential = target->secrets[i].credential;
        check->tried[i].octets = target->secrets[i].stored.n;
        check->tried[i].name = target->names[i];
    }
    buf_add(&check->password, password);
    if (check->stored.failed || check->password.failed) {
        login_check_free(check);
        return NULL;
    }
    return check;
}

/* The same login with the same password is being checked already: a website that opens fifty connections at once. */
static struct check *check_find(struct directory_service *service, const struct remember_name *name, bool may_succeed)
{
    for (LIST_EACH(link, &service->checks)) {
        struct check *check = CONTAINER(link, struct check, link);
        if (check->may_succeed == may_succeed && memcmp(&check->name, name, sizeof *name) == 0)
            return check;
    }
    return NULL;
}

/* A new check on its way; NULL: busy. Half of the waiting room is for those who have been here before. */
static struct check *check_begin(struct exchange *exchange, const struct target *target,
                                 const struct remember_name *name, const struct guess_try *try)
{
    struct directory_service *service = exchange->peer->service;
    bool is_crowded = service->check_count >= MAX(service->waiting_max / 2, 2u);
    struct client *client = is_crowded && !exchange->is_known ? NULL : client_enter(service, buf_span(&exchange->client));
    if (!client)
        return NULL;
    struct check *check = check_new(service, target, buf_span(&exchange->sasl.password), name);
    if (!check) {
        client_leave(service, client);
        return NULL;
    }
    check->client = client;
    check->try = *try;
    if (workers_do(service->workers, &check->work) != STATUS_OK) {
        login_check_free(check);
        return NULL;
    }
    list_add_last(&service->checks, &check->link);
    service->check_count++;
    guard_begin(service, try);
    check->is_counted = true;
    return check;
}

void login_put_off(struct exchange *exchange, const struct guess_try *try, int64_t wait_ms)
{
    struct directory_service *service = exchange->peer->service;
    AUTO(buf_done) struct buf text = BUF_EMPTY(512);
    guard_say_wait(wait_ms, &text);
    guard_refuse(service, try);
    log_debug(service->log, "login-put-off", LOG_SPAN("login", buf_span(&exchange->login)),
              LOG_SPAN("client", buf_span(&exchange->client)), LOG_INT("wait_ms", wait_ms));
    tell_no(exchange->peer, exchange->token, AUTH_BUSY, buf_span(&text));
    login_exchange_free(exchange);
}

static struct remember_name name_with(const struct exchange *exchange, struct span stored)
{
    return remember_name(exchange->peer->service->remember, buf_span(&exchange->login), stored,
                         buf_span(&exchange->sasl.password));
}

/* The credential that this password opened a moment ago; NULL: none of them. */
static const struct account_secret *find_remembered(const struct exchange *exchange, struct target *target)
{
    struct directory_service *service = exchange->peer->service;
    for (size_t i = 0; i < target->count; i++) {
        target->names[i] = name_with(exchange, target->secrets[i].stored);
        if (target->may_succeed && remember_has(service->remember, &target->names[i], loop_now_ms(service->loop)))
            return &target->secrets[i];
    }
    return NULL;
}

/* The account and its stored forms are there: is the password the right one? */
static void check_password(struct exchange *exchange, struct target *target)
{
    struct directory_service *service = exchange->peer->service;
    int64_t now_ms = loop_now_ms(service->loop);
    struct guess_try try;
    guard_try(exchange, &try);
    int64_t wait_ms = guess_wait(service->guess, &try, now_ms);
    if (wait_ms > 0) {
        login_put_off(exchange, &try, wait_ms);
        return;
    }
    const struct account_secret *known = find_remembered(exchange, target);
    if (known) {
        login_admit(exchange, known->credential, true);
        return;
    }
    struct remember_name name = target->count == 1 ? target->names[0] : name_with(exchange, buf_span(&target->stored));
    if (remember_has(service->wrong, &name, now_ms)) {
        login_finish(exchange, AUTH_DENIED, "the same wrong password as before", false);
        return;
    }
    struct check *check = check_find(service, &name, target->may_succeed);
    if (!check)
        check = check_begin(exchange, target, &name, &try);
    if (check)
        list_add_last(&check->waiters, &exchange->waiter);
    else
        login_finish(exchange, AUTH_BUSY, "too many logins wait for their check", true);
}

static void on_credentials(struct exchange *exchange)
{
    struct directory_service *service = exchange->peer->service;
    if (accounts_login_key(buf_span(&exchange->sasl.login), &exchange->login) != STATUS_OK)
        buf_clear(&exchange->login);

    AUTO(target_done) struct target target = { .may_succeed = true, .stored = BUF_EMPTY(TARGET_STORED_MAX) };
    enum status status = target_find(service, exchange, &target);
    service_trouble(service, status == STATUS_OK && !service->accounts ? STATUS_NOT_FOUND : status);
    if (status != STATUS_OK) {
        login_finish(exchange, AUTH_BUSY, "the accounts cannot be read", true);
        return;
    }
    if (!secret_is_text(buf_span(&exchange->sasl.password))) {
        target.may_succeed = false;
        target.reason = "the password is not text";
    }
    check_password(exchange, &target);
}

/* Nobody's fault that we could know: the client is told apart from a wrong password, and no guess is counted. */
static void unbound(struct exchange *exchange)
{
    struct directory_service *service = exchange->peer->service;
    log_warning(service->log, "login-unbound", LOG_SPAN("login", buf_span(&exchange->sasl.login)),
                LOG_SPAN("client", buf_span(&exchange->client)), LOG_STR("mechanism", sasl_name(&exchange->sasl)),
                LOG_STR("why", exchange->sasl.why));
    tally_more(service->tally, TALLY_LOGINS_FAILED, 1);
    tell_no(exchange->peer, exchange->token, AUTH_DENIED, SPAN(TEXT_UNBOUND));
    login_exchange_free(exchange);
}

void login_advanced(struct exchange *exchange, enum sasl_step step)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(SCRAM_MESSAGE_MAX + 64);
    switch (step) {
    case SASL_CHALLENGE:
        tell_challenge_put(&body, &(struct tell_challenge){ exchange->token, exchange->sasl.challenge });
        exchange->peer->answer(exchange->peer->arg, TELL_CHALLENGE, buf_span(&body));
        return;
    case SASL_CREDENTIALS:
        on_credentials(exchange);
        return;
    case SASL_LOGIN:
        login_scram_begin(exchange);
        return;
    case SASL_PROOF:
        login_scram_prove(exchange);
        return;
    case SASL_DONE:
        login_admit(exchange, exchange->credential, false);
        return;
    case SASL_UNBOUND:
        unbound(exchange);
        return;
    case SASL_DENIED:
        login_finish(exchange, AUTH_DENIED, exchange->sasl.why, true);
        return;
    case SASL_BROKEN:
        login_finish(exchange, AUTH_BROKEN, "that is not an answer of this mechanism", true);
        return;
    }
}

static struct exchange *exchange_new(struct directory_peer *peer, const struct ask_auth_start *ask)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    *exchange = (struct exchange){ .peer = peer, .token = ask->token, .login = BUF_EMPTY(WIRE_LOGIN_MAX),
                                   .client = BUF_EMPTY(WIRE_LOGIN_MAX) };
    list_init(&exchange->waiter);
    if (buf_add(&exchange->client, ask->client) != STATUS_OK ||
        map_add(&peer->exchanges, &exchange->node, hash_u64(ask->token)) != STATUS_OK) {
        buf_done(&exchange->client);
        free(exchange);
        return NULL;
    }
    return exchange;
}

enum status login_start(struct directory_peer *peer, struct span body)
{
    struct ask_auth_start ask;
    if (!ask_auth_start_get(body, &ask) || exchange_find(peer, ask.token))
        return STATUS_SYNTAX;
    struct sasl sasl;
    struct scram_bindings bindings = { ask.exporter, ask.unique, ask.end_point };
    enum status status = sasl_begin(ask.mechanism, &bindings, &sasl);
    if (status == STATUS_NOT_FOUND) {
        tell_no(peer, ask.token, AUTH_UNKNOWN_MECHANISM, SPAN("no such mechanism here"));
        return STATUS_OK;
    }
    struct exchange *exchange = NULL;
    if (status == STATUS_OK && peer->exchanges.n < EXCHANGES_MAX)
        exchange = exchange_new(peer, &ask);
    if (!exchange) {
        sasl_done(&sasl);
        tell_no(peer, ask.token, AUTH_BUSY, SPAN(TEXT_BUSY));
        return STATUS_OK;
    }
    exchange->sasl = sasl;
    login_advanced(exchange, sasl_feed(&exchange->sasl, ask.has_initial != 0, ask.initial));
    return STATUS_OK;
}

enum status login_next(struct directory_peer *peer, struct span body)
{
    struct ask_auth_next ask;
    if (!ask_auth_next_get(body, &ask))
        return STATUS_SYNTAX;
    struct exchange *exchange = exchange_find(peer, ask.token);
    /* A question to somebody who waits for his answer is as wrong as one to nobody. */
    if (!exchange || list_is_linked(&exchange->waiter))
        return STATUS_SYNTAX;
    login_advanced(exchange, sasl_feed(&exchange->sasl, true, ask.response));
    return STATUS_OK;
}

enum status login_cancel(struct directory_peer *peer, struct span body)
{
    struct ask_cancel ask;
    if (!ask_cancel_get(body, &ask))
        return STATUS_SYNTAX;
    struct exchange *exchange = exchange_find(peer, ask.token);
    if (exchange) /* its answer may have crossed the cancellation */
        login_exchange_free(exchange);
    return STATUS_OK;
}
