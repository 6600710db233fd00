/* cli/trace.h -- `goniec trace`: what became of a message, in plain words. */
#pragma once

int trace_main(int argc, char **argv);
