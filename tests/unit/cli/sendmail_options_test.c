#include "cli/sendmail_options.h"
#include "test.h"

#define WORDS 10
static const struct row {
    const char *argv[WORDS];
    enum sendmail_exit exit;
    enum sendmail_mode mode;
    bool t, i, v;
    const char *sender, *name, *notify, *recipients; /* recipients: with blanks between */
} rows[] = {
    /* PHP, cron, git, mail(1), s-nail, at, smartd, old programs */
    { { "/usr/sbin/sendmail", "-t", "-i" }, 0, SENDMAIL_SEND, true, true, .recipients = "" },
    { { "sendmail", "-t", "-i", "-fanna@example.org" }, 0, SENDMAIL_SEND, true, true, .sender = "anna@example.org", .recipients = "" },
    { { "sendmail", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root" }, 0, SENDMAIL_SEND, false, true, .name = "CronDaemon", .recipients = "root" },
    { { "sendmail", "-i", "-f", "a@b.org", "c@d.org", "e@f.org" }, 0, SENDMAIL_SEND, false, true, .sender = "a@b.org", .recipients = "c@d.org e@f.org" },
    { { "sendmail", "-i", "-r", "a@b.org", "--", "-odd@b.org" }, 0, SENDMAIL_SEND, false, true, .sender = "a@b.org", .recipients = "-odd@b.org" },
    { { "sendmail", "-oi", "-oem", "-odb", "-om", "-t" }, 0, SENDMAIL_SEND, true, true, .recipients = "" },
    { { "sendmail", "-ti" }, 0, SENDMAIL_SEND, true, true, .recipients = "" },
    { { "sendmail", "-tif", "a@b.org" }, 0, SENDMAIL_SEND, true, true, .sender = "a@b.org", .recipients = "" },
    { { "sendmail", "-f", "", "x" }, 0, SENDMAIL_SEND, .sender = "", .recipients = "x" },
    { { "sendmail", "-bm", "-v", "x" }, 0, SENDMAIL_SEND, .v = true, .recipients = "x" },
    { { "sendmail", "-O", "IgnoreDots", "-G", "-h", "3", "-L", "x", "y" }, 0, SENDMAIL_SEND, .i = true, .recipients = "y" },
    { { "sendmail", "-N", "Never", "-R", "FULL", "-V", "id", "y" }, 0, SENDMAIL_SEND, .notify = "Never", .recipients = "y" },
    { { "sendmail", "-Nsuccess,delay", "y" }, 0, SENDMAIL_SEND, .notify = "success,delay", .recipients = "y" },
    { { "sendmail", "-bs" }, 0, SENDMAIL_SMTP, .recipients = "" },
    { { "sendmail", "-bp" }, 0, SENDMAIL_QUEUE, .recipients = "" },
    { { "/usr/bin/mailq" }, 0, SENDMAIL_QUEUE, .recipients = "" },
    { { "newaliases" }, 0, SENDMAIL_ALIASES, .recipients = "" },
    { { "sendmail", "-bi" }, 0, SENDMAIL_ALIASES, .recipients = "" },
    { { "sendmail", "-I" }, 0, SENDMAIL_ALIASES, .recipients = "" },
    { { "sendmail", "-q30m" }, 0, SENDMAIL_RETRY, .recipients = "" },
    { { "sendmail", "-qRexample.org" }, 0, SENDMAIL_RETRY, .recipients = "" },
    { { "sendmail", "--help" }, 0, SENDMAIL_HELP, .recipients = "" },
    { { "sendmail", "-", "x" }, 0, SENDMAIL_SEND, .recipients = "- x" },
    { { "sendmail", "-bd" }, SENDMAIL_USAGE },
    { { "sendmail", "-bv", "x" }, SENDMAIL_USAGE },
    { { "sendmail", "-bz" }, SENDMAIL_USAGE },
    { { "sendmail", "-z" }, SENDMAIL_USAGE },
    { { "sendmail", "-tz" }, SENDMAIL_USAGE },
    { { "sendmail", "--anything" }, SENDMAIL_USAGE },
    { { "sendmail", "-f" }, SENDMAIL_USAGE },
    { { "sendmail", "-B", "9BIT", "x" }, SENDMAIL_USAGE },
    { { "sendmail", "-R", "half", "x" }, SENDMAIL_USAGE },
    { { "sendmail", "-N", "never,success", "x" }, SENDMAIL_USAGE },
    { { "sendmail", "-N", "success\r\nRCPT", "x" }, SENDMAIL_USAGE },
    { { "sendmail", "-N", "", "x" }, SENDMAIL_USAGE },
};

static bool same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        char *argv[WORDS + 1], why[SENDMAIL_WHY_SIZE] = "", all[200] = "";
        struct sendmail_options options;
        int argc = 0;
        for (; argc < WORDS && row->argv[argc]; argc++)
            argv[argc] = (char *)(uintptr_t)row->argv[argc];
        argv[argc] = NULL;
        enum sendmail_exit exit = sendmail_options_read(argc, argv, &options, why);
        if (exit != row->exit || (exit && !*why))
            fail_msg("row %zu: %d, %s", i, exit, why);
        if (exit != SENDMAIL_OK)
            continue;
        for (char **word = options.recipients; *word; word++) {
            strcat(all, *all ? " " : "");
            strcat(all, *word);
        }
        if (options.mode != row->mode || options.take_recipients != row->t || options.dot_is_text != row->i ||
            options.verbose != row->v || !same(options.sender, row->sender) || !same(options.name, row->name) ||
            !same(options.notify, row->notify) || strcmp(all, row->recipients) != 0)
            fail_msg("row %zu: mode %d, recipients %s", i, options.mode, all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
