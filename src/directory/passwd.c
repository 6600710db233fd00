#include "directory/passwd.h"
#include "base/hash.h"
#include "base/time.h"
#include "directory/accounts_priv.h"
#include "directory/service_priv.h"
#include "directory/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS TIME_SECOND_MS
#define AGAIN_MS (5 * TIME_SECOND_MS) /* after the database would not */
#define SLICE 100                     /* users changed in one transaction */
#define FAULTS_TOLD 10                /* lines of a file */
#define EXTRA_FIELD 7

/* Who stands in the files. */
struct user {
    struct map_node node;
    struct list link;      /* of those to be changed */
    bool is_right;         /* the database has it so */
    uint32_t login_n, stored_n, networks_n;
    char texts[];          /* login, stored, networks */
};

/* A file as it was when it was last looked at. */
struct file {
    struct buf path;
    struct stat seen;
    bool is_seen, is_bad;
};

struct passwd {
    struct directory_service *service;
    struct file files[PASSWD_FILES_MAX];
    size_t file_count;
    struct buf domain;
    struct loop_timer timer;
    struct map users;      /* while they are being brought into the database */
    struct list to_change; /* struct user */
    struct buf gone;       /* logins of those who are in no file any more, one a line */
    bool has_changed, is_first;
    unsigned faults, changed;
};

/* -- a line -- */

static struct span field(struct span line, unsigned number)
{
    struct span found = SPAN_NONE;
    for (unsigned i = 0; i <= number; i++)
        if (!span_cut(&line, ':', &found))
            return SPAN_NONE;
    return found;
}

/* All behind that many colons. */
static struct span fields_from(struct span line, unsigned number)
{
    for (unsigned i = 0; i < number; i++) {
        size_t colon = span_find(line, ':');
        if (colon == line.n)
            return SPAN_NONE;
        line = span_from(line, colon + 1);
    }
    return line;
}

static void read_extra(struct span extra, struct passwd_line *ret)
{
    struct span word;
    while (span_cut(&extra, ' ', &word)) {
        if (span_starts(word, SPAN("allow_nets=")))
            ret->networks = span_from(word, 11);
        else if (span_eq(word, SPAN("nologin")) || span_starts(word, SPAN("nologin=")))
            ret->stored = SPAN_NONE;
    }
}

enum status passwd_line_read(struct span line, struct passwd_line *ret, const char **why)
{
    line = span_trim(line);
    *ret = (struct passwd_line){ 0 };
    if (line.n == 0 || line.p[0] == '#')
        return STATUS_NOT_FOUND;
    ret->user = field(line, 0);
    struct span password = field(line, 1);
    if (ret->user.n == 0 || ret->user.n == line.n) {
        *why = "it is not user:password";
        return STATUS_SYNTAX;
    }
    bool is_locked = password.n == 0 || password.p[0] == '*' || password.p[0] == '!';
    if (!is_locked && secret_import(password, &ret->stored) != STATUS_OK) {
        *why = "the password has a form that goniec does not know; it takes $2y$, $2b$, $5$, $6$, $y$, $argon2id$ and {SCRAM-SHA-256}, with or "
               "without a scheme as {SHA512-CRYPT} in front";
        return STATUS_SYNTAX;
    }
    read_extra(fields_from(line, EXTRA_FIELD), ret);
    return STATUS_OK;
}

/* -- users -- */

static struct span login_of(const struct user *user) { return span_of(user->texts, user->login_n); }
static struct span stored_of(const struct user *user) { return span_of(user->texts + user->login_n, user->stored_n); }
static struct span networks_of(const struct user *user) { return span_of(user->texts + user->login_n + user->stored_n, user->networks_n); }

static bool user_is(const struct map_node *node, const void *key)
{
    return span_eq(login_of(CONTAINER(node, const struct user, node)), *(const struct span *)key);
}

static struct user *user_find(const struct passwd *passwd, struct span login)
{
    struct map_node *node = map_find(&passwd->users, hash_bytes(login), user_is, &login);
    return node ? CONTAINER(node, struct user, node) : NULL;
}

static char *put(char *to, struct span text)
{
    if (text.n)
        memcpy(to, text.p, text.n);
    return to + text.n;
}

static enum status user_add(struct passwd *passwd, struct span login, struct span stored, struct span networks)
{
    struct user *user = calloc(1, sizeof *user + login.n + stored.n + networks.n);
    if (!user || map_add(&passwd->users, &user->node, hash_bytes(login)) != STATUS_OK) {
        free(user);
        return STATUS_MEMORY;
    }
    list_init(&user->link);
    user->login_n = (uint32_t)login.n;
    user->stored_n = (uint32_t)stored.n;
    user->networks_n = (uint32_t)networks.n;
    put(put(put(user->texts, login), stored), networks);
    return STATUS_OK;
}

