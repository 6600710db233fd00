/* wire/control.h -- what an operator's tools ask of the queue, over the socket control.sock in run-dir (mode 0660).
 *
 * One JSON object a line, in UTF-8. A connection carries requests one after the other; the answer to each is any
 * number of lines with a "message" and a last line with "done": true, or with "error": "what is wrong". The other
 * side's user id is taken from the kernel: root, the server's own user, or a member of its group may ask; what is
 * changed is recorded with who asked and why.
 *
 *   {"op": "status"}                      answers {"done": true, "queue": {...}, "sites": [...], ...}
 *   {"op": "list", "filter": F, "limit": 100, "after": "ID"}
 *                                         a line {"message": M} for each, oldest first; "after": those that follow it;
 *                                         last {"done": true, "shown": 100, "more": true}
 *   {"op": "show", "filter": F}           the same with all of their recipients
 *   {"op": "hold" | "release" | "retry" | "delete" | "reroute", "filter": F, "why": "...", "via": "smtp://host:25"}
 *                                         last {"done": true, "messages": 3, "recipients": 5, "busy": 1}, said when it is
 *                                         synced; "error" where the journal cannot be written. A retry keeps nothing.
 *
 * A queue that stops ends each connection with an "error" that says so.
 *
 * "busy" are recipients that were just being delivered or reported and stay as they are. "via" is for reroute: a route
 * as in the settings, or "" for what the settings say.
 * F, all that is given must be true, at least one member ("all": true for everything):
 *   "ids": ["0N8T1SFT01000", ...]         "account": "anna@example.org"       "sender": "anna@*"
 *   "recipient": "*@example.net"          "domain": "example.net"             "state": "waiting" | "ready" | ...
 *   "older_s": 3600, "younger_s": 3600    "site": "..."                       "all": true
 * sender, recipient, account and domain may have * and ?; capitals do not matter. "waiting" includes "resolving" and
 * "ready"; the others are "delivering", "held", "reporting". What is changed are the recipients that match, not whole
 * messages.
 * M: {"id", "accepted", "age_s", "account", "sender", "octets", "recipient_count", "recipients": [R, ...], "more"}
 * R: {"address", "state", "domain", "route", "attempts", "next", "site", "code", "status", "text", "host",
 *     "held_by", "why"}; members without a value are left out.
 */
#pragma once

#define CONTROL_SOCKET "control.sock"    /* in run-dir */
#define CONTROL_REQUEST_MAX (1u << 20)   /* octets of one request line */
#define CONTROL_LINE_MAX (16u << 20)     /* octets of one line of an answer */
#define CONTROL_LIST_RECIPIENTS 20       /* recipients of a message that a list shows */
