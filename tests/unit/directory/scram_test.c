/* SCRAM against GNU SASL's client, and message by message against whoever does not play by the rules. */
#include "directory/sasl.h"
#include "directory/secret.h"
#include "test.h"
#include <gsasl.h>
#include <sodium.h>

#define PASSWORD "pencil"
/* RFC 7677 section 3: user "user", password "pencil", 4096 rounds */
#define RFC_7677 "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=," \
                 "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const char octets_a[] = "0123456789abcdef0123456789abcdef", octets_b[] = "fedcba9876543210fedcba9876543210";
static const struct scram_bindings none, tls13 = { SPAN("0123456789abcdef0123456789abcdef"), SPAN_NONE, SPAN("the certificate") },
                                   tls12 = { SPAN_NONE, SPAN("twelve octets"), SPAN("the certificate") };

static struct scram_verifier verifier_of(const char *text)
{
    struct scram_verifier verifier;
    assert_int_equal(scram_verifier_parse(span_str(text), &verifier), STATUS_OK);
    return verifier;
}

/* -- what is stored -- */

static void test_verifier_of_rfc_7677(void **state)
{
    struct scram_verifier verifier = verifier_of(RFC_7677), made = verifier;
    memset(made.stored, 0, sizeof made.stored);
    memset(made.server, 0, sizeof made.server);
    assert_int_equal(scram_verifier_fill(SPAN(PASSWORD), &made), STATUS_OK);
    assert_memory_equal(made.stored, verifier.stored, SCRAM_HASH);
    assert_memory_equal(made.server, verifier.server, SCRAM_HASH);
    AUTO(buf_done) struct buf text = BUF_EMPTY(SECRET_STORED_MAX);
    assert_int_equal(scram_verifier_print(&verifier, &text), STATUS_OK);
    assert_span(buf_span(&text), RFC_7677);
    assert_int_equal(scram_verifier_check(&verifier, SPAN(PASSWORD)), STATUS_OK);
    assert_int_equal(scram_verifier_check(&verifier, SPAN("pencils")), STATUS_DENIED);
}

