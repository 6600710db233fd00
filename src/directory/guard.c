/* Guessers: who has to wait, what the log and the operator hear of them. */
#include "base/time.h"
#include "directory/service_priv.h"
#include <stdlib.h>

#define SWEEP_MS (30 * TIME_SECOND_MS)

static const char *or_many(const char *text, const char *many) { return text[0] ? text : many; }

static void on_begin(void *arg, const struct guess_attack *attack)
{
    struct directory_service *service = arg;
    log_warning(service->log, "guessing-began", LOG_STR("network", or_many(attack->network, "many")),
                LOG_STR("login", or_many(attack->login, "many")), LOG_INT("wrong", attack->wrong),
                LOG_STR("advice", "further wrong passwords of this kind are not logged one by one; guessing-ended sums them up"));
    if (!loop_timer_runs(&service->sweep))
        loop_timer_set(&service->sweep, SWEEP_MS);
}

static void on_end(void *arg, const struct guess_attack *attack)
{
    struct directory_service *service = arg;
    log_warning(service->log, "guessing-ended", LOG_STR("network", or_many(attack->network, "many")),
                LOG_STR("login", or_many(attack->login, "many")), LOG_INT("wrong", attack->wrong),
                LOG_INT("put_off", attack->refused), LOG_INT("lasted_s", attack->lasted_ms / TIME_SECOND_MS));
}

static void tell_attacks(struct directory_service *service)
{
    tally_set(service->tally, TALLY_ATTACKS, guess_attacks(service->guess));
}

static void on_sweep(struct loop_timer *timer)
{
    struct directory_service *service = CONTAINER(timer, struct directory_service, sweep);
    guess_sweep(service->guess, loop_now_ms(service->loop));
    tell_attacks(service);
    if (guess_attacks(service->guess) > 0)
        loop_timer_set(timer, SWEEP_MS);
}

bool guard_new(struct directory_service *service, const struct guess_limits *limits)
{
    static const struct guess_events events = { on_begin, on_end };
    loop_timer_init(service->loop, &service->sweep, on_sweep);
    service->tally = &service->no_tally;
    service->guess = guess_new(limits, &events, service);
    service->wrong = service->remember ? remember_new_like(service->remember, WRONG_COUNT, WRONG_MS) : NULL;
    service->known = remember_new(KNOWN_COUNT, KNOWN_MS);
    return service->guess && service->wrong && service->known;
}

void guard_free(struct directory_service *service)
{
    loop_timer_stop(&service->sweep);
    remember_free(service->wrong);
    remember_free(service->known);
    guess_free(service->guess);
    free(service->many);
}

void directory_service_guard(struct directory_service *service, const struct guess_limits *limits,
                             const struct conf_networks *many)
{
    guess_set_limits(service->guess, limits);
    struct conf_network *copy = malloc(MAX(many->n, 1u) * sizeof *copy);
    if (!copy)
        return; /* the old ones do */
    if (many->n)
        memcpy(copy, many->items, many->n * sizeof *copy);
    free(service->many);
    service->many = copy;
    service->many_count = many->n;
}

void directory_service_count(struct directory_service *service, struct tally *tally) { service->tally = tally; }

static struct remember_name place_of(const struct exchange *exchange)
{
    char room[16];
    return remember_name(exchange->peer->service->known, buf_span(&exchange->login),
                         guess_address(buf_span(&exchange->client), room), SPAN_NONE);
}

void guard_try(struct exchange *exchange, struct guess_try *ret)
{
    struct directory_service *service = exchange->peer->service;
    struct conf_networks many = { service->many, service->many_count };
    struct conf_ip ip;
    struct remember_name place = place_of(exchange);
    bool is_many = conf_ip_parse(buf_span(&exchange->client), &ip) && conf_networks_have(&many, &ip);
    struct span login = exchange->login.n ? buf_span(&exchange->login) : buf_span(&exchange->sasl.login);
    exchange->is_known = remember_has(service->known, &place, loop_now_ms(service->loop));
    guess_try_of(service->guess, buf_span(&exchange->client), login, exchange->is_known, !is_many, ret);
}

void guard_know(struct exchange *exchange)
{
    struct remember_name place = place_of(exchange);
    if (exchange->is_known)
        return;
    remember_add(exchange->peer->service->known, &place, loop_now_ms(exchange->peer->service->loop));
}

void guard_say_wait(int64_t wait_ms, struct buf *ret)
{
    int64_t seconds = (wait_ms + TIME_SECOND_MS - 1) / TIME_SECOND_MS;
    buf_printf(ret, "too many wrong passwords came from your network; try again in %lld %s",
               (long long)(seconds < 120 ? seconds : (seconds + 59) / 60),
               seconds == 1 ? "second" : seconds < 120 ? "seconds" : "minutes");
}

void guard_refuse(struct directory_service *service, const struct guess_try *try)
{
    tally_more(service->tally, TALLY_LOGINS_SLOWED, 1);
    guess_refused(service->guess, try, loop_now_ms(service->loop));
    tell_attacks(service);
}

void guard_begin(struct directory_service *service, const struct guess_try *try)
{
    guess_begin(service->guess, try, loop_now_ms(service->loop));
}

void guard_end(struct directory_service *service, const struct guess_try *try, enum guess_result result)
{
    guess_end(service->guess, try, result, loop_now_ms(service->loop));
    tell_attacks(service);
}
