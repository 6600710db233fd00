/* Large messages that are given up while a worker still writes a piece of them: the whole process in a child, whose
 * disk stands still until the test says so. */
#include "smtpd_house.h"
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define PIECE 100000u /* a write of that much is a piece of a large message, not of the log */
#define MORE 150000u  /* octets that make one piece more */
#define MUCH 1000000u

/* Shared with the child. */
static struct gate {
    atomic_bool holds_bodies, holds_log;
    atomic_uint pass;    /* pieces that are let through nevertheless */
    atomic_uint held_up; /* writes that stand, or stood */
    pid_t tester;        /* whose own writes are let through */
    sem_t go;
} *gate;

static bool is_held_up(size_t n)
{
    if (n < PIECE)
        return gate->holds_log;
    return gate->holds_bodies && (gate->pass == 0 || gate->pass-- == 0);
}

/* In place of the system's. */
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += pieces[i].iov_len;
    if (gate && getpid() != gate->tester && is_held_up(n)) {
        gate->held_up++;
        while (sem_wait(&gate->go) < 0) {
        }
    }
    return syscall(SYS_pwritev, fd, pieces, count, at, 0);
}

static void gate_open(void)
{
    gate->holds_bodies = gate->holds_log = false;
    for (unsigned i = 0; i < 16; i++)
        sem_post(&gate->go);
}

/* In place of the system's: once the child waits for its workers, all is given up that it wanted to give up. */
int pthread_join(pthread_t thread, void **ret)
{
    int (*join)(pthread_t, void **) = (int (*)(pthread_t, void **))dlsym(RTLD_NEXT, "pthread_join");
    if (gate)
        gate_open();
    return join(thread, ret);
}

static int gate_new(void **state)
{
    gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (gate == MAP_FAILED)
        return -1;
    gate->tester = getpid();
    return sem_init(&gate->go, 1, 0);
}

static int gate_free(void **state)
{
    sem_destroy(&gate->go);
    munmap(gate, sizeof *gate);
    gate = NULL;
    return 0;
}

static void wait_held_up(struct house *house)
{
    int64_t until = loop_now_ms(house->loop) + 60000;
    while (gate->held_up == 0 && loop_now_ms(house->loop) < until)
        house_turn(house);
    assert_true(gate->held_up > 0);
}

/* -- messages: of one letter, in lines -- */

static char octet_at(char letter, size_t at)
{
    if (at == 50 || at % 50 == 48)
        return '\r';
    if (at == 51 || at % 50 == 49)
        return '\n';
    return at == 1 ? ':' : letter;
}

static void client_begin(struct guest *guest, struct house *house)
{
    guest_begin(guest, house, 2);
    guest_hears(guest, house, "220 ");
    guest_talks(guest, house, "EHLO c\r\n", "250 HELP\r\n");
}

static void give_envelope(struct guest *guest, struct house *house)
{
    guest_talks(guest, house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "250 2.1.5 ");
}

/* The octets of a message from `at` on. */
static void give(struct guest *guest, struct house *house, char letter, size_t at, size_t n, const char *answer)
{
    AUTO(buf_done) struct buf chunk = BUF_EMPTY(2 * MUCH);
    buf_printf(&chunk, "BDAT %zu\r\n", n);
    for (size_t i = at; i < at + n; i++)
        buf_add_char(&chunk, octet_at(letter, i));
    assert_int_equal(stream_write(guest->stream, buf_span(&chunk)), STATUS_OK);
    guest_talks(guest, house, "", answer);
}

static void give_whole(struct guest *guest, struct house *house, char letter, size_t n)
{
    give_envelope(guest, house);
    give(guest, house, letter, 0, n, "250 2.0.0 ");
    guest_talks(guest, house, "BDAT 0 LAST\r\n", "queued as ");
}

/* The file holds the beginning of that message, so much of it at least. */
static void assert_file(int fd, char letter, size_t least)
{
    static char octets[2 * MUCH];
    ssize_t n = pread(fd, octets, sizeof octets, 0);
    assert_true(n >= (ssize_t)least);
    for (size_t i = 0; i < (size_t)n; i++)
        if (octets[i] != octet_at(letter, i))
            fail_msg("octet %zu is '%c'", i, octets[i]);
}

