/* The simulator's kernel, before anything is proved on it: it must keep what a machine keeps, and lose what one may lose. */
#include "kernel.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t play_with(uint64_t seed, void (*run)(void *arg), void *arg)
{
    kernel_begin(&(struct kernel_options){ .seed = seed });
    if (!kernel_run(run, arg))
        fail_msg("seed %llu: %s", (unsigned long long)seed, kernel_failure());
    uint64_t hash = kernel_figures()->hash;
    kernel_end();
    return hash;
}

static void play(void (*run)(void *arg), void *arg) { play_with(1, run, arg); }

/* Inside of a run an assertion of cmocka must not jump out of a fiber. */
#define CHECK(what)                                               \
    do {                                                          \
        if (!(what))                                              \
            kernel_fail("%s:%d: %s", __func__, __LINE__, #what);  \
    } while (0)

/* -- disk -- */

#define FILE_OCTETS 65536

static void file_fill(int fd, char with, size_t n, off_t at)
{
    char octets[FILE_OCTETS];
    memset(octets, with, n);
    CHECK(pwrite(fd, octets, n, at) == (ssize_t)n);
}

/* How many octets of the file are this one; the others must be the second. */
static size_t file_count(const char *path, char one, char other)
{
    static char octets[2 * FILE_OCTETS];
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t n = pread(fd, octets, sizeof octets, 0);
    size_t count = 0;
    CHECK(n >= 0);
    for (ssize_t i = 0; i < n; i++) {
        CHECK(octets[i] == one || octets[i] == other);
        count += octets[i] == one;
    }
    close(fd);
    return count;
}

static int folder_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    return fd;
}

struct kept { unsigned all, none, some, torn; };

static void overwrite_and_cut(void *arg)
{
    struct kept *kept = arg;
    CHECK(mkdir("/d", 0700) == 0);
    int folder = folder_open("/"), fd = open("/d/f", O_RDWR | O_CREAT, 0600), inner = folder_open("/d");
    file_fill(fd, 'a', FILE_OCTETS, 0);
    CHECK(fdatasync(fd) == 0 && fsync(inner) == 0 && fsync(folder) == 0);
    kernel_power_cut();
    CHECK(file_count("/d/f", 'a', 'a') == FILE_OCTETS); /* what is synced stays */
    file_fill(fd, 'b', FILE_OCTETS, 0);
    CHECK(file_count("/d/f", 'b', 'b') == FILE_OCTETS);
    kernel_power_cut();
    size_t n = file_count("/d/f", 'b', 'a');
    kept->all += n == FILE_OCTETS;
    kept->none += n == 0;
    kept->some += n != 0 && n != FILE_OCTETS;
    kept->torn += n % 4096 != 0;
    CHECK(n % 512 == 0);
}

static void power_cuts(void **state)
{
    struct kept kept = { 0 };
    for (uint64_t seed = 1; seed <= 200; seed++)
        play_with(seed, overwrite_and_cut, &kept);
    assert_true(kept.all > 10 && kept.none > 10 && kept.some > 10 && kept.torn > 10);
}

static void make_and_cut(void *arg)
{
    unsigned *there = arg;
    CHECK(mkdir("/d", 0700) == 0);
    kernel_disk_settle();
    int folder = folder_open("/d"), a = open("/d/a", O_RDWR | O_CREAT, 0600), b = open("/d/b", O_RDWR | O_CREAT, 0600);
    file_fill(a, 'a', 100, 0);
    file_fill(b, 'b', 100, 0);
    CHECK(fdatasync(a) == 0 && fdatasync(b) == 0);
    CHECK(fsync(folder) == 0);
    int late = open("/d/late", O_RDWR | O_CREAT, 0600); /* its name is not safe, though its octets are */
    file_fill(late, 'l', 100, 0);
    CHECK(fdatasync(late) == 0);
    CHECK(renameat(folder, "b", folder, "c") == 0);
    CHECK(unlinkat(folder, "a", 0) == 0);
    kernel_power_cut();
    bool is_b = access("/d/b", F_OK) == 0, is_c = access("/d/c", F_OK) == 0;
    CHECK(is_b != is_c); /* a renaming is one step */
    CHECK(file_count(is_b ? "/d/b" : "/d/c", 'b', 'b') == 100);
    there[0] += is_c;
    there[1] += access("/d/a", F_OK) == 0;
    there[2] += access("/d/late", F_OK) == 0;
    there[3] += is_c && access("/d/late", F_OK) != 0; /* in no order */
}

static void names_without_sync(void **state)
{
    unsigned there[4] = { 0 };
    for (uint64_t seed = 1; seed <= 100; seed++)
        play_with(seed, make_and_cut, there);
    for (int i = 0; i < 3; i++)
        assert_true(there[i] > 10 && there[i] < 90);
    assert_true(there[3] > 0);
}

