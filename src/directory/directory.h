/* directory/directory.h -- the process that knows accounts, passwords and rights: who may send what.
 *
 * The only one that reads the accounts database. It talks to smtpd processes alone (wire/smtpd_directory.h); no
 * byte from the network reaches it but through them. Passwords are checked on worker threads behind a bounded queue.
 */
#pragma once

/* `goniec role directory`: lives on the channel to the supervisor until told to go. Returns the exit status. */
int directory_main(void);
/* `goniec role mirror` (directory/mirror.c): where accounts are shared through PostgreSQL, keeps the database as that has it. */
int mirror_main(void);
