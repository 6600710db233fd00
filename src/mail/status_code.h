/* mail/status_code.h -- enhanced status codes (RFC 3463) and what they mean to a person. */
#pragma once
#include "base/span.h"

#define STATUS_CODE_TEXT_SIZE 18 /* with NUL */

struct status_code {
    uint16_t class;   /* 2, 4 or 5; 0 is no code at all */
    uint16_t subject;
    uint16_t detail;
};

#define STATUS_CODE(class, subject, detail) ((struct status_code){ (class), (subject), (detail) })

/* Takes "5.1.1" and the blank behind it off the front of a reply's text. False (nothing changes): there is none. */
bool status_code_take(struct span *in, struct status_code *ret);
/* "5.1.1"; "5.0.0" for a code of class 0. Returns `ret`. */
char *status_code_text(struct status_code code, char ret[STATUS_CODE_TEXT_SIZE]);
/* The best code for a reply that carries none: by its three digits (550 -> 5.0.0, 552 -> 5.2.2, ...). */
struct status_code status_code_from_reply(int reply);

/* Plain sentences, static, never NULL: what is wrong, and what the sender may do about it. */
const char *status_code_meaning(struct status_code code);
const char *status_code_advice(struct status_code code);
