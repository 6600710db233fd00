#include "cli/account.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "conf/parse.h"
#include "directory/postgres.h"
#include "directory/settings.h"
#include "wire/smtpd_directory.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MORE_MS 50 /* for a turn of a loop that is under way */

static const char tail_password[] =
    "\nThe password of `add` and `passwd` is asked for, or comes from\n"
    "  --password-stdin   a line of the standard input\n"
    "  --generate         chance; it is printed once\n"
    "  --hash TEXT        ready-made: $y$, $2b$, $2y$, $6$, $5$, $argon2id$, {SCRAM-SHA-256} (-: a line of the standard input)\n"
    "What can be set for `set` is told by `goniec directory --help`; besides name=TEXT, customer=NAME, domain=NAME.\n";
static const char tail_credential[] =
    "\nOptions of `add`:\n"
    "  --expires WHEN     2027-01-31, 2027-01-31T12:00:00Z, or a time from now: 90d\n"
    "  --network NET      opens only from there (192.0.2.0/24, 2001:db8::/32); may be given several times\n"
    "  --from ADDRESS     may send only as this (*@example.org: as the whole domain); several times\n"
    "  --limit RULE       a limit of its own; several times\n"
    "  --hash TEXT        ready-made; otherwise a password is made and printed once\n";
static const char tail_node[] = "\nWhat can be set for `set` is told by `goniec directory --help`; besides name=TEXT, and customer=NAME of "
                                "a domain.\n";
static const char tail_audit[] = "\n  --last N           so many lines (100)\n"
                                 "  --since WHEN       none older: 2027-01-31, or a time back from now: 7d\n";

static const char tail_directory[] =
    "\nOptions of `apply` (FILE -: the standard input):\n"
    "  --dry-run          tells what would be changed\n"
    "  --prune            removes what the file does not name, of the kinds that it lists\n"
    "Of `dump`:\n"
    "  --hashes           with what is stored of the passwords\n";

static const char tail_limits[] = "  --since WHEN       of simulate: from when on, 2027-01-31 or a time back from now (30d)\n";

static const struct account_group groups[] = {
    { "account", TREE_SENDER, account_verbs, tail_password, NULL },
    { "account credential", TREE_SENDER, credential_verbs, tail_credential, NULL },
    { "customer", TREE_CUSTOMER, customer_verbs, tail_node, NULL },
    { "domain", TREE_DOMAIN, domain_verbs, tail_node, NULL },
    { "sender", TREE_SENDER, sender_verbs, NULL, NULL },
    { "directory", TREE_SERVER, directory_verbs, tail_directory, NULL },
    { "limits", TREE_SENDER, limits_verbs, tail_limits, NULL },
    { "audit", TREE_SERVER, audit_verbs, tail_audit, "show" },
};

static void list_settings(FILE *to)
{
    fputs("\nWhat can be set on the server, a customer, a domain or an account (NAME=VALUE; NAME= takes it back; a list's name\n"
          "several times). Children inherit, and a parent caps its children:\n", to);
    for (const struct tree_setting *setting = tree_settings; setting->name; setting++)
        fprintf(to, "  %s\n        %s\n", setting->name, setting->help);
}

static int usage(const struct account_group *group, FILE *to)
{
    fprintf(to, "usage: goniec %s %s\n\n", group->command, group->only ? "..." : "VERB ...");
    for (const struct account_verb *verb = group->verbs; verb->name; verb++)
        fprintf(to, "  %s %s\n        %s\n", group->only ? "" : verb->name, verb->args, verb->help);
    if (group->tail)
        fputs(group->tail, to);
    if (group->verbs == directory_verbs)
        list_settings(to);
    fputs("\nEverywhere:\n"
          "  --json             answers as JSON\n"
          "  --config FILE      settings (GONIEC_CONFIG)\n"
          "  --database FILE    the database itself, whatever the settings say\n", to);
    return to == stdout ? 0 : COMMON_USAGE;
}

static int wrong(const struct account_group *group, const char *what, const char *word)
{
    common_complain("%s %s (`goniec %s --help` shows what there is)", what, word, group->command);
    return COMMON_USAGE;
}

static bool take_flag(struct account_options *options, const char *word)
{
    const struct { const char *name; bool *place; } flags[] = {
        { "--json", &options->json },         { "--password-stdin", &options->from_stdin }, { "--generate", &options->generate },
        { "--dry-run", &options->dry_run },   { "--prune", &options->prune },                { "--hashes", &options->hashes },
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strcmp(word, flags[i].name) == 0)
            return *flags[i].place = true;
    return false;
}

