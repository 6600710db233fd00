#include "delivery/job_priv.h"
#include <stdio.h>
#include <stdlib.h>

static const struct session_events events;

void job_drop(struct job *job)
{
    struct delivery *delivery = job->delivery;
    job_way_free(job);
    job_check_forget(job);
    job_opened(job);
    session_free(job->session);
    if (list_is_linked(&job->in_site))
        list_remove(&job->in_site);
    if (job->has_place)
        site_closed(job->site);
    list_remove(&job->link);
    place_release(job->segment);
    place_release(job->body);
    buf_done(&job->record);
    buf_done(&job->packed);
    free(job->recipients);
    free(job->to);
    free(job->to_index);
    delivery_config_unref(job->config);
    free(job);
    delivery->job_count--;
}

static bool is_begun(const struct job *job)
{
    return job->session && job->session->is_up;
}

bool job_is_in_hand(const struct job *job)
{
    return is_begun(job) || job->packed_count > 0;
}

/* ---- the message ---- */

static void unreadable(struct job *job, bool for_good, const char *why)
{
    job->trouble = TROUBLE_LOCAL;
    log_error(job->delivery->log, "message-unreadable", LOG_ID(job->id), LOG_STR("why", why));
    if (for_good)
        job_settle_rest(job, OUTCOME_FAILED, 0, STATUS_CODE(5, 3, 0), span_str(why));
    else
        job_settle_rest(job, OUTCOME_DEFERRED, 0, STATUS_CODE(4, 3, 0), span_str(why));
}

static void fail_here(struct job *job, const char *why)
{
    unreadable(job, false, why);
}

/* What the disk spoiled is spoiled for good: the sender is told, or, where even that cannot be read, the queue keeps
 * it for the operator. What cannot be read now may be readable later. */
static void fail_read(struct job *job, enum status status)
{
    if (status == STATUS_DAMAGED)
        unreadable(job, true, "the message was damaged on this server's disk and was not sent; please send it again");
    else
        unreadable(job, false, "the stored message cannot be read");
}

/* The record, its envelope and, where it is small, the whole message. */
static bool read_message(struct job *job, const struct lease_grant *grant)
{
    job->record = BUF_EMPTY(SPOOL_SEGMENT_MOST);
    if (!job->segment || (grant->body && !job->body)) {
        fail_here(job, "the queue named a segment or a body that it has not handed out");
        return false;
    }
    struct spool_place place = { grant->segment, grant->offset, grant->length };
    enum status status = spool_message_read(&spool_ops_system, job->segment->fd, &job->segment->segment, place,
                                            &job->record, &job->message);
    if (status != STATUS_OK) {
        fail_read(job, status);
        return false;
    }
    if (job->message.header.id != job->id) {
        fail_here(job, "another message lies where the queue said");
        return false;
    }
    for (uint32_t i = 0; i < job->recipient_count; i++) {
        if (job->recipients[i].index < job->message.envelope.recipient_count)
            continue;
        fail_here(job, "the queue named a recipient that the message does not have");
        return false;
    }
    return true;
}

/* The beginning of the message up to the empty line, as far as HEADER_MOST goes. */
static bool has_utf8_header(struct job *job)
{
    enum { HEADER_MOST = 256 << 10 };
    const struct spool_message *message = &job->message;
    AUTO(buf_done) struct buf read = BUF_EMPTY(HEADER_MOST);
    struct span head = message->body;
    if (!head.p) {
        size_t n = (size_t)MIN(message->octets - message->headers.n, (uint64_t)HEADER_MOST);
        if (buf_reserve(&read, n) != STATUS_OK ||
            spool_message_pread(&spool_ops_system, job->segment->fd, job->body ? job->body->fd : -1, message,
                                message->headers.n, read.p, n) != STATUS_OK)
            return true; /* then it may have one */
        head = span_of(read.p, n);
    }
    size_t end = span_starts(head, SPAN("\r\n")) ? 0 : span_find_span(head, SPAN("\r\n\r\n"));
    return !span_is_ascii(span_head(head, end)) || !span_is_ascii(message->headers);
}

