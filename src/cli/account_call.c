#include "cli/account.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "conf/parse.h"
#include "directory/settings.h"
#include "wire/smtpd_directory.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MORE_MS 50 /* for a turn of a loop that is under way */

static int usage(FILE *to)
{
    fputs("usage: goniec account VERB ...\n\n", to);
    for (const struct account_verb *verb = account_verbs; verb->name; verb++)
        fprintf(to, "  %s %s\n        %s\n", verb->name, verb->args, verb->help);
    fputs("\nThe password of `add` and `passwd` is asked for, or comes from\n"
          "  --password-stdin   a line of the standard input\n"
          "  --generate         chance; it is printed once\n"
          "  --hash TEXT        ready-made: $y$, $2b$, $2y$, $6$, $5$, $argon2id$, {SCRAM-SHA-256} (-: a line of the standard input)\n"
          "Everywhere:\n"
          "  --json             answers as JSON\n"
          "  --config FILE      settings (GONIEC_CONFIG)\n"
          "  --database FILE    the database itself, whatever the settings say\n", to);
    return to == stdout ? 0 : COMMON_USAGE;
}

static int wrong(const char *what, const char *word)
{
    common_complain("%s %s (`goniec account --help` shows what there is)", what, word);
    return COMMON_USAGE;
}

static bool take_flag(struct account_options *options, const char *word)
{
    if (strcmp(word, "--json") == 0)
        return options->json = true;
    if (strcmp(word, "--password-stdin") == 0)
        return options->from_stdin = true;
    if (strcmp(word, "--generate") == 0)
        return options->generate = true;
    return false;
}

/* Where the value of an option goes; NULL: there is no such option, or no room. */
static const char **value_place(struct account_options *options, const char *word)
{
    if (strcmp(word, "--config") == 0)
        return &options->config;
    if (strcmp(word, "--database") == 0)
        return &options->database;
    if (strcmp(word, "--name") == 0)
        return &options->name;
    if (strcmp(word, "--hash") == 0)
        return &options->hash;
    if (strcmp(word, "--alias") == 0 && options->alias_count < ACCOUNT_ALIASES_MAX)
        return &options->aliases[options->alias_count++];
    return NULL;
}

/* Takes `--name=VALUE` apart in place. Returns the value, or NULL. */
static char *value_inside(char *word)
{
    char *equals = strchr(word, '=');
    if (!equals)
        return NULL;
    *equals = '\0';
    return equals + 1;
}

/* Takes the options out of argv; what stays are words. -1: what is wrong was told. */
static int take_options(struct account_options *options, int argc, char **argv)
{
    int words = 0;
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[words++] = argv[i];
            continue;
        }
        if (take_flag(options, argv[i]))
            continue;
        const char *value = value_inside(argv[i]);
        const char **place = value_place(options, argv[i]);
        if (!place || (!value && i + 1 == argc)) {
            wrong(place ? "a value is missing behind" : "there is no option", argv[i]);
            return -1;
        }
        *place = value ? value : argv[++i];
    }
    return words;
}

