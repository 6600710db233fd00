/* cli/load.h -- `goniec load`: sends many messages to a server and measures how it takes them. */
#pragma once

/* argv[0] is "load". Returns the exit status: 0 all taken, 1 some were not, 2 wrong usage. */
int load_main(int argc, char **argv);
