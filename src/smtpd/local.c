#include "smtpd/local.h"
#include "mail/xtext.h"
#include "smtpd/session_priv.h"
#include <stdlib.h>

bool local_peer(int fd, struct ucred *ret)
{
    socklen_t size = sizeof *ret;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size) == 0;
}

struct span local_key(uid_t uid, char ret[LOCAL_KEY_OCTETS])
{
    ret[0] = 'u';
    for (unsigned i = 1; i < LOCAL_KEY_OCTETS; i++, uid >>= 8)
        ret[i] = (char)(uid & 0xff);
    return span_of(ret, LOCAL_KEY_OCTETS);
}

static bool ask_who(struct smtpd *smtpd, struct local *local)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    local->token = ++smtpd->local_token;
    supervisor_who_put(&body, &(struct supervisor_who){ local->token, local->peer.uid, (uint32_t)local->peer.pid });
    return smtpd->supervisor && channel_send(smtpd->supervisor, SUPERVISOR_WHO, buf_span(&body)) == STATUS_OK;
}

bool local_begin(struct session *session, int fd)
{
    struct local *local = calloc(1, sizeof *local);
    if (!local)
        return false;
    *local = (struct local){ .session = session, .name = BUF_EMPTY(WIRE_USER_MAX), .cgroup = BUF_EMPTY(WIRE_CGROUP_MAX),
                             .shown = BUF_EMPTY(128), .rights = BUF_EMPTY(WIRE_LOGIN_MAX) };
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++)
        local->said[i] = BUF_EMPTY(SMTP_SAID_MAX);
    list_add_last(&session->smtpd->locals, &local->link);
    session->local = local;
    return local_peer(fd, &local->peer) && ask_who(session->smtpd, local);
}

void local_free(struct local *local)
{
    if (!local)
        return;
    list_remove(&local->link);
    buf_done(&local->name);
    buf_done(&local->cgroup);
    buf_done(&local->shown);
    buf_done(&local->rights);
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++)
        buf_done(&local->said[i]);
    free(local);
}

struct span session_rights(const struct session *session)
{
    return session->local ? buf_span(&session->local->rights) : session_account(session);
}

static const struct policy_local *settings_of(const struct session *session) { return &session->config->root->local; }

/* In the spelling in which directory keeps logins. */
static void add_login(struct span account, struct buf *ret)
{
    struct policy_keys keys;
    buf_add(ret, policy_keys_make(account, &keys) == STATUS_OK ? keys.exact : account);
}

static bool set_account(struct session *session)
{
    struct local *local = session->local;
    AUTO(buf_done) struct buf account = BUF_EMPTY(WIRE_LOGIN_MAX);
    add_login(local->who.account, &local->rights);
    if (local->who.is_mapped)
        buf_add(&account, buf_span(&local->rights));
    else
        policy_local_account(local->peer.uid, buf_span(&session->config->hostname), &account);
    session->account_n = account.n;
    session->account = account.failed || local->rights.failed ? NULL : buf_take(&account).p;
    return session->account != NULL;
}

static void on_who(struct local *local, const struct supervisor_who_is *who)
{
    struct session *session = local->session;
    local->token = 0;
    buf_add(&local->name, who->name);
    buf_add(&local->cgroup, who->cgroup);
    local->facts = (struct policy_local_facts){ local->peer.uid, buf_span(&local->name), buf_span(&local->cgroup) };
    policy_local_name(&local->facts, &local->shown);
    policy_local_find(settings_of(session), &local->facts, &local->who);
    if (set_account(session))
        session_on_local(session);
    else
        session_cut(session, "no memory");
}

void local_on_who(struct smtpd *smtpd, const struct supervisor_who_is *who)
{
    for (LIST_EACH(link, &smtpd->locals)) {
        struct local *local = CONTAINER(link, struct local, link);
        if (local->token != who->token || local->session->over)
            continue;
        on_who(local, who);
        return;
    }
}

static bool keep_said(struct local *local, const struct span said[SMTP_SAID_COUNT])
{
    bool good = true;
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++) {
        buf_clear(&local->said[i]);
        good &= xtext_decode(said[i], &local->said[i]) == STATUS_OK;
    }
    return good;
}