static void users_forget(struct passwd *passwd)
{
    for (MAP_EACH(node, &passwd->users)) {
        map_remove(&passwd->users, node);
        free(CONTAINER(node, struct user, node));
    }
    map_done(&passwd->users);
    passwd->users = MAP_EMPTY;
    list_init(&passwd->to_change);
    buf_done(&passwd->gone);
}

/* -- files -- */

static void tell_fault(struct passwd *passwd, const struct file *file, uint64_t line, const char *why)
{
    if (passwd->faults++ < FAULTS_TOLD)
        log_warning(passwd->service->log, "passwd-line", LOG_SPAN("file", buf_span(&file->path)), LOG_INT("line", line), LOG_STR("why", why));
}

/* "192.0.2.1,local" -> "192.0.2.1"; what is no network opens from nowhere. */
static void add_networks(struct span text, struct buf *ret)
{
    struct span one;
    while (span_cut(&text, ',', &one)) {
        buf_add_str(ret, ret->n ? " " : "");
        buf_add(ret, span_trim(one));
    }
}

static enum status take_line(struct passwd *passwd, const struct file *file, uint64_t number, struct span line)
{
    struct passwd_line read;
    const char *why = "";
    enum status status = passwd_line_read(line, &read, &why);
    if (status == STATUS_SYNTAX)
        tell_fault(passwd, file, number, why);
    if (status != STATUS_OK || read.stored.n == 0)
        return STATUS_OK;
    AUTO(buf_done) struct buf name = BUF_EMPTY(ACCOUNTS_LOGIN_MAX + 1), login = BUF_EMPTY(ACCOUNTS_LOGIN_MAX + 1),
                              networks = BUF_EMPTY(CREDENTIAL_TEXT_MAX), wrong = BUF_EMPTY(512);
    buf_add(&name, read.user);
    if (passwd->domain.n && span_find(read.user, '@') == read.user.n) {
        buf_add_char(&name, '@');
        buf_add(&name, buf_span(&passwd->domain));
    }
    add_networks(read.networks, &networks);
    struct credential credential = { .name = SPAN(PASSWD_CREDENTIAL), .networks = buf_span(&networks) };
    if (name.failed || accounts_login_key(buf_span(&name), &login) != STATUS_OK)
        tell_fault(passwd, file, number, "that is no name of a user: spaces and control characters cannot be part of it");
    else if (networks.failed || !credential_check(&credential, &wrong))
        tell_fault(passwd, file, number, "allow_nets= does not name networks");
    else if (!user_find(passwd, buf_span(&login))) /* the first one is meant */
        return user_add(passwd, buf_span(&login), read.stored, buf_span(&networks));
    return STATUS_OK;
}

static enum status take_text(struct passwd *passwd, const struct file *file, struct span text)
{
    struct span line;
    enum status status = STATUS_OK;
    for (uint64_t number = 1; status == STATUS_OK && text.n && span_cut(&text, '\n', &line); number++)
        status = take_line(passwd, file, number, span_ends_case(line, SPAN("\r")) ? span_head(line, line.n - 1) : line);
    return status;
}

static enum status read_whole(int fd, struct buf *ret)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return STATUS_IO;
    if (!S_ISREG(now.st_mode))
        return STATUS_DENIED;
    if ((uint64_t)now.st_size > PASSWD_FILE_MOST)
        return STATUS_TOO_LONG;
    size_t size = (size_t)now.st_size;
    if (buf_reserve(ret, size + 1) != STATUS_OK)
        return STATUS_MEMORY;
    for (ssize_t n; ret->n < size && (n = read(fd, ret->p + ret->n, size - ret->n)) > 0;)
        ret->n += (size_t)n;
    return ret->n == size ? STATUS_OK : STATUS_IO;
}

