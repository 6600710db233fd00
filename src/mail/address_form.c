/* The forms of an address that was parsed: canonical, plain, base; and comparison by them. */
#include "mail/address.h"
#include "mail/grammar.h"

/* May `plain` stand as a dot-string, without quotes? */
static bool is_dot_string(struct span plain)
{
    bool atom = false;
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '.' && atom)
            atom = false;
        else if (is_atext_or_utf8(plain.p[i]))
            atom = true;
        else
            return false;
    }
    return atom;
}

struct span address_local_plain(const struct address *address, char ret[ADDRESS_LOCAL_MAX])
{
    size_t n = 0;
    struct span local = address->local;
    if (address->is_quoted)
        local = (struct span){ local.p + 1, local.n - 2 };
    for (size_t i = 0; i < local.n; i++) {
        if (address->is_quoted && local.p[i] == '\\')
            i++;
        ret[n++] = local.p[i];
    }
    return span_of(ret, n);
}

struct span address_domain_lower(struct span domain, char ret[ADDRESS_DOMAIN_MAX])
{
    domain = span_head(domain, ADDRESS_DOMAIN_MAX);
    for (size_t i = 0; i < domain.n; i++)
        ret[i] = ascii_lower(domain.p[i]);
    return span_of(ret, domain.n);
}

/* Writes `plain` as a local part, with the fewest quotes and backslashes. Returns its length. */
static size_t local_write(struct span plain, char *ret)
{
    size_t n = 0;
    bool quotes = !is_dot_string(plain);
    if (quotes)
        ret[n++] = '"';
    for (size_t i = 0; i < plain.n; i++) {
        if (quotes && (plain.p[i] == '"' || plain.p[i] == '\\'))
            ret[n++] = '\\';
        ret[n++] = plain.p[i];
    }
    if (quotes)
        ret[n++] = '"';
    return n;
}

static struct span domain_write(const struct address *address, size_t n, char ret[ADDRESS_MAX])
{
    if (address->domain.n) {
        ret[n++] = '@';
        n += address_domain_lower(address->domain, ret + n).n;
    }
    return span_of(ret, n);
}

struct span address_canonical(const struct address *address, char ret[ADDRESS_MAX])
{
    char plain[ADDRESS_LOCAL_MAX];
    if (address_is_null(address))
        return span_of(ret, 0);
    return domain_write(address, local_write(address_local_plain(address, plain), ret), ret);
}

struct span address_base(const struct address *address, char ret[ADDRESS_MAX])
{
    char text[ADDRESS_LOCAL_MAX];
    if (address_is_null(address))
        return span_of(ret, 0);
    struct span plain = address_local_plain(address, text);
    size_t plus = span_find(plain, '+');
    /* A base that ended in a dot would need quotes, and would be somebody else's. */
    if (is_dot_string(plain) && plus > 0 && is_dot_string(span_head(plain, plus)))
        plain = span_head(plain, plus);
    return domain_write(address, local_write(plain, ret), ret);
}

bool address_eq(const struct address *a, const struct address *b)
{
    char left[ADDRESS_MAX], right[ADDRESS_MAX];
    return span_eq(address_canonical(a, left), address_canonical(b, right));
}

bool address_eq_case(const struct address *a, const struct address *b)
{
    char left[ADDRESS_MAX], right[ADDRESS_MAX];
    return span_eq_case(address_canonical(a, left), address_canonical(b, right));
}
