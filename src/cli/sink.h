/* cli/sink.h -- `goniec sink`: a receiving server for tests and rehearsals, of ours and of other people's servers. */
#pragma once

/* argv[0] is "sink". Returns the exit status: 0 done, 1 something was lost or came twice, 2 wrong usage. */
int sink_main(int argc, char **argv);
