/* cli/who.h -- `goniec who`: which user, website and script of this machine sent a message. */
#pragma once

int who_main(int argc, char **argv);
