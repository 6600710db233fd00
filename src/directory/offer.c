/* Which ways to log in are offered. Mechanisms are the same for all clients, and a program that finds SCRAM takes it, and
 * most do not try another when it fails: so it is offered once everybody could log in by it. */
#include "base/time.h"
#include "directory/service_priv.h"
#include "directory/verifiers.h"

#define LOOK_MS TIME_SECOND_MS /* for changes */
#define SLICE 1000             /* accounts at a time, half a millisecond */

static void tell(struct directory_peer *peer)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(1024);
    tell_mechanisms_put(&body, &(struct tell_mechanisms){ sasl_names(peer->service->offers_scram) });
    peer->answer(peer->arg, TELL_MECHANISMS, buf_span(&body));
}

static void offer(struct directory_service *service, bool scram)
{
    if (service->offers_scram == scram)
        return;
    service->offers_scram = scram;
    log_info(service->log, scram ? "scram-offered" : "scram-not-offered",
             LOG_STR("why", service->scram != DIRECTORY_SCRAM_AUTO ? "the setting accounts.scram"
                            : scram ? "all accounts have what it needs"
                                    : "an account has nothing stored for it; `goniec account passwd` stores that"));
    for (LIST_EACH(link, &service->peers))
        tell(CONTAINER(link, struct directory_peer, link));
}

static void begin_to_look(struct directory_service *service)
{
    service->looked_from = 0;
    service->is_looking = true;
}

/* One slice. False: it is done with, one way or the other. */
static bool look_on(struct directory_service *service, struct accounts *accounts)
{
    bool found = false;
    if (verifiers_missing(accounts, &service->looked_from, SLICE, &found) != STATUS_OK)
        return false; /* questions tell the operator */
    if (!found && service->looked_from != 0)
        return true;
    offer(service, !found);
    return false;
}

static void look(struct directory_service *service)
{
    enum status status;
    int64_t generation = 0;
    struct accounts *accounts = service_accounts(service, &status);
    if (!accounts || verifiers_generation(accounts, &generation) != STATUS_OK) {
        service->accounts_looked = NULL;
        return;
    }
    if (accounts != service->accounts_looked || generation != service->generation)
        begin_to_look(service);
    service->accounts_looked = accounts;
    service->generation = generation;
    if (service->is_looking)
        service->is_looking = look_on(service, accounts);
}

static void on_look(struct loop_timer *timer)
{
    struct directory_service *service = CONTAINER(timer, struct directory_service, offer_timer);
    look(service);
    loop_timer_set(timer, service->is_looking ? 1 : LOOK_MS);
}

void offer_init(struct directory_service *service)
{
    list_init(&service->peers);
    loop_timer_init(service->loop, &service->offer_timer, on_look);
}

void offer_done(struct directory_service *service) { loop_timer_stop(&service->offer_timer); }

void directory_service_scram(struct directory_service *service, enum directory_scram scram, uint32_t iterations)
{
    service->scram = scram;
    service->iterations = iterations;
    loop_timer_stop(&service->offer_timer);
    if (scram != DIRECTORY_SCRAM_AUTO) {
        offer(service, scram == DIRECTORY_SCRAM_YES);
        return;
    }
    service->accounts_looked = NULL;
    look(service);
    loop_timer_set(&service->offer_timer, service->is_looking ? 1 : LOOK_MS);
}

void offer_to(struct directory_peer *peer)
{
    list_add_last(&peer->service->peers, &peer->link);
    tell(peer);
}
