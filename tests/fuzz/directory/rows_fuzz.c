/* Rows of accounts as another machine may have put them into PostgreSQL, of any form: the tables stay whole, and what was there before a refusal is
 * there still. */
#include "directory/rows.h"
#include "directory/accounts_priv.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static char *next_text(struct span *left)
{
    struct span text;
    char *copy;
    if (!span_cut(left, '\n', &text))
        text = SPAN_NONE;
    must((copy = calloc(1, text.n + 1)) != NULL);
    if (text.n)
        memcpy(copy, text.p, text.n);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accounts *accounts;
    AUTO(buf_done) struct buf id = BUF_EMPTY(65);
    int64_t revision = 0;
    struct span left = span_of(data, size);
    bool good = true;
    must(accounts_open_to_change(":memory:", -1, -1, &accounts) == STATUS_OK);
    must(accounts_rows_begin(accounts, size && data[0] & 1) == STATUS_OK);
    for (int i = 0; left.n && good && i < 50; i++) {
        char *table = next_text(&left), *key = next_text(&left), *row = next_text(&left);
        good = accounts_rows_put(accounts, table, key, *row ? row : NULL) == STATUS_OK;
        free(table);
        free(key);
        free(row);
    }
    enum status ended = accounts_rows_end(accounts, good, "set", 3);
    must(good ? ended == STATUS_OK : ended != STATUS_OK);
    must(accounts_rows_state(accounts, &id, &revision) == STATUS_OK && revision == (good ? 3 : 0));
    must(good || accounts_has_address(accounts, SPAN("nobody@example.org")) == STATUS_NOT_FOUND);
    accounts_close(accounts);
    return 0;
}