void local_on_said(struct session *session, struct span args)
{
    struct local *local = session->local;
    const struct policy_local *settings = settings_of(session);
    struct span said[SMTP_SAID_COUNT], account = session_account(session);
    struct address parsed;
    AUTO(buf_done) struct buf sender = BUF_EMPTY(ADDRESS_MAX), text = BUF_EMPTY(2048);
    if (smtp_said_get(args, said) != STATUS_OK || !keep_said(local, said)) {
        smtp_server_answer(&session->server, 501, STATUS_CODE(5, 5, 4), SPAN("Write XLOCAL name=xtext ..."));
        return;
    }
    struct smtp_told told = { .origin = settings->domain.n ? settings->domain : buf_span(&session->config->hostname) };
    if (local->who.is_mapped && address_parse(account, 0, &parsed) == STATUS_OK && !parsed.is_quoted)
        buf_add(&sender, account);
    else
        buf_printf(&sender, "%.*s@%.*s", SPAN_ARGS(buf_span(&local->shown)), SPAN_ARGS(told.origin));
    told.sender = buf_span(&sender);
    smtp_told_put(&text, &told);
    smtp_server_answer(&session->server, 250, STATUS_CODE(2, 0, 0), buf_span(&text));
}

/* -- what it may send -- */

static bool owns(const struct session *session, struct span address, bool in_header)
{
    return policy_local_owns(settings_of(session), &session->local->facts, buf_span(&session->config->hostname), address,
                             in_header);
}

enum local_says local_judge(const struct session *session, struct span address, bool in_header)
{
    switch (session->local->who.rights) {
    case POLICY_LOCAL_FREE: return LOCAL_YES;
    case POLICY_LOCAL_ACCOUNT: return LOCAL_ASK;
    case POLICY_LOCAL_NAMES: return address.n == 0 || owns(session, address, in_header) ? LOCAL_YES : LOCAL_NO;
    case POLICY_LOCAL_NOBODY: break;
    }
    return LOCAL_NO;
}

void local_ask_add(const struct session *session, struct span address, struct ask_may_send *ask)
{
    if (!owns(session, address, ask->which == MAY_SEND_HEADER))
        ask->addresses[ask->count++] = address;
}

void local_ask_end(struct ask_may_send *ask)
{
    if (ask->count > 0)
        return;
    ask->which = MAY_SEND_ENVELOPE; /* the null sender is anybody's who may send */
    ask->addresses[ask->count++] = SPAN("");
}

void local_refusal(const struct session *session, struct span address, struct buf *ret)
{
    const struct local *local = session->local;
    if (local->who.rights == POLICY_LOCAL_NOBODY)
        buf_printf(ret, "the user %.*s (uid %u) may not send mail; the administrator can give it an account (setting local.users)",
                   SPAN_ARGS(buf_span(&local->shown)), (unsigned)local->peer.uid);
    else
        policy_local_refusal(&local->facts, buf_span(&session->config->hostname), address, ret);
}

void local_facts(const struct session *session, struct intake_facts *ret)
{
    ret->protocol = SPAN("local");
    ret->local_user = buf_span(&session->local->shown);
    ret->local_uid = session->local->peer.uid;
    ret->hide_client = settings_of(session)->hide_user;
}

void local_log(const struct session *session, uint64_t id)
{
    const struct local *local = session->local;
    const struct buf *said = local->said;
    log_info(session->smtpd->log, "handed-in", LOG_ID(id), LOG_SPAN("account", session_account(session)),
             LOG_SPAN("user", buf_span(&local->name)), LOG_INT("uid", local->peer.uid), LOG_INT("gid", local->peer.gid),
             LOG_INT("client_pid", local->peer.pid), LOG_SPAN("cgroup", buf_span(&local->cgroup)),
             LOG_SPAN("said_command", buf_span(&said[SMTP_SAID_COMMAND])),
             LOG_SPAN("said_parent", buf_span(&said[SMTP_SAID_PARENT])),
             LOG_SPAN("said_directory", buf_span(&said[SMTP_SAID_DIRECTORY])),
             LOG_SPAN("said_script", buf_span(&said[SMTP_SAID_SCRIPT])), LOG_SPAN("said_site", buf_span(&said[SMTP_SAID_SITE])));
}