/* -- ways to give a message up -- */

/* What comes next would lie in its memory, were that free already. */
static void by_reset(struct guest *guest, struct house *house)
{
    guest_talks(guest, house, "RSET\r\n", "250 ");
    give_whole(guest, house, 'b', 90000);
}

static void by_hanging_up(struct guest *guest, struct house *house)
{
    stream_free(guest->stream);
    guest->stream = NULL;
    house_wait(house, &house->dropped, 1);
    guest_end(guest);
    client_begin(guest, house);
    give_whole(guest, house, 'b', 90000);
}

static void by_too_much(struct guest *guest, struct house *house)
{
    give(guest, house, 'a', 0, MUCH, "552 ");
    guest_talks(guest, house, "RSET\r\n", "250 ");
    give_whole(guest, house, 'b', 90000);
}

static void by_silence(struct guest *guest, struct house *house)
{
    guest_hears(guest, house, "421 4.4.2 ");
    guest_sees_close(guest, house);
    guest_end(guest);
    client_begin(guest, house);
}

/* The log ends with it, and waits for its worker. */
static void by_death_of_the_queue(struct guest *guest, struct house *house)
{
    channel_free(house->queue);
    house->queue = NULL;
    guest_talks(guest, house, "BDAT 0 LAST\r\n", "451 4.3.0 ");
    unsigned segments = house->segments;
    house_queue(house);
    house_wait(house, &house->segments, segments + 2);
}

/* -- */

/* `begun`: octets that were sent before; `passed`: the first piece is in the file, the second is being written. */
static void give_up(void (*way)(struct guest *, struct house *), const char *settings, size_t begun, bool passed)
{
    static struct house house;
    struct guest guest;
    gate->pass = passed;
    gate->held_up = 0;
    gate->holds_bodies = true;
    house_begin(&house, settings);
    client_begin(&guest, &house);
    give_envelope(&guest, &house);
    give(&guest, &house, 'a', 0, begun, "250 2.0.0 ");
    if (passed)
        give(&guest, &house, 'a', begun, MORE, "250 2.0.0 ");
    wait_held_up(&house);
    way(&guest, &house);
    gate_open();
    give_whole(&guest, &house, 'c', begun + MORE); /* behind the piece that was held up */
    house_wait(&house, &house.bodies, 2);
    assert_file(house.body_fd[1], 'a', begun - begun / 4);
    assert_file(house.body_fd[2], 'c', begun + MORE);
    guest_end(&guest);
    house_end(&house);
    while (sem_trywait(&gate->go) == 0) {
    }
}

/* Whatever a worker reads stays as it is until it has read it. */
static void test_given_up_while_a_piece_is_written(void **state)
{
    static const struct {
        void (*way)(struct guest *, struct house *);
        const char *settings;
    } rows[] = {
        { by_reset, "" },
        { by_hanging_up, "" },
        { by_too_much, "smtpd: { max-size: 1MiB }" },
        { by_silence, "smtpd: { idle: 1s }" },
        { by_death_of_the_queue, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int passed = 0; passed <= 1; passed++) {
            AUTO(buf_done) struct buf large = BUF_EMPTY(500), small = BUF_EMPTY(500);
            buf_printf(&large, "%s\nspool: { big-body: 512KiB }", rows[i].settings); /* such memory is freed */
            buf_printf(&small, "%s\nspool: { big-body: 128KiB }", rows[i].settings); /* and such is kept */
            give_up(rows[i].way, buf_cstr(&large), 600000, passed);
            give_up(rows[i].way, buf_cstr(&small), 200000, passed);
        }
}

/* The process ends while the worker writes. */
static void test_cut_off(void **state)
{
    static struct house house;
    struct guest guest;
    gate->holds_bodies = true;
    house_begin(&house, "drain: 0\nspool: { big-body: 512KiB }");
    client_begin(&guest, &house);
    give_envelope(&guest, &house);
    give(&guest, &house, 'a', 0, 600000, "250 2.0.0 ");
    wait_held_up(&house);
    house_end(&house);
    guest_end(&guest);
}

/* Everything that was sent on the queue's channel before has arrived. */
static void wait_for_queue_channel(struct house *house)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    unsigned dropped = house->dropped;
    int fd = memfd_create("body", MFD_CLOEXEC);
    queue_body_put(&body, &(struct queue_body){ 1000000, 1000000 }); /* nobody asked for it: it comes back */
    channel_send_fds(house->queue, QUEUE_BODY, buf_span(&body), &fd, 1);
    close(fd);
    house_wait(house, &house->dropped, dropped + 1);
}

