/* delivery/session_priv.h -- what session.c and session_body.c share. */
#pragma once
#include "delivery/session.h"

void session_turn(struct session *session);  /* does what the machine wants, as long as it changes its mind */
void session_over(struct session *session);  /* tells the user, once */
void session_arm(struct session *session);
void session_on_result(void *arg, size_t recipient, const struct smtp_client_result *result);

void session_body_begin(struct session *session);
/* This machine let us down in the middle: the server must not take half for the whole, so the connection ends. */
void session_fail(struct session *session);
void session_body_pump(struct session *session); /* gives the stream as much of the body as it takes now */
