/* The process that knows accounts: it hears how much waits of each, and says whose mail stays. Without it mail goes on. */
#include "queue/accounts.h"
#include "queue/role_priv.h"
#include <unistd.h>

/* -- what it hears -- */

static void entry_put(struct buf *entries, struct queue_account *account)
{
    backlog_level_put(entries, &(struct backlog_level){ queue_account_name(account), account->waiting, account->octets,
                                                        account->failures });
}

/* One message. False: nothing is left. */
static bool news_send(struct queue_role *role)
{
    AUTO(buf_done) struct buf entries = BUF_EMPTY(CHANNEL_BODY_MAX);
    struct backlog_levels levels = { 0 };
    struct queue_account *account;
    while (levels.count < WIRE_BACKLOG_MAX && (account = queue_account_news(&role->queue))) {
        if (queue_account_is_news(account)) {
            entry_put(&entries, account);
            levels.count++;
        }
        queue_account_told(&role->queue, account);
    }
    if (levels.count == 0)
        return false;
    levels.entries = buf_span(&entries);
    struct buf *body = channel_begin(role->directory, BACKLOG_LEVELS);
    backlog_levels_put(body, &levels);
    if (entries.failed)
        buf_clear(body); /* no memory: it will not understand that, and gets everything anew */
    channel_end(role->directory);
    return true;
}

static void on_news_due(struct loop_timer *timer)
{
    struct queue_role *role = CONTAINER(timer, struct queue_role, news_due);
    while (role->directory && news_send(role))
        ;
}

void directory_turn(struct queue_role *role)
{
    struct queue_account *account = queue_account_news(&role->queue);
    if (!account || (role->directory && loop_timer_runs(&role->news_due)))
        return;
    if (role->directory) {
        loop_timer_set(&role->news_due, BACKLOG_GATHER_MS);
        return;
    }
    for (; account; account = queue_account_news(&role->queue))
        queue_account_told(&role->queue, account);
}

/* -- what it says -- */

static void gone(struct queue_role *role)
{
    channel_free(role->directory);
    role->directory = NULL;
    loop_timer_stop(&role->news_due);
    deliveries_gather_check(role); /* nobody waits for it */
}

static enum status take_stay(struct queue_role *role, struct span body)
{
    struct backlog_stay stay;
    struct backlog_stayer stayer;
    if (!backlog_stay_get(body, &stay))
        return STATUS_SYNTAX;
    if (stay.which & BACKLOG_STAY_FIRST)
        queue_stay_begin(&role->queue);
    struct wire_reader reader = wire_read(stay.entries);
    for (uint32_t i = 0; i < stay.count; i++) {
        if (!backlog_stayer_get(&reader, &stayer) || role->queue.stayers.n >= WIRE_STAY_MAX)
            return STATUS_SYNTAX;
        enum status status = queue_stay_add(&role->queue, stayer.account, stayer.why);
        if (status != STATUS_OK)
            return status;
    }
    if (!wire_end(&reader))
        return STATUS_SYNTAX;
    if (stay.which & BACKLOG_STAY_LAST) {
        queue_stay_end(&role->queue, role_now(role));
        role->stay_told = true;
        deliveries_gather_check(role);
    }
    return STATUS_OK;
}

static enum status take_notice(struct queue_role *role, struct span body)
{
    struct backlog_notice notice;
    if (!backlog_notice_get(body, &notice))
        return STATUS_SYNTAX;
    notices_send(role, &notice);
    return STATUS_OK;
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct queue_role *role = arg;
    enum status status = message->kind == BACKLOG_STAY     ? take_stay(role, message->body)
                         : message->kind == BACKLOG_NOTICE ? take_notice(role, message->body)
                                                           : STATUS_SYNTAX;
    if (status == STATUS_OK)
        return;
    log_error(role_log(role), "peer-broke-format", LOG_STR("peer", "directory"), LOG_INT("kind", message->kind),
              LOG_STR("why", status_text(status)));
    gone(role);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct queue_role *role = arg;
    log_info(role_log(role), "peer-gone", LOG_STR("peer", "directory"), LOG_STR("why", status_text(why)));
    gone(role);
}

/* -- coming and going -- */

static void begin(struct queue_role *role)
{
    static const struct channel_events events = { on_message, on_closed };
    role->directory = channel_new(role->process.loop, role->directory_fd, &events, role);
    if (!role->directory) {
        log_error(role_log(role), "peer-refused", LOG_STR("peer", "directory"), LOG_STR("why", "out of memory"));
        close(role->directory_fd);
    }
    role->directory_fd = -1;
    role->stay_told = false;
    if (role->directory)
        queue_accounts_tell_all(&role->queue);
}

void directory_begin(struct queue_role *role)
{
    loop_timer_init(role->process.loop, &role->news_due, on_news_due);
    if (role->directory_fd >= 0)
        begin(role);
}

void directory_peer_came(struct queue_role *role, int fd)
{
    if (role->directory)
        gone(role);
    if (role->directory_fd >= 0)
        close(role->directory_fd);
    role->directory_fd = fd;
    if (role->started)
        begin(role);
}

void directory_close(struct queue_role *role)
{
    if (role->directory)
        channel_free(role->directory);
    role->directory = NULL;
    if (role->directory_fd >= 0)
        close(role->directory_fd);
    if (role->started)
        loop_timer_stop(&role->news_due);
}
