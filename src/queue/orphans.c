/* Body files that no message names, as the start finds them.
 *
 * Some were left by writers that died. Others are in the hands of writers that outlived the queue before us: such a one
 * may be about to commit a record that names its file, and to acknowledge it, so none may be removed before every log
 * from before our start is known to have ended.
 */
#include "base/order.h"
#include "queue/role_priv.h"
#include <stdlib.h>

struct search {
    struct queue_role *role;
    uint64_t *named;
    size_t named_count, room;
};

/* Keeps every file until the logs of before have ended; one for which there is no memory stays until the next start. */
static bool look(void *arg, uint64_t number)
{
    struct search *search = arg;
    struct queue_role *role = search->role;
    if (search->named_count && bsearch(&number, search->named, search->named_count, sizeof number, order_u64))
        return true;
    if (role->orphan_count == search->room) {
        size_t room = search->room ? search->room * 2 : 64;
        uint64_t *orphans = realloc(role->orphans, room * sizeof *orphans);
        if (!orphans)
            return true;
        role->orphans = orphans;
        search->room = room;
    }
    role->orphans[role->orphan_count++] = number;
    return true;
}

enum status orphans_find(struct queue_role *role)
{
    struct search search = { .role = role };
    search.named = malloc((role->queue.messages.n + 1) * sizeof *search.named);
    if (!search.named)
        return STATUS_MEMORY;
    for (MAP_EACH(node, &role->queue.messages)) {
        uint64_t body = CONTAINER(node, struct queue_message, node)->body;
        if (body)
            search.named[search.named_count++] = body;
    }
    qsort(search.named, search.named_count, sizeof *search.named, order_u64);
    spool_store_bodies(role->store, look, &search);
    if (role->orphan_count)
        qsort(role->orphans, role->orphan_count, sizeof *role->orphans, order_u64);
    free(search.named);
    return STATUS_OK;
}

bool orphans_claim(struct queue_role *role, uint64_t number)
{
    uint64_t *found = role->orphan_count ? bsearch(&number, role->orphans, role->orphan_count, sizeof number, order_u64)
                                         : NULL;
    if (!found)
        return false;
    size_t behind = role->orphan_count - (size_t)(found + 1 - role->orphans);
    memmove(found, found + 1, behind * sizeof *found);
    role->orphan_count--;
    return true;
}

void orphans_check(struct queue_role *role)
{
    if (!role->orphans)
        return;
    for (MAP_EACH(node, &role->queue.segments)) {
        const struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment->old && (!segment->sealed || segment->unread))
            return;
    }
    for (size_t i = 0; i < role->orphan_count; i++)
        spool_store_body_remove(role->store, role->orphans[i]);
    orphans_close(role);
}

void orphans_close(struct queue_role *role)
{
    free(role->orphans);
    role->orphans = NULL;
    role->orphan_count = 0;
}
