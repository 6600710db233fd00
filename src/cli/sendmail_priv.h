/* cli/sendmail_priv.h -- what the files of `sendmail` share. */
#pragma once
#include "base/buf.h"
#include "cli/sendmail_options.h"
#include "smtp/reply.h"
#include "smtp/said.h"

#define SENDMAIL_WAIT_S 300 /* that the server may think about an answer */

/* "sendmail: ..." on the standard error; returns `exit`. */
enum sendmail_exit sendmail_complain(enum sendmail_exit exit, const char *format, ...) PRINTF_LIKE(2, 3);

/* The server's end of the socket. */
struct talk {
    int fd;                  /* -1: none */
    bool verbose;
    char room[4096];         /* octets that arrived and were not read */
    struct span left;
    struct smtp_reply reply; /* the last one */
};

/* Connects. LATER: nobody is there; said so. */
enum sendmail_exit talk_open(struct talk *talk, const char *path, bool verbose);
void talk_close(struct talk *talk);
/* Sends octets. IO: the server hung up. */
MUST_CHECK enum status talk_send(struct talk *talk, struct span octets);
/* Reads a whole reply. IO: the server hung up, or said nothing for too long. */
MUST_CHECK enum status talk_listen(struct talk *talk);
/* Sends a line (its CRLF is added) and reads the reply: OK when that begins with `wanted` (2 or 3). Otherwise it was
 * complained about, and the exit status says what came of it. */
enum sendmail_exit talk_ask(struct talk *talk, struct span line, int wanted);
/* The same for a reply that was read. */
enum sendmail_exit talk_verdict(struct talk *talk, int wanted);

/* Reads the message from the standard input and hands it over. */
enum sendmail_exit sendmail_send(const struct sendmail_options *options, const char *path, int argc, char **argv);
/* Appends the command that tells about ourselves: XLOCAL and its values (smtp/said.h). `header`: of the message. */
void sendmail_say(struct span header, int argc, char **argv, struct buf *line);
/* -bs: what comes from the standard input goes to the server, what that says to the standard output. */
enum sendmail_exit sendmail_relay(const char *path);