/* Many clients say SMTPUTF8 whenever it is offered. Only what is written in UTF-8 needs a server that takes it. */
static bool needs_utf8(struct job *job)
{
    const struct spool_envelope *envelope = &job->message.envelope;
    if (!(envelope->flags & SPOOL_SMTPUTF8))
        return false;
    if (!span_is_ascii(envelope->sender))
        return true;
    for (uint32_t i = 0; i < job->recipient_count; i++) {
        if (!span_is_ascii(spool_envelope_recipient(envelope, job->recipients[i].index).address))
            return true;
    }
    return has_utf8_header(job);
}

static bool is_8bit(const struct spool_message *message)
{
    return message->envelope.flags & (SPOOL_8BIT | SPOOL_SMTPUTF8);
}

/* The recipients that are left make the next transaction. */
static void send_rest(struct job *job)
{
    const struct spool_envelope *envelope = &job->message.envelope;
    static const enum smtp_ret rets[] = { [SPOOL_RET_NONE] = SMTP_RET_UNSAID, [SPOOL_RET_FULL] = SMTP_RET_FULL,
                                          [SPOOL_RET_HDRS] = SMTP_RET_HEADERS };
    size_t n = 0;
    for (uint32_t i = 0; i < job->recipient_count; i++) {
        if (job->recipients[i].is_settled)
            continue;
        struct spool_recipient recipient = spool_envelope_recipient(envelope, job->recipients[i].index);
        job->to[n] = (struct smtp_client_recipient){ .address = recipient.address, .notify = recipient.notify,
                                                     .orcpt = recipient.orcpt };
        job->to_index[n++] = i;
    }
    job->left_before = job->left;
    job->outgoing = (struct smtp_client_message){
        .sender = envelope->sender, .octets = job->message.octets, .is_8bit = is_8bit(&job->message),
        .needs_utf8 = needs_utf8(job), .ret = rets[envelope->ret], .envid = envelope->envid,
        .recipients = job->to, .recipient_count = n,
    };
    job_note_peer(job, job->session);
    struct session_body body = { &job->message, job->segment->fd, job->body ? job->body->fd : -1 };
    session_send(job->session, &job->outgoing, &body);
}

/* ---- the session ---- */

/* Done with the connection, whose place in the site goes to whoever is next. */
static void leave_session(struct job *job)
{
    struct session *session = job->session;
    struct site *site = job->site;
    job->session = NULL;
    job->has_place = false;
    /* Behind one name there are often many machines: one in trouble is not asked again by way of a kept connection. */
    bool is_well = session && job->trouble == TROUBLE_NONE && session_is_reusable(session);
    if (is_well && session->config == job->delivery->config) {
        site_keep(site, session);
        return;
    }
    session_free(session);
    site_closed(site);
}

static void end_with_session(struct job *job)
{
    leave_session(job);
    job_end(job);
}

void job_no_way(struct job *job)
{
    bool is_final = !job->has_temporary_trouble && job->last_n;
    struct status_code enhanced = job->last_enhanced;
    if (!is_final && enhanced.class == 5)
        enhanced.class = 4; /* the words were final, the failure is not */
    if (!job->came_up && job->trouble == TROUBLE_NONE && !is_final)
        job->trouble = TROUBLE_CONNECT;
    job_settle_rest(job, is_final ? OUTCOME_FAILED : OUTCOME_DEFERRED, job->last_code, enhanced,
                    span_of(job->last_text, job->last_n));
    end_with_session(job);
}

