#include "share/settings.h"
#include "share/place.h"

#define AT(member) CONF_AT(struct share_settings, member)

static bool check_redis(const void *value, struct buf *why)
{
    AUTO(share_place_done) struct share_place place;
    bool good = share_place_parse(*(const struct span *)value, &place);
    if (!good)
        buf_add_str(why, "is written redis://[[user]:password@]host[:port][/number], or unix:/path");
    return good;
}

static bool check_machine(const void *value, struct buf *why)
{
    struct span name = *(const struct span *)value;
    bool good = share_machine_is_good(name);
    if (!good)
        buf_add_str(why, "has up to 64 letters, digits, dots, hyphens and underscores");
    return good;
}

static const struct conf_directive rows[] = {
    { "redis", CONF_TEXT, AT(redis), NULL, NULL, NULL,
      "Where machines tell each other what they have counted of the limits: redis://[[user]:password@]host[:port][/number] or unix:/path. "
      "A limit then holds for all of them together; docs/several-machines.md says how exactly. While Redis is away each counts alone. "
      "A host's name is looked up at the start. Unset: this machine counts alone. Only a restart changes it.",
      .check = check_redis, .flags = CONF_SECRET },
    { "machine", CONF_TEXT, AT(machine), NULL, NULL, NULL,
      "What this machine is called there; no two may have the same name. Unset: the host name. Holds from the next start.", .check = check_machine },
    { "every", CONF_TIME_MS, AT(every_ms), "1s", "100ms", "1min",
      "How often it tells and asks. By how much a limit may be exceeded grows with it." },
    { 0 }
};
const struct conf_section share_settings_section = { rows, sizeof(struct share_settings), NULL };

static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, CONF_AT(struct share_root, common), .section = &conf_common_section },
    { "share", CONF_SECTION, CONF_AT(struct share_root, share), .help = "Several machines that count their limits together.",
      .section = &share_settings_section },
    { 0 }
};
const struct conf_section share_root_section = { root_rows, sizeof(struct share_root), NULL };
