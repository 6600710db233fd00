/* goniec -- one program: the server, its processes, and the commands to look after it. */
#include "cli/common.h"
#include "cli/sendmail.h"
#include "goniec_config.h"

static int list(FILE *to)
{
    fputs("goniec " GONIEC_VERSION " - an outgoing mail server\n\nusage: goniec COMMAND ...\n\n", to);
    for (const struct command *command = commands; command->name; command++)
        if (!command->internal)
            fprintf(to, "  %-10s %s\n", command->name, command->summary);
    fprintf(to, "\n`goniec help COMMAND` tells more. Settings are read from --config FILE, $GONIEC_CONFIG, or\n%s.\n",
            common_config_path(NULL));
    return to == stdout ? 0 : COMMON_USAGE;
}

static const struct command *find(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static int help(const char *name)
{
    const struct command *command = find(name);
    if (!command) {
        common_complain("there is no command %s", name);
        return list(stderr);
    }
    if (!command->help) {
        char own[32], option[] = "--help";
        snprintf(own, sizeof own, "%s", command->name);
        return command->run(2, (char *[]){ own, option, NULL });
    }
    printf("usage: goniec %s %s\n\n%s.\n%s", command->name, command->args, command->summary, command->help);
    return 0;
}

static bool is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 0 && sendmail_is_name(argv[0]))
        return sendmail_main(argc, argv);
    if (argc < 2)
        return list(stderr);
    if (is(argv[1], "--version", "version")) {
        puts("goniec " GONIEC_VERSION);
        return 0;
    }
    if (is(argv[1], "--help", "-h") || (is(argv[1], "help", "help") && argc < 3))
        return list(stdout);
    if (is(argv[1], "help", "help"))
        return help(argv[2]);
    const struct command *command = find(argv[1]);
    if (!command) {
        common_complain("there is no command %s", argv[1]);
        return list(stderr);
    }
    if (argc > 2 && command->help && is(argv[2], "--help", "-h"))
        return help(command->name);
    return command->run(argc - 1, argv + 1);
}
