#include "directory/sharing.h"
#include "directory/limiting.h"
#include "directory/service_priv.h"
#include "limits/share.h"
#include "wire/directory_share.h"
#include <stdlib.h>

struct sharing {
    struct directory_service *service;
    directory_answer *answer;
    void *arg;
    struct buf machines[LIMITS_MACHINES_MOST]; /* their names; the place is the number by which the tree knows them */
    bool told_many, told_full;
};

struct sharing *directory_sharing_new(struct directory_service *service, directory_answer *answer, void *arg)
{
    struct sharing *sharing = calloc(1, sizeof *sharing);
    if (!sharing)
        return NULL;
    *sharing = (struct sharing){ .service = service, .answer = answer, .arg = arg };
    for (size_t i = 0; i < ARRAY_LEN(sharing->machines); i++)
        sharing->machines[i].most = WIRE_SHARE_MACHINE_MAX;
    return sharing;
}

void directory_sharing_free(struct sharing *sharing)
{
    if (!sharing)
        return;
    for (size_t i = 0; i < ARRAY_LEN(sharing->machines); i++)
        buf_done(&sharing->machines[i]);
    free(sharing);
}

/* So much that the message stays small, and the loop is not held up. */
static void give(struct sharing *sharing)
{
    struct limits_tree *tree = limiting_tree(sharing->service->limiting);
    int64_t now_ms = limiting_now(sharing->service->limiting);
    AUTO(buf_done) struct buf key = BUF_EMPTY(LIMITS_SHARE_KEY_MOST), value = BUF_EMPTY(LIMITS_SHARE_VALUE_MOST);
    AUTO(buf_done) struct buf entries = BUF_EMPTY(2 * WIRE_SHARE_OCTETS), body = BUF_EMPTY(2 * WIRE_SHARE_OCTETS + 64);
    struct share_nodes nodes = { .more = true };
    while (nodes.count < WIRE_SHARE_NODES_MAX && entries.n < WIRE_SHARE_OCTETS) {
        buf_clear(&key);
        buf_clear(&value);
        nodes.more = limits_share_next(tree, now_ms, &key, &value);
        if (!nodes.more)
            break;
        share_node_put(&entries, &(struct share_node){ buf_span(&key), buf_span(&value) });
        nodes.count++;
    }
    nodes.entries = buf_span(&entries);
    share_nodes_put(&body, &nodes);
    sharing->answer(sharing->arg, SHARE_COUNTS, buf_span(&body));
}

/* Its number; LIMITS_MACHINES_MOST: there are too many. */
static unsigned number_of(struct sharing *sharing, struct span machine)
{
    unsigned at = 0;
    while (at < LIMITS_MACHINES_MOST && sharing->machines[at].n && !span_eq(buf_span(&sharing->machines[at]), machine))
        at++;
    if (at < LIMITS_MACHINES_MOST && !sharing->machines[at].n && buf_add(&sharing->machines[at], machine) != STATUS_OK)
        return LIMITS_MACHINES_MOST;
    if (at == LIMITS_MACHINES_MOST && !sharing->told_many) {
        sharing->told_many = true;
        log_error(sharing->service->log, "share-too-many", LOG_SPAN("machine", machine), LOG_INT("most", LIMITS_MACHINES_MOST));
    }
    return at;
}

/* What its channel told of a node is not to be trusted more than what a stranger says: the tree checks it. */
static void take_other(struct sharing *sharing, const struct share_other *other)
{
    unsigned machine = number_of(sharing, other->machine);
    if (machine == LIMITS_MACHINES_MOST)
        return;
    enum status status = limits_share_set(limiting_tree(sharing->service->limiting), machine, other->node.key, other->age_ms,
                                          other->node.value, limiting_now(sharing->service->limiting));
    if (status == STATUS_OK || sharing->told_full)
        return;
    sharing->told_full = true;
    log_warning(sharing->service->log, "share-not-counted", LOG_SPAN("machine", other->machine), LOG_STR("why", status_text(status)));
}

static enum status take_others(struct sharing *sharing, struct span body)
{
    struct share_nodes nodes;
    struct share_other other;
    if (!share_nodes_get(body, &nodes))
        return STATUS_SYNTAX;
    struct wire_reader reader = wire_read(nodes.entries);
    for (uint32_t i = 0; i < nodes.count; i++) {
        if (!share_other_get(&reader, &other))
            return STATUS_SYNTAX;
        take_other(sharing, &other);
    }
    return wire_end(&reader) ? STATUS_OK : STATUS_SYNTAX;
}

enum status directory_sharing_feed(struct sharing *sharing, uint16_t kind, struct span body)
{
    if (kind == SHARE_OTHERS)
        return take_others(sharing, body);
    if (body.n || (kind != SHARE_ALL && kind != SHARE_GIVE))
        return STATUS_SYNTAX;
    if (kind == SHARE_ALL)
        limits_share_all(limiting_tree(sharing->service->limiting));
    else
        give(sharing);
    return STATUS_OK;
}
