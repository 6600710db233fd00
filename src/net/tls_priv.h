/* net/tls_priv.h -- what the TLS files of this room share. OpenSSL's headers are included here only. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "net/tls.h"
#include <openssl/ssl.h>

/* -- tls_pem.c -- */
/* "what: OpenSSL's reason", and forgets OpenSSL's list of errors. */
void tls_error_set(char error[TLS_ERROR_SIZE], const char *what);
/* SSL_get_error() wants an empty list; it nearly always is, and looking costs less than emptying. */
void tls_forget_errors(void);
/* Reads the text, which it borrows. NULL: there is none, or no memory. */
BIO *tls_pem_open(struct span pem);
int tls_pem_no_passphrase(char *p, int n, int writing, void *arg); /* for OpenSSL, which else asks at the terminal */
MUST_CHECK enum status tls_pem_copy(BIO *bio, struct buf *ret);    /* what was written to `bio` behind what `ret` has */
MUST_CHECK enum status tls_private_key_load(struct span pem, char error[TLS_ERROR_SIZE], EVP_PKEY **ret);

/* -- contexts and certificates -- */
/* Protocol versions, options and curves that both sides have in common. */
MUST_CHECK bool tls_context_harden(SSL_CTX *context, bool only_tls13, int least_version);

/* A certificate with its chain and its key, out of PEM. */
struct tls_identity {
    X509 *leaf;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
};
/* `elsewhere`: the key is in another process. */
MUST_CHECK enum status tls_identity_load(const struct tls_pair *pair, bool elsewhere, char error[TLS_ERROR_SIZE],
                                         struct tls_identity *ret);
void tls_identity_done(struct tls_identity *identity);
/* The first name that the certificate is for, without NUL inside; "" when it has none. */
void tls_identity_name(X509 *leaf, char *ret, size_t room);

/* Of a kind that we can sign with. */
bool tls_key_is_usable(const EVP_PKEY *key);
MUST_CHECK bool tls_key_id_of(const EVP_PKEY *key, unsigned char ret[TLS_KEY_ID]);
/* The key that belongs to a public one, for SSL_CTX_use_PrivateKey(3): it signs by tls_signing_wait(). NULL: OpenSSL's reason. */
EVP_PKEY *tls_key_elsewhere(const EVP_PKEY *public);
/* The signature scheme (RFC 8446 section 4.2.3) of a kind of key (EVP_PKEY_EC, ...), a digest ("SHA256", "SHA384", "SHA512") and
 * RSA's padding; 0: none of ours. */
uint16_t tls_scheme_code(int kind, const char *digest, bool pss);

/* Ticket keys: derived from a secret and the half day, so that processes agree without talking. */
struct tls_ticket_key {
    int64_t period; /* half days since 1970; -1: not derived yet */
    unsigned char name[16], cipher[32], mac[32];
};

/* What a client did with the tickets that it got. */
struct tls_habit {
    uint32_t who;     /* a part of the client's hash */
    uint32_t in_vain; /* full handshakes since it last came with a ticket */
};
#define TLS_HABITS 1024

struct tls_server {
    unsigned refs;
    SSL_CTX **contexts; /* the first is the default; the others are chosen by SNI */
    unsigned count;
    struct tls_signer *signer; /* NULL: the keys are here */
    unsigned char secret[TLS_TICKET_SECRET];
    struct tls_ticket_key keys[2]; /* of this half day and the one before */
    struct tls_habit habits[TLS_HABITS];
};
/* Shall this client (any hash of who it is) get a ticket after a full handshake of TLS 1.3? */
bool tls_habit_wants(struct tls_server *server, uint64_t client);
void tls_habit_note(struct tls_server *server, uint64_t client, bool resumed); /* after each handshake */
/* OpenSSL asks for a key, see SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt);

struct tls_client {
    unsigned refs;
    SSL_CTX *context;
    struct map sessions; /* struct kept_session by key */
    struct list by_age;  /* the one used longest ago first */
    unsigned most;
};
SSL_SESSION *tls_client_session(struct tls_client *client, struct span key); /* borrowed; NULL: none */

/* One connection's TLS: octets in, octets out, no socket. */
struct tls_session {
    SSL *ssl;
    struct tls_server *server; /* one of the two is set */
    struct tls_client *client;
    uint64_t peer;             /* server side: a hash of who the client is */
    struct span in;            /* what came from the peer and OpenSSL has not taken yet */
    struct buf *out;           /* what is for the peer */
    bool established;
    bool held;                 /* no handshake until on_released: for a signature, or for one's turn to ask for one */
    struct tls_wait *wait;     /* a signature that is awaited, or has come and was not used yet */
    struct list gate;          /* among those that wait for their turn */
    const char *refused;       /* why there is no signature */
    void (*on_released)(void *arg); /* the owner's, which then goes on with the handshake; never inside its own call */
    void *arg;
    struct span session_key;   /* owned */
    struct tls_info info;
    char failure[TLS_ERROR_SIZE];
};

/* `out` must outlive the session. `peer`: a hash of who the client is. NULL: out of memory. */
struct tls_session *tls_session_new_server(struct tls_server *server, uint64_t peer, struct buf *out);
struct tls_session *tls_session_new_client(struct tls_client *client, const struct tls_wish *wish, struct buf *out);
void tls_session_free(struct tls_session *session);
/* Goes on with the handshake. OK: established. AGAIN: the peer's turn, or `held`, then with a rest of `in` for later.
 * DENIED: `failure` tells. */
MUST_CHECK enum status tls_session_handshake(struct tls_session *session);
/* Can there be more to read before the peer sends more? It costs less to ask than to read nothing. */
bool tls_session_has_input(const struct tls_session *session);
/* Decrypts from `in` behind p. AGAIN: `in` is used up. CLOSED: the peer said goodbye. DENIED. On OK `ret` > 0 octets. */
MUST_CHECK enum status tls_session_read(struct tls_session *session, char *p, size_t room, size_t *ret);
/* Encrypts everything to `out`. MEMORY or DENIED: give the connection up. */
MUST_CHECK enum status tls_session_write(struct tls_session *session, struct span clear);
void tls_session_goodbye(struct tls_session *session); /* close_notify to `out` */

/* -- tls_signing.c -- */
/* Inside OpenSSL, inside a handshake: stops that until the signature has come. False: it did not come. */
MUST_CHECK bool tls_signing_wait(const unsigned char key[TLS_KEY_ID], uint16_t scheme, struct span content, unsigned char *ret,
                                 size_t room, size_t *ret_n);
/* SSL_do_handshake(3) of a session that may stop so; asks for the signature when it did. */
MUST_CHECK int tls_signing_handshake(struct tls_session *session);
void tls_signing_begin(struct tls_session *session); /* of a server with a signer */
/* Too many wait for signatures: is `session` held until it is its turn? */
MUST_CHECK bool tls_signing_gate(struct tls_session *session);
void tls_signing_end(struct tls_session *session);   /* before its SSL is freed */
