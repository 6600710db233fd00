/* smtp/server_priv.h -- what the files of the server's side share. */
#pragma once
#include "smtp/command.h"
#include "smtp/server.h"

#define SERVER_OUT_MAX (1u << 20) /* octets of replies that gather; a client that reads none is cut off long before */

/* server_reply.c: writes replies. Text is wrapped, and what is not printable ASCII becomes "?" (UTF-8 stays where the
 * client understands it). `status.class` 0: no enhanced code. */
void server_say(struct smtp_server *server, unsigned code, struct status_code status, struct span text);
void server_say_to(struct buf *out, bool utf8, unsigned code, struct status_code status, struct span text);
/* The same for a refusal; counts it, and says 421 when there were too many. */
void server_refuse(struct smtp_server *server, unsigned code, struct status_code status, const char *text);
void server_say_ehlo(struct smtp_server *server);

/* server.c */
void server_enter(struct smtp_server *server, enum smtp_server_state state);
void server_close(struct smtp_server *server, enum smtp_close why);
void server_count_error(struct smtp_server *server);
/* The transaction ends without a message; the door hears DROP. */
void server_drop(struct smtp_server *server);
void server_end_transaction(struct smtp_server *server);

/* server_commands.c: runs one command; `ret->kind` stays MORE unless the door has to know. */
void server_command(struct smtp_server *server, struct smtp_command command, bool more_follows,
                    struct smtp_server_event *ret);
/* Takes the next one that this session offers off the front of `names`. */
bool server_next_mechanism(const struct smtp_server *server, struct span *names, struct span *ret);
void server_auth_line(struct smtp_server *server, struct span line, struct smtp_server_event *ret);

/* server_body.c: octets of a message. server_body_next() says false when it needs more of them. */
void server_body_start(struct smtp_server *server);
bool server_body_next(struct smtp_server *server, struct span *in, struct smtp_server_event *ret);
void server_body_spoil(struct smtp_server *server, unsigned code, struct status_code status, struct span text);
/* Starts a chunk that will be read for nothing, because of what the verdict says. */
void server_chunk_start(struct smtp_server *server, uint64_t octets, bool last);