void job_open(struct job *job)
{
    static const enum smtp_client_tls modes[] = {
        [DELIVERY_TLS_AUTO] = SMTP_TLS_MAY,      [DELIVERY_TLS_NONE] = SMTP_TLS_NEVER, [DELIVERY_TLS_OPPORTUNISTIC] = SMTP_TLS_MAY,
        [DELIVERY_TLS_REQUIRED] = SMTP_TLS_MUST, [DELIVERY_TLS_VERIFIED] = SMTP_TLS_MUST,
    };
    const struct route *route = &job->route;
    int64_t now_ms = loop_now_ms(job->delivery->loop);
    struct session_target target = {
        .address = job->trying, .name = job->host, .tls = modes[route->tls], .implicit_tls = route->implicit_tls,
        .verified_tls = route->tls == DELIVERY_TLS_VERIFIED, .lmtp = route->lmtp,
        .user = route->user, .password = route->password,
        .auth_in_clear = route->tls == DELIVERY_TLS_NONE, /* the operator's own word */
    };
    bool may_clear = target.tls == SMTP_TLS_MAY && !route->user[0];
    if (may_clear && (job->is_in_clear || hosts_is_tls_failed(&job->delivery->hosts, &job->trying, now_ms)))
        target.tls = SMTP_TLS_NEVER;
    job->session = session_new(job->delivery->loop, job->config, &target, &events, job);
    if (job->session)
        return;
    job->trouble = TROUBLE_LOCAL;
    job_note(job, false, 0, STATUS_CODE(4, 3, 0), SPAN("out of memory for a connection"));
    job_no_way(job);
}

void job_begin(struct job *job, struct session *kept)
{
    job->has_place = true;
    if (!kept) {
        job_opens(job);
        job_way_next(job);
        return;
    }
    job->session = kept;
    job->came_up = true;
    session_set_user(kept, &events, job);
    send_rest(job);
}

static void on_ready(void *arg, struct session *session)
{
    struct job *job = arg;
    job->came_up = true;
    job_opened(job);
    hosts_good(&job->delivery->hosts, &session->target.address);
    send_rest(job);
}

static void on_result(void *arg, size_t i, const struct smtp_client_result *word)
{
    struct job *job = arg;
    if (word->result == SMTP_DEFERRED && (word->is_elsewhere || word->is_full)) {
        job_note(job, false, word->code, word->enhanced, word->text); /* not the last word about it */
        return;
    }
    static const uint8_t results[] = { [SMTP_PENDING] = OUTCOME_DEFERRED, [SMTP_DELIVERED] = OUTCOME_DELIVERED,
                                       [SMTP_DEFERRED] = OUTCOME_DEFERRED, [SMTP_FAILED] = OUTCOME_FAILED };
    uint32_t at = job->to_index[i];
    uint8_t result = results[word->result];
    bool wants_word = job->to[i].notify & SMTP_NOTIFY_SUCCESS;
    if (result == OUTCOME_DELIVERED && wants_word && !(job->session->client.extensions & SMTP_EXT_DSN))
        result = OUTCOME_RELAYED;
    job_settle(job, at, result, word);
}

/* Left are those that were too many for one transaction: they go in another, as long as that moves something. */
static void on_done(void *arg, struct session *session)
{
    struct job *job = arg;
    if (job->left > 0 && job->left < job->left_before && session_is_reusable(session)) {
        send_rest(job);
        return;
    }
    if (job->left > 0)
        job_settle_rest(job, OUTCOME_DEFERRED, job->last_code, job->last_enhanced, span_of(job->last_text, job->last_n));
    end_with_session(job);
}

static void note_failure(struct job *job, const struct session *session)
{
    const struct smtp_client_failure *failure = session_failure(session);
    char address[NET_ADDRESS_TEXT], text[WIRE_REPLY_MAX];
    struct span words = span_of(failure->text, failure->text_n);
    struct status_code enhanced = failure->enhanced;
    if (session->connect_error[0]) {
        words = span_str(session->connect_error);
        enhanced = STATUS_CODE(4, 4, 1);
    }
    if (enhanced.class == 0)
        enhanced = STATUS_CODE(4, 4, 2);
    if (failure->code) {
        job_note(job, failure->is_permanent, failure->code, enhanced, words);
        return;
    }
    snprintf(text, sizeof text, "%s%s%s: %.*s", session->name, session->name[0] ? " " : "",
             net_address_text(&session->target.address, address), SPAN_ARGS(words));
    job_note(job, false, 0, enhanced, span_str(text));
}