/* While the disk stands still, messages begun and given up cannot fill more memory than messages may. */
static void test_given_up_memory_counts(void **state)
{
    enum { FIT = 2 }; /* in half of 4 MiB, with what each holds beside its octets */
    static struct house house;
    struct guest guest;
    gate->holds_bodies = true;
    house_begin(&house, "smtpd: { max-memory: 4MiB }");
    client_begin(&guest, &house);
    for (unsigned i = 1; i <= FIT; i++) {
        give_envelope(&guest, &house);
        give(&guest, &house, 'a', 0, 600000, "250 2.0.0 ");
        house_wait(&house, &house.bodies, i);
        wait_for_queue_channel(&house);
        guest_talks(&guest, &house, "RSET\r\n", "250 ");
    }
    give_envelope(&guest, &house);
    give(&guest, &house, 'a', 0, 600000, "452 4.3.1 Too much mail at a time");
    gate_open();
    do {
        guest_talks(&guest, &house, "RSET\r\n", "250 ");
        give_envelope(&guest, &house);
        buf_clear(&guest.heard);
        give(&guest, &house, 'a', 0, 600000, " ");
    } while (!span_starts(buf_span(&guest.heard), SPAN("2.0.0 ")));
    guest_talks(&guest, &house, "BDAT 0 LAST\r\n", "queued as ");
    guest_end(&guest);
    house_end(&house);
}

/* A file of the queue before is no business of the next one, which would take us for broken: whether its message was
 * given up while the log before came to its end, or by that end. */
static void queue_is_replaced(bool given_up_before)
{
    static struct house house;
    struct guest guest, other;
    gate->holds_log = true;
    house_begin(&house, "");
    client_begin(&guest, &house);
    give_envelope(&guest, &house);
    give(&guest, &house, 'a', 0, MUCH, "250 2.0.0 ");
    give(&guest, &house, 'a', MUCH, MORE, "250 2.0.0 ");
    house_wait(&house, &house.bodies, 1);
    wait_for_queue_channel(&house);
    unsigned dropped = house.dropped, segments = house.segments;
    client_begin(&other, &house);
    give_envelope(&other, &house);
    guest_says(&other, "BDAT 6 LAST\r\na: b\r\n");
    wait_held_up(&house); /* until then the log cannot end */
    channel_free(house.queue);
    house_queue(&house);
    house_settings(&house, "");
    channel_send(house.supervisor, SUPERVISOR_RELOAD, SPAN_NONE);
    house_wait(&house, &house.ready, 2); /* it has got the new queue */
    if (given_up_before)
        guest_talks(&guest, &house, "RSET\r\n", "250 ");
    gate_open();
    guest_hears(&other, &house, "451 4.3.0 ");
    if (!given_up_before)
        guest_talks(&guest, &house, "BDAT 0 LAST\r\n", "451 4.3.0 The queue was started anew");
    house_wait(&house, &house.segments, segments + 2);
    assert_int_equal(house.dropped, dropped);
    guest_end(&guest);
    guest_end(&other);
    house_end(&house);
}

static void test_next_queue_hears_nothing_of_files_given_up(void **state) { queue_is_replaced(true); }
static void test_next_queue_hears_nothing_of_files_lost(void **state) { queue_is_replaced(false); }

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_new, gate_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_given_up_while_a_piece_is_written), TEST(test_cut_off), TEST(test_given_up_memory_counts),
        TEST(test_next_queue_hears_nothing_of_files_given_up), TEST(test_next_queue_hears_nothing_of_files_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
