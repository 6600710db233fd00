#include "directory/known.h"
#include "base/hash.h"
#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>

#define WRITE_MOST (size_t)(2u << 20) /* octets of sets written in one go */
#define DAY_MS (INT64_C(86400) * 1000)

struct known_set {
    struct map_node node;
    struct list by_use, dirty;
    struct limits_known known;
    size_t octets;              /* counted for it */
    uint32_t account_n;
    char account[];
};

static void set_free(struct known *known, struct known_set *set)
{
    known->octets -= set->octets;
    map_remove(&known->map, &set->node);
    list_remove(&set->by_use);
    list_remove(&set->dirty);
    limits_known_done(&set->known);
    free(set);
}

enum status known_init(struct known *known, struct log *log, const char *database)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    *known = (struct known){ .map = MAP_EMPTY, .log = log };
    list_init(&known->by_use);
    list_init(&known->dirty);
    randombytes_buf(&known->key, sizeof known->key);
    buf_add_str(&path, database);
    buf_add_str(&path, "-known");
    known->path = path.failed ? NULL : strdup(buf_cstr(&path));
    return known->path ? STATUS_OK : STATUS_MEMORY;
}

/* -- the file -- */

static void complain(struct known *known, const char *doing)
{
    if (!known->is_broken)
        log_warning(known->log, "known-recipients-file", LOG_STR("file", known->path), LOG_STR("doing", doing),
                    LOG_STR("why", known->db ? sqlite3_errmsg(known->db) : "out of memory"),
                    LOG_STR("advice", "until this works again, who sends after a restart has nobody he wrote to before"));
    known->is_broken = true;
}