static const struct account_verb *verb_find(const char *name)
{
    for (const struct account_verb *verb = account_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

/* The database and who shall own it, out of the settings. */
struct place {
    struct buf path;
    struct buf above;  /* state-dir, where the database lies in its usual place; made when missing */
    struct buf folder; /* the database's there, the same */
    int owner, group;  /* -1: whoever runs this */
};

static bool place_from_user(struct place *place, struct span user)
{
    if (geteuid() != 0 || !user.n)
        return true;
    const struct passwd *entry = getpwnam(user.p);
    if (!entry) {
        common_complain("there is no user %s on this machine (setting `user`)", user.p);
        return false;
    }
    place->owner = (int)entry->pw_uid;
    place->group = (int)entry->pw_gid;
    return true;
}

static bool place_from_settings(struct place *place, const char *file, struct secret_wish *ret_wish)
{
    file = common_config_path(file);
    struct conf_faults faults;
    conf_faults_init(&faults, file);
    AUTO(buf_done) struct buf text = BUF_EMPTY(CONF_TEXT_MAX);
    struct conf *conf = NULL;
    if (conf_read(file, &text, &faults))
        conf = conf_parse(&directory_root_section, buf_span(&text), CONF_PARTIAL, &faults);
    bool ok = conf != NULL;
    if (ok) {
        const struct directory_root *root = conf_values(conf);
        directory_database_path(root, &place->path);
        *ret_wish = (struct secret_wish){ root->accounts.store != DIRECTORY_STORE_SCRAM, root->accounts.store != DIRECTORY_STORE_HASH,
                                          (uint32_t)root->accounts.scram_iterations };
        if (!root->accounts.database.n) {
            buf_add(&place->above, root->common.state_dir);
            directory_database_folder(root, &place->folder);
        }
        ok = place_from_user(place, root->common.user);
    } else {
        fprintf(stderr, "%.*s", SPAN_ARGS(buf_span(&faults.text)));
    }
    conf_free(conf);
    conf_faults_done(&faults);
    return ok;
}

static bool folder_make(const struct place *place, struct buf *path)
{
    const char *folder = buf_cstr(path);
    if (!path->n || mkdir(folder, 0750) != 0)
        return true; /* what is wrong with it shows when the database is opened */
    return place->owner < 0 || chown(folder, (uid_t)place->owner, (gid_t)place->group) == 0;
}

static bool folders_make_both(struct place *place)
{
    return folder_make(place, &place->above) && folder_make(place, &place->folder);
}

static int open_failed(struct account_call *call, enum status status, const char *path)
{
    if (status == STATUS_NOT_FOUND)
        return common_complain("there is no account yet (%s); `goniec account add LOGIN` makes the first", path);
    return common_complain("%s%s", accounts_why(call->accounts),
                           geteuid() != 0 ? "; try it as root, or as the user that goniec runs as" : "");
}

static int run_in_place(struct account_call *call, const struct account_verb *verb, struct place *place)
{
    const char *path = buf_cstr(&place->path);
    enum status status;
    if (verb->flags & ACCOUNT_CHANGES)
        status = folders_make_both(place) ? accounts_open_to_change(path, place->owner, place->group, &call->accounts)
                                    : STATUS_IO;
    else
        status = accounts_open(path, &call->accounts);
    int result;
    if (status == STATUS_NOT_FOUND && !verb->least && call->options.json) {
        puts("[]"); /* a list of nobody */
        result = 0;
    } else {
        result = status == STATUS_OK ? verb->run(call) : open_failed(call, status, path);
    }
    accounts_close(call->accounts);
    if (result == 0 && verb->flags & ACCOUNT_TAKES)
        usleep((WIRE_VOUCHED_MS + WAIT_MORE_MS) * 1000); /* what sessions were told a moment ago holds no longer either */
    return result;
}

static int run_verb(struct account_call *call, const struct account_verb *verb)
{
    AUTO(buf_done) struct buf login = BUF_EMPTY(ACCOUNTS_LOGIN_MAX + 1);
    if (verb->least) {
        if (accounts_login_key(span_str(call->words[0]), &login) != STATUS_OK)
            return wrong("spaces and control characters cannot be part of the login", call->words[0]);
        buf_cstr(&login);
        call->login = buf_span(&login);
        call->words++;
        call->word_count--;
    }
    struct place place = { BUF_EMPTY(8192), BUF_EMPTY(8192), BUF_EMPTY(8192), -1, -1 };
    int result = 1;
    if (call->options.database)
        buf_add_str(&place.path, call->options.database);
    if (call->options.database || place_from_settings(&place, call->options.config, &call->wish))
        result = run_in_place(call, verb, &place);
    buf_done(&place.path);
    buf_done(&place.above);
    buf_done(&place.folder);
    return result;
}

int account_main(int argc, char **argv)
{
    if (secret_init() != STATUS_OK)
        return 1;
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    const struct account_verb *verb = verb_find(argv[1]);
    if (!verb)
        return wrong("there is no verb", argv[1]);

    struct account_call call = { .words = argv + 2, .wish = { true, true, SECRET_ITERATIONS } };
    call.word_count = take_options(&call.options, argc - 2, argv + 2);
    if (call.word_count < 0)
        return COMMON_USAGE;
    bool has_source = call.options.from_stdin || call.options.generate || call.options.hash;
    if (has_source && !(verb->flags & ACCOUNT_PASSWORD))
        return wrong("no password is set by", verb->name);
    if (call.word_count < verb->least || call.word_count > verb->most) {
        fprintf(stderr, "usage: goniec account %s %s\n", verb->name, verb->args);
        return COMMON_USAGE;
    }
    return run_verb(&call, verb);
}