/* Where the value of an option goes; NULL: there is no such option, or no room. */
static const char **value_place(struct account_options *options, const char *word)
{
    const struct { const char *name, **place; } single[] = {
        { "--config", &options->config },     { "--database", &options->database }, { "--name", &options->name },
        { "--hash", &options->hash },         { "--reason", &options->reason },     { "--customer", &options->customer },
        { "--domain", &options->domain },     { "--expires", &options->expires },   { "--since", &options->since },
        { "--last", &options->last },
    };
    const struct { const char *name; struct account_words *words; } several[] = {
        { "--alias", &options->aliases }, { "--network", &options->networks }, { "--from", &options->senders },
        { "--limit", &options->limits },
    };
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        if (strcmp(word, single[i].name) == 0)
            return single[i].place;
    for (size_t i = 0; i < ARRAY_LEN(several); i++)
        if (strcmp(word, several[i].name) == 0 && several[i].words->n < ACCOUNT_WORDS_MAX)
            return &several[i].words->items[several[i].words->n++];
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
static int take_options(const struct account_group *group, struct account_options *options, int argc, char **argv)
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
            wrong(group, place ? "a value is missing behind" : "there is no option", argv[i]);
            return -1;
        }
        *place = value ? value : argv[++i];
    }
    return words;
}