static void full_and_failing(void *arg)
{
    int fd = open("/f", O_RDWR | O_CREAT, 0600);
    kernel_disk_resize(8 * 4096);
    char octets[FILE_OCTETS] = { 1 };
    CHECK(pwrite(fd, octets, sizeof octets, 0) == 8 * 4096);
    CHECK(pwrite(fd, octets, 1, 8 * 4096) == -1 && errno == ENOSPC);
    CHECK(pwrite(fd, octets, 4096, 0) == 4096); /* it has that block */
    CHECK(kernel_disk_used() == 8 * 4096);
    CHECK(unlinkat(AT_FDCWD, "/f", 0) == 0 && close(fd) == 0);
    kernel_disk_settle();
    CHECK(kernel_disk_used() == 0);
    fd = open("/g", O_RDWR | O_CREAT, 0600);
    file_fill(fd, 'g', 1000, 0);
    CHECK(kernel_disk_flip("/g", 999, 0) && file_count("/g", 'g', 'g' ^ 1) == 999);
    CHECK(!kernel_disk_flip("/g", 1000, 0));
    CHECK(open("/g", O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
    CHECK(open("/none", O_RDONLY) == -1 && errno == ENOENT);
    int other = open("/g", O_RDWR);
    CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    CHECK(close(fd) == 0 && flock(other, LOCK_EX | LOCK_NB) == 0);
}

static void a_full_disk(void **state) { play(full_and_failing, NULL); }

static int failing_sync_main(void)
{
    int fd = open("/f", O_RDWR);
    char octets[4096] = { 'b' };
    memset(octets, 'b', sizeof octets);
    if (pwrite(fd, octets, sizeof octets, 0) != sizeof octets)
        return 1;
    if (fdatasync(fd) == 0 || errno != EIO)
        return 2;
    kernel_faults()->sync_eio = 0;
    return fdatasync(fd) == 0 ? 0 : 3; /* says yes, and may have nothing to write any more */
}

static void fail_a_sync(void *arg)
{
    unsigned *lost = arg;
    struct kernel_ended end;
    int fd = open("/f", O_RDWR | O_CREAT, 0600);
    file_fill(fd, 'a', 4096, 0);
    kernel_disk_settle();
    kernel_faults()->sync_eio = 1000000;
    CHECK(kernel_wait(kernel_spawn("p", failing_sync_main, -1), -1, &end));
    CHECK(end.how == KERNEL_EXITED && end.status == 0);
    kernel_power_cut();
    *lost += file_count("/f", 'a', 'b') == 4096;
}

static void a_failed_sync_loses(void **state)
{
    unsigned lost = 0;
    for (uint64_t seed = 1; seed <= 100; seed++)
        play_with(seed, fail_a_sync, &lost);
    assert_true(lost > 10 && lost < 90);
}

/* -- processes -- */

static int child_main(void)
{
    char octet;
    void *kept = malloc(100), *freed = malloc(1000);
    free(freed);
    if (read(3, &octet, 1) != 1 || write(3, &octet, 1) != 1 || !kept)
        return 1;
    return octet;
}

static void ends_of_processes(void *arg)
{
    int pair[2];
    char octet = 7;
    struct kernel_ended end;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int pid = kernel_spawn("child", child_main, pair[1]);
    CHECK(write(pair[0], &octet, 1) == 1 && read(pair[0], &octet, 1) == 1 && octet == 7);
    CHECK(kernel_wait(pid, 1000, &end) && end.how == KERNEL_EXITED && end.status == 7);
    CHECK(end.blocks == 1 && end.octets == 100 && end.fds == 1);
    CHECK(read(pair[0], &octet, 1) == 0); /* it was closed */
    CHECK(close(pair[0]) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid = kernel_spawn("child", child_main, pair[1]);
    kernel_sleep_ms(10);
    CHECK(kernel_alive(pid) && kernel_memory(pid) == 100 && kernel_fds(pid) == 1);
    kernel_kill(pid);
    CHECK(!kernel_alive(pid) && kernel_wait(pid, 0, &end) && end.how == KERNEL_KILLED);
    CHECK(read(pair[0], &octet, 1) == 0);
}

static void processes(void **state) { play(ends_of_processes, NULL); }

static int writes;
static int writer_main(void)
{
    int fd = open("/log", O_RDWR | O_CREAT, 0600);
    for (writes = 0; writes < 100; writes++)
        if (pwrite(fd, "x", 1, writes) != 1 || fdatasync(fd) != 0)
            return 1;
    return 0;
}

/* Whatever step it dies at, what it had synced is there. */
static void kill_a_writer(void *arg)
{
    uint64_t *calls = arg;
    int pid = kernel_spawn("writer", writer_main, -1);
    kernel_power_cut_at_disk(*calls, 1000);
    CHECK(!kernel_alive(pid));
    struct stat st;
    bool there = stat("/log", &st) == 0;
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    if (there)
        CHECK(st.st_size >= writes && st.st_size <= writes + 1);
}

static void cuts_at_every_step(void **state)
{
    for (uint64_t calls = 0; calls < 30; calls++)
        for (uint64_t seed = 0; seed < 4; seed++)
            play_with(seed, kill_a_writer, &calls);
}

/* -- threads -- */

static pthread_mutex_t mutex;
static pthread_cond_t condition;
static unsigned shared, turns;

static void *count(void *arg)
{
    for (unsigned i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex);
        unsigned before = shared;
        kernel_yield();
        shared = before + 1;
        pthread_cond_signal(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

static int threads_main(void)
{
    pthread_t thread[3];
    char given[3];
    pthread_mutex_init(&mutex, NULL);
    pthread_cond_init(&condition, NULL);
    shared = turns = 0;
    for (int i = 0; i < 3; i++)
        if (pthread_create(&thread[i], NULL, count, &given[i]) != 0)
            return 1;
    pthread_mutex_lock(&mutex);
    while (shared < 300) {
        turns++;
        pthread_cond_wait(&condition, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 3; i++) {
        void *ret;
        if (pthread_join(thread[i], &ret) != 0 || ret != &given[i])
            return 2;
    }
    pthread_cond_destroy(&condition);
    pthread_mutex_destroy(&mutex);
    return 0;
}

static void run_threads(void *arg)
{
    struct kernel_ended end;
    *kernel_faults() = (struct kernel_faults){ .change = 300000, .eintr = 100000, .pause = 10000, .pause_ms = 5 };
    CHECK(kernel_wait(kernel_spawn("threads", threads_main, -1), -1, &end));
    CHECK(end.how == KERNEL_EXITED && end.status == 0 && end.threads == 0);
    CHECK(shared == 300 && turns > 10);
}

static void threads(void **state)
{
    for (uint64_t seed = 1; seed < 20; seed++)
        play_with(seed, run_threads, NULL);
}

/* -- descriptors over sockets, epoll -- */

static void send_fd(int over, int fd)
{
    char octets[] = "ab", room[CMSG_SPACE(sizeof fd)];
    struct iovec piece = { octets, 2 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK(sendmsg(over, &message, 0) == 2);
}

static int receive_fd(int over)
{
    char octets[10], room[CMSG_SPACE(4 * sizeof(int))];
    struct iovec piece = { octets, sizeof octets };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
    int fd = -1;
    if (recvmsg(over, &message, 0) == 2 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int fd_main(void)
{
    int fd = receive_fd(3), again = receive_fd(3);
    return fd >= 0 && again >= 0 && write(fd, "hello", 5) == 5 && close(fd) == 0 ? 0 : 1;
}

static void pass_fds(void *arg)
{
    int channel[2], pipe_[2];
    char octets[10];
    struct kernel_ended end;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pipe_) == 0);
    int pid = kernel_spawn("child", fd_main, channel[1]);
    send_fd(channel[0], pipe_[1]);
    send_fd(channel[0], pipe_[1]);
    CHECK(close(pipe_[1]) == 0);
    CHECK(read(pipe_[0], octets, sizeof octets) == 5 && memcmp(octets, "hello", 5) == 0);
    CHECK(kernel_wait(pid, 1000, &end) && end.status == 0);
    CHECK(read(pipe_[0], octets, sizeof octets) == 0); /* the last one who held it has gone */
}

static void descriptors_travel(void **state) { play(pass_fds, NULL); }

static void ready_sets(void *arg)
{
    int set = epoll_create1(0), inner = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK), pair[2];
    struct epoll_event events[4], event = { EPOLLIN, { .u32 = 1 } }, from_inner = { EPOLLIN, { .u32 = 2 } };
    uint64_t one = 1;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_ctl(set, EPOLL_CTL_ADD, inner, &from_inner) == 0);
    CHECK(epoll_ctl(inner, EPOLL_CTL_ADD, pair[0], &event) == 0);
    int64_t before = kernel_now_ms();
    CHECK(epoll_wait(set, events, 4, 1000) == 0 && kernel_now_ms() - before == 1000);
    CHECK(write(fd, &one, 8) == 8 && epoll_wait(set, events, 4, -1) == 1 && events[0].data.u32 == 1);
    CHECK(epoll_wait(set, events, 4, -1) == 1); /* level-triggered */
    CHECK(read(fd, &one, 8) == 8 && read(fd, &one, 8) == -1 && errno == EAGAIN);
    CHECK(write(pair[1], "x", 1) == 1 && epoll_wait(set, events, 4, 0) == 1 && events[0].data.u32 == 2);
    CHECK(read(pair[0], &one, 8) == 1 && epoll_wait(set, events, 4, 0) == 0);
    CHECK(close(pair[1]) == 0 && epoll_wait(inner, events, 4, 0) == 1 && events[0].events & EPOLLHUP);
    CHECK(close(pair[0]) == 0 && epoll_wait(set, events, 4, 0) == 0); /* closed is out of the set */
}

static void epoll(void **state) { play(ready_sets, NULL); }

/* -- network -- */

static struct sockaddr_in address(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host) };
}

static void echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char octets[100];
    for (ssize_t n; (n = read(fd, octets, sizeof octets)) > 0;)
        CHECK(write(fd, octets, (size_t)n) == n);
    close(fd);
}

static void serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    for (int i = 0; i < 2; i++) {
        int got = accept4(fd, NULL, NULL, 0);
        if (got >= 0) /* the listener may be closed by now */
            kernel_fiber("echo", echo, (void *)(intptr_t)got);
    }
}

static void talk(void *arg)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = address(INADDR_ANY, 25), one = address(0x0A000001, 25), none = address(0x0A000001, 26);
    char octets[100];
    CHECK(bind(listener, (struct sockaddr *)&any, sizeof any) == 0 && listen(listener, 10) == 0);
    kernel_fiber("server", serve, (void *)(intptr_t)listener);
    CHECK(connect(fd, (struct sockaddr *)&none, sizeof none) == -1 && errno == ECONNREFUSED);
    int64_t before = kernel_now_us();
    CHECK(connect(fd, (struct sockaddr *)&one, sizeof one) == 0 && kernel_now_us() - before >= 2 * kernel_faults()->latency_us);
    CHECK(write(fd, "abc", 3) == 3 && read(fd, octets, sizeof octets) == 3 && memcmp(octets, "abc", 3) == 0);
    CHECK(kernel_left_ms(fd) == 0);
    CHECK(shutdown(fd, SHUT_WR) == 0 && read(fd, octets, sizeof octets) == 0);
    kernel_sleep_ms(1);
    CHECK(kernel_left_ms(fd) > 0 && kernel_left_ms(fd) <= kernel_now_ms() && close(fd) == 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&one, sizeof one) == 0);
    kernel_cut(kernel_connection(fd));
    CHECK(read(fd, octets, sizeof octets) == -1 && errno == ECONNRESET);
    CHECK(write(fd, "a", 1) == -1 && errno == EPIPE);
    CHECK(close(fd) == 0 && close(listener) == 0);
}

