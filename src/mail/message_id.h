/* mail/message_id.h -- the name of a message in its header (RFC 5322 section 3.6.4). */
#pragma once
#include "base/buf.h"

/* Appends "<id.goniec@hostname>": the id is unique in time and among our processes. */
enum status message_id_write(uint64_t id, struct span hostname, struct buf *ret);
/* What stands between < and > in a Message-ID's value; the value itself when it has none. For logs. */
struct span message_id_inner(struct span value);