#define KEY "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static void test_verifier_forms(void **state)
{
    static const char *const good[] = { RFC_7677, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY },
                            *const bad[] = {
        "", "{SCRAM-SHA-256}", "{SCRAM-SHA-256}4096", "{SCRAM-SHA-256}4096,W22ZaA==," KEY, "{SCRAM-SHA-256}4095,W22ZaA==," KEY "," KEY,
        "{SCRAM-SHA-256}10000001,W22ZaA==," KEY "," KEY, "{SCRAM-SHA-256}4096,," KEY "," KEY, "{SCRAM-SHA-256}4096,W22ZaA==,W22ZaA==," KEY,
        "{SCRAM-SHA-256}4096,W22ZaA==," KEY "," KEY ",", "{SCRAM-SHA-256}4096,W22Za*==," KEY "," KEY, "{SCRAM-SHA-256}-4096,W22ZaA==," KEY "," KEY,
        "{SCRAM-SHA-1}4096,W22ZaA==," KEY "," KEY, "SCRAM-SHA-256$4096,W22ZaA==," KEY "," KEY, "{SCRAM-SHA-256}4096,W22ZaA==," KEY "," KEY "\n" };
    struct scram_verifier verifier;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(scram_verifier_parse(span_str(good[i]), &verifier), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (scram_verifier_parse(span_str(bad[i]), &verifier) != STATUS_SYNTAX)
            fail_msg("bad verifier %zu was taken", i);
}

static void test_stored_forms(void **state)
{
    AUTO(buf_done) struct buf both = BUF_EMPTY(SECRET_STORED_MAX), one = BUF_EMPTY(SECRET_STORED_MAX);
    struct secret_wish wish = { .hash = true, .scram = true, .iterations = 4096 };
    assert_int_equal(secret_make_wished(SPAN("pass w\xc3\xb6rd"), &wish, &both), STATUS_OK);
    assert_string_equal(secret_form(secret_for_password(buf_span(&both))), "yescrypt");
    assert_string_equal(secret_form(secret_for_scram(buf_span(&both))), "scram-sha-256");
    assert_int_equal(secret_check(secret_for_password(buf_span(&both)), SPAN("pass w\xc3\xb6rd")), STATUS_OK);
    assert_int_equal(secret_check(secret_for_scram(buf_span(&both)), SPAN("pass w\xc3\xb6rd")), STATUS_OK);
    assert_int_equal(secret_check(secret_for_scram(buf_span(&both)), SPAN("pass word")), STATUS_DENIED);

    wish.hash = false;
    assert_int_equal(secret_make_wished(SPAN(PASSWORD), &wish, &one), STATUS_OK);
    assert_true(span_eq(secret_for_password(buf_span(&one)), buf_span(&one)));
    assert_true(span_eq(secret_for_scram(buf_span(&one)), buf_span(&one)));
    struct span form;
    assert_int_equal(secret_import(buf_span(&one), &form), STATUS_OK);
    assert_true(span_eq(form, buf_span(&one)));
    assert_int_equal(secret_import(SPAN("{SCRAM-SHA-256}4096,x"), &form), STATUS_SYNTAX);
    assert_null(secret_for_scram(SPAN("$2b$04$x")).p);
}

/* As clients prepare it: the same letter in two spellings, and letters that Unicode knows only since yesterday. */
static void test_saslprep(void **state)
{
    struct scram_verifier verifier = verifier_of(RFC_7677);
    assert_int_equal(scram_verifier_fill(SPAN("za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87"), &verifier), STATUS_OK);
    assert_int_equal(scram_verifier_check(&verifier, SPAN("zaz\xcc\x87o\xcc\x81\xc5\x82" "c\xcc\x81")), STATUS_OK);
    assert_int_equal(scram_verifier_fill(SPAN("\xf0\x9f\x90\x8e correct"), &verifier), STATUS_OK);
    assert_int_equal(scram_verifier_check(&verifier, SPAN("\xf0\x9f\x90\x8e correct")), STATUS_OK);
    assert_int_equal(scram_verifier_check(&verifier, SPAN("\xf0\x9f\x90\x84 correct")), STATUS_DENIED);
}

static void test_fakes(void **state)
{
    static const unsigned char secret[SCRAM_HASH] = "of this server", other[SCRAM_HASH] = "of another one";
    struct scram_verifier a, b;
    scram_verifier_fake(secret, SPAN("nobody"), 32768, SCRAM_SALT, &a);
    scram_verifier_fake(secret, SPAN("nobody"), 32768, SCRAM_SALT, &b);
    assert_memory_equal(a.salt, b.salt, SCRAM_SALT);
    assert_memory_not_equal(a.stored, b.stored, SCRAM_HASH);
    scram_verifier_fake(secret, SPAN("nobodx"), 32768, SCRAM_SALT, &b);
    assert_memory_not_equal(a.salt, b.salt, SCRAM_SALT);
    scram_verifier_fake(other, SPAN("nobody"), 32768, SCRAM_SALT, &b);
    assert_memory_not_equal(a.salt, b.salt, SCRAM_SALT);
}

/* -- GNU SASL's client -- */

struct talk {
    const char *mechanism, *user, *password;
    const char *exporter, *unique; /* what the client thinks; NULL: it cannot bind */
    const struct scram_bindings *bindings;
    enum sasl_step end;
    bool sees_signature;           /* the client is content with us */
    const char *login;
};

static void add_base64(struct buf *ret, const char *text)
{
    size_t room = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_ORIGINAL);
    assert_int_equal(buf_reserve(ret, room), STATUS_OK);
    sodium_bin2base64(ret->p, room, (const unsigned char *)text, strlen(text), sodium_base64_VARIANT_ORIGINAL);
    ret->n = room - 1;
}

static void set_binding(Gsasl_session *client, Gsasl_property property, const char *octets)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(256);
    if (!octets)
        return;
    add_base64(&text, octets);
    gsasl_property_set(client, property, buf_cstr(&text));
}

/* What the server makes of one message. */
static enum sasl_step serve(struct sasl *sasl, struct span message)
{
    struct scram_verifier verifier = verifier_of(RFC_7677);
    enum sasl_step step = sasl_feed(sasl, true, message);
    if (step == SASL_LOGIN)
        step = sasl_verifier(sasl, &verifier);
    if (step == SASL_PROOF && sasl->proof_fits)
        step = sasl_accept(sasl);
    return step;
}

