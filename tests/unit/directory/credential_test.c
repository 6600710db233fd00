#include "directory/credential.h"
#include "directory/tree.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static char folder[64], path[96];
static struct accounts *accounts;
static int64_t sender;

static int setup(void **state)
{
    struct tree_node node;
    strcpy(folder, "/tmp/goniec-credential-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/accounts.db", folder);
    if (accounts_open_to_change(path, -1, -1, &accounts) != STATUS_OK ||
        accounts_add(accounts, SPAN("anna@example.org"), SPAN("$y$own"), SPAN(""), 0) != STATUS_OK ||
        tree_find(accounts, TREE_SENDER, SPAN("anna@example.org"), &node) != STATUS_OK)
        return 1;
    sender = node.id;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    accounts_close(accounts);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static enum status add(const char *name, const char *handle, const char *stored)
{
    struct credential credential = { .sender = sender, .name = span_str(name), .handle = span_str(handle),
                                     .stored = span_str(stored) };
    return credential_add(accounts, &credential, 0);
}

/* What a password is checked against, in order, with a space between. */
static void assert_tried(const char *password, const char *expected)
{
    AUTO(buf_done) struct buf room = BUF_EMPTY(CREDENTIALS_TRIED_MAX * SECRET_STORED_MAX), text = BUF_EMPTY(4096);
    struct account_secret secrets[CREDENTIALS_TRIED_MAX];
    size_t n;
    assert_int_equal(accounts_secrets(accounts, SPAN("anna@example.org"), span_str(password), CREDENTIALS_TRIED_MAX, &room,
                                      secrets, &n), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%.*s", i ? " " : "", SPAN_ARGS(secrets[i].stored));
    assert_string_equal(buf_cstr(&text), expected);
}

static void test_which_are_tried(void **state)
{
    char name[16], handle[16], stored[16];
    for (unsigned i = 0; i < CREDENTIALS_MAX - 1; i++) {
        snprintf(name, sizeof name, "phone%u", i);
        snprintf(handle, sizeof handle, "abcd%02u", i);
        snprintf(stored, sizeof stored, "$y$%u", i);
        assert_int_equal(add(name, handle, stored), STATUS_OK);
    }
    assert_int_equal(add("one more", "zzzzzz", "x"), STATUS_FULL);
    assert_tried("correct horse", "$y$own");          /* one hash, however many there are */
    assert_tried("abcd07-kkkkk-lllll", "$y$7 $y$own"); /* and the right one first */
    assert_tried("abcd99-kkkkk-lllll", "$y$own");
    assert_tried("abcd07", "$y$own");
    assert_tried("", "$y$own");
}

static void test_without_handles(void **state)
{
    assert_int_equal(add("b", "", "$y$b"), STATUS_OK);
    assert_int_equal(add("b", "", "$y$b"), STATUS_EXISTS);
    assert_int_equal(add("a", "", "$y$a"), STATUS_OK);
    assert_int_equal(add("c", "", "$y$c"), STATUS_OK);
    assert_int_equal(add("d", "", "$y$d"), STATUS_FULL);
    assert_tried("word", "$y$own $y$b $y$a $y$c");
    assert_int_equal(add("e", "abcdef", "$y$e"), STATUS_OK);
    assert_int_equal(add("f", "abcdef", "$y$f"), STATUS_EXISTS); /* a handle says which */
    assert_int_equal(credential_revoke(accounts, sender, SPAN("b"), 0), STATUS_OK);
    assert_int_equal(credential_revoke(accounts, sender, SPAN("b"), 0), STATUS_NOT_FOUND);
    assert_tried("word", "$y$own $y$a $y$c");
}

struct finding {
    const char *name;
    int64_t id;
};

static void look(void *arg, const struct credential *credential)
{
    struct finding *finding = arg;
    if (span_eq(credential->name, span_str(finding->name)))
        finding->id = credential->id;
}

static int64_t id_of(const char *name)
{
    struct finding finding = { name, 0 };
    assert_int_equal(credential_list(accounts, sender, look, &finding), STATUS_OK);
    return finding.id;
}

/* What the old password opened is over; what else was said of the credential holds. */
static void test_a_new_password_has_a_new_number(void **state)
{
    struct credential credential = { .sender = sender, .name = SPAN(CREDENTIAL_PASSWORD), .stored = SPAN("$y$own"), .expires_ms = 99,
                                     .networks = SPAN("192.0.2.0/24"), .senders = SPAN("anna@example.org") };
    struct account account;
    assert_int_equal(credential_set(accounts, &credential, 0), STATUS_OK);
    int64_t id = id_of(CREDENTIAL_PASSWORD);
    assert_int_equal(accounts_set_stored(accounts, SPAN("anna@example.org"), SPAN("$y$new"), 7), STATUS_OK);
    assert_tried("word", "$y$new");
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), id, &account), STATUS_OK);
    assert_false(account.has_credential);
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), id_of(CREDENTIAL_PASSWORD), &account), STATUS_OK);
    assert_true(account.has_credential);
    assert_int_equal(account.expires_ms, 99);
    assert_span(account.networks, "192.0.2.0/24");
    assert_span(account.senders, "anna@example.org");
}

