#include "cli/sendmail_caller.h"
#include "test.h"

static bool is_file(const char *path) { return strcmp(path, "/srv/a.php") == 0 || strcmp(path, "job.py") == 0; }

#define LINE(TEXT) { TEXT, sizeof TEXT - 1 }
static const struct row {
    struct span cmdline;
    const char *caller;
} rows[] = {
    { LINE("php-fpm: pool shop\0\0\0\0"), "php-fpm: pool shop" },
    { LINE("php-fpm: pool shop      "), "php-fpm: pool shop" },
    { LINE("/usr/sbin/cron\0-f\0"), "/usr/sbin/cron" },
    { LINE("php\0-d\0a=b\0/srv/a.php\0"), "php /srv/a.php" },
    { LINE("python3\0job.py\0--password\0hunter2\0"), "python3 job.py" },
    { LINE("python3\0job.py\0/srv/a.php\0"), "python3 job.py" },
    { LINE("backup\0--password\0hunter2\0"), "backup" },
    { LINE("backup\0hunter2\0"), "backup" },
    { LINE("backup\0-phunter2\0\0x\0"), "backup" },
    { LINE("backup\0--password=hunter2"), "backup" },
    { LINE("bash\0-c\0curl -u anna:hunter2 https://x\0"), "bash" },
    { LINE("a b\0"), "a b" },
    { LINE("php\0/srv/a.php"), "php" }, /* cut: nobody knows how it goes on */
    { LINE(""), "" },
    { LINE("\0"), "" },
};

static void test_no_argument_is_told_but_a_script(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf ret = BUF_EMPTY(1000);
        assert_int_equal(sendmail_caller(rows[i].cmdline, is_file, &ret), STATUS_OK);
        assert_true(span_eq(buf_span(&ret), span_str(rows[i].caller)));
    }
}

static void test_no_room(void **state)
{
    AUTO(buf_done) struct buf ret = BUF_EMPTY(4);
    struct span line = LINE("php-fpm\0");
    assert_int_equal(sendmail_caller(line, is_file, &ret), STATUS_MEMORY);
}

static void test_shells_between(void **state)
{
    struct span yes[] = { LINE("sh\0-c\0sendmail -t\0"), LINE("/bin/sh\0-c\0--\0x\0") };
    struct span no[] = { LINE("sh\0/srv/a.sh\0"), LINE("sh\0"), LINE("bash\0-c\0x\0"), LINE("") };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(sendmail_caller_is_shell(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(sendmail_caller_is_shell(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_argument_is_told_but_a_script),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_shells_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
