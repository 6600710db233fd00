/* What people and other programs write into the accounts: names, values of settings, verifiers, what a credential is bound to.
 * A name has one spelling; a value that may stand there may stand there again; a verifier that is taken prints to itself. */
#include "directory/credential.h"
#include "directory/passwd.h"
#include "directory/scram.h"
#include "directory/tree.h"
#include "fuzz.h"

static void no_controls(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        require((unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7F);
}

static void check_name(enum tree_kind kind, struct span name)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(TREE_NAME_MAX), again = BUF_EMPTY(TREE_NAME_MAX);
    if (tree_name_key(kind, name, &key) != STATUS_OK)
        return;
    require(key.n && key.n <= TREE_NAME_MAX);
    no_controls(buf_span(&key));
    require(tree_name_key(kind, buf_span(&key), &again) == STATUS_OK);
    require(span_eq(buf_span(&key), buf_span(&again)));
}

static void check_setting(const struct tree_setting *setting, struct span value)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(4096), whynot = BUF_EMPTY(4096);
    if (tree_value_check(setting, value, &why)) {
        require(value.n <= TREE_VALUE_MAX && tree_value_check(setting, value, &whynot));
        no_controls(value);
        return;
    }
    require(why.n > 0 && !why.failed); /* it is said what is wrong */
    no_controls(buf_span(&why));
}

static void check_verifier(struct span text)
{
    struct scram_verifier verifier, again;
    if (scram_verifier_parse(text, &verifier) != STATUS_OK)
        return;
    AUTO(buf_done) struct buf print = BUF_EMPTY(1024);
    require(scram_is_verifier(text));
    require(verifier.iterations >= 1 && verifier.iterations <= SCRAM_ITERATIONS_MOST && verifier.salt_n <= SCRAM_SALT_MAX);
    require(scram_verifier_print(&verifier, &print) == STATUS_OK);
    require(scram_verifier_parse(buf_span(&print), &again) == STATUS_OK);
    require(again.iterations == verifier.iterations && again.salt_n == verifier.salt_n);
    require(memcmp(again.salt, verifier.salt, verifier.salt_n) == 0 && memcmp(again.stored, verifier.stored, SCRAM_HASH) == 0 &&
            memcmp(again.server, verifier.server, SCRAM_HASH) == 0);
}

/* A line of a passwd-file: all that is read lies in it, and what is stored of a password has a form that is known. */
static void check_line(struct span text)
{
    struct passwd_line line;
    const char *why = NULL;
    enum status status = passwd_line_read(text, &line, &why);
    require((status == STATUS_SYNTAX) == (why != NULL));
    if (status != STATUS_OK)
        return;
    require(line.user.n && line.user.p >= text.p && line.user.p + line.user.n <= text.p + text.n);
    require(span_find(line.user, ':') == line.user.n);
    require(line.stored.n == 0 || secret_form(line.stored));
    require(line.networks.n <= text.n);
}

/* What is bound to nothing that can be read opens nothing. */
static void check_bounds(struct choices *choices)
{
    struct span networks = choose_text(choices, 200), client = choose_text(choices, 60);
    struct span senders = choose_text(choices, 200), address = choose_text(choices, 100);
    if (networks.n && span_find(networks, '.') == networks.n && span_find(networks, ':') == networks.n)
        require(!credential_allows_network(networks, client));
    bool allows = credential_allows_sender(senders, address);
    require(!allows || senders.n == 0 || address.n > 0);
    struct span handle = credential_handle_of(address);
    require(span_eq(handle, SPAN("-")) || (handle.n < address.n && span_eq(handle, span_head(address, handle.n))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    unsigned which = choose(&choices);
    struct span exact = fuzz_exact(choices.left);
    switch (which % 5) {
    case 0:
        for (enum tree_kind kind = TREE_SERVER; kind <= TREE_SENDER; kind++)
            check_name(kind, exact);
        break;
    case 1:
        for (const struct tree_setting *setting = tree_settings; setting->name; setting++)
            check_setting(setting, exact);
        break;
    case 2:
        check_verifier(exact);
        break;
    case 3:
        check_line(exact);
        break;
    default:
        check_bounds(&choices);
    }
    free((void *)(uintptr_t)exact.p);
    return 0;
}