/* TLS did not come about, and nothing forbids to do without: the same server once more, in clear. */
static bool try_in_clear(struct job *job, const struct session *session)
{
    if (session->is_up || job->is_in_clear || session->settings.tls != SMTP_TLS_MAY || job->route.user[0] ||
        session_failure(session)->trouble != SMTP_TROUBLE_TLS)
        return false;
    hosts_tls_failed(&job->delivery->hosts, &session->target.address, loop_now_ms(session->loop) + HOSTS_CLEAR_MS);
    job->is_in_clear = true;
    return true;
}

static void on_over(void *arg, struct session *session)
{
    struct job *job = arg;
    struct delivery *delivery = job->delivery;
    const struct delivery_settings *settings = &job->config->root->delivery;
    job_note_peer(job, session);
    bool in_clear = try_in_clear(job, session);
    bool was_up = session->is_up;
    if (job->left > 0) {
        note_failure(job, session);
        log_info(delivery->log, in_clear ? "tls-given-up" : was_up ? "session-lost" : "host-failed", LOG_ID(job->id),
                 LOG_STR("host", job->peer_name), LOG_STR("address", job->peer_address), LOG_INT("code", job->last_code),
                 LOG_SPAN("text", span_of(job->last_text, job->last_n)));
    }
    if (!was_up && !in_clear && !session->is_starved)
        hosts_failed(&delivery->hosts, &session->target.address, loop_now_ms(delivery->loop) + settings->failed_host_ms);
    if (session->client.failure.code == 421)
        job->trouble = TROUBLE_BUSY;
    if (session->is_starved)
        job->trouble = TROUBLE_LOCAL;
    bool is_local = session->has_local_trouble, is_starved = session->is_starved;
    struct net_address address = session->target.address;
    session_free(session);
    job->session = NULL;
    if (is_local)
        fail_read(job, STATUS_IO);
    if (job->left == 0) {
        end_with_session(job);
    } else if (is_starved) { /* so is the next one */
        job_no_way(job);
    } else if (in_clear) {
        job->trying = address;
        job_open(job);
        job->is_in_clear = false;
    } else {
        job_way_next(job);
    }
}

static const struct session_events events = { on_ready, on_result, on_done, on_over };

/* ---- the lease ---- */

/* Ways that need no connection. */
static bool settle_by_route(struct job *job)
{
    switch (job->route.kind) {
    case ROUTE_DISCARD:
        job_settle_rest(job, OUTCOME_DELIVERED, 250, STATUS_CODE(2, 0, 0), SPAN("thrown away, as a route says"));
        return true;
    case ROUTE_CATCH:
        job_settle_rest(job, OUTCOME_CAUGHT, 0, STATUS_CODE(2, 0, 0), SPAN("kept here, as a route says"));
        return true;
    case ROUTE_REJECT: {
        struct span text = job->route.text.n ? job->route.text : SPAN("mail to this address is not carried from here");
        job_settle_rest(job, OUTCOME_FAILED, 550, STATUS_CODE(5, 7, 1), text);
        return true;
    }
    default: return false;
    }
}