static void network(void **state)
{
    for (uint64_t seed = 1; seed < 20; seed++)
        play_with(seed, talk, NULL);
}

/* -- one seed is one run -- */

static void a_bit_of_all(void *arg)
{
    *kernel_faults() = (struct kernel_faults){ .change = 200000, .eintr = 10000, .short_io = 10000, .write_back = 200000,
                                               .sync_us = 300, .latency_us = 100, .pause = 1000, .pause_ms = 10 };
    int pid = kernel_spawn("threads", threads_main, -1), writer = kernel_spawn("writer", writer_main, -1);
    talk(NULL);
    kernel_kill_at_disk(writer, kernel_below(20), 1000);
    CHECK(kernel_wait(pid, -1, NULL));
    kernel_power_cut();
}

static void same_seed_same_run(void **state)
{
    uint64_t hashes[50];
    unsigned equal = 0;
    for (uint64_t seed = 0; seed < 50; seed++)
        hashes[seed] = play_with(seed, a_bit_of_all, NULL);
    for (uint64_t seed = 0; seed < 50; seed++)
        assert_true(play_with(seed, a_bit_of_all, NULL) == hashes[seed]);
    for (uint64_t seed = 1; seed < 50; seed++)
        equal += hashes[seed] == hashes[seed - 1];
    assert_int_equal(equal, 0);
}

static void wait_for_nobody(void *arg) { kernel_gate_wait(&(struct kernel_gate){ 0 }, -1); }

static void waiting_for_ever_is_seen(void **state)
{
    kernel_begin(&(struct kernel_options){ .seed = 1 });
    assert_false(kernel_run(wait_for_nobody, NULL));
    assert_string_equal(kernel_failure(), "everybody waits for ever");
    kernel_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),           cmocka_unit_test(names_without_sync),
        cmocka_unit_test(a_full_disk),          cmocka_unit_test(a_failed_sync_loses),
        cmocka_unit_test(processes),            cmocka_unit_test(cuts_at_every_step),
        cmocka_unit_test(threads),              cmocka_unit_test(descriptors_travel),
        cmocka_unit_test(epoll),                cmocka_unit_test(network),
        cmocka_unit_test(same_seed_same_run),   cmocka_unit_test(waiting_for_ever_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
