#include "directory/postgres.h"
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLACE_MAX 4096
#define PATIENCE_S "3"
#define ADDRESSES_MOST 8

struct postgres {
    PGconn *connection;
    char why[512];
};

static const char *const tables =
    "CREATE TABLE IF NOT EXISTS goniec_state (one integer PRIMARY KEY CHECK (one = 1), id text NOT NULL, revision bigint NOT NULL);"
    "CREATE TABLE IF NOT EXISTS goniec_rows (name text NOT NULL, key text NOT NULL, row text, revision bigint NOT NULL, PRIMARY KEY (name, key));"
    "CREATE INDEX IF NOT EXISTS goniec_rows_since ON goniec_rows (revision);"
    "INSERT INTO goniec_state VALUES (1, gen_random_uuid()::text, 0) ON CONFLICT DO NOTHING";

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void options_done(PQconninfoOption **options) { PQconninfoFree(*options); }

/* NULL: it is not there, or empty. */
static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option && option->keyword; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val && *option->val ? option->val : NULL;
    return NULL;
}

/* The host's addresses, to be tried in turn; what comes later in such a string holds. */
static void add_addresses(struct buf *place, const char *host)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    AUTO(buf_done) struct buf hosts = BUF_EMPTY(PLACE_MAX), addresses = BUF_EMPTY(PLACE_MAX);
    char address[64];
    if (strpbrk(host, "'\\") || getaddrinfo(host, NULL, &hints, &found) != 0)
        return;
    unsigned n = 0;
    for (const struct addrinfo *at = found; at && n < ADDRESSES_MOST; at = at->ai_next) {
        if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        buf_printf(&hosts, "%s%s", n ? "," : "", host);
        buf_printf(&addresses, "%s%s", n++ ? "," : "", address);
    }
    freeaddrinfo(found);
    if (n && !hosts.failed && !addresses.failed)
        buf_printf(place, " host='%s' hostaddr=%s", buf_cstr(&hosts), buf_cstr(&addresses));
}

/* Libraries look up names; this process cannot, later. */
static void look_up(struct buf *place)
{
    AUTO(options_done) PQconninfoOption *options = PQconninfoParse(buf_cstr(place), NULL);
    const char *host = value_of(options, "host");
    if (host && host[0] != '/' && !strchr(host, ',') && !value_of(options, "hostaddr") && !strstr(buf_cstr(place), "://"))
        add_addresses(place, host);
}

void postgres_files(const char *place, void (*on_file)(void *arg, struct span path), void *arg)
{
    static const char *const keywords[] = { "sslrootcert", "sslcrl", "sslcert", "sslkey", "passfile" };
    AUTO(options_done) PQconninfoOption *options = PQconninfoParse(place, NULL);
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        const char *path = value_of(options, keywords[i]);
        if (path && path[0] == '/')
            on_file(arg, span_str(path));
    }
}

bool postgres_place(const char *setting, struct buf *ret, struct buf *why)
{
    if (setting[0] == '/') {
        AUTO(close_fd) int fd = open(setting, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || buf_fill(ret, fd) != STATUS_OK) {
            buf_printf(why, "accounts.postgresql: %s cannot be read", setting);
            return false;
        }
        while (ret->n && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == ' '))
            ret->n--;
    } else if (buf_add_str(ret, setting) != STATUS_OK) {
        return false;
    }
    look_up(ret);
    return true;
}

static bool failed(struct postgres *postgres, const char *doing)
{
    snprintf(postgres->why, sizeof postgres->why, "%s: %s", doing, PQerrorMessage(postgres->connection));
    for (char *c = postgres->why; *c; c++)
        if (*c == '\n')
            *c = c[1] ? ' ' : '\0';
    return false;
}

struct doubt {
    struct buf *why;
    bool any;
};

static void look_at(void *arg, struct span path)
{
    struct doubt *doubt = arg;
    AUTO(close_fd) int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 || doubt->any)
        return;
    doubt->any = true;
    buf_printf(doubt->why, "accounts.postgresql: %.*s cannot be read: %s", SPAN_ARGS(path), strerror(errno));
}

/* The library's own words for a certificate that it cannot read (15.18) may be whatever lies in its memory. */
static bool has_files(const char *place, struct buf *why)
{
    struct doubt doubt = { why, false };
    postgres_files(place, look_at, &doubt);
    return !doubt.any;
}

static void result_done(PGresult **result) { PQclear(*result); }

