/* cli/account.h -- `goniec account`: who may log in, and as whom they may send. */
#pragma once

/* argv[0] is "account". Returns the exit status: 0 done, 1 refused or failed, 2 wrong usage. */
int account_main(int argc, char **argv);
