/* queue/control_priv.h -- the operator's socket: control.c moves lines, control_work.c does what they ask, choice.c finds
 * the messages that are meant, control_tell.c puts messages and the queue's state into words. */
#pragma once
#include "queue/choice.h"
#include "queue/role_priv.h"
#include "wire/control.h"

enum control_op { CONTROL_STATUS, CONTROL_LIST, CONTROL_SHOW, CONTROL_HOLD, CONTROL_RELEASE, CONTROL_RETRY,
                  CONTROL_DELETE, CONTROL_REROUTE, CONTROL_OP_COUNT };

/* What a request changed is in the journal; is it synced? */
enum control_kept { CONTROL_KEPT_UNASKED, CONTROL_KEPT_SOON, CONTROL_KEPT, CONTROL_KEPT_NOT };

struct control_client {
    struct list link;
    struct queue_role *role;
    struct loop_fd fd;
    struct loop_task step;
    struct buf in, out;
    size_t sent;                 /* of `out` */
    char who[QUEUE_WHO_MAX];     /* whom the kernel says it is */
    bool ending;                 /* it has said everything */
    /* the request in hand */
    json_t *request;             /* NULL: none */
    enum control_op op;
    struct filter filter;
    struct choice choice;
    const char *why, *via;       /* borrowed from the request */
    uint64_t limit, shown, messages, recipients, busy;
    enum control_kept kept;
    struct spool_sync sync;      /* while `kept` is SOON */
};

/* -- control.c -- */
void client_say(struct control_client *client, json_t *line); /* takes the reference */

/* -- control_who.c -- */
/* False: he may not; `who` is his name. */
MUST_CHECK bool control_who_may_ask(const struct queue_role *role, int fd, char who[QUEUE_WHO_MAX]);

/* -- control_work.c -- */
/* Begins what the line asks for. */
void control_begin(struct control_client *client, struct span line);
/* Some more of it. True: there is more to do, now or, where `kept` is SOON, when the client's `step` runs next. */
bool control_step(struct control_client *client);
/* The journal cannot be written: whoever waits for it is told so. */
void control_not_kept(struct control_client *client);
/* The queue ends: the last line for whoever still waits, or has not asked yet. */
void control_stopping(struct control_client *client);
void control_end(struct control_client *client);

/* -- control_tell.c -- */
/* `account`: of which more is told; NULL: of none. */
json_t *control_status(struct queue_role *role, const char *account);
json_t *control_message(struct queue_role *role, const struct queue_message *message, const struct filter *filter,
                        const struct spool_message *record, size_t recipients_most);
