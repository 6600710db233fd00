#include "cli/common.h"
#include "base/time.h"
#include "conf/number.h"
#include <time.h>
#include "goniec_config.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

const char *common_config_path(const char *option)
{
    const char *named = option ? option : getenv("GONIEC_CONFIG");
    return named && *named ? named : GONIEC_SYSCONFDIR "/goniec/goniec.conf";
}

int common_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("goniec: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return COMMON_FAILED;
}

int common_usage(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            fprintf(stderr, "usage: goniec %s %s\n`goniec help %s` tells more.\n", name, command->args ? command->args : "", name);
    return COMMON_USAGE;
}

/* One word that is an option; 0 when it is none of ours, else how many words it took. */
static int take_one(char **word, struct common_options *ret)
{
    if (strcmp(word[0], "--json") == 0) {
        ret->json = true;
        return 1;
    }
    if (strncmp(word[0], "--config=", 9) == 0) {
        ret->config = word[0] + 9;
        return 1;
    }
    if (strcmp(word[0], "--config") == 0 && word[1]) {
        ret->config = word[1];
        return 2;
    }
    return 0;
}

bool common_options_take(int *argc, char **argv, struct common_options *ret)
{
    *ret = (struct common_options){ NULL, false };
    int left = 1;
    for (int i = 1; i < *argc;) {
        int taken = take_one(&argv[i], ret);
        if (taken == 0 && argv[i][0] == '-' && argv[i][1]) {
            common_complain("unknown option %s", argv[i]);
            common_usage(argv[0]);
            return false;
        }
        if (taken == 0)
            argv[left++] = argv[i++];
        i += taken;
    }
    *argc = left;
    argv[left] = NULL;
    ret->config = common_config_path(ret->config);
    return true;
}

struct conf *common_settings(const char *path)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(CONF_TEXT_MAX);
    struct conf_faults faults;
    conf_faults_init(&faults, path);
    struct conf *conf = NULL;
    if (conf_read(path, &text, &faults))
        conf = conf_parse(&root_section, buf_span(&text), 0, &faults);
    fputs(buf_cstr(&faults.text), stderr);
    conf_faults_done(&faults);
    return conf;
}

bool common_when(const char *text, int sign, int64_t *ret_ms)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ" };
    AUTO(buf_done) struct buf why = BUF_EMPTY(256);
    int64_t span_ms;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && !*end) {
            *ret_ms = (int64_t)timegm(&tm) * 1000;
            return true;
        }
    }
    if (!conf_number_parse(CONF_TIME_MS, span_str(text), &span_ms, &why))
        return false;
    *ret_ms = time_wall_ms() + sign * span_ms;
    return true;
}

bool common_become_user(const struct root_settings *settings)
{
    const struct span *name = &settings->common.user;
    if (geteuid() != 0 || name->n == 0)
        return true;
    struct passwd *user = getpwnam(name->p);
    if (!user) {
        common_complain("there is no system user \"%s\" (setting `user`)", name->p);
        return false;
    }
    if (setgroups(1, &user->pw_gid) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0)
        return true;
    common_complain("cannot become the user %s: %s", name->p, strerror(errno));
    return false;
}

void common_raise_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}
