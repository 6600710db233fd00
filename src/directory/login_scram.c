/* Logins by SCRAM: nothing slow is done here, so they need no threads. Guessers wait as with passwords. */
#include "directory/service_priv.h"
#include "directory/verifiers.h"
#include <assert.h>

/* OK, or the exchange has ended. */
static enum status find(struct exchange *exchange, struct verifiers_found *ret)
{
    struct directory_service *service = exchange->peer->service;
    enum status status;
    struct accounts *accounts = service_accounts(service, &status);
    assert(accounts || status != STATUS_OK);
    if (accounts && !service->has_salt_secret) {
        service->has_salt_secret = true;
        if (verifiers_secret(buf_cstr(&service->path), service->salt_secret) != STATUS_OK)
            log_warning(service->log, "salts-not-kept", LOG_SPAN("database", buf_span(&service->path)),
                        LOG_STR("why", "the file beside it that ends in -salts can be neither read nor made; with each start of the "
                                       "server clients can see who has no account"));
    }
    if (accounts)
        status = verifiers_find(accounts, buf_span(&exchange->login), service->salt_secret, service->iterations, ret);
    service_trouble(service, status);
    if (status != STATUS_OK)
        login_finish(exchange, AUTH_BUSY, "the accounts cannot be read", true);
    return status;
}

void login_scram_begin(struct exchange *exchange)
{
    struct verifiers_found found;
    if (accounts_login_key(buf_span(&exchange->sasl.login), &exchange->login) != STATUS_OK)
        buf_clear(&exchange->login);
    if (find(exchange, &found) != STATUS_OK)
        return;
    exchange->may_succeed = found.may_succeed;
    login_advanced(exchange, sasl_verifier(&exchange->sasl, &found.verifier));
}

/* It is looked at again: the password may have been changed since the first message. */
static const char *refusal(struct exchange *exchange, const struct verifiers_found *found)
{
    if (!found->may_succeed)
        return found->reason;
    if (!exchange->may_succeed || !scram_is_of(exchange->sasl.scram, &found->verifier))
        return "the password was changed meanwhile";
    return exchange->sasl.proof_fits ? NULL : exchange->sasl.why;
}

void login_scram_prove(struct exchange *exchange)
{
    struct directory_service *service = exchange->peer->service;
    struct verifiers_found found;
    struct guess_try try;
    if (find(exchange, &found) != STATUS_OK)
        return;
    guard_try(exchange, &try);
    int64_t wait_ms = guess_wait(service->guess, &try, loop_now_ms(service->loop));
    if (wait_ms > 0) {
        login_put_off(exchange, &try, wait_ms);
        return;
    }
    const char *why = refusal(exchange, &found);
    exchange->credential = found.credential;
    bool is_news = !guess_is_told(service->guess, &try);
    guard_begin(service, &try);
    guard_end(service, &try, why ? GUESS_WRONG : GUESS_RIGHT);
    if (why)
        login_finish(exchange, AUTH_DENIED, why, is_news);
    else
        login_advanced(exchange, sasl_accept(&exchange->sasl));
}
