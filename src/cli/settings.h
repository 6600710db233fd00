/* cli/settings.h -- `goniec settings`: every directive with its value, its default and its meaning. */
#pragma once

int settings_main(int argc, char **argv);
