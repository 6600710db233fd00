/* share/share.h -- the process that tells the other machines what is counted here, and us what they count, through Redis.
 *
 * Only there where the settings ask for it (`share: redis:`). It holds no password but Redis', opens no file, and passes on what
 * directory gives it (wire/directory_share.h) without looking inside; what it brings is checked there. It may wait for Redis,
 * for a second at most: nobody waits for it.
 *
 * In Redis, with `goniec` in front:
 *     goniec:limits:MACHINE   hash; a node's key -> u64 ms of Redis' clock, little-endian, then its windows (limits/share.h)
 *     goniec:machines         sorted set; a machine -> when it last told something
 *     goniec:news             stream; what was told in the last half a minute, so that nobody has to look through the hashes
 */
#pragma once

/* `goniec role share`: lives on the channel to the supervisor until told to go. Returns the exit status. */
int share_main(void);
