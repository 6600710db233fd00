#include "mail/address.h"
#include "mail/grammar.h"
#include <arpa/inet.h>

/* A local part in quotes at the front of `in`; `ret` gets its length with both quotes. */
static enum status quoted_length(struct span in, size_t *ret)
{
    size_t i = 1;
    while (i < in.n && in.p[i] != '"') {
        if (in.p[i] == '\\' && ++i == in.n)
            return STATUS_SYNTAX;
        if (!is_printable_or_utf8(in.p[i]))
            return STATUS_SYNTAX;
        i++;
    }
    if (i == in.n)
        return STATUS_SYNTAX;
    *ret = i + 1;
    return STATUS_OK;
}

/* A dot-string: atoms joined by single dots (RFC 5321 section 4.1.2). */
static enum status dotted_length(struct span in, size_t *ret)
{
    size_t i = 0;
    for (bool atom = false; i < in.n; i++) {
        if (in.p[i] == '.' && atom)
            atom = false;
        else if (is_atext_or_utf8(in.p[i]))
            atom = true;
        else
            break;
    }
    if (i == 0 || in.p[i - 1] == '.')
        return STATUS_SYNTAX;
    *ret = i;
    return STATUS_OK;
}

static enum status local_length(struct span in, size_t *ret)
{
    if (in.n == 0)
        return STATUS_SYNTAX;
    return in.p[0] == '"' ? quoted_length(in, ret) : dotted_length(in, ret);
}

/* How far a domain or a literal may reach: up to the first octet that neither may hold. */
static size_t domain_length(struct span in)
{
    size_t i = 0;
    if (in.n && in.p[0] == '[') {
        size_t end = span_find(in, ']');
        return end < in.n ? end + 1 : 0;
    }
    while (i < in.n && (is_label_or_utf8(in.p[i]) || in.p[i] == '.'))
        i++;
    return i;
}

static bool label_is_good(struct span label)
{
    if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!is_label_or_utf8(label.p[i]))
            return false;
    return label.n <= 63 || !span_is_ascii(label);
}

static bool literal_is_good(struct span literal)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char octets[16];
    if (literal.n < 3 || literal.p[literal.n - 1] != ']')
        return false;
    struct span inner = { literal.p + 1, literal.n - 2 };
    bool six = span_starts_case(inner, SPAN("IPv6:"));
    if (six)
        inner = span_from(inner, 5);
    if (inner.n >= sizeof text || memchr(inner.p, 0, inner.n))
        return false;
    memcpy(text, inner.p, inner.n);
    text[inner.n] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, octets) == 1;
}

enum status address_domain_check(struct span domain, unsigned allow)
{
    if (domain.n == 0)
        return STATUS_SYNTAX;
    if (domain.n > ADDRESS_DOMAIN_MAX)
        return STATUS_TOO_LONG;
    if (domain.p[0] == '[')
        return literal_is_good(domain) ? STATUS_OK : STATUS_SYNTAX;
    /* span_cut() ends quietly behind a last dot: look for it first. */
    if (domain.p[domain.n - 1] == '.')
        return STATUS_SYNTAX;
    struct span rest = domain, label;
    while (span_cut(&rest, '.', &label))
        if (!label_is_good(label))
            return STATUS_SYNTAX;
    if (span_is_ascii(domain))
        return STATUS_OK;
    if (!span_is_utf8(domain) || has_c1_control(domain))
        return STATUS_SYNTAX;
    return allow & ADDRESS_UTF8 ? STATUS_OK : STATUS_DENIED;
}

/* What comes behind the local part: "@domain", or nothing where that is allowed. */
static enum status domain_take(struct span *in, unsigned allow, struct address *address)
{
    if (in->n == 0 || in->p[0] != '@') {
        bool alone = allow & ADDRESS_LOCAL
                     || (allow & ADDRESS_POSTMASTER && span_eq_case(address->local, SPAN("postmaster")));
        return alone ? STATUS_OK : STATUS_SYNTAX;
    }
    *in = span_from(*in, 1);
    address->domain = span_head(*in, domain_length(*in));
    address->is_literal = address->domain.n && address->domain.p[0] == '[';
    *in = span_from(*in, address->domain.n);
    return address_domain_check(address->domain, allow | ADDRESS_UTF8);
}

/* A mailbox off the front of `in`, which moves behind it. */
static enum status mailbox_take(struct span *in, unsigned allow, struct address *ret)
{
    struct span at = *in;
    struct address address = { 0 };
    size_t n = 0;
    enum status status = local_length(at, &n);
    if (status != STATUS_OK)
        return status;
    address.local = span_head(at, n);
    address.is_quoted = at.p[0] == '"';
    at = span_from(at, n);
    status = domain_take(&at, allow, &address);
    if (status != STATUS_OK)
        return status;
    if (n > ADDRESS_LOCAL_MAX)
        return STATUS_TOO_LONG;
    address.text = span_head(*in, in->n - at.n);
    address.is_utf8 = !span_is_ascii(address.text);
    if (address.is_utf8 && (!span_is_utf8(address.local) || has_c1_control(address.local)))
        return STATUS_SYNTAX;
    if (address.is_utf8 && !(allow & ADDRESS_UTF8))
        return STATUS_DENIED;
    *in = at;
    *ret = address;
    return STATUS_OK;
}

enum status address_parse(struct span text, unsigned allow, struct address *ret)
{
    struct address address = { 0 };
    if (text.n == 0) {
        if (!(allow & ADDRESS_NULL))
            return STATUS_SYNTAX;
        *ret = address;
        return STATUS_OK;
    }
    enum status status = mailbox_take(&text, allow, &address);
    if (status == STATUS_OK && text.n)
        status = STATUS_SYNTAX;
    if (status == STATUS_OK)
        *ret = address;
    return status;
}

/* Skips "@one,@two:" (RFC 5321 appendix C: a server strips it and uses the mailbox behind). */
static enum status route_skip(struct span *in)
{
    struct span at = *in;
    if (at.n == 0 || at.p[0] != '@')
        return STATUS_OK;
    for (;;) {
        if (at.n == 0 || at.p[0] != '@')
            return STATUS_SYNTAX;
        at = span_from(at, 1);
        struct span domain = span_head(at, domain_length(at));
        enum status status = address_domain_check(domain, ADDRESS_UTF8);
        if (status != STATUS_OK)
            return status;
        at = span_from(at, domain.n);
        if (in->n - at.n > ADDRESS_ROUTE_MAX)
            return STATUS_TOO_LONG;
        if (at.n == 0 || (at.p[0] != ',' && at.p[0] != ':'))
            return STATUS_SYNTAX;
        char end = at.p[0];
        at = span_from(at, 1);
        if (end == ':')
            break;
    }
    *in = at;
    return STATUS_OK;
}

enum status address_path_take(struct span *in, unsigned allow, struct address *ret)
{
    struct span at = *in;
    struct address address = { 0 };
    if (at.n < 2 || at.p[0] != '<')
        return STATUS_SYNTAX;
    at = span_from(at, 1);
    if (at.p[0] != '>' || !(allow & ADDRESS_NULL)) {
        enum status status = route_skip(&at);
        if (status == STATUS_OK)
            status = mailbox_take(&at, allow, &address);
        if (status != STATUS_OK)
            return status;
    }
    if (at.n == 0 || at.p[0] != '>')
        return STATUS_SYNTAX;
    *in = span_from(at, 1);
    *ret = address;
    return STATUS_OK;
}
