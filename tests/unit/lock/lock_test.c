/* What the two locks leave of a process, in children that close them. */
#include "lock/lock_priv.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELD = 0, LOCK_FAILED = 101 }; /* exit statuses of a child; others are the line where it went wrong */
#define HOLDS(condition) do { if (!(condition)) _exit(__LINE__ % 90 + 1); } while (0)

struct scene {
    enum lock_role role;
    bool landlock;             /* false: the kernel says that it has none */
    char folder[40], inside[64];
    int log[2];
};

static void scene_init(struct scene *scene, enum lock_role role, bool landlock)
{
    *scene = (struct scene){ .role = role, .landlock = landlock, .folder = "/tmp/goniec-lock-XXXXXX" };
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->inside, sizeof scene->inside, "%s/inside", scene->folder);
    int fd = open(scene->inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pipe2(scene->log, O_CLOEXEC | O_NONBLOCK), 0);
}

static void scene_done(struct scene *scene)
{
    close(scene->log[0]);
    close(scene->log[1]);
    unlink(scene->inside);
    rmdir(scene->folder);
}

/* As an older kernel, or one that was built without it. */
static void without_landlock(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    HOLDS(filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), __NR_landlock_create_ruleset, 0) == 0 && seccomp_load(filter) == 0);
    seccomp_release(filter);
    HOLDS(lock_landlock() == 0);
}

/* How a child ends that closes the lock and then tries `attempt`. */
static int run(struct scene *scene, void (*attempt)(const struct scene *scene))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char why[LOCK_WHY_SIZE];
        static struct lock lock;
        if (!scene->landlock)
            without_landlock();
        lock = (struct lock){ .role = scene->role, .name = "tried", .log_fd = &scene->log[1] };
        lock_allow(&lock, scene->folder, LOCK_MAY_READ);
        lock_allow(&lock, "/nowhere/at/all", LOCK_MAY_READ);
        if (lock_close(&lock, why) != STATUS_OK)
            _exit(LOCK_FAILED);
        attempt(scene);
        _exit(HELD);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int opens(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? 0 : errno;
}

static void try_nothing(const struct scene *scene)
{
    struct rlimit core, files;
    HOLDS(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
    HOLDS(getrlimit(RLIMIT_NOFILE, &files) == 0 && (scene->role != LOCK_DIRECTORY || files.rlim_max <= 1024));
    HOLDS(write(scene->log[1], "x", 1) == 1);
}

static void try_folders(const struct scene *scene)
{
    HOLDS(opens(scene->inside) == 0);
    HOLDS(opens("/etc/passwd") == EACCES);
    HOLDS(open(scene->inside, O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES); /* only to be read */
}

static void try_open_without_landlock(const struct scene *scene)
{
    HOLDS(opens(scene->inside) == 0 && opens("/etc/passwd") == 0); /* its users and modes are what is left */
    HOLDS(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 || LOCK_SANITIZED);
}

static void try_open_in_smtpd(const struct scene *scene) { HOLDS(opens("/etc/passwd") == EACCES); }
static void try_socket(const struct scene *scene) { HOLDS(socket(AF_INET, SOCK_STREAM, 0) < 0); }
static void try_signal_handler(const struct scene *scene)
{
    signal(SIGSYS, SIG_IGN);
    HOLDS(LOCK_SANITIZED);
    raise(SIGABRT);
}

static bool has_landlock(void) { return lock_landlock() > 0; }

static void every_role_closes(void **state)
{
    for (enum lock_role role = LOCK_SUPERVISOR; role < LOCK_ROLES; role++)
        for (unsigned landlock = 0; landlock < 2; landlock++) {
            struct scene scene;
            scene_init(&scene, role, landlock);
            assert_int_equal(run(&scene, try_nothing), HELD);
            scene_done(&scene);
        }
}

static void only_the_folders_that_were_named(void **state)
{
    static const enum lock_role roles[] = { LOCK_QUEUE, LOCK_DIRECTORY };
    if (!has_landlock())
        skip();
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct scene scene;
        scene_init(&scene, roles[i], true);
        assert_int_equal(run(&scene, try_folders), HELD);
        scene_done(&scene);
    }
}

/* The rest holds: smtpd opens nothing, and nobody gets what is not his. */
static void a_kernel_without_landlock(void **state)
{
    struct scene scene;
    scene_init(&scene, LOCK_QUEUE, false);
    assert_int_equal(run(&scene, try_open_without_landlock), HELD);
    assert_int_equal(run(&scene, try_socket), LOCK_BROKEN_STATUS);
    scene.role = LOCK_SMTPD;
    if (!LOCK_SANITIZED)
        assert_int_equal(run(&scene, try_open_in_smtpd), HELD);
    assert_int_equal(run(&scene, try_socket), LOCK_BROKEN_STATUS);
    scene_done(&scene);
}

static void who_breaks_it_is_named(void **state)
{
    char line[512] = "";
    struct scene scene;
    scene_init(&scene, LOCK_SMTPD, true);
    assert_int_equal(run(&scene, try_socket), LOCK_BROKEN_STATUS);
    assert_true(read(scene.log[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "lock-broken"));
    assert_non_null(strstr(line, "\"socket\""));
    assert_non_null(strstr(line, "tried"));
    if (!LOCK_SANITIZED)
        assert_int_equal(run(&scene, try_signal_handler), LOCK_BROKEN_STATUS);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_closes),
        cmocka_unit_test(only_the_folders_that_were_named),
        cmocka_unit_test(a_kernel_without_landlock),
        cmocka_unit_test(who_breaks_it_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
