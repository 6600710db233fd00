/* directory/holders.h -- who is counted and by which rules: the limits of the tree (directory/tree.h), put together once for
 * everybody who sends and kept until the tree changes.
 */
#pragma once
#include "base/map.h"
#include "conf/directive.h"
#include "directory/accounts.h"
#include "limits/tree.h"

#define HOLDERS_MOST 65536      /* kept at a time; then they are read anew */
#define HOLDERS_DEFAULTS_MOST 32

/* Somebody who sends, with the nodes above him that have rules. */
struct holder {
    struct map_node node;
    struct limits_node chain[LIMITS_KIND_COUNT];
    struct span account;
    uint64_t credential;
    uint16_t whats;             /* bits of enum limits_what by which anything is counted */
    uint8_t chain_count;
};

struct holders {
    struct map map;
    struct limits_rule defaults[HOLDERS_DEFAULTS_MOST];
    size_t default_count;
};

void holders_init(struct holders *holders);
void holders_forget(struct holders *holders); /* the tree is another one */
/* Rules with `each` for where nobody says otherwise; what cannot be read, or is too much, is left out (holders_check_default()). */
void holders_set_defaults(struct holders *holders, const struct conf_texts *texts);
/* For a row of settings: `value` is a struct span. */
bool holders_check_default(const void *value, struct buf *why);

/* `accounts` NULL: there are none. An account that is not in the tree is a sender below the server; an empty one is the server
 * itself. Valid until the next call. NULL: `ret_why`. */
const struct holder *holders_find(struct holders *holders, struct accounts *accounts, struct span account, uint64_t credential,
                                  enum status *ret_why);

/* What has to be asked about at all: masks of COUNT_x (wire/smtpd_directory.h) for who logs in and for who does not. */
MUST_CHECK enum status holders_masks(const struct holders *holders, struct accounts *accounts, uint8_t *ret_accounts,
                                     uint8_t *ret_relayed);
