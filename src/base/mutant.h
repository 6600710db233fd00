/* base/mutant.h -- mistakes that a careless hand could make here, one at a time: the proof of the proof.
 *
 * A test that has never failed proves nothing. A build with -Dmutants=true has these mistakes in it, each in the place where
 * somebody would make it, and makes the one that GONIEC_MUTANT or mutant_set() names; the simulator and the tests must
 * notice (`make mutants`). In every other build MUTANT() is a constant false: nothing of this is in the program.
 */
#pragma once
#include <stdbool.h>

#define MUTANT_LIST(X)                                                                                                      \
    /* the log of messages */                                                                                               \
    X(REPLY_BEFORE_SYNC, "reply-before-sync", "250 is said before the record is synced")                                    \
    X(SYNC_ERROR_IGNORED, "sync-error-ignored", "a sync that failed is taken for one that did not")                         \
    X(REFUSAL_ANSWERED_250, "refusal-answered-250", "250 is said though the disk was full, or failed")                      \
    X(SEGMENT_NAME_NOT_SYNCED, "segment-name-not-synced", "the name of a new segment is not synced")                        \
    X(EMPTY_MARK_NOT_SYNCED, "empty-mark-not-synced", "a segment is used again before its EMPTY mark is synced")            \
    X(SEGMENT_FREED_EARLY, "segment-freed-early", "a segment is made EMPTY before the outcomes of its messages are synced") \
    X(TORN_TAIL_ACCEPTED, "torn-tail-accepted", "a record is taken though its checksums are wrong")                         \
    X(OLD_LIFE_ACCEPTED, "old-life-accepted", "epoch and salt are not in the checksums: an older life's records count")     \
    X(HOLE_ENDS_LOG, "hole-ends-log", "reading a log ends at the first hole")                                               \
    X(LAST_COMMIT_SKIPPED, "last-commit-skipped", "the last commit of a log is taken for a torn one")                       \
    X(UNANNOUNCED_FORGOTTEN, "unannounced-forgotten", "what a dead smtpd stored and did not announce is not looked for")    \
    X(SURVIVOR_DROPPED, "survivor-dropped", "a message in a nearly empty segment is left behind when that is given back")   \
    X(IDS_REUSED, "ids-reused", "after a restart ids begin where they began before")                                        \
    /* big bodies */                                                                                                        \
    X(BODY_NOT_SYNCED, "body-not-synced", "a big body is not synced before its record is written")                          \
    X(BODY_NAME_NOT_SYNCED, "body-name-not-synced", "the name of a big body's file is not synced")                          \
    X(BODY_REMOVED_EARLY, "body-removed-early", "a big body is removed before the outcome is synced")                       \
    /* the journal */                                                                                                       \
    X(CHECKPOINT_NOT_SYNCED, "checkpoint-not-synced", "a checkpoint comes into force without being synced")                 \
    X(CHECKPOINT_NAMED_EARLY, "checkpoint-named-early", "a checkpoint gets its name before it is synced")                   \
    X(JOURNAL_FREED_EARLY, "journal-freed-early", "the journal before a checkpoint is given back before that stands")       \
    X(CHECKPOINT_OMITS_LEASED, "checkpoint-omits-leased", "a checkpoint leaves out what is just being delivered")           \
    X(CONFIRMED_BEFORE_WRITTEN, "confirmed-before-written", "an outcome is confirmed before the journal has it")            \
    X(RETRY_TIME_LOST, "retry-time-lost", "after a restart a deferred recipient is never due")                              \
    X(HOLD_FORGOTTEN, "hold-forgotten", "after a restart what was held goes out")                                           \
    X(DELETE_NOT_WRITTEN, "delete-not-written", "after a restart what was deleted is back")                                 \
    /* who has what */                                                                                                      \
    X(RECIPIENT_FORGOTTEN, "recipient-forgotten", "the last recipient of a message that has several is forgotten")          \
    X(LEASE_NEVER_BACK, "lease-never-back", "what a dead delivery process had in hand stays with it")                       \
    X(HELD_LEASE_NOT_TOLD, "held-lease-not-told", "a new queue is not told what is being delivered")                        \
    X(OUTCOME_NOT_TOLD_AGAIN, "outcome-not-told-again", "a new queue is not told the outcomes that the old one had not confirmed") \
    X(SETTLED_BEFORE_250, "settled-before-250", "a session that breaks off before the 250 counts as one that delivered")                \
    X(WRONG_RECIPIENT, "wrong-recipient", "the outcomes of a transaction's recipients are mixed up")                        \
    X(BOUNCE_CLOSED_EARLY, "bounce-closed-early", "a failure is settled before its report is stored")

enum mutant {
    MUTANT_NONE,
#define X(mutant, name, what) MUTANT_##mutant,
    MUTANT_LIST(X)
#undef X
    MUTANT_COUNT
};

#ifdef GONIEC_MUTANTS
extern enum mutant mutant_made; /* read through MUTANT() */
#define MUTANT(name) (mutant_made == MUTANT_##name)

/* From now on this process makes that mistake, NULL: none. False: there is none of that name. */
bool mutant_set(const char *name);
const char *mutant_name(enum mutant mutant); /* "reply-before-sync" */
const char *mutant_what(enum mutant mutant); /* one line for a person */
#else
#define MUTANT(name) (MUTANT_##name == MUTANT_NONE)
#endif