static enum sasl_step converse(Gsasl_session *client, struct sasl *sasl, bool *ret_content)
{
    struct span heard = SPAN_NONE;
    enum sasl_step step = SASL_CHALLENGE;
    for (unsigned turn = 0; turn < 4 && step == SASL_CHALLENGE; turn++) {
        char *words = NULL;
        size_t n = 0;
        int result = gsasl_step(client, heard.p, heard.n, &words, &n);
        *ret_content = result == GSASL_OK;
        if (result != GSASL_OK && result != GSASL_NEEDS_MORE)
            return step;
        step = serve(sasl, span_of(words, n));
        heard = sasl->challenge;
        gsasl_free(words);
    }
    return step;
}

static const struct talk talks[] = {
    { "SCRAM-SHA-256", "user", PASSWORD, NULL, NULL, &none, SASL_DONE, true, "user" },
    { "SCRAM-SHA-256", "us,er=2C", PASSWORD, NULL, NULL, &tls13, SASL_DONE, true, "us,er=2C" },
    { "SCRAM-SHA-256-PLUS", "user", PASSWORD, octets_a, NULL, &tls13, SASL_DONE, true, "user" },
    { "SCRAM-SHA-256-PLUS", "user", PASSWORD, NULL, "twelve octets", &tls12, SASL_DONE, true, "user" },
    { "SCRAM-SHA-256", "user", "pen", NULL, NULL, &none, SASL_PROOF, false, "user" },
    { "SCRAM-SHA-256-PLUS", "user", "pen", octets_a, NULL, &tls13, SASL_PROOF, false, "user" },
    /* somebody between has a TLS connection of his own with each of the two */
    { "SCRAM-SHA-256-PLUS", "user", PASSWORD, octets_b, NULL, &tls13, SASL_UNBOUND, false, "user" },
    { "SCRAM-SHA-256-PLUS", "user", PASSWORD, octets_a, NULL, &tls12, SASL_UNBOUND, false, "user" },
};

static void test_gnu_sasl(void **state)
{
    Gsasl *gsasl;
    assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
    for (const struct talk *talk = talks; talk < talks + ARRAY_LEN(talks); talk++) {
        Gsasl_session *client;
        struct sasl sasl;
        bool content = false;
        assert_int_equal(gsasl_client_start(gsasl, talk->mechanism, &client), GSASL_OK);
        gsasl_property_set(client, GSASL_AUTHID, talk->user);
        gsasl_property_set(client, GSASL_PASSWORD, talk->password);
        set_binding(client, GSASL_CB_TLS_EXPORTER, talk->exporter);
        set_binding(client, GSASL_CB_TLS_UNIQUE, talk->unique);
        assert_int_equal(sasl_begin(span_str(talk->mechanism), talk->bindings, &sasl), STATUS_OK);
        enum sasl_step step = converse(client, &sasl, &content);
        if (step != talk->end || content != talk->sees_signature)
            fail_msg("talk %td ended with %d, content %d", talk - talks, (int)step, content);
        assert_span(buf_span(&sasl.login), talk->login);
        sasl_done(&sasl);
        gsasl_finish(client);
    }
    gsasl_done(gsasl);
}

/* -- by hand -- */

