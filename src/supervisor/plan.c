#include "supervisor/plan.h"
#include "base/cores.h"
#include "base/memory.h"
#include "base/time.h"
#include "net/tls.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROLES_ALL UINT_MAX
#define ROLE_BIT(role) (1u << (role))
/* Who speaks TLS to strangers gets certificates; the keys go to who signs for it, and only there. */
#define ROLES_CERTIFICATE (ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_WEB))
#define ROLES_KEY ROLE_BIT(ROLE_DIRECTORY)

struct plan_blob {
    struct plan_blob *next;
    struct buf name, content;
    unsigned roles; /* who gets it */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Empty content, to be filled by the caller. NULL: too many, or out of memory. */
static struct plan_blob *add_blob(struct plan *plan, struct span name, unsigned roles)
{
    struct plan_blob *blob = plan->blob_count < WIRE_BLOBS_MAX ? malloc(sizeof *blob) : NULL;
    if (!blob)
        return NULL;
    *blob = (struct plan_blob){ plan->blobs, BUF_EMPTY(4096), BUF_EMPTY(PLAN_PEM_MAX), roles };
    buf_add(&blob->name, name);
    plan->blobs = blob;
    plan->blob_count++;
    return blob;
}

/* The one that these roles get under that name. */
static struct plan_blob *find_blob(const struct plan *plan, struct span name, unsigned roles)
{
    struct plan_blob *blob = plan->blobs;
    while (blob && !(span_eq(buf_span(&blob->name), name) && blob->roles == roles))
        blob = blob->next;
    return blob;
}

/* The machine's own name: the canonical one of its resolver's files, for most installations write only the first
 * label into the kernel. */
static void machine_name(char ret[256])
{
    char name[256] = "localhost";
    struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (gethostname(name, sizeof name - 1) != 0 || !name[0])
        strcpy(name, "localhost");
    snprintf(ret, 256, "%s", name);
    if (!strchr(name, '.') && getaddrinfo(name, NULL, &hints, &found) == 0) {
        if (found->ai_canonname && strchr(found->ai_canonname, '.'))
            snprintf(ret, 256, "%.255s", found->ai_canonname);
        freeaddrinfo(found);
    }
}

static void add_hostname(struct plan *plan, struct conf_faults *faults)
{
    char name[256];
    machine_name(name);
    struct plan_blob *blob = add_blob(plan, SPAN(CONF_HOSTNAME), ROLES_ALL);
    if (!blob || buf_add_str(&blob->content, name) != STATUS_OK)
        conf_faults_add(faults, 0, 0, "out of memory");
}

static void add_memory(struct plan *plan, struct conf_faults *faults)
{
    struct plan_blob *blob = add_blob(plan, SPAN(CONF_MEMORY), ROLE_BIT(ROLE_SMTPD));
    if (!blob || buf_printf(&blob->content, "%llu", (unsigned long long)memory_allowed()) != STATUS_OK)
        conf_faults_add(faults, 0, 0, "out of memory");
}

static void find_role_user(struct plan *plan, enum role role, const struct span *name, struct conf_faults *faults)
{
    AUTO(buf_done) struct buf usual = BUF_EMPTY(256);
    buf_printf(&usual, "%s-%s", plan->settings->common.user.p, role_name(role));
    const struct passwd *user = getpwnam(name->n ? name->p : buf_cstr(&usual));
    if (user && user->pw_uid == 0)
        conf_fault_at(plan->conf, name, faults, "users.%s: %s is root, whom no process may become", role_name(role), user->pw_name);
    else if (user)
        plan->users[role] = (struct plan_user){ user->pw_uid, user->pw_gid };
    else if (name->n)
        conf_fault_at(plan->conf, name, faults, "users.%s: there is no system user \"%s\"; make one (adduser --system --group %s), "
                      "or leave it out", role_name(role), name->p, name->p);
    else
        plan->users_shared = true;
}

/* The user that the children become; only root can and has to. */
static void find_user(struct plan *plan, struct conf_faults *faults)
{
    const struct span *name = &plan->settings->common.user;
    if (geteuid() != 0 || name->n == 0)
        return;
    struct passwd *user = getpwnam(name->p);
    if (!user) {
        conf_fault_at(plan->conf, name, faults, "user: there is no system user \"%s\"; make one (adduser --system "
                      "--group %s), or start goniec as the user it shall be", name->p, name->p);
        return;
    }
    plan->change_user = true;
    plan->uid = user->pw_uid;
    plan->gid = user->pw_gid;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        plan->users[role] = (struct plan_user){ plan->uid, plan->gid };
    find_role_user(plan, ROLE_SMTPD, &plan->settings->common.users.smtpd, faults);
    find_role_user(plan, ROLE_DELIVERY, &plan->settings->common.users.delivery, faults);
}

/* The file's certificates, or its content for those who get keys, as a blob, once per file. */
static struct plan_blob *read_pem(struct plan *plan, const struct span *path, unsigned roles, struct conf_faults *faults)
{
    AUTO(buf_wipe) struct buf content = BUF_EMPTY(PLAN_PEM_MAX);
    struct plan_blob *blob = find_blob(plan, *path, roles);
    if (blob)
        return blob;
    AUTO(close_fd) int fd = open(path->p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        conf_fault_at(plan->conf, path, faults, "%s cannot be read: %s", path->p, strerror(errno));
        return NULL;
    }
    blob = add_blob(plan, *path, roles);
    if (!blob || buf_fill(&content, fd) != STATUS_OK) {
        conf_fault_at(plan->conf, path, faults, "%s cannot be read: it is not a PEM file", path->p);
        return NULL;
    }
    if (roles == ROLES_KEY)
        blob->content = buf_take(&content);
    else if (tls_only_certificates(buf_span(&content), &blob->content) != STATUS_OK)
        buf_clear(&blob->content); /* whoever checks it says that there is none */
    return blob;
}

static void read_certificates(struct plan *plan, struct conf_faults *faults)
{
    const struct conf_list *list = &plan->settings->common.tls.certificates;
    const struct conf_certificate *pair = list->items;
    for (size_t i = 0; i < list->n; i++, pair++) {
        const struct span *key = pair->key.p ? &pair->key : &pair->certificate;
        struct plan_blob *certificate = read_pem(plan, &pair->certificate, ROLES_CERTIFICATE, faults);
        struct plan_blob *secret = read_pem(plan, key, ROLES_KEY, faults);
        char error[TLS_ERROR_SIZE];
        int64_t until_wall_ms;
        if (!certificate || !secret)
            continue;
        struct tls_pair check = { buf_span(&certificate->content), buf_span(&secret->content) };
        if (tls_pair_check(&check, error, &until_wall_ms) != STATUS_OK)
            conf_fault_at(plan->conf, &pair->certificate, faults, "%s: %s", pair->certificate.p, error);
        else if (until_wall_ms < time_wall_ms())
            conf_fault_at(plan->conf, &pair->certificate, faults, "%s: the certificate has expired",
                          pair->certificate.p);
    }
}

/* Whom delivery trusts: a file that is named must be there, the system's may be missing. */
static void read_authorities(struct plan *plan, struct conf_faults *faults)
{
    const struct span *path = &plan->settings->delivery.trust;
    struct plan_blob *blob = add_blob(plan, SPAN(CONF_AUTHORITIES), ROLE_BIT(ROLE_DELIVERY));
    if (!blob) {
        conf_faults_add(faults, 0, 0, "out of memory");
        return;
    }
    if (!path->p) {
        if (tls_trust_system(&blob->content) != STATUS_OK)
            buf_clear(&blob->content);
        return;
    }
    AUTO(close_fd) int fd = open(path->p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || buf_fill(&blob->content, fd) != STATUS_OK)
        conf_fault_at(plan->conf, path, faults, "delivery.trust: %s cannot be read: %s", path->p,
                      fd < 0 ? strerror(errno) : "it is not a PEM file");
}

/* What the DNS is asked by, where the settings leave it to the system: delivery opens no files. */
static void read_system_file(struct plan *plan, const char *name, const char *path, bool must, struct conf_faults *faults)
{
    struct plan_blob *blob = add_blob(plan, span_str(name), ROLE_BIT(ROLE_DELIVERY));
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (!blob || ((fd < 0 || buf_fill(&blob->content, fd) != STATUS_OK) && must))
        conf_fault_at(plan->conf, &plan->settings->dns, faults, "dns: %s cannot be read: %s", path,
                      fd < 0 ? strerror(errno) : "it is too large");
}

static void read_dns(struct plan *plan, struct conf_faults *faults)
{
    const struct net_dns_settings *dns = &plan->settings->dns;
    struct net_address resolvers[NET_RESOLVERS_MAX];
    struct dns_settings settings;
    net_dns_from_settings(dns, resolvers, &settings);
    if (settings.system)
        read_system_file(plan, CONF_RESOLV_CONF, "/etc/resolv.conf", true, faults);
    if (settings.hosts)
        read_system_file(plan, CONF_HOSTS, "/etc/hosts", false, faults);
}

/* The same address twice would only be found out by the kernel, and with less to say. */
static void check_listeners(struct plan *plan, struct conf_faults *faults)
{
    const struct conf_list *list = &plan->settings->common.listen;
    const struct conf_listen *listen = list->items;
    char text[CONF_ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < list->n; i++)
        for (size_t j = 0; j < i; j++)
            if (conf_ip_eq(&listen[i].address.ip, &listen[j].address.ip) &&
                listen[i].address.port == listen[j].address.port)
                conf_fault_at(plan->conf, &listen[i].address, faults, "%s is listened on twice",
                              conf_address_text(&listen[i].address, text));
}

/* Users of files are rows of this machine alone, whose numbers the others would give again. */
static void check_accounts(struct plan *plan, struct conf_faults *faults)
{
    const struct directory_settings *accounts = &plan->settings->accounts;
    if (accounts->postgresql.n && accounts->passwd_files.n)
        conf_fault_at(plan->conf, &accounts->postgresql, faults, "accounts.postgresql: not together with accounts.passwd-files");
}

struct plan *plan_new(const char *path, struct conf_faults *faults)
{
    struct plan *plan = calloc(1, sizeof *plan);
    unsigned before = faults->count;
    if (!plan) {
        conf_faults_add(faults, 0, 0, "out of memory");
        return NULL;
    }
    plan->text = BUF_EMPTY(CONF_TEXT_MAX);
    plan->file = BUF_EMPTY(4096);
    buf_add_str(&plan->file, path);
    if (conf_read(path, &plan->text, faults))
        plan->conf = conf_parse(&root_section, buf_span(&plan->text), 0, faults);
    if (plan->conf) {
        plan->settings = conf_values(plan->conf);
        add_hostname(plan, faults);
        add_memory(plan, faults);
        find_user(plan, faults);
        read_certificates(plan, faults);
        read_authorities(plan, faults);
        read_dns(plan, faults);
        check_listeners(plan, faults);
        check_accounts(plan, faults);
    }
    if (faults->count == before)
        return plan;
    plan_free(plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (struct plan_blob *blob = plan->blobs, *next; blob; blob = next) {
        next = blob->next;
        buf_done(&blob->name);
        buf_wipe(&blob->content);
        free(blob);
    }
    conf_free(plan->conf);
    buf_wipe(&plan->text); /* routes may hold passwords */
    buf_done(&plan->file);
    free(plan);
}

enum status plan_accounts_folder(const struct plan *plan, struct buf *ret)
{
    const struct directory_root root = { plan->settings->common, plan->settings->accounts };
    return directory_database_folder(&root, ret);
}

struct span plan_hostname(const struct plan *plan)
{
    struct span set = plan->settings->common.hostname;
    struct plan_blob *blob = find_blob(plan, SPAN(CONF_HOSTNAME), ROLES_ALL);
    return set.n || !blob ? set : buf_span(&blob->content);
}

unsigned plan_processes(int64_t asked)
{
    return asked > 0 ? (unsigned)asked : cores_allowed();
}

/* --- a certificate of our own --- */

static bool read_file(int folder, const char *name, struct buf *ret)
{
    AUTO(close_fd) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && buf_fill(ret, fd) == STATUS_OK;
}

static bool write_file(int folder, const char *name, struct span content)
{
    unlinkat(folder, name, 0);
    AUTO(close_fd) int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 && write(fd, content.p, content.n) == (ssize_t)content.n && fsync(fd) == 0;
}

static bool pair_is_good(const struct buf *certificate, const struct buf *key)
{
    char error[TLS_ERROR_SIZE];
    int64_t until_wall_ms;
    struct tls_pair pair = { buf_span(certificate), buf_span(key) };
    return tls_pair_check(&pair, error, &until_wall_ms) == STATUS_OK &&
           until_wall_ms > time_wall_ms() + 30 * TIME_DAY_MS;
}

static bool make_pair(const struct plan *plan, int folder, struct buf *certificate, struct buf *key)
{
    AUTO(buf_done) struct buf name = BUF_EMPTY(512);
    buf_add(&name, plan_hostname(plan));
    buf_clear(certificate);
    buf_clear(key);
    return tls_self_signed(buf_cstr(&name), 3650, certificate, key) == STATUS_OK &&
           write_file(folder, "self-signed.key", buf_span(key)) &&
           write_file(folder, "self-signed.crt", buf_span(certificate));
}

bool plan_self_sign(struct plan *plan, struct conf_faults *faults, bool *made)
{
    *made = false;
    if (plan->settings->common.tls.certificates.n)
        return true;
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_printf(&path, "%s/tls", plan->settings->common.state_dir.p);
    mkdir(buf_cstr(&path), 0700);
    AUTO(close_fd) int folder = open(buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct plan_blob *certificate = add_blob(plan, SPAN(CONF_SELF_SIGNED_CERTIFICATE), ROLES_CERTIFICATE);
    struct plan_blob *key = add_blob(plan, SPAN(CONF_SELF_SIGNED_KEY), ROLES_KEY);
    if (folder >= 0 && certificate && key) {
        if (read_file(folder, "self-signed.crt", &certificate->content) &&
            read_file(folder, "self-signed.key", &key->content) && pair_is_good(&certificate->content, &key->content))
            return true;
        *made = make_pair(plan, folder, &certificate->content, &key->content);
    }
    if (!*made)
        conf_faults_add(faults, 0, 0, "no certificate is configured, and none could be made in %s: %s",
                        buf_cstr(&path), strerror(errno));
    return *made;
}

/* --- comparing and telling --- */

/* Another file in the same folder is fine; another folder is behind directory's lock. */
static void compare_accounts(const struct plan *now, const struct plan *then, struct conf_faults *faults)
{
    AUTO(buf_done) struct buf old = BUF_EMPTY(8192), new = BUF_EMPTY(8192);
    if (plan_accounts_folder(now, &old) == STATUS_OK && plan_accounts_folder(then, &new) == STATUS_OK &&
        !span_eq(buf_span(&old), buf_span(&new)))
        conf_fault_at(then->conf, &then->settings->accounts.database, faults,
                      "accounts.database: only a restart can change the folder (it is \"%s\")", buf_cstr(&old));
}

void plan_compare(const struct plan *now, const struct plan *then, struct conf_faults *faults)
{
    const struct conf_common *a = &now->settings->common, *b = &then->settings->common;
    const struct {
        const char *name;
        const struct span *old, *new;
    } fixed[] = {
        { "state-dir", &a->state_dir, &b->state_dir },
        { "run-dir", &a->run_dir, &b->run_dir },
        { "user", &a->user, &b->user },
        { "users.smtpd", &a->users.smtpd, &b->users.smtpd },
        { "users.delivery", &a->users.delivery, &b->users.delivery },
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (!span_eq(*fixed[i].old, *fixed[i].new))
            conf_fault_at(then->conf, fixed[i].new, faults, "%s: only a restart can change this (it is \"%.*s\")",
                          fixed[i].name, SPAN_ARGS(*fixed[i].old));
    if (!span_eq(now->settings->share.redis, then->settings->share.redis))
        conf_fault_at(then->conf, &then->settings->share.redis, faults, "share.redis: only a restart can change this");
    if (!span_eq(now->settings->accounts.postgresql, then->settings->accounts.postgresql))
        conf_fault_at(then->conf, &then->settings->accounts.postgresql, faults, "accounts.postgresql: only a restart can change this");
    if (a->locks != b->locks)
        conf_fault_at(then->conf, &b->locks, faults, "locks: only a restart can change this");
    compare_accounts(now, then, faults);
}

void plan_settings(const struct plan *plan, enum role role, uint32_t number, uint32_t count, struct buf *ret)
{
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    if (!settings) {
        ret->failed = true;
        return;
    }
    settings->number = number;
    settings->count = count;
    settings->file = buf_span(&plan->file);
    settings->text = buf_span(&plan->text);
    for (const struct plan_blob *blob = plan->blobs; blob; blob = blob->next) {
        assert(settings->blob_count < WIRE_BLOBS_MAX);
        if (blob->roles & ROLE_BIT(role))
            settings->blobs[settings->blob_count++] =
                (struct supervisor_blob){ buf_span(&blob->name), buf_span(&blob->content) };
    }
    supervisor_settings_put(ret, settings);
    free(settings);
}
