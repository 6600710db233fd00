/* queue/role_priv.h -- the process around the core: what main.c, disk.c, writers.c, deliveries.c, reports.c, ... share. */
#pragma once
#include "base/id.h"
#include "queue/queue.h"
#include "queue/settle.h"
#include "spool/journal.h"
#include "spool/reader.h"
#include "spool/store.h"
#include "spool/writer.h"
#include "wire/process.h"
#include "wire/queue_directory.h"

#define ROLE_WRITERS_MAX 200         /* smtpd processes; their number + 1 names them in ids and segments */
#define ROLE_REPORTS_MAX 200         /* being composed or stored at once */
#define OWN_WRITER 0                 /* queue's own log: reports and survivors of nearly empty segments */

struct queue_role;

/* A process that takes messages in. */
struct writer {
    struct list link;
    struct queue_role *role;
    struct channel *channel;         /* NULL before the start */
    int fd;                          /* until the channel takes it */
    uint32_t number;                 /* of the process */
    unsigned needs;                  /* segments asked for and not given */
    bool begun;                      /* it has asked for its first segment: what it wrote before is complete */
    uint64_t *bodies;                /* body files it has and has not named in a message */
    size_t body_count, body_room;
    struct list asks;                /* struct body_ask: no file was ready */
    size_t ask_count;
};

struct delivery {
    struct list link;
    struct queue_role *role;
    struct channel *channel;         /* NULL before the start */
    int fd;                          /* until the channel takes it */
    uint32_t number;
    pid_t pid;                       /* whose it is: no operator's */
    uint32_t unsettled;              /* outcomes that the journal got and that were not confirmed */
    bool is_old;                     /* it was there before our start, and may have leases of the queue before us */
    bool told;                       /* which */
};

/* A big body that delivery processes have open. */
struct sent_body {
    struct map_node node;
    uint64_t number;
    uint64_t sent_to;                /* one bit for each delivery process */
};

struct control;
struct compaction;
struct checkpointing;

struct queue_role {
    struct process process;
    struct conf *conf;               /* the settings that hold */
    struct conf *conf_next;          /* sent, not yet in force */
    struct buf trouble;              /* what was last found wrong with the spool */
    struct buf hostname, hostname_next, postmaster, path;
    struct queue queue;
    struct spool_store *store;
    struct spool_journal *journal;
    struct spool_writer *writer;     /* our own log */
    unsigned own_needs;
    struct id_source ids;
    uint64_t last_ids[ID_WRITERS];   /* of each writer the highest known */
    bool started, draining, stopping;
    struct list writers, deliveries;
    struct channel *directory;       /* NULL: there is none */
    int directory_fd;                /* until the channel takes it; -1 */
    bool stay_told;                  /* by it: whose mail stays */
    struct loop_timer news_due;      /* runs while there is something to tell it */
    struct loop_task settle;         /* hook: confirms outcomes once they are written */
    struct loop_timer gather_end;
    struct lease_held held;          /* scratch */
    struct map sent_bodies;
    uint64_t *orphans;               /* body files from before our start that no message names; sorted */
    size_t orphan_count;
    struct list givings;             /* what goes back once the journal is synced */
    struct loop_timer due;
    int64_t due_ms;                  /* what the timer is set to, in the queue's time */
    struct loop_task turn;           /* hook: sets the timer, looks whether a checkpoint is due */
    int64_t wall_base_ms;            /* the queue's clock: wall time at the start, going on evenly */
    struct list reports;             /* to be composed */
    struct loop_task reports_task;
    struct list report_jobs;         /* being stored */
    unsigned report_count;           /* of both */
    struct list notices;             /* being stored */
    struct checkpointing *checkpointing;
    struct compaction *compaction;
    struct control *control;
    struct list operators;           /* struct control_name: of those who may ask over it */
    struct queue_acts acts;
};

static inline const struct queue_root *role_root(const struct queue_role *role) { return conf_values(role->conf); }
static inline struct log *role_log(struct queue_role *role) { return &role->process.log; }
/* The core's time. */
static inline int64_t role_now(const struct queue_role *role) { return role->wall_base_ms + loop_now_ms(role->process.loop); }
void role_drain_check(struct queue_role *role);

