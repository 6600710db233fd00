/* All that is ever asked of the accounts database. */
#include "directory/accounts_priv.h"

#define NODE "id, coalesce(parent, 0), kind, name, title, suspended, reason, created, changed"
#define ROW                                                                                                                \
    "SELECT s.id, s.name, s.title,"                                                                                       \
    " coalesce((SELECT stored FROM credentials WHERE sender = s.id AND name = 'password'), ''),"                          \
    " iif(p.kind = 'domain', p.name, ''), iif(p.kind = 'domain', q.name, p.name), s.suspended, s.reason,"                 \
    " s.created, s.changed, (SELECT count(*) FROM aliases WHERE sender = s.id),"                                          \
    " (SELECT count(*) FROM credentials WHERE sender = s.id)"                                                             \
    " FROM nodes s JOIN nodes p ON p.id = s.parent LEFT JOIN nodes q ON q.id = p.parent WHERE s.kind = 'sender'"
#define CREDENTIAL                                                                                                         \
    "SELECT id, sender, name, handle, stored, expires, networks, senders, limits, created, changed FROM credentials"

const char *const accounts_texts[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN",
    [ST_BEGIN_CHANGE] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",

    /* A sender, the nodes above it, and one of its credentials: what is asked for each login and each sender of a message.
     * p is its domain, or its customer where it has no domain; then q is the server and r is missing. */
    [ST_FIND] = "SELECT s.id, s.suspended, s.name, s.reason, p.id, p.kind, p.suspended, p.name, p.reason,"
                " q.id, q.kind, q.suspended, q.name, q.reason, r.id, r.kind, r.suspended, r.name, r.reason,"
                " c.id, c.expires, c.name, c.networks, c.senders"
                " FROM nodes s LEFT JOIN nodes p ON p.id = s.parent LEFT JOIN nodes q ON q.id = p.parent"
                " LEFT JOIN nodes r ON r.id = q.parent LEFT JOIN credentials c ON c.id = ?2 AND c.sender = s.id"
                " WHERE s.kind = 'sender' AND s.name = ?1",
    [ST_SECRETS] = "SELECT c.id, c.handle, c.stored FROM nodes s JOIN credentials c ON c.sender = s.id"
                   " WHERE s.kind = 'sender' AND s.name = ?1 AND c.stored <> ''"
                   " AND c.handle IN ('', ?2) ORDER BY c.handle DESC, c.name = 'password' DESC, c.id",
    [ST_PASSWORD] = "SELECT c.id, c.stored FROM nodes s JOIN credentials c ON c.sender = s.id AND c.name = 'password'"
                    " WHERE s.kind = 'sender' AND s.name = ?1",
    [ST_ANY] = "SELECT stored FROM credentials WHERE id >= ?1 % (SELECT max(id) + 1 FROM credentials) AND stored <> ''"
               " ORDER BY id LIMIT 1",
    [ST_OWNS] = "SELECT 1 FROM aliases WHERE sender = ?1 AND address = ?2",
    [ST_HAS] = "SELECT 1 FROM nodes WHERE kind = 'sender' AND name = ?1"
               " UNION ALL SELECT 1 FROM aliases WHERE address = ?1 LIMIT 1",
    [ST_ALIASES] = "SELECT address FROM aliases WHERE sender = ?1 ORDER BY address LIMIT ?2",
    [ST_ALIAS_COUNT] = "SELECT count(*) FROM aliases WHERE sender = ?1",
    [ST_LIST] = ROW " ORDER BY s.name",
    [ST_LIST_ONE] = ROW " AND s.name = ?1",
    [ST_ALIAS_ADD] = "INSERT INTO aliases (address, sender) VALUES (?2, ?1)",
    [ST_ALIAS_REMOVE] = "DELETE FROM aliases WHERE sender = ?1 AND address = ?2",

    [ST_NODE_FIND] = "SELECT " NODE " FROM nodes WHERE kind = ?1 AND name = ?2",
    [ST_NODE_GET] = "SELECT " NODE " FROM nodes WHERE id = ?1",
    [ST_NODES] = "SELECT " NODE " FROM nodes WHERE kind = ?1 ORDER BY name",
    [ST_NODES_BELOW] = "SELECT " NODE " FROM nodes WHERE kind = ?1 AND parent = ?2 ORDER BY name",
    [ST_NODE_ADD] = "INSERT INTO nodes (parent, kind, name, title, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    [ST_NODE_REMOVE] = "DELETE FROM nodes WHERE id = ?1",
    [ST_NODE_MOVE] = "UPDATE nodes SET parent = ?2, changed = ?3 WHERE id = ?1",
    [ST_NODE_TITLE] = "UPDATE nodes SET title = ?2, changed = ?3 WHERE id = ?1",
    [ST_NODE_SUSPEND] = "UPDATE nodes SET suspended = ?2, reason = ?3, changed = ?4 WHERE id = ?1",

    /* Senders that are suspended or below such a node, with the highest of those. */
    [ST_SUSPENDED] = "WITH RECURSIVE below (id, kind, name, height, by_kind, by_name, reason) AS (SELECT id, kind, name,"
                     " CASE kind WHEN 'server' THEN 0 WHEN 'customer' THEN 1 WHEN 'domain' THEN 2 ELSE 3 END, kind, name, reason"
                     " FROM nodes WHERE suspended <> 0 UNION ALL SELECT n.id, n.kind, n.name, b.height, b.by_kind, b.by_name,"
                     " b.reason FROM nodes n JOIN below b ON n.parent = b.id)"
                     " SELECT name, by_kind, by_name, reason, min(height) FROM below WHERE kind = 'sender'"
                     " GROUP BY name ORDER BY name",

    /* All rules there are, each once. */
    [ST_LIMITS] = "SELECT DISTINCT value FROM settings WHERE name = 'limit' UNION SELECT limits FROM credentials"
                  " WHERE limits <> ''",
    [ST_VALUES] = "SELECT name, value FROM settings WHERE node = ?1 ORDER BY name, place",
    [ST_VALUES_UP] = "WITH RECURSIVE up (id, parent, height) AS (SELECT id, parent, 0 FROM nodes WHERE id = ?1 UNION ALL"
                     " SELECT n.id, n.parent, up.height + 1 FROM nodes n JOIN up ON n.id = up.parent WHERE up.height < 8)"
                     " SELECT s.value FROM up CROSS JOIN settings s ON s.node = up.id AND s.name = ?2"
                     " ORDER BY up.height, s.place",
    [ST_VALUE_ADD] = "INSERT INTO settings (node, name, place, value) VALUES (?1, ?2, ?3, ?4)",
    [ST_VALUES_REMOVE] = "DELETE FROM settings WHERE node = ?1 AND name = ?2",

    [ST_NAMED] = "SELECT n.name, c.stored, c.networks FROM credentials c JOIN nodes n ON n.id = c.sender WHERE c.name = ?1",
    [ST_CREDENTIALS] = CREDENTIAL " WHERE sender = ?1 ORDER BY name",
    [ST_CREDENTIAL_COUNT] = "SELECT count(*), coalesce(sum(handle = ''), 0), coalesce(sum(handle = ?2), 0) FROM credentials"
                            " WHERE sender = ?1",
    [ST_CREDENTIAL_ADD] = "INSERT INTO credentials (sender, name, handle, stored, expires, networks, senders, limits,"
                          " created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
    [ST_CREDENTIAL_SET] = "UPDATE credentials SET handle = ?3, stored = ?4, expires = ?5, networks = ?6,"
                          " senders = ?7, limits = ?8, changed = ?9 WHERE sender = ?1 AND name = ?2",
    /* With a number of its own, so that a session which the old password opened sends nothing more. */
    [ST_CREDENTIAL_STORED] = "REPLACE INTO credentials (sender, name, handle, stored, expires, networks, senders, limits, created,"
                             " changed) SELECT sender, name, handle, ?3, expires, networks, senders, limits, created, ?4"
                             " FROM credentials WHERE sender = ?1 AND name = ?2",
    [ST_CREDENTIAL_REMOVE] = "DELETE FROM credentials WHERE sender = ?1 AND name = ?2",

    /* Of a slice: the last one, how many there were, and whether anybody is without a verifier. An app password is: who logs in
     * by SCRAM names no credential. */
    [ST_NO_VERIFIER] = "SELECT max(id), count(*),"
                       " max(NOT suspended AND stored <> '' AND (name <> 'password' OR instr(stored, 'SCRAM-SHA-256') = 0)) FROM"
                       " (SELECT c.id, c.name, c.stored, n.suspended FROM credentials c JOIN nodes n ON n.id = c.sender"
                       " WHERE c.id > ?1 ORDER BY c.id LIMIT ?2)",
    [ST_GENERATION] = "PRAGMA data_version",

    [ST_AUDIT_ADD] = "INSERT INTO audit (at, who, action, kind, name, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [ST_AUDIT_TRIM] = "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1",
    [ST_AUDIT] = "SELECT at, who, action, kind, name, detail FROM audit WHERE at >= ?1 ORDER BY id DESC LIMIT ?2",
    [ST_AUDIT_OF] = "SELECT at, who, action, kind, name, detail FROM audit WHERE name = ?3 AND at >= ?1"
                    " ORDER BY id DESC LIMIT ?2",
};
