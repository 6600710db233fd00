/* cli/queue.h -- `goniec queue list|show|hold|release|retry|reroute|delete` `goniec status` and `goniec top`. */
#pragma once

int queue_command_main(int argc, char **argv);
int status_main(int argc, char **argv);
int top_main(int argc, char **argv);
