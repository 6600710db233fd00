/* milter/milter_priv.h -- what the files of the machine share. */
#pragma once
#include "milter/milter.h"

/* What goes and what is answered: the milter's wishes, out of those that are offered. */
enum {
    STEP_NO_CONNECT = 0x1, STEP_NO_HELO = 0x2, STEP_NO_MAIL = 0x4, STEP_NO_RCPT = 0x8, STEP_NO_BODY = 0x10,
    STEP_NO_HEADERS = 0x20, STEP_NO_EOH = 0x40, STEP_MUTE_HEADER = 0x80, STEP_NO_UNKNOWN = 0x100, STEP_NO_DATA = 0x200,
    STEP_SKIP = 0x400, STEP_MUTE_CONNECT = 0x1000, STEP_MUTE_HELO = 0x2000, STEP_MUTE_MAIL = 0x4000,
    STEP_MUTE_RCPT = 0x8000, STEP_MUTE_DATA = 0x10000, STEP_MUTE_UNKNOWN = 0x20000, STEP_MUTE_EOH = 0x40000,
    STEP_MUTE_BODY = 0x80000, STEP_LEADING_BLANK = 0x100000,
    STEP_OFFERED = 0x1FF7FF, /* refused recipients (0x800) are not shown */
};

/* What is being waited for, for people. */
const char *milter_command_phrase(enum milter_command command);
/* "name" of the protocol, with its braces if it has any. */
const char *milter_macro_text(enum milter_macro macro);
uint16_t milter_macro_steps(enum milter_macro macro);
/* Ends the session. */
void milter_break(struct milter *milter, enum milter_trouble trouble, const char *what);
/* An answer, whole. */
void milter_take_answer(struct milter *milter, char letter, struct span body);
/* The question of which packet this is the answer to was put: begins the waiting. */
void milter_wait(struct milter *milter, enum milter_command command);
void milter_negotiate(struct milter *milter);
