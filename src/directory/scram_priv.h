/* directory/scram_priv.h -- the arithmetic of SCRAM, for its messages. */
#pragma once
#include "directory/scram.h"

void scram_random(unsigned char *p, size_t n);
void scram_base64_add(const unsigned char *p, size_t n, struct buf *ret);
/* Exactly base64 with its padding, at most `most` octets; false: it is none. */
MUST_CHECK bool scram_base64_take(struct span text, size_t most, struct buf *ret);
/* `proof`: SCRAM_HASH octets. */
bool scram_proof_fits(const struct scram_verifier *verifier, struct span auth, const char *proof);
void scram_server_signature(const struct scram_verifier *verifier, struct span auth, unsigned char ret[SCRAM_HASH]);