/* -- disk.c -- */
MUST_CHECK enum status disk_open(struct queue_role *role);     /* opens the spool; the reason of a failure is logged */
MUST_CHECK enum status disk_recover(struct queue_role *role);
MUST_CHECK enum status disk_start(struct queue_role *role);
void disk_stop(struct queue_role *role);                 /* our own log: nothing more is written */
void disk_close(struct queue_role *role);
void disk_own_feed(struct queue_role *role);                   /* segments for our own log */
void on_act_journal(void *arg, uint8_t kind, uint64_t id, struct span content);
void on_act_segment_empty(void *arg, struct queue_log_segment *segment);
void on_act_body_unused(void *arg, uint64_t body);
/* What a record in a segment says, as an arrival. `packed` keeps the recipients. DAMAGED; MEMORY. */
MUST_CHECK enum status disk_arrival(const struct spool_found *found, struct buf *packed, struct queue_arrival *ret);
/* Takes over the records of a segment that were synced but not announced. `last`: nobody will look again in this life. */
void disk_catch_up(struct queue_role *role, struct queue_log_segment *segment, bool last);
/* Reads the message's record. `buf` holds it. NOT_FOUND, DAMAGED, IO, MEMORY. `ret_fd`: the segment's, the caller's. */
MUST_CHECK enum status disk_read(struct queue_role *role, const struct queue_message *message, struct buf *buf,
                                 struct spool_message *ret, int *ret_fd);

/* -- writers.c -- */
void writers_peer(struct queue_role *role, const struct supervisor_peer *peer, int fd);
void writers_begin(struct queue_role *role);                   /* at the start: those that came before it */
void writers_feed(struct queue_role *role);                    /* segments and body files that were waited for */
void writers_tell_state(struct queue_role *role);
/* A message was found in the writer's segment that has this body file. False: the file is not the writer's to name. */
MUST_CHECK bool writers_body_named(struct queue_role *role, int writer, uint64_t number);
/* queue_arrived() for what a writer announced, or a dead one left unannounced. */
MUST_CHECK enum status role_arrived(struct queue_role *role, const struct queue_arrival *arrival);
void writers_close(struct queue_role *role);

/* -- orphans.c -- */
/* A body file that several messages name is that one's whose record says what is in it; the others go. MEMORY. */
MUST_CHECK enum status bodies_settle(struct queue_role *role);
MUST_CHECK enum status orphans_find(struct queue_role *role);
/* True: it was one, and belongs to a message now. */
MUST_CHECK bool orphans_claim(struct queue_role *role, uint64_t number);
void orphans_check(struct queue_role *role);                   /* after segments were sealed */
void orphans_close(struct queue_role *role);

/* -- deliveries.c -- */
void deliveries_peer(struct queue_role *role, const struct supervisor_peer *peer, int fd);
void deliveries_begin(struct queue_role *role);
void deliveries_segment_gone(struct queue_role *role, const struct queue_log_segment *segment);
void deliveries_body_gone(struct queue_role *role, uint64_t body);
void deliveries_close(struct queue_role *role);
void on_act_resolve(void *arg, unsigned delivery, const struct lease_resolve *resolve);
void on_act_grant(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment);

/* Has everybody said what has to be known before the first lease? */
void deliveries_gather_check(struct queue_role *role);

/* -- directory.c -- */
void directory_peer_came(struct queue_role *role, int fd);
void directory_begin(struct queue_role *role);                 /* at the start: the one that came before it */
void directory_turn(struct queue_role *role);
void directory_close(struct queue_role *role);

/* -- reports.c -- */
void on_act_report(void *arg, struct queue_report *report);
void reports_init(struct queue_role *role);
void reports_close(struct queue_role *role);
/* A message of our own was stored: the core gets to know it. */
MUST_CHECK enum status role_own_arrival(struct queue_role *role, const struct queue_arrival *arrival);
/* The same, of what an intake has stored. */
struct intake;
MUST_CHECK enum status role_own_stored(struct queue_role *role, const struct intake *intake);

/* -- notices.c -- */
struct backlog_notice;
void notices_send(struct queue_role *role, const struct backlog_notice *notice); /* directory wants it sent */
void notices_close(struct queue_role *role);

/* -- checkpoints.c -- */
void checkpoints_turn(struct queue_role *role);
void checkpoints_room(struct queue_role *role);                 /* the disk has taken what was gathered */
bool checkpoints_busy(const struct queue_role *role);          /* no message may change its place in the spool */
void checkpoints_close(struct queue_role *role);

/* -- compact.c -- */
void compact_turn(struct queue_role *role);
bool compact_is_copying(const struct queue_role *role);        /* a record is on its way that no checkpoint would know of */
void compact_close(struct queue_role *role);

/* -- control.c -- */
MUST_CHECK enum status control_open(struct queue_role *role);
void control_close(struct queue_role *role);
void control_trouble(struct queue_role *role);                 /* the journal cannot be written */
/* -- control_who.c -- */
void control_who_read(struct queue_role *role);                /* the names of those who may ask; opens files */
void control_who_done(struct queue_role *role);
