#include "directory/suspended.h"
#include "directory/accounts_priv.h"
#include "wire/queue_directory.h"

/* Columns: the sender; kind, name and reason of the highest suspended node. */
static void entry_put(sqlite3_stmt *statement, struct buf *ret)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024);
    struct span name = accounts_column(statement, 0), kind = accounts_column(statement, 1), node = accounts_column(statement, 2);
    if (span_eq(node, name))
        buf_add_str(&why, "the sender is suspended: ");
    else
        buf_printf(&why, "%.*s %.*s is suspended: ", SPAN_ARGS(kind), SPAN_ARGS(node));
    buf_add(&why, accounts_column(statement, 3));
    backlog_stayer_put(ret, &(struct backlog_stayer){ name, span_head(buf_span(&why), MIN(why.n, (size_t)WIRE_STAY_WHY_MAX)) });
}

enum status suspended_list(struct accounts *accounts, struct buf *ret)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_SUSPENDED);
    if (!statement)
        return STATUS_IO;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        entry_put(statement, ret);
    sqlite3_reset(statement);
    if (code != SQLITE_DONE)
        return accounts_fail(accounts, code, "looking for suspended senders");
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}