static void test_first_messages(void **state)
{
    static const struct {
        const char *mechanism, *message;
        enum sasl_step step;
    } rows[] = {
        { "SCRAM-SHA-256", "n,,n=user,r=abc", SASL_LOGIN },
        { "SCRAM-SHA-256", "n,a=user,n=user,r=abc", SASL_LOGIN },
        { "SCRAM-SHA-256", "n,a=,n=user,r=abc", SASL_LOGIN },
        { "SCRAM-SHA-256", "n,a=root,n=user,r=abc", SASL_DENIED },
        { "SCRAM-SHA-256", "n,,n=user,r=abc,x=extension", SASL_LOGIN },
        { "SCRAM-SHA-256", "n,,m=must,n=user,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "y,,n=user,r=abc", SASL_UNBOUND },
        { "SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=abc", SASL_LOGIN },
        { "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=user,r=abc", SASL_LOGIN },
        { "SCRAM-SHA-256-PLUS", "p=tls-unique,,n=user,r=abc", SASL_UNBOUND },
        { "SCRAM-SHA-256-PLUS", "p=,,n=user,r=abc", SASL_UNBOUND },
        { "SCRAM-SHA-256-PLUS", "n,,n=user,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256-PLUS", "y,,n=user,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "", SASL_BROKEN },
        { "SCRAM-SHA-256", "n", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=user", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=user,r=", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,r=abc,n=user", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=us=er,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=us=3der,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=\xff,r=abc", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,,n=user,r=a b", SASL_BROKEN },
        { "SCRAM-SHA-256", "n,b=user,n=user,r=abc", SASL_BROKEN },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sasl sasl;
        assert_int_equal(sasl_begin(span_str(rows[i].mechanism), &tls13, &sasl), STATUS_OK);
        enum sasl_step step = sasl_feed(&sasl, true, span_str(rows[i].message));
        if (step != rows[i].step)
            fail_msg("%s: step %d", rows[i].message, (int)step);
        sasl_done(&sasl);
    }
}

/* Somebody between took -PLUS out of our offer: the client can bind, says so ("y"), and is not let in. The same word is honest
 * where we did not offer it. */
static void test_downgrade(void **state)
{
    static const struct scram_bindings *const places[] = { &tls13, &tls12, &none };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct sasl sasl;
        assert_int_equal(sasl_begin(SPAN("SCRAM-SHA-256"), places[i], &sasl), STATUS_OK);
        assert_int_equal(serve(&sasl, SPAN("y,,n=user,r=abc")), places[i] == &none ? SASL_CHALLENGE : SASL_UNBOUND);
        sasl_done(&sasl);
    }
}

/* As a client that knows its part: what it answers to a challenge. `header` is what it binds the login to. */
static void answer(const char *password, struct span first_bare, struct span challenge, struct span header, struct buf *ret)
{
    AUTO(buf_done) struct buf auth = BUF_EMPTY(8192), bound = BUF_EMPTY(1024);
    struct scram_verifier verifier = verifier_of(RFC_7677);
    unsigned char signature[32], key[32], salted[32], stored[32];
    char text[64];
    assert_int_equal(buf_add(&bound, header), STATUS_OK);
    assert_int_equal(buf_reserve(ret, 1024), STATUS_OK);
    buf_add_str(ret, "c=");
    sodium_bin2base64(ret->p + ret->n, 1000, (const unsigned char *)bound.p, bound.n, sodium_base64_VARIANT_ORIGINAL);
    ret->n += strlen(ret->p + ret->n);
    buf_printf(ret, ",%.*s", (int)span_find(challenge, ','), challenge.p);
    buf_printf(&auth, "%.*s,%.*s,%.*s", SPAN_ARGS(first_bare), SPAN_ARGS(challenge), SPAN_ARGS(buf_span(ret)));
    assert_int_equal(gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password, verifier.iterations, (const char *)verifier.salt,
                                                       verifier.salt_n, (char *)salted, (char *)key, (char *)signature, (char *)stored),
                     GSASL_OK);
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, stored, 32);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)auth.p, auth.n);
    crypto_auth_hmacsha256_final(&state, signature);
    for (size_t i = 0; i < 32; i++)
        signature[i] ^= key[i];
    sodium_bin2base64(text, sizeof text, signature, 32, sodium_base64_VARIANT_ORIGINAL);
    buf_printf(ret, ",p=%s", text);
}

#define BARE "n=user,r=abc"

static enum sasl_step bound_login(const char *flag, struct span data, struct buf *ret_final)
{
    AUTO(buf_done) struct buf first = BUF_EMPTY(1024), header = BUF_EMPTY(1024);
    struct sasl sasl;
    buf_printf(&header, "%s,,", flag);
    buf_add(&first, buf_span(&header));
    buf_add_str(&first, BARE);
    buf_add(&header, data);
    assert_int_equal(sasl_begin(SPAN("SCRAM-SHA-256-PLUS"), &tls13, &sasl), STATUS_OK);
    enum sasl_step step = serve(&sasl, buf_span(&first));
    if (step == SASL_CHALLENGE) {
        answer(PASSWORD, SPAN(BARE), sasl.challenge, buf_span(&header), ret_final);
        step = serve(&sasl, buf_span(ret_final));
        if (step == SASL_CHALLENGE)
            step = serve(&sasl, SPAN(""));
    }
    sasl_done(&sasl);
    return step;
}

