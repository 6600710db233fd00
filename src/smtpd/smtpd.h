/* smtpd/smtpd.h -- the process that takes mail: SMTP sessions on the listening sockets, messages into its own log.
 *
 * It reads octets from strangers, so it holds no keys, opens no files and connects nowhere: who may log in and send
 * is directory's to say, which also signs for its TLS; segments come from queue, everything else from the supervisor.
 *
 *   main.c      the supervisor's orders        door.c      listening sockets, who is turned away
 *   config.c    settings in force              session.c   one connection; login.c, envelope.c, message.c, big.c
 *   store.c     log and queue                  asking.c    questions to directory; signing.c
 *   clients.c   connections and memory by address    files.c    descriptors; load.c: how much is too much
 */
#pragma once

/* `goniec role smtpd`: runs until the supervisor says DRAIN or goes away. Returns the exit status. */
int smtpd_main(void);
