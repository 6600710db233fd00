/* cli/spool.h -- `goniec spool verify`: reads a spool directory, changes nothing, says what it found. */
#pragma once

int spool_main(int argc, char **argv);
