/* Body files as the start finds them: whose they are, and those that no message names.
 *
 * Of those some were left by writers that died. Others are in the hands of writers that outlived the queue before us: such a one
 * may be about to commit a record that names its file, and to acknowledge it, so none may be removed before every log
 * from before our start is known to have ended.
 */
#include "base/hash.h"
#include "base/order.h"
#include "queue/role_priv.h"
#include <stdlib.h>

#define PIECE_OCTETS (256u << 10)

/* -- whose a file is -- */

struct naming {
    uint64_t body;
    struct queue_message *message;
};

static int naming_compare(const void *a, const void *b)
{
    const struct naming *one = a, *other = b;
    return one->body != other->body ? order_u64(&one->body, &other->body) : order_u64(&one->message->id, &other->message->id);
}

/* Has the file the length and the checksum that the message's record names? Nobody knows them but who wrote it. */
static bool is_its_body(struct queue_role *role, const struct queue_message *message)
{
    AUTO(buf_done) struct buf record = BUF_EMPTY(SPOOL_SEGMENT_MOST), piece = BUF_EMPTY(PIECE_OCTETS);
    const struct spool_ops *ops = spool_store_ops(role->store);
    struct spool_message stored;
    struct stat st;
    int fd;
    if (disk_read(role, message, &record, &stored, NULL) != STATUS_OK || buf_reserve(&piece, PIECE_OCTETS) != STATUS_OK ||
        spool_store_body_read_fd(role->store, message->body, &fd) != STATUS_OK)
        return false;
    uint32_t check = 0;
    bool good = ops->fstat(ops, fd, &st) == 0 && (uint64_t)st.st_size == stored.header.body;
    for (uint64_t at = 0; good && at < stored.header.body;) {
        size_t n = (size_t)MIN(stored.header.body - at, (uint64_t)PIECE_OCTETS);
        good = spool_pread_all(ops, fd, piece.p, n, at) == STATUS_OK;
        check = good ? crc32c(check, piece.p, n) : check;
        at += n;
    }
    ops->close(ops, fd);
    return good && check == stored.header.check_body;
}

/* Where none has what its record says, the file is damaged, and all of them will be said to be. */
static void settle_one(struct queue_role *role, struct naming *first, size_t count)
{
    size_t owner = 0;
    while (owner < count && !is_its_body(role, first[owner].message))
        owner++;
    for (size_t i = 0; owner < count && i < count; i++) {
        struct queue_message *message = first[i].message;
        if (i == owner)
            continue;
        log_error(role_log(role), "body-not-its-own", LOG_ID(message->id), LOG_STR("what",
                  "it names a body file that is another message's, and is not sent; whoever wrote it wanted to see that"));
        message->body = 0; /* nor is the file its to remove */
        queue_message_forget(&role->queue, message);
    }
}

enum status bodies_settle(struct queue_role *role)
{
    size_t n = 0;
    struct naming *all = malloc((role->queue.messages.n + 1) * sizeof *all);
    if (!all)
        return STATUS_MEMORY;
    for (MAP_EACH(node, &role->queue.messages)) {
        struct queue_message *message = CONTAINER(node, struct queue_message, node);
        if (message->body)
            all[n++] = (struct naming){ message->body, message };
    }
    if (n)
        qsort(all, n, sizeof *all, naming_compare);
    for (size_t at = 0, count; at < n; at += count) {
        for (count = 1; at + count < n && all[at + count].body == all[at].body; count++)
            ;
        if (count > 1)
            settle_one(role, all + at, count);
    }
    free(all);
    return STATUS_OK;
}

/* -- whose nobody knows -- */

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
