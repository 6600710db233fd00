/* Messages that may arrive twice: what was being delivered when all who knew of it died.
 *
 * When a delivery process dies, the queue says which messages it had; when the queue dies, delivery tells the next one.
 * Only when both end together, or everything does, nobody is left who could name them, and it is said here that there
 * may be some. */
#include "base/time.h"
#include "supervisor/supervisor_priv.h"

#define TOGETHER_MS 1000 /* the queue hears of the other's end before that, whatever it is doing */

static void tell(struct supervisor *supervisor, const char *why)
{
    log_warning(&supervisor->log, "leases-forgotten", LOG_STR("why", why),
                LOG_STR("what", "what was being delivered then is sent again, and may arrive twice"));
}

void windows_begin(struct supervisor *supervisor)
{
    if (supervisor->was_cut_off)
        tell(supervisor, "the last run was not stopped, it was cut off");
}

static const struct child *find_queue(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].role == ROLE_QUEUE)
            return &supervisor->children[i];
    return NULL;
}

/* Its end, while it still has its state. */
void windows_child_ended(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    int64_t now_ms = time_mono_ms();
    if (child->state != CHILD_RUNNING)
        return; /* had nothing yet */
    if (child->role == ROLE_DELIVERY) {
        const struct child *queue = find_queue(supervisor);
        supervisor->delivery_lost_ms = now_ms;
        if (queue && queue->state != CHILD_RUNNING)
            tell(supervisor, "a delivery process ended while there was no queue");
    } else if (child->role == ROLE_QUEUE) {
        supervisor->is_cut_off = supervisor->stage >= STAGE_STOPPING;
        if (supervisor->delivery_lost_ms && now_ms - supervisor->delivery_lost_ms < TOGETHER_MS)
            tell(supervisor, "the queue and a delivery process ended together");
    }
}
