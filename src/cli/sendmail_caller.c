#include "cli/sendmail_caller.h"

bool sendmail_caller_is_shell(struct span cmdline)
{
    struct span name, option;
    return span_cut(&cmdline, '\0', &name) && span_cut(&cmdline, '\0', &option) && span_eq(option, SPAN("-c")) &&
           (span_eq(name, SPAN("sh")) || span_eq(name, SPAN("/bin/sh")));
}

enum status sendmail_caller(struct span cmdline, sendmail_is_file *is_file, struct buf *ret)
{
    struct span word, left = cmdline;
    if (left.n == 0 || !span_cut(&left, '\0', &word))
        return STATUS_OK;
    while (word.n > 0 && word.p[word.n - 1] == ' ') /* a title of its own, filled up */
        word.n--;
    buf_add(ret, word);
    for (bool found = false; !found && left.n > 0 && span_find(left, '\0') < left.n;) {
        found = span_cut(&left, '\0', &word) && word.n > 0 && word.p[0] != '-' && is_file(word.p);
        if (found) {
            buf_add_char(ret, ' ');
            buf_add(ret, word);
        }
    }
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}