/* GNU SASL has no tls-server-end-point. */
static void test_end_point(void **state)
{
    AUTO(buf_done) struct buf final = BUF_EMPTY(4096);
    assert_int_equal(bound_login("p=tls-exporter", tls13.exporter, &final), SASL_DONE);
    buf_clear(&final);
    assert_int_equal(bound_login("p=tls-server-end-point", tls13.end_point, &final), SASL_DONE);
    buf_clear(&final);
    assert_int_equal(bound_login("p=tls-server-end-point", SPAN("another certificate"), &final), SASL_UNBOUND);
    buf_clear(&final);
    assert_int_equal(bound_login("p=tls-server-end-point", tls13.exporter, &final), SASL_UNBOUND);
    buf_clear(&final);
    assert_int_equal(bound_login("p=tls-exporter", SPAN(""), &final), SASL_UNBOUND);
}

static enum sasl_step login_with(struct span final, struct buf *ret_good)
{
    struct sasl sasl;
    assert_int_equal(sasl_begin(SPAN("SCRAM-SHA-256"), &none, &sasl), STATUS_OK);
    assert_int_equal(serve(&sasl, SPAN("n,," BARE)), SASL_CHALLENGE);
    if (ret_good)
        answer(PASSWORD, SPAN(BARE), sasl.challenge, SPAN("n,,"), ret_good);
    enum sasl_step step = serve(&sasl, ret_good ? buf_span(ret_good) : final);
    if (step == SASL_CHALLENGE)
        step = serve(&sasl, ret_good ? SPAN("") : SPAN("something"));
    assert_true(step == SASL_BROKEN || serve(&sasl, SPAN("")) == SASL_BROKEN); /* it is over, whatever comes */
    sasl_done(&sasl);
    return step;
}

static void test_replay_and_order(void **state)
{
    AUTO(buf_done) struct buf good = BUF_EMPTY(4096);
    assert_int_equal(login_with(SPAN_NONE, &good), SASL_DONE);
    assert_int_equal(login_with(buf_span(&good), NULL), SASL_PROOF); /* the same once more: wrong */
    static const char *const broken[] = { "", "c=biws", "c=biws,r=abc", "r=abc,c=biws,p=AAAA", "c=biws,r=abc,p=AAAA", "n,," BARE,
                                          "c=*,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        if (login_with(span_str(broken[i]), NULL) != SASL_BROKEN)
            fail_msg("final message %zu was not broken", i);
    /* "n,," was said first, "y,," is bound */
    assert_int_equal(login_with(SPAN("c=eSws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), NULL), SASL_UNBOUND);
    assert_int_equal(login_with(SPAN("c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), NULL), SASL_PROOF);
}

static void test_too_long(void **state)
{
    static char text[SCRAM_MESSAGE_MAX + 64];
    struct sasl sasl;
    for (unsigned which = 0; which < 3; which++) {
        memset(text, 'x', sizeof text);
        memcpy(text, which == 0 ? "n,,n=" : "n,,n=user,r=", which == 0 ? 5 : 12);
        if (which == 0)
            memcpy(text + sizeof text - 6, ",r=abc", 6);
        assert_int_equal(sasl_begin(SPAN("SCRAM-SHA-256"), &none, &sasl), STATUS_OK);
        assert_int_equal(sasl_feed(&sasl, true, span_of(text, which == 2 ? 12 + SCRAM_NONCE_MAX + 1 : sizeof text)), SASL_BROKEN);
        sasl_done(&sasl);
    }
}

int main(void)
{
    if (secret_init() != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verifier_of_rfc_7677), cmocka_unit_test(test_verifier_forms), cmocka_unit_test(test_stored_forms),
        cmocka_unit_test(test_saslprep), cmocka_unit_test(test_fakes), cmocka_unit_test(test_gnu_sasl),
        cmocka_unit_test(test_first_messages), cmocka_unit_test(test_downgrade), cmocka_unit_test(test_end_point), cmocka_unit_test(test_replay_and_order),
        cmocka_unit_test(test_too_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
