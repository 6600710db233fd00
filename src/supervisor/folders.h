/* supervisor/folders.h -- the folders, the lock that keeps a second supervisor out, and the log file. */
#pragma once
#include "supervisor/plan.h"

/* Makes state-dir and run-dir (mode 0750, the user's; run-dir 0751 for the local socket); an existing one that others may write to is a fault. */
MUST_CHECK bool folders_make(const struct plan *plan, struct conf_faults *faults);
/* Locks state-dir for this supervisor and writes our process id into it and into run-dir. -1: `faults` says who holds
 * it. The lock lasts as long as the descriptor. `*ret_was_cut_off`: another id stands in it, whose owner never came to
 * folders_mark_stopped(). */
MUST_CHECK int folders_lock(const struct plan *plan, struct conf_faults *faults, bool *ret_was_cut_off);
void folders_mark_stopped(int lock_fd); /* nothing is left undone; -1: there is no lock */
/* Does a supervisor run on this state-dir? (No state-dir, no supervisor.) */
bool folders_are_locked(const struct plan *plan);
/* Opens the event log for appending; the standard error's duplicate for "-". -1: a fault. */
MUST_CHECK int folders_log(const struct plan *plan, struct conf_faults *faults);