static enum status take_file(struct passwd *passwd, struct file *file)
{
    AUTO(buf_wipe) struct buf text = BUF_EMPTY(PASSWD_FILE_MOST + 1);
    int fd = open(buf_cstr(&file->path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return STATUS_IO;
    enum status status = read_whole(fd, &text);
    close(fd);
    return status == STATUS_OK ? take_text(passwd, file, buf_span(&text)) : status;
}

/* OK: all were read. */
static enum status take_files(struct passwd *passwd)
{
    for (size_t i = 0; i < passwd->file_count; i++) {
        struct file *file = &passwd->files[i];
        passwd->faults = 0;
        errno = 0;
        enum status status = take_file(passwd, file);
        if (passwd->faults > FAULTS_TOLD)
            log_warning(passwd->service->log, "passwd-line", LOG_SPAN("file", buf_span(&file->path)), LOG_INT("more", passwd->faults - FAULTS_TOLD));
        if (status != STATUS_OK && !file->is_bad)
            log_error(passwd->service->log, "passwd-file-unreadable", LOG_SPAN("file", buf_span(&file->path)),
                      LOG_STR("why", status == STATUS_IO && errno ? strerror(errno) : status_text(status)),
                      LOG_STR("advice", "its users stay as they are; goniec's user has to be able to read it, and where it came with a reload "
                                        "the server has to be started again"));
        file->is_bad = status != STATUS_OK;
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static bool is_same(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

/* True: something has changed and rests since. */
static bool look(struct passwd *passwd)
{
    bool rests = true;
    for (size_t i = 0; i < passwd->file_count; i++) {
        struct file *file = &passwd->files[i];
        struct stat now = { 0 };
        if (stat(buf_cstr(&file->path), &now) != 0)
            now = (struct stat){ 0 };
        if (file->is_seen && is_same(&now, &file->seen))
            continue;
        rests = false;
        file->is_seen = passwd->has_changed = true;
        file->is_bad = false;
        file->seen = now;
    }
    if (!passwd->has_changed || !(rests || passwd->is_first))
        return false;
    passwd->has_changed = passwd->is_first = false;
    return true;
}

/* -- into the database -- */

/* What the database has of the files' users. */
static enum status compare(struct passwd *passwd, struct accounts *accounts)
{
    sqlite3_stmt *statement = accounts ? accounts_ask(accounts, ST_NAMED) : NULL;
    enum status status = STATUS_NOT_FOUND;
    if (statement)
        accounts_bind(statement, 1, SPAN(PASSWD_CREDENTIAL));
    while (accounts && (status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct span login = accounts_column(statement, 0);
        struct user *user = user_find(passwd, login);
        if (user)
            user->is_right = span_eq(accounts_column(statement, 1), stored_of(user)) && span_eq(accounts_column(statement, 2), networks_of(user));
        else if (buf_add(&passwd->gone, login) != STATUS_OK || buf_add_char(&passwd->gone, '\n') != STATUS_OK)
            break;
    }
    if (statement)
        sqlite3_reset(statement);
    if (passwd->gone.failed)
        return STATUS_MEMORY;
    for (MAP_EACH(node, &passwd->users)) {
        struct user *user = CONTAINER(node, struct user, node);
        if (!user->is_right)
            list_add_last(&passwd->to_change, &user->link);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status find_or_add(struct accounts *accounts, struct span login, int64_t now_ms, int64_t *ret)
{
    struct tree_node node;
    int64_t parent;
    enum status status = tree_find(accounts, TREE_SENDER, login, &node);
    if (status == STATUS_OK)
        *ret = node.id;
    if (status != STATUS_NOT_FOUND)
        return status;
    status = accounts_place(accounts, login, 0, now_ms, &parent);
    return status == STATUS_OK ? tree_add(accounts, TREE_SENDER, parent, login, SPAN_NONE, now_ms, ret) : status;
}

/* A new number each time, so that sessions which the old password opened send nothing more. */
static enum status change_user(struct passwd *passwd, struct accounts *accounts, const struct user *user)
{
    int64_t sender, now_ms = time_wall_ms();
    enum status status = find_or_add(accounts, login_of(user), now_ms, &sender);
    if (status != STATUS_OK)
        return status;
    status = credential_revoke(accounts, sender, SPAN(PASSWD_CREDENTIAL), now_ms);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    struct credential credential = { .sender = sender, .name = SPAN(PASSWD_CREDENTIAL), .stored = stored_of(user), .networks = networks_of(user) };
    status = credential_add(accounts, &credential, now_ms);
    passwd->changed += status == STATUS_OK;
    if (status != STATUS_FULL)
        return status;
    log_warning(passwd->service->log, "passwd-user", LOG_SPAN("account", login_of(user)), LOG_STR("why", "it has as many passwords as an account may have"));
    return STATUS_OK;
}

static enum status revoke_user(struct passwd *passwd, struct accounts *accounts, struct span login)
{
    struct tree_node node;
    enum status status = tree_find(accounts, TREE_SENDER, login, &node);
    if (status == STATUS_OK)
        status = credential_revoke(accounts, node.id, SPAN(PASSWD_CREDENTIAL), time_wall_ms());
    passwd->changed += status == STATUS_OK;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status change_some(struct passwd *passwd, struct accounts *accounts)
{
    enum status status = tree_begin(accounts);
    struct span left = buf_span(&passwd->gone), login;
    for (unsigned i = 0; i < SLICE && status == STATUS_OK && left.n && span_cut(&left, '\n', &login); i++)
        status = revoke_user(passwd, accounts, login);
    for (unsigned i = 0; i < SLICE && status == STATUS_OK && !list_is_empty(&passwd->to_change); i++)
        status = change_user(passwd, accounts, CONTAINER(list_take_first(&passwd->to_change), struct user, link));
    buf_drop(&passwd->gone, passwd->gone.n - left.n);
    if (status == STATUS_OK)
        return tree_commit(accounts);
    tree_rollback(accounts);
    return status;
}

/* What could not be done is done anew as a whole. */
static void give_up(struct passwd *passwd, enum status status, struct accounts *accounts)
{
    log_error(passwd->service->log, "passwd-not-taken", LOG_STR("why", accounts ? accounts_why(accounts) : status_text(status)));
    users_forget(passwd);
    passwd->has_changed = true;
}

static enum status slice(struct passwd *passwd)
{
    struct accounts *accounts = NULL;
    enum status status = accounts_open_to_change(buf_cstr(&passwd->service->path), -1, -1, &accounts);
    if (status == STATUS_OK) {
        accounts_set_who(accounts, SPAN(PASSWD_CREDENTIAL));
        status = change_some(passwd, accounts);
    }
    if (status != STATUS_OK)
        give_up(passwd, status, accounts);
    accounts_close(accounts);
    return status;
}

static enum status begin(struct passwd *passwd)
{
    struct accounts *accounts = NULL;
    users_forget(passwd);
    passwd->gone = BUF_EMPTY(PASSWD_FILE_MOST);
    passwd->changed = 0;
    enum status status = take_files(passwd);
    if (status != STATUS_OK) {
        users_forget(passwd);
        return STATUS_OK; /* told; it is looked at again when it changes */
    }
    status = accounts_open(buf_cstr(&passwd->service->path), &accounts);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) /* there may be no account yet */
        status = compare(passwd, status == STATUS_OK ? accounts : NULL);
    if (status != STATUS_OK)
        give_up(passwd, status, accounts);
    accounts_close(accounts);
    return status;
}

static bool has_work(const struct passwd *passwd) { return !list_is_empty(&passwd->to_change) || passwd->gone.n; }

static void on_timer(struct loop_timer *timer)
{
    struct passwd *passwd = CONTAINER(timer, struct passwd, timer);
    enum status status = STATUS_OK;
    bool had_work = has_work(passwd);
    if (had_work)
        status = slice(passwd);
    else if (look(passwd))
        status = begin(passwd);
    if (had_work && !has_work(passwd) && status == STATUS_OK) {
        passwd->service->looked_ms = INT64_MIN / 2; /* the database may be new */
        log_info(passwd->service->log, "passwd-taken", LOG_INT("users", passwd->users.n), LOG_INT("changed", passwd->changed));
        users_forget(passwd);
    }
    if (passwd->file_count || has_work(passwd) || status != STATUS_OK)
        loop_timer_set(timer, status != STATUS_OK ? AGAIN_MS : has_work(passwd) ? 1 : LOOK_MS);
}

/* -- coming and going -- */

bool passwd_check_path(const void *value, struct buf *why)
{
    const struct span *path = value;
    if (path->n && path->p[0] == '/')
        return true;
    buf_add_str(why, "the path of a file begins with /");
    return false;
}

struct passwd *passwd_new(struct directory_service *service)
{
    struct passwd *passwd = calloc(1, sizeof *passwd);
    if (!passwd)
        return NULL;
    passwd->service = service;
    passwd->users = MAP_EMPTY;
    passwd->domain = BUF_EMPTY(ACCOUNTS_LOGIN_MAX);
    list_init(&passwd->to_change);
    loop_timer_init(service->loop, &passwd->timer, on_timer);
    return passwd;
}

static void files_forget(struct passwd *passwd)
{
    for (size_t i = 0; i < passwd->file_count; i++)
        buf_done(&passwd->files[i].path);
    passwd->file_count = 0;
}

void passwd_set(struct passwd *passwd, const struct conf_texts *files, struct span domain)
{
    users_forget(passwd);
    files_forget(passwd);
    buf_clear(&passwd->domain);
    buf_add(&passwd->domain, domain);
    for (size_t i = 0; i < files->n && i < PASSWD_FILES_MAX; i++) {
        struct file *file = &passwd->files[passwd->file_count++];
        *file = (struct file){ .path = BUF_EMPTY(4096) };
        buf_add(&file->path, files->items[i]);
    }
    if (files->n > PASSWD_FILES_MAX)
        log_error(passwd->service->log, "passwd-file-unreadable", LOG_SPAN("file", files->items[PASSWD_FILES_MAX]),
                  LOG_STR("why", "there are too many; it and those behind it are not looked at"), LOG_INT("most", PASSWD_FILES_MAX));
    passwd->has_changed = passwd->is_first = true;
    loop_timer_set(&passwd->timer, 0); /* without files, too: who stood in one opens nothing any more */
}

void passwd_free(struct passwd *passwd)
{
    if (!passwd)
        return;
    loop_timer_stop(&passwd->timer);
    users_forget(passwd);
    files_forget(passwd);
    buf_done(&passwd->domain);
    free(passwd);
}