/* A session remembers a number: nobody else may get that. */
static void test_a_number_is_given_once(void **state)
{
    struct account account;
    assert_int_equal(add("phone", "abcdef", "$y$1"), STATUS_OK);
    int64_t id = id_of("phone");
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), id, &account), STATUS_OK);
    assert_true(account.has_credential);
    assert_span(account.credential, "phone");
    assert_int_equal(credential_revoke(accounts, sender, SPAN("phone"), 0), STATUS_OK);
    assert_int_equal(add("other", "abcdef", "$y$1"), STATUS_OK);
    assert_int_not_equal(id_of("other"), id);
    assert_int_equal(accounts_find(accounts, SPAN("anna@example.org"), id, &account), STATUS_OK);
    assert_false(account.has_credential);
    /* another sender's is none of this one's */
    assert_int_equal(accounts_add(accounts, SPAN("bob@example.org"), SPAN("$y$2"), SPAN(""), 0), STATUS_OK);
    assert_int_equal(accounts_find(accounts, SPAN("bob@example.org"), id_of("other"), &account), STATUS_OK);
    assert_false(account.has_credential);
}

static void test_networks(void **state)
{
    static const struct { const char *networks, *client; bool may; } rows[] = {
        { "", "192.0.2.1", true },
        { "192.0.2.0/24", "192.0.2.255", true },
        { "192.0.2.0/24", "192.0.3.0", false },
        { "198.51.100.1 2001:db8::/32", "2001:db8:1::5", true },
        { "198.51.100.1 2001:db8::/32", "198.51.100.1", true },
        { "198.51.100.1  2001:db8::/32 ", "198.51.100.2", false },
        { "192.0.2.0/24", "", false },
        { "192.0.2.0/24", "unknown", false },
        { "nonsense", "192.0.2.1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(credential_allows_network(span_str(rows[i].networks), span_str(rows[i].client)), rows[i].may);
}

static void test_allowed_senders(void **state)
{
    static const struct { const char *senders, *address; bool may; } rows[] = {
        { "", "anybody@example.org", true },
        { "shop@example.org", "shop@example.org", true },
        { "shop@example.org", "SHOP+17@Example.ORG", true },
        { "shop@example.org", "anna@example.org", false },
        { "a@example.org *@shop.example", "x@shop.example", true },
        { "a@example.org *@shop.example", "x@sub.shop.example", false },
        { "shop@example.org", "", false },
        { "shop@example.org", "nonsense", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(credential_allows_sender(span_str(rows[i].senders), span_str(rows[i].address)), rows[i].may);
}

static void test_what_may_be_kept(void **state)
{
    static const struct { struct credential credential; const char *why; } rows[] = {
        { { .name = SPAN("phone") }, NULL },
        { { .name = SPAN("phone"), .handle = SPAN("abcdef"), .networks = SPAN("192.0.2.0/24 ::1"), .senders = SPAN("a@b.example") }, NULL },
        { { .name = SPAN("") }, "name" },
        { { .name = SPAN("my phone") }, "name" },
        { { .name = SPAN("p"), .handle = SPAN("abc") }, "handle" },
        { { .name = SPAN("p"), .handle = SPAN("abc-ef") }, "handle" },
        { { .name = SPAN("p"), .networks = SPAN("192.0.2.1/24") }, "192.0.2.1/24 is no network" },
        { { .name = SPAN("p"), .senders = SPAN("A@b.example") }, "small letters" },
        { { .name = SPAN("p"), .senders = SPAN("a@b.example bob") }, "bob is no mail address" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        assert_int_equal(credential_check(&rows[i].credential, &why), rows[i].why == NULL);
        if (rows[i].why && !strstr(buf_cstr(&why), rows[i].why))
            fail_msg("%s: %s", rows[i].why, buf_cstr(&why));
    }
}

static void test_generated(void **state)
{
    AUTO(buf_done) struct buf one = BUF_EMPTY(128), two = BUF_EMPTY(128);
    assert_int_equal(credential_generate(&one), STATUS_OK);
    assert_int_equal(credential_generate(&two), STATUS_OK);
    assert_int_equal(one.n, 30);
    assert_int_equal(credential_handle_of(buf_span(&one)).n, CREDENTIAL_HANDLE);
    assert_false(span_eq(buf_span(&one), buf_span(&two)));
    assert_span(credential_handle_of(SPAN("abcde-fgh")), "-");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_which_are_tried), CASE(test_without_handles), CASE(test_a_new_password_has_a_new_number),
        CASE(test_a_number_is_given_once),
                                        cmocka_unit_test(test_networks), cmocka_unit_test(test_allowed_senders),
                                        cmocka_unit_test(test_what_may_be_kept), cmocka_unit_test(test_generated) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