static bool run(struct known *known, const char *text)
{
    return sqlite3_exec(known->db, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* The key under which addresses are hashed: made with the file. */
static bool read_key(struct known *known)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(known->db, "INSERT OR IGNORE INTO meta (id, key) VALUES (1, ?1)", -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_bind_int64(statement, 1, (int64_t)known->key) == SQLITE_OK && sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    statement = NULL;
    good = good && sqlite3_prepare_v2(known->db, "SELECT key FROM meta WHERE id = 1", -1, &statement, NULL) == SQLITE_OK &&
           sqlite3_step(statement) == SQLITE_ROW;
    if (good)
        known->key = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return good;
}

static void close_file(struct known *known)
{
    sqlite3_finalize(known->get);
    sqlite3_finalize(known->put);
    sqlite3_close(known->db);
    known->db = NULL;
    known->get = known->put = NULL;
}

static bool open_file(struct known *known)
{
    static const char tables[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY, key INTEGER NOT NULL) STRICT;"
        "CREATE TABLE IF NOT EXISTS known (id INTEGER PRIMARY KEY, account TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,"
        " addresses BLOB NOT NULL) STRICT";
    if (known->is_open)
        return known->db != NULL;
    known->is_open = true;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(known->path, &known->db, flags, NULL) == SQLITE_OK && run(known, tables) && read_key(known) &&
        sqlite3_prepare_v2(known->db, "SELECT addresses FROM known WHERE account = ?1", -1, &known->get, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(known->db, "INSERT INTO known (account, at, addresses) VALUES (?1, ?2, ?3) ON CONFLICT (account)"
                                      " DO UPDATE SET at = ?2, addresses = ?3", -1, &known->put, NULL) == SQLITE_OK)
        return true;
    complain(known, "opening");
    close_file(known);
    return false;
}

static void read_set(struct known *known, struct known_set *set)
{
    if (!open_file(known))
        return;
    sqlite3_bind_text(known->get, 1, set->account, (int)set->account_n, SQLITE_STATIC);
    int code = sqlite3_step(known->get);
    if (code == SQLITE_ROW) {
        struct span octets = span_of(sqlite3_column_blob(known->get, 0), (size_t)sqlite3_column_bytes(known->get, 0));
        if (limits_known_decode(&set->known, octets) != STATUS_OK)
            log_warning(known->log, "known-recipients-damaged", LOG_SPAN("account", span_of(set->account, set->account_n)));
    } else if (code != SQLITE_DONE)
        complain(known, "reading");
    sqlite3_reset(known->get);
    sqlite3_clear_bindings(known->get);
}

static bool write_set(struct known *known, struct known_set *set, int64_t wall_ms, size_t *octets)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    if (limits_known_encode(&set->known, &text) != STATUS_OK)
        return false;
    sqlite3_bind_text(known->put, 1, set->account, (int)set->account_n, SQLITE_STATIC);
    sqlite3_bind_int64(known->put, 2, wall_ms);
    sqlite3_bind_blob(known->put, 3, text.p, (int)text.n, SQLITE_STATIC);
    bool good = sqlite3_step(known->put) == SQLITE_DONE;
    sqlite3_reset(known->put);
    sqlite3_clear_bindings(known->put);
    *octets += text.n;
    return good;
}

void known_write(struct known *known, int64_t wall_ms)
{
    size_t octets = 0;
    if (list_is_empty(&known->dirty) || !open_file(known))
        return;
    bool good = run(known, "BEGIN IMMEDIATE");
    struct list written;
    list_init(&written);
    while (good && octets < WRITE_MOST && !list_is_empty(&known->dirty)) {
        struct list *link = known->dirty.next;
        good = write_set(known, CONTAINER(link, struct known_set, dirty), wall_ms, &octets);
        if (good) {
            list_remove(link);
            list_add_last(&written, link);
        }
    }
    good = good && run(known, "COMMIT");
    for (struct list *link; (link = list_take_first(&written)) != NULL;)
        if (!good)
            list_add_last(&known->dirty, link);
    if (!good) {
        complain(known, "writing");
        (void)!run(known, "ROLLBACK");
    } else
        known->is_broken = false;
}

static void forget_old(struct known *known, int64_t wall_ms)
{
    char text[128];
    snprintf(text, sizeof text, "DELETE FROM known WHERE at < %lld", (long long)(wall_ms - KNOWN_DAYS * DAY_MS));
    if (known->db)
        (void)!run(known, text);
}

void known_done(struct known *known, int64_t wall_ms)
{
    if (!known->path)
        return;
    struct list *first = NULL; /* twice the same: it cannot be written */
    while (!list_is_empty(&known->dirty) && known->dirty.next != first) {
        first = known->dirty.next;
        known_write(known, wall_ms);
    }
    forget_old(known, wall_ms);
    for (MAP_EACH(node, &known->map))
        set_free(known, CONTAINER(node, struct known_set, node));
    map_done(&known->map);
    close_file(known);
    free(known->path);
    known->path = NULL;
}

/* -- the sets -- */

static bool set_is(const struct map_node *node, const void *key)
{
    const struct known_set *set = CONTAINER(node, const struct known_set, node);
    return span_eq(span_of(set->account, set->account_n), *(const struct span *)key);
}

static void weigh(struct known *known, struct known_set *set)
{
    size_t now = sizeof *set + set->account_n + limits_known_octets(&set->known);
    known->octets += now - set->octets;
    set->octets = now;
}

/* Those that are written, and not used for longest. */
static void make_room(struct known *known)
{
    struct list *link = known->by_use.prev;
    while (known->octets > KNOWN_MEMORY && link != &known->by_use) {
        struct known_set *set = CONTAINER(link, struct known_set, by_use);
        link = link->prev;
        if (!list_is_linked(&set->dirty))
            set_free(known, set);
    }
}

static struct known_set *set_of(struct known *known, struct span account)
{
    uint64_t hash = hash_bytes(account);
    struct map_node *found = map_find(&known->map, hash, set_is, &account);
    struct known_set *set = found ? CONTAINER(found, struct known_set, node) : NULL;
    if (set) {
        list_remove(&set->by_use);
        list_add_first(&known->by_use, &set->by_use);
        return set;
    }
    (void)open_file(known); /* for the key */
    set = calloc(1, sizeof *set + account.n);
    if (!set || map_add(&known->map, &set->node, hash) != STATUS_OK) {
        free(set);
        return NULL;
    }
    list_init(&set->dirty);
    list_init(&set->by_use);
    list_add_first(&known->by_use, &set->by_use);
    set->account_n = (uint32_t)account.n;
    memcpy(set->account, account.p, account.n);
    limits_known_init(&set->known, known->key, LIMITS_KNOWN_MOST);
    read_set(known, set);
    weigh(known, set);
    return set;
}

bool known_has(struct known *known, struct span account, struct span address)
{
    struct known_set *set = set_of(known, account);
    return set && limits_known_has(&set->known, address);
}

void known_add(struct known *known, struct span account, struct span address)
{
    struct known_set *set = set_of(known, account);
    if (!set || limits_known_add(&set->known, address) != STATUS_OK)
        return;
    weigh(known, set);
    if (!list_is_linked(&set->dirty))
        list_add_last(&known->dirty, &set->dirty);
    if (known->octets > KNOWN_MEMORY)
        make_room(known);
}