static struct job *job_make(struct delivery *delivery, const struct lease_grant *grant)
{
    struct job *job = calloc(1, sizeof *job + grant->domain.n + 1);
    if (!job)
        return NULL;
    job->delivery = delivery;
    job->config = delivery_config_ref(delivery->config);
    list_init(&job->in_site);
    list_init(&job->in_opening);
    list_init(&job->link);
    list_add_last(&delivery->jobs, &job->link);
    delivery->job_count++;
    delivery->begun++;
    job->lease = grant->lease;
    job->id = grant->id;
    job->attempt = grant->attempt;
    job->began_ms = loop_now_ms(delivery->loop);
    char *domain = (char *)(job + 1);
    memcpy(domain, grant->domain.p ? grant->domain.p : "", grant->domain.n);
    job->domain = span_of(domain, grant->domain.n);
    job->packed = BUF_EMPTY(CHANNEL_BODY_MAX / 2);
    job->segment = places_take(&delivery->places, false, grant->segment);
    job->body = grant->body ? places_take(&delivery->places, true, grant->body) : NULL;
    job->recipient_count = job->left = grant->recipient_count;
    job->recipients = calloc(grant->recipient_count, sizeof *job->recipients);
    job->to = calloc(grant->recipient_count, sizeof *job->to);
    job->to_index = calloc(grant->recipient_count, sizeof *job->to_index);
    if (!job->recipients || !job->to || !job->to_index) {
        job_drop(job);
        return NULL;
    }
    for (uint32_t i = 0; i < grant->recipient_count; i++)
        job->recipients[i].index = grant->recipients[i];
    return job;
}

void job_give_back(struct delivery *delivery, uint64_t lease)
{
    if (!delivery->queue)
        return;
    lease_returned_put(channel_begin(delivery->queue, LEASE_RETURNED), &(struct lease_returned){ lease });
    (void)channel_end(delivery->queue); /* a dead channel tells in on_closed */
}

void job_let_go(struct job *job)
{
    if (is_begun(job))
        return;
    if (job_is_in_hand(job)) {
        job->trouble = TROUBLE_LOCAL;
        job_settle_rest(job, OUTCOME_DEFERRED, 0, STATUS_CODE(4, 3, 2), SPAN("this server is being stopped"));
        end_with_session(job);
        return;
    }
    job_give_back(job->delivery, job->lease);
    job_drop(job);
}

/* Not even a job could be made: the recipients wait again. */
static void give_back(struct delivery *delivery, const struct lease_grant *grant)
{
    struct outcome_recipient outcome = { .result = OUTCOME_DEFERRED, .enhanced = { 4, 3, 0 }, .text = SPAN("out of memory") };
    AUTO(buf_done) struct buf packed = BUF_EMPTY(CHANNEL_BODY_MAX / 2);
    for (uint32_t i = 0; i < grant->recipient_count; i++) {
        outcome.index = grant->recipients[i];
        outcome_recipient_put(&packed, &outcome);
    }
    struct lease_outcome back = { .lease = grant->lease, .trouble = TROUBLE_LOCAL,
                                  .recipient_count = grant->recipient_count, .recipients = buf_span(&packed) };
    lease_outcome_put(channel_begin(delivery->queue, LEASE_OUTCOME), &back);
    (void)channel_end(delivery->queue); /* a dead channel tells in on_closed */
    delivery->told_count++;
    delivery->owed++;
}

void job_new(struct delivery *delivery, const struct lease_grant *grant)
{
    if (delivery->is_draining) { /* it crossed our word that we leave */
        job_give_back(delivery, grant->lease);
        return;
    }
    struct job *job = grant->recipient_count ? job_make(delivery, grant) : NULL;
    if (!job) {
        give_back(delivery, grant);
        return;
    }
    bool ok = read_message(job, grant);
    if (ok && route_find(job->config->root, job->domain, grant->route, &job->route) != STATUS_OK) {
        fail_here(job, "the route that was given for it cannot be read");
        ok = false;
    }
    if (!ok || settle_by_route(job)) {
        job_end(job);
        return;
    }
    job->site = site_get(delivery, grant->site);
    if (!job->site) {
        fail_here(job, "out of memory");
        job_end(job);
        return;
    }
    job->site->most = MAX(grant->connections, 1u);
    job_check(job);
}

void job_checked(struct job *job, enum status status)
{
    if (status == STATUS_OK) {
        site_wait(job->site, job);
        return;
    }
    fail_read(job, status);
    job_end(job);
}