static const struct account_verb *verb_find(const struct account_group *group, const char *name)
{
    for (const struct account_verb *verb = group->verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

/* The database and who shall own it, out of the settings. */
struct place {
    struct buf path;
    struct buf postgresql; /* where the accounts are shared; or empty */
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
        buf_add(&place->postgresql, root->accounts.postgresql);
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

/* For the audit log: the person behind sudo, too. */
static void say_who(struct accounts *accounts)
{
    AUTO(buf_done) struct buf who = BUF_EMPTY(TREE_TEXT_MAX);
    const struct passwd *entry = getpwuid(getuid());
    const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
    if (entry)
        buf_printf(&who, sudo ? "%s (%s)" : "%s", entry->pw_name, sudo);
    else
        buf_printf(&who, "uid %u", (unsigned)getuid());
    if (accounts)
        accounts_set_who(accounts, buf_span(&who));
}

/* -- accounts that several machines share -- */

struct pushing {
    struct postgres *postgres;
    int64_t revision;
    size_t n;
};

static bool push(void *arg, const char *table, const char *key, const char *row)
{
    struct pushing *pushing = arg;
    pushing->n++;
    return postgres_put(pushing->postgres, table, key, row, pushing->revision);
}

/* What the verb did, there as here; `first`: and all that was here before. */
static bool push_all(struct account_call *call, struct postgres *postgres, const char *id, int64_t revision, bool first)
{
    struct pushing pushing = { postgres, revision + 1, 0 };
    if (!accounts_hold_is_good(call->accounts))
        return accounts_release(call->accounts, false) != STATUS_OK; /* the verb wanted it so */
    bool good = accounts_rows_changed(call->accounts, first, push, &pushing) == STATUS_OK &&
                accounts_rows_set_state(call->accounts, id, revision + (pushing.n > 0)) == STATUS_OK &&
                postgres_commit(postgres, pushing.n ? revision + 1 : 0);
    return accounts_release(call->accounts, good) == STATUS_OK;
}

/* All or nothing, and only with PostgreSQL: what is here is its copy. */
static int run_shared(struct account_call *call, const struct account_verb *verb, struct place *place)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(1024), id = BUF_EMPTY(65);
    AUTO(buf_wipe) struct buf where = BUF_EMPTY(4096);
    int64_t revision = 0;
    bool changed = false;
    struct postgres *postgres = postgres_place(buf_cstr(&place->postgresql), &where, &why) ? postgres_new(buf_cstr(&where), &why) : NULL;
    if (!postgres)
        return common_complain("PostgreSQL, which has the accounts, is away (%s); nothing was changed", buf_cstr(&why));
    bool good = postgres_begin(postgres, true, &id, &revision) && postgres_pull(postgres, call->accounts, buf_cstr(&id), revision, &changed);
    int result = 1;
    if (!good)
        common_complain("PostgreSQL: %s; nothing was changed", postgres_why(postgres));
    else if (accounts_hold(call->accounts) != STATUS_OK)
        common_complain("%s", accounts_why(call->accounts));
    else if ((result = verb->run(call)) != 0)
        (void)!accounts_release(call->accounts, false);
    else if (!push_all(call, postgres, buf_cstr(&id), revision, revision == 0))
        result = common_complain("%s%s; nothing was changed", *postgres_why(postgres) ? "PostgreSQL: " : "",
                                 *postgres_why(postgres) ? postgres_why(postgres) : accounts_why(call->accounts));
    postgres_free(postgres);
    return result;
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
    if (status == STATUS_NOT_FOUND && verb->most == 0 && call->options.json && !(verb->flags & ACCOUNT_CHANGES)) {
        puts("[]"); /* a list of nobody */
        result = 0;
    } else {
        say_who(call->accounts);
        bool shared = place->postgresql.n && verb->flags & ACCOUNT_CHANGES;
        result = status != STATUS_OK ? open_failed(call, status, path) : shared ? run_shared(call, verb, place) : verb->run(call);
    }
    accounts_close(call->accounts);
    if (result == 0 && verb->flags & ACCOUNT_TAKES)
        usleep((WIRE_VOUCHED_MS + WAIT_MORE_MS) * 1000); /* what sessions were told a moment ago holds no longer either */
    return result;
}

static int run_verb(struct account_call *call, const struct account_verb *verb)
{
    AUTO(buf_done) struct buf name = BUF_EMPTY(ACCOUNTS_LOGIN_MAX + 1);
    if (verb->least && !(verb->flags & ACCOUNT_NAMELESS)) {
        if (tree_name_key(call->group->kind, span_str(call->words[0]), &name) != STATUS_OK)
            return wrong(call->group, call->group->kind == TREE_DOMAIN ? "that is no domain:"
                         : "spaces and control characters cannot be part of a name:", call->words[0]);
        buf_cstr(&name);
        call->name = buf_span(&name);
        call->words++;
        call->word_count--;
    }
    struct place place = { BUF_EMPTY(8192), BUF_EMPTY(4096), BUF_EMPTY(8192), BUF_EMPTY(8192), -1, -1 };
    int result = 1;
    if (call->options.database)
        buf_add_str(&place.path, call->options.database);
    if (call->options.database || place_from_settings(&place, call->options.config, &call->wish))
        result = run_in_place(call, verb, &place);
    buf_done(&place.path);
    buf_wipe(&place.postgresql);
    buf_done(&place.above);
    buf_done(&place.folder);
    return result;
}

static int check_words(const struct account_call *call, const struct account_verb *verb)
{
    const struct account_options *options = &call->options;
    if ((options->from_stdin || options->generate || options->hash) && !(verb->flags & ACCOUNT_PASSWORD))
        return wrong(call->group, "no password is set by", verb->name);
    if (call->word_count >= verb->least && call->word_count <= verb->most)
        return 0;
    fprintf(stderr, "usage: goniec %s %s %s\n", call->group->command, call->group->only ? "" : verb->name, verb->args);
    return COMMON_USAGE;
}

static int group_main(const struct account_group *group, int argc, char **argv)
{
    struct account_call call = { .group = group, .words = argv, .wish = { true, true, SECRET_ITERATIONS } };
    const char *first = argc ? argv[0] : "";
    if (secret_init() != STATUS_OK)
        return 1;
    if (!argc && !group->only)
        return usage(group, stderr);
    if (strcmp(first, "--help") == 0 || strcmp(first, "help") == 0)
        return usage(group, stdout);
    const struct account_verb *verb = verb_find(group, group->only ? group->only : first);
    if (!verb)
        return wrong(group, "there is no verb", first);
    if (!group->only) {
        call.words++;
        argc--;
    }
    call.word_count = take_options(group, &call.options, argc, call.words);
    if (call.word_count < 0)
        return COMMON_USAGE;
    int result = check_words(&call, verb);
    return result ? result : run_verb(&call, verb);
}

/* argv[0] is the command: there is a group for each, and one for `account credential`. */
int account_main(int argc, char **argv)
{
    bool inner = argc > 1 && strcmp(argv[0], "account") == 0 && strcmp(argv[1], "credential") == 0;
    const char *name = inner ? "account credential" : argv[0];
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (strcmp(groups[i].command, name) == 0)
            return group_main(&groups[i], argc - 1 - inner, argv + 1 + inner);
    return COMMON_USAGE;
}