static bool run(struct postgres *postgres, const char *sql, const char *doing)
{
    AUTO(result_done) PGresult *result = PQexec(postgres->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || failed(postgres, doing);
}

static void quiet(void *arg, const PGresult *result) {} /* "already exists" is no news */

struct postgres *postgres_new(const char *place, struct buf *why)
{
    const char *const names[] = { "dbname", "connect_timeout", "gssencmode", "tcp_user_timeout", "client_encoding", NULL };
    const char *const values[] = { place, PATIENCE_S, "disable", "5000", "UTF8", NULL };
    struct postgres *postgres = has_files(place, why) ? calloc(1, sizeof *postgres) : NULL;
    if (!postgres)
        return NULL;
    postgres->connection = PQconnectdbParams(names, values, 1);
    bool good = PQstatus(postgres->connection) == CONNECTION_OK || failed(postgres, "connecting");
    PQsetNoticeReceiver(postgres->connection, quiet, NULL);
    good = good && run(postgres, "SET statement_timeout = '30s'; SET lock_timeout = '10s'", "beginning");
    if (good && !run(postgres, "SELECT 1 FROM goniec_state, goniec_rows LIMIT 1", "looking for the tables"))
        good = run(postgres, tables, "making the tables");
    if (good)
        return postgres;
    buf_add_str(why, postgres->why);
    postgres_free(postgres);
    return NULL;
}

void postgres_free(struct postgres *postgres)
{
    if (!postgres)
        return;
    PQfinish(postgres->connection);
    free(postgres);
}

const char *postgres_why(const struct postgres *postgres) { return postgres->why; }

bool postgres_begin(struct postgres *postgres, bool to_change, struct buf *id, int64_t *ret_revision)
{
    if (!run(postgres, to_change ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "beginning"))
        return false;
    AUTO(result_done) PGresult *result = PQexec(postgres->connection, to_change ? "SELECT id, revision FROM goniec_state WHERE one = 1 FOR UPDATE"
                                                                                : "SELECT id, revision FROM goniec_state WHERE one = 1");
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 || PQgetlength(result, 0, 0) > 64)
        return failed(postgres, "reading goniec_state");
    buf_clear(id);
    *ret_revision = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    return buf_add_str(id, PQgetvalue(result, 0, 0)) == STATUS_OK;
}

static bool pull_rows(struct postgres *postgres, struct accounts *accounts, const PGresult *result, bool gone)
{
    for (int i = 0; i < PQntuples(result); i++) {
        bool is_gone = PQgetisnull(result, i, 2);
        if (is_gone == gone && accounts_rows_put(accounts, PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
                                                 is_gone ? NULL : PQgetvalue(result, i, 2)) != STATUS_OK) {
            snprintf(postgres->why, sizeof postgres->why, "%.200s %.60s: %.200s", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1), accounts_why(accounts));
            return false;
        }
    }
    return true;
}

/* Another process has brought the mirror on since it was looked at; now it cannot any more. */
static bool is_elsewhere(struct accounts *accounts, const struct buf *id, int64_t revision)
{
    AUTO(buf_done) struct buf own = BUF_EMPTY(65);
    int64_t at = 0;
    return accounts_rows_state(accounts, &own, &at) != STATUS_OK || at != revision || !span_eq(buf_span(&own), buf_span(id));
}

bool postgres_pull(struct postgres *postgres, struct accounts *accounts, const char *id, int64_t revision, bool *ret_changed)
{
    AUTO(buf_done) struct buf own = BUF_EMPTY(65);
    int64_t at = 0;
    *ret_changed = false;
    bool read = accounts_rows_state(accounts, &own, &at) == STATUS_OK;
    bool anew = !span_eq(buf_span(&own), span_str(id));
    if (read && ((!anew && at >= revision) || revision == 0))
        return true; /* of revision 0 there is nothing to be had */
    char since[24];
    snprintf(since, sizeof since, "%lld", anew ? 0LL : (long long)at);
    const char *values[] = { since };
    AUTO(result_done) PGresult *result = PQexecParams(postgres->connection, "SELECT name, key, row FROM goniec_rows WHERE revision > $1::bigint ORDER BY revision",
                                                      1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return failed(postgres, "reading goniec_rows");
    bool good = read && accounts_rows_begin(accounts, anew) == STATUS_OK, late = good && is_elsewhere(accounts, &own, at);
    if (late) /* somebody was faster; the next look goes on from there */
        return accounts_rows_end(accounts, false, id, revision) == STATUS_DENIED;
    bool put = good && pull_rows(postgres, accounts, result, true) && pull_rows(postgres, accounts, result, false);
    good = good && accounts_rows_end(accounts, put, id, revision) == STATUS_OK;
    if (!good && !postgres->why[0])
        snprintf(postgres->why, sizeof postgres->why, "%s", accounts_why(accounts));
    *ret_changed = good;
    return good;
}

bool postgres_put(struct postgres *postgres, const char *table, const char *key, const char *row, int64_t revision)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)revision);
    const char *values[] = { table, key, row, number };
    AUTO(result_done) PGresult *result = PQexecParams(postgres->connection,
        "INSERT INTO goniec_rows VALUES ($1, $2, $3, $4::bigint) ON CONFLICT (name, key) DO UPDATE SET row = excluded.row, revision = excluded.revision",
        4, NULL, values, NULL, NULL, 0);
    return PQresultStatus(result) == PGRES_COMMAND_OK || failed(postgres, "writing goniec_rows");
}

bool postgres_commit(struct postgres *postgres, int64_t revision)
{
    char sql[80];
    snprintf(sql, sizeof sql, "UPDATE goniec_state SET revision = %lld WHERE one = 1", (long long)revision);
    return (revision == 0 || run(postgres, sql, "writing the revision")) && run(postgres, "COMMIT", "ending");
}
