/* How much may be out to a site, and to all sites of its kind together. */
#include "queue/queue.h"
#include "queue/retry.h"

#define BUSY_IN_A_ROW 4u
#define SILENT_MORE 2u
#define SHARED_LEAST 100u /* of fewer leases nothing is kept back */
/* What lies in store at a delivery process has had its turn, and a letter that comes later waits until it has gone. So a
 * lease should not be out for longer than the one, with a store; below the other, without it, one comes back. */
#define LIFE_LONG_MS 200u
#define LIFE_SHORT_MS 25u

/* -- classes -- */

static bool is_silent(const struct queue *queue, const struct queue_site *site)
{
    return site->slow && site->good_ms + QUEUE_SLOW_MS <= queue->now_ms;
}

uint32_t queue_site_ahead(const struct queue *queue, const struct queue_site *site)
{
    return site->slow || !site->proven || site->leisurely ? 1 : (uint32_t)queue->settings->messages_ahead;
}

void queue_site_lived(struct queue_site *site, int64_t life_ms)
{
    uint32_t life = (uint32_t)MIN(MAX(life_ms, 0), QUEUE_SLOW_MS);
    site->life = site->life - site->life / 8 + life;
    if (site->life > 8 * LIFE_LONG_MS)
        site->leisurely = true;
    else if (site->life < 8 * LIFE_SHORT_MS)
        site->leisurely = false;
}

uint32_t queue_site_room(const struct queue *queue, const struct queue_site *site)
{
    if (site->paused)
        return 0;
    if (site->trouble)
        return 1; /* one goes first to see whether somebody is there again */
    if (is_silent(queue, site)) /* one large message may be all that there is to it: some try beside the slow ones */
        return MIN(site->limit, site->slow + SILENT_MORE);
    return site->limit * queue_site_ahead(queue, site);
}

static uint32_t less(uint32_t from, uint32_t what)
{
    return from > what ? from - what : 0;
}

/* Leases that the class may still have. */
static uint32_t class_room(const struct queue *queue, enum queue_site_class class)
{
    const uint32_t *out = queue->out_of_class;
    uint32_t all = queue->credit + out[QUEUE_SITE_QUICK] + out[QUEUE_SITE_NEW] + out[QUEUE_SITE_SLOW];
    if (class == QUEUE_SITE_QUICK || all < SHARED_LEAST)
        return queue->credit;
    uint32_t room = MIN(queue->credit, less(all / 4 * 3, out[QUEUE_SITE_NEW] + out[QUEUE_SITE_SLOW]));
    return class == QUEUE_SITE_NEW ? room : MIN(room, less(all / 2, out[QUEUE_SITE_SLOW]));
}

bool queue_class_has_room(const struct queue *queue, const struct queue_site *site)
{
    return class_room(queue, site->class) > 0;
}

static void unpark(struct queue *queue, struct queue_site *site)
{
    list_remove(&site->parked);
    queue_site_admit(queue, site);
}

void queue_unpark(struct queue *queue)
{
    for (unsigned class = QUEUE_SITE_NEW; class <= QUEUE_SITE_SLOW; class++) {
        struct list *first;
        for (uint32_t room = class_room(queue, class); room && (first = list_first(&queue->parked[class])); room--)
            unpark(queue, CONTAINER(first, struct queue_site, parked));
    }
}

static void classify(struct queue *queue, struct queue_site *site)
{
    enum queue_site_class class = site->slow || site->trouble ? QUEUE_SITE_SLOW : site->proven ? QUEUE_SITE_QUICK : QUEUE_SITE_NEW;
    if (class == site->class)
        return;
    queue->out_of_class[site->class] -= site->out;
    queue->out_of_class[class] += site->out;
    site->class = (uint8_t)class;
    if (list_is_linked(&site->parked))
        unpark(queue, site); /* it stands in another line from now on */
}

void queue_site_slower(struct queue *queue, struct queue_site *site)
{
    site->slow++;
    classify(queue, site);
    queue_site_admit(queue, site);
}

void queue_site_quicker(struct queue *queue, struct queue_site *site)
{
    site->slow--; /* queue_site_back() follows */
}

/* -- what it met -- */

static void site_pause(struct queue *queue, struct queue_site *site, const struct queue_words *words)
{
    site->limit = 1;
    site->busy = 0;
    site->proven = false;
    if (site->trouble < UINT16_MAX)
        site->trouble++;
    const struct queue_reason *reason = words ? queue_reason_ref(queue, words) : NULL;
    queue_reason_unref(queue, site->last);
    site->last = reason;
    int64_t after = queue_pause_ms(queue->settings, site->trouble, queue_random(queue));
    site->paused = heap_set(&queue->pauses, &site->resume, queue->now_ms + after) == STATUS_OK;
    if (site->paused && site->trouble == 1)
        log_info(queue->log, "site-paused", LOG_SPAN("site", queue_site_key(site)), LOG_INT("ms", after),
                 LOG_SPAN("why", words ? words->text : SPAN_NONE));
}

static void site_good(struct queue *queue, struct queue_site *site)
{
    if (site->trouble)
        log_info(queue->log, "site-back", LOG_SPAN("site", queue_site_key(site)), LOG_INT("failures", site->trouble));
    site->trouble = 0;
    site->busy = 0;
    site->proven = true;
    site->good_ms = queue->now_ms;
    if (site->limit < (uint32_t)queue->settings->connections_per_site)
        site->limit++;
    if (site->last) {
        queue_reason_unref(queue, site->last);
        site->last = NULL;
    }
    if (site->paused) { /* a lease from before the pause came through: somebody is there */
        site->paused = false;
        heap_remove(&queue->pauses, &site->resume);
    }
}

/* The limit is halved once for as many answers as there are connections, not once for each; a site that has enough
 * of a single connection gets a pause. */
static void site_busy(struct queue *queue, struct queue_site *site, const struct queue_words *words)
{
    if (site->paused || ++site->busy < MAX(site->limit, BUSY_IN_A_ROW))
        return;
    site->busy = 0;
    if (site->limit > 1)
        site->limit /= 2;
    else
        site_pause(queue, site, words);
}

void queue_site_back(struct queue *queue, struct queue_site *site, unsigned from, enum queue_met met,
                     const struct queue_words *words)
{
    site->out--;
    queue->out_of_class[site->class]--;
    if (site->out_of && site->out_of[from])
        site->out_of[from]--;
    switch (met) {
    case QUEUE_MET_GOOD:
        site_good(queue, site);
        break;
    case QUEUE_MET_BUSY:
        site_busy(queue, site, words);
        break;
    case QUEUE_MET_NOBODY:
        if (!site->paused)
            site_pause(queue, site, words);
        break;
    case QUEUE_MET_NOTHING:
        break;
    }
    classify(queue, site);
    queue_site_admit(queue, site);
    queue_site_unref(queue, site);
}

void queue_site_resume(struct queue *queue, struct queue_site *site)
{
    site->paused = false;
    heap_remove(&queue->pauses, &site->resume);
    queue_site_admit(queue, site);
}
