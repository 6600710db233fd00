/* delivery/job_priv.h -- what job*.c share. */
#pragma once
#include "delivery/job.h"

/* job_way.c: finds the next address to try and calls one of the two below, never inside this call. */
void job_way_next(struct job *job);
void job_way_free(struct job *job);
void job_open(struct job *job);      /* `trying` and `host` are set */
void job_no_way(struct job *job);    /* there is no other; last_* says why */

/* job_check.c: reads the body through and compares its checksum; job_checked() follows, perhaps at once. A body that
 * came with its record has been checked. */
void job_check(struct job *job);
void job_check_forget(struct job *job);
void job_checks_free(struct delivery *delivery); /* after the jobs */
void job_checked(struct job *job, enum status status);

/* job_patience.c */
void job_opens(struct job *job);     /* it looks for a server and opens a connection from now on, */
void job_opened(struct job *job);    /* and has one, or needs none any more */

/* job_outcome.c */
void job_settle(struct job *job, uint32_t i, uint8_t result, const struct smtp_client_result *word);
void job_settle_rest(struct job *job, uint8_t result, int code, struct status_code enhanced, struct span text);
/* Why those that are still left have no outcome yet. */
void job_note(struct job *job, bool is_permanent, int code, struct status_code enhanced, struct span text);
void job_note_peer(struct job *job, const struct session *session);
void job_end(struct job *job);       /* sends the outcome; the job is gone */
