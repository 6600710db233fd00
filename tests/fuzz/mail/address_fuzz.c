/* Whatever is taken for an address has a canonical form that is one, too, and is its own canonical form. */
#include "mail/address.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_forms(const struct address *address)
{
    char text[ADDRESS_MAX], again[ADDRESS_MAX];
    struct address canonical = { 0 }, base = { 0 };
    enum { ALL = ADDRESS_NULL | ADDRESS_POSTMASTER | ADDRESS_UTF8 };
    struct span form = address_canonical(address, text);
    check(form.n <= address->text.n);
    check(address_parse(form, ALL, &canonical) == STATUS_OK);
    check(span_eq(address_canonical(&canonical, again), form));
    check(address_eq(address, &canonical) && address_eq_case(address, &canonical));
    form = address_base(address, text);
    check(address_parse(form, ALL, &base) == STATUS_OK);
    check(span_eq(address_base(&base, again), form));
    for (size_t i = 0; i < address->text.n; i++)
        check((unsigned char)address->text.p[i] >= ' ' && address->text.p[i] != 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1), whole = in;
    struct address address = { 0 };
    unsigned allow = data[0] & (ADDRESS_NULL | ADDRESS_POSTMASTER | ADDRESS_UTF8);
    if (address_path_take(&in, allow, &address) == STATUS_OK) {
        check(in.n < whole.n && in.p[-1] == '>');
        check_forms(&address);
    } else {
        check(in.p == whole.p && in.n == whole.n);
    }
    if (address_parse(whole, allow, &address) == STATUS_OK)
        check_forms(&address);
    if (address_domain_check(whole, allow) == STATUS_OK) {
        char lower[ADDRESS_DOMAIN_MAX];
        check(address_domain_check(address_domain_lower(whole, lower), allow) == STATUS_OK);
    }
    return 0;
}
