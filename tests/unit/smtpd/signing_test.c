/* The process smtpd without any private key: its handshakes wait for directory, whatever becomes of that. */
#include "smtpd_house.h"

/* Starts TLS on the door that wants it at once; the handshake then waits for a signature. */
static void begin_tls(struct guest *guest, struct house *house)
{
    char error[TLS_ERROR_SIZE];
    struct tls_client *client;
    unsigned before = house->signatures;
    guest_begin(guest, house, 1);
    assert_int_equal(tls_client_new(&(struct tls_client_settings){ 0 }, error, &client), STATUS_OK);
    assert_int_equal(stream_start_tls_client(guest->stream, client, &(struct tls_wish){ .name = "mx.example.org" }), STATUS_OK);
    tls_client_unref(client);
    house_wait(house, &house->signatures, before + 1);
}

static void restart_directory(struct house *house)
{
    channel_free(house->directory);
    house_directory(house);
}

static void test_outlives_directory(void **state)
{
    static struct house house;
    struct guest guest, other;
    house_begin(&house, "");
    house.mute = true;
    begin_tls(&guest, &house);
    guest_begin(&other, &house, 2); /* nobody else waits */
    guest_hears(&other, &house, "220 mx.example.org");
    house.mute = false;
    restart_directory(&house); /* asked again of the next one, which answers */
    guest_hears(&guest, &house, "220 mx.example.org");
    assert_int_equal(house.signatures, 2);
    guest_end(&guest);

    house.mute = true; /* who lost two may be the reason */
    begin_tls(&guest, &house);
    restart_directory(&house);
    house_wait(&house, &house.signatures, 4);
    restart_directory(&house);
    guest_sees_close(&guest, &house);
    guest_end(&guest);

    house.mute = false;
    begin_tls(&guest, &house);
    guest_hears(&guest, &house, "220 mx.example.org");
    assert_int_equal(house.signatures, 5);
    guest_end(&guest);
    guest_end(&other);
    house_end(&house);
}

static void test_key_that_comes_later(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "");
    house.keyless = true; /* its settings are older than ours */
    begin_tls(&guest, &house);
    house_wait(&house, &house.signatures, 2);
    house.keyless = false;
    guest_hears(&guest, &house, "220 mx.example.org");
    guest_end(&guest);
    house_end(&house);
}

static void test_certificate_of_the_day(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "");
    guest_begin(&guest, &house, 0);
    guest_talks(&guest, &house, "", "ESMTP");
    guest_talks(&guest, &house, "EHLO c\r\n", "250-STARTTLS\r\n");
    house_new_key(&house); /* and the one before is gone at once */
    house_settings(&house, "");
    channel_send(house.supervisor, SUPERVISOR_RELOAD, SPAN_NONE);
    house_wait(&house, &house.ready, 2);
    guest_talks(&guest, &house, "STARTTLS\r\n", "220 ");
    guest_tls(&guest, &house);
    guest_talks(&guest, &house, "EHLO c\r\n", "250-AUTH");
    assert_int_equal(house.signatures, 1);
    guest_end(&guest);
    house_end(&house);
}

static void test_clients_that_leave(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "");
    house.mute = true;
    begin_tls(&guest, &house);
    guest_end(&guest);
    begin_tls(&guest, &house);
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    for (uint64_t token = 0; token < 8; token++) { /* answers to nobody, and before their time */
        buf_clear(&body);
        tell_signature_put(&body, &(struct tell_signature){ token, SIGN_OK, SPAN("no signature") });
        channel_send(house.directory, TELL_SIGNATURE, buf_span(&body));
    }
    guest_sees_close(&guest, &house); /* the client sees through it */
    guest_end(&guest);
    begin_tls(&guest, &house); /* still waiting when the process goes */
    channel_send(house.supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    guest_sees_close(&guest, &house);
    guest_end(&guest);
    house_end(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlives_directory),
        cmocka_unit_test(test_key_that_comes_later),
        cmocka_unit_test(test_certificate_of_the_day),
        cmocka_unit_test(test_clients_that_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
