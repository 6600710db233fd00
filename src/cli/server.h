/* cli/server.h -- the commands that are a server or talk to one: serve, check, reload, stop, role. */
#pragma once

int serve_main(int argc, char **argv);
int check_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int stop_main(int argc, char **argv);
int role_main(int argc, char **argv);
