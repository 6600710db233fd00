/* share/settings.h -- `share`: which machines count together, and by what. */
#pragma once
#include "conf/common.h"

struct share_settings {
    struct span redis;   /* unset: this machine counts alone */
    struct span machine; /* unset: its host name */
    int64_t every_ms;
};

/* The keys inside `share`. */
extern const struct conf_section share_settings_section;

/* What the process reads of the file. */
struct share_root {
    struct conf_common common;
    struct share_settings share;
};
extern const struct conf_section share_root_section; /* parse with CONF_PARTIAL */
