#include "cli/settings.h"
#include "cli/common.h"
#include "conf/print.h"

static int print_manual(void)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(4u << 20);
    conf_print_man(&root_section, &out);
    fwrite(out.p, 1, out.n, stdout);
    return out.failed ? COMMON_FAILED : 0;
}

int settings_main(int argc, char **argv)
{
    struct common_options options;
    if (argc == 2 && strcmp(argv[1], "--man") == 0)
        return print_manual();
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc != 1)
        return common_usage("settings");
    struct conf *conf = common_settings(options.config);
    if (!conf)
        return COMMON_FAILED;
    AUTO(buf_wipe) struct buf out = BUF_EMPTY(64u << 20);
    if (options.json)
        conf_print_json(&root_section, conf_values(conf), &out);
    else
        conf_print_text(&root_section, conf_values(conf), &out);
    fwrite(out.p, 1, out.n, stdout);
    conf_free(conf);
    return out.failed ? common_complain("the settings are too many to print") : 0;
}
