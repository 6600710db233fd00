/* conf/number.h -- numbers with units as people write them: 25MiB, 5min, 1h30min, 300/1h. */
#pragma once
#include "conf/directive.h"

/* CONF_INTEGER, CONF_SIZE, CONF_TIME_MS. False: `why` names the units. */
MUST_CHECK bool conf_number_parse(enum conf_kind kind, struct span text, int64_t *ret, struct buf *why);
void conf_number_write(enum conf_kind kind, int64_t number, struct buf *ret);
MUST_CHECK bool conf_rate_parse(struct span text, struct conf_rate *ret, struct buf *why);
