/* intake/intake_priv.h -- what the files of the room share. */
#pragma once
#include "intake/intake.h"

struct intake_recipient {
    struct intake_text address, orcpt;
    uint32_t wait_s;
    uint8_t notify;
};

#define SLOTS_PER_RECIPIENT 2u /* of the table by which a second naming is found */
#define INTAKE_TEXTS_MAX (64u << 20) /* octets of all addresses of one message */

struct span intake_text(const struct intake *intake, struct intake_text text);
/* Copies `text` to the end of `texts`. FULL, MEMORY. */
MUST_CHECK enum status intake_text_add(struct intake *intake, struct span text, struct intake_text *ret);

/* Fills `refusal` and returns `status`, for the tail of a check. */
enum status intake_refuse(struct intake *intake, enum status status, unsigned reply, struct status_code code,
                          const char *format, ...) PRINTF_LIKE(5, 6);


/* "452 4.3.1", FULL. */
enum status intake_no_memory(struct intake *intake);

/* The From: field of a submitted message: its addresses go into `from`; a field that has to be made anew goes into
 * `added`, and `ret_drop` says that the old one must go. DENIED, FULL: `refusal` is filled. */
MUST_CHECK enum status intake_from_check(struct intake *intake, const struct intake_facts *facts, struct span value,
                                         unsigned count, bool *ret_drop);
