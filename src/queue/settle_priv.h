/* queue/settle_priv.h -- what settle.c (failures, delays, reports) and outcome.c (the end of a lease) share. */
#pragma once
#include "queue/settle.h"

/* One entry about those recipients of the share that are of the class (all of them without classes). */
void settle_journal(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                    struct queue_entry *entry);
void settle_journal_ended(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                          enum queue_ended how);
/* RFC 3461 section 4.1: is somebody to be told that this recipient failed? */
bool settle_owes_failure(const struct queue *queue, const struct queue_message *message, uint8_t notify);
/* Room for so many recipients; NULL: out of memory. */
struct queue_report *settle_report_new(const struct queue_message *message, enum queue_report_kind kind, uint32_t room);
void settle_report_tell(struct queue_report *report, const struct queue_rcpt *rcpt, const struct queue_reason *reason);
/* The share (at rest) ends with the report. */
void settle_report_add(struct queue *queue, struct queue_report *report, struct queue_share *share);
/* Room for so many more. False: out of memory. */
MUST_CHECK bool settle_report_reserve(struct queue_report *report, uint32_t more);
/* Now, or with what else of the message fails while the rest of it is on its way. */
void settle_report_send(struct queue *queue, struct queue_report *report);
/* Some of the message's recipients are over: sends what waited for the last of them. */
void settle_report_complete(struct queue *queue, uint64_t id);
void collect_leave(struct queue *queue, struct queue_report *report);
/* A recipient is given up and nobody is told: the log at least. */
void settle_log_silent(struct queue *queue, const struct queue_share *share, const char *event,
                       const struct queue_reason *reason);
/* How its last attempt ended; takes over the reference. */
void settle_keep_reason(struct queue *queue, struct queue_share *share, const struct queue_reason *reason);
/* The share (at rest) waits for its next attempt. `counts`: it had one. */
void settle_defer(struct queue *queue, struct queue_share *share, const struct queue_reason *reason, bool counts);
