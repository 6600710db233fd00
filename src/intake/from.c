/* The From: field of a submitted message: who it says it is from, and its repair. */
#include "intake/intake_priv.h"
#include "mail/header.h"

struct from_list {
    struct intake *intake;
    bool is_bare;   /* an address without a domain ("root"), as old programs write it */
    bool is_full;   /* more than INTAKE_FROM_MAX */
    bool no_memory;
};

static enum status on_address(void *arg, const struct address *address)
{
    struct from_list *list = arg;
    struct intake *intake = list->intake;
    list->is_bare |= address->domain.n == 0;
    list->is_full = intake->from_count == INTAKE_FROM_MAX;
    if (list->is_full)
        return STATUS_FULL;
    if (intake_text_add(intake, address->text, &intake->from[intake->from_count]) != STATUS_OK) {
        list->no_memory = true;
        return STATUS_MEMORY;
    }
    intake->from_count++;
    return STATUS_OK;
}

static enum status refuse_from(struct intake *intake, enum status why)
{
    const char *text = "The From field cannot be read in one way only: write it as Name <address@domain>";
    if (why == STATUS_DENIED)
        text = "The address in the From field is not ASCII: the mail program has to say SMTPUTF8";
    if (why == STATUS_TOO_LONG)
        text = "The address in the From field is too long";
    return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 6, 0), "%s", text);
}

/* Whom the message is from where the header does not say it: the sender of the envelope, or the login. */
static enum status own_address(struct intake *intake, const struct intake_facts *facts, struct address *ret)
{
    unsigned allow = facts->utf8 ? ADDRESS_UTF8 : 0;
    if (address_parse(intake_sender_of(intake), allow, ret) == STATUS_OK)
        return STATUS_OK;
    return address_parse(facts->account, allow, ret);
}

/* Writes a From: field of our own and remembers its address as the only one. */
static enum status from_write(struct intake *intake, struct span name, struct span address)
{
    buf_printf(&intake->added, "From:%.*s <%.*s>\r\n", SPAN_ARGS(name), SPAN_ARGS(address));
    intake->from_count = 0;
    if (intake_text_add(intake, address, &intake->from[0]) != STATUS_OK)
        return intake_no_memory(intake);
    intake->from_count = 1;
    return STATUS_OK;
}

static enum status from_missing(struct intake *intake, const struct intake_facts *facts)
{
    struct address own = { 0 };
    char text[ADDRESS_MAX];
    if (own_address(intake, facts, &own) != STATUS_OK)
        return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 6, 0), "The message has no From field");
    return from_write(intake, SPAN_NONE, address_canonical(&own, text));
}

/* "root" becomes "root@" and the domain of the sender (RFC 6409 section 6.1). Its name stays where it is plain to
 * see where the name ends. */
static enum status from_bare(struct intake *intake, const struct intake_facts *facts, struct span value)
{
    struct address own = { 0 };
    char whole[2 * ADDRESS_MAX]; /* a copy: `texts`, where the bare one lies, is about to grow */
    struct span domain = own_address(intake, facts, &own) == STATUS_OK ? own.domain : facts->hostname;
    struct span bare = span_head(intake_from(intake, 0), ADDRESS_MAX);
    domain = span_head(domain, ADDRESS_DOMAIN_MAX);
    memcpy(whole, bare.p, bare.n);
    whole[bare.n] = '@';
    memcpy(whole + bare.n + 1, domain.p, domain.n);
    struct span name = value;
    while (name.n && strchr(" \t\r\n", name.p[name.n - 1]) && name.p[name.n - 1])
        name.n--;
    bool angle = name.n > bare.n + 2 && name.p[name.n - 1] == '>' && name.p[name.n - bare.n - 2] == '<'
                 && memcmp(name.p + name.n - bare.n - 1, whole, bare.n) == 0;
    name = angle ? span_head(name, name.n - bare.n - 2) : SPAN_NONE;
    while (name.n && name.p[name.n - 1] == ' ')
        name.n--;
    return from_write(intake, name, span_of(whole, bare.n + 1 + domain.n));
}

enum status intake_from_check(struct intake *intake, const struct intake_facts *facts, struct span value,
                              unsigned count, bool *ret_drop)
{
    struct from_list list = { .intake = intake };
    unsigned allow = ADDRESS_LOCAL | (facts->utf8 ? ADDRESS_UTF8 : 0u);
    if (count > 1)
        return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 6, 0), "The message has %u From fields", count);
    if (count == 0)
        return from_missing(intake, facts);
    enum status status = header_addresses(value, allow, on_address, &list);
    if (list.is_full)
        return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 6, 0), "The From field has too many addresses");
    if (list.no_memory)
        return intake_no_memory(intake);
    if (status != STATUS_OK || (list.is_bare && intake->from_count > 1))
        return refuse_from(intake, status);
    *ret_drop = list.is_bare || intake->from_count == 0;
    if (intake->from_count == 0)
        return from_missing(intake, facts);
    return list.is_bare ? from_bare(intake, facts, value) : STATUS_OK;
}
