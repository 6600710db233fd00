/* policy/settings.h -- `relay`: for whom we carry mail that nobody logged in for. */
#pragma once
#include "conf/directive.h"

struct policy_domain {
    struct span name;              /* lower case */
    struct conf_texts recipients;  /* local parts or whole addresses of this domain; "*": every one */
};

struct policy_settings {
    struct conf_networks networks; /* clients that may send anywhere */
    struct conf_list domains;      /* of struct policy_domain */
};

/* The keys inside `relay`. */
extern const struct conf_section policy_settings_section;
