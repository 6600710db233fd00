/* cli/sendmail.h -- `goniec sendmail`, and what is called sendmail, mailq or newaliases: hands a message of this machine to
 * the server over its local socket (smtp/said.h).
 *
 * Nothing here is privileged: it runs as whoever called it, and the kernel tells the server who that is. A message is in the
 * server's hands or the exit status says that it is not; nothing is kept in between.
 *
 *   sendmail.c          what is to be done           sendmail_talk.c    the socket, the SMTP on it
 *   sendmail_options.c  the command line             sendmail_send.c    a message on its way
 */
#pragma once
#include "cli/sendmail_options.h"

int sendmail_main(int argc, char **argv);
/* Is this the name of one of those programs (the last part of argv[0])? */
bool sendmail_is_name(const char *path);
