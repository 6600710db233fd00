/* net/tls.h -- TLS contexts, certificates and sessions. With net/stream.h the only place that speaks to OpenSSL.
 *
 * TLS 1.2 and 1.3 (or 1.3 only), forward-secret ciphers with authenticated encryption, X25519 and P-256, no
 * compression, no renegotiation. Keys come as bytes: nothing here opens a file, except tls_trust_system().
 * A server's private keys may be in another process: see struct tls_signer.
 */
#pragma once
#include "base/buf.h"
#include "base/list.h"

#define TLS_ERROR_SIZE 256    /* for texts that say what is wrong, with NUL */
#define TLS_TICKET_SECRET 32  /* octets */
#define TLS_KEY_ID 32         /* octets that name a key: SHA-256 of the public one (SubjectPublicKeyInfo) */
#define TLS_CONTENT_MAX 512   /* octets that a handshake wants signed */
#define TLS_SIGNATURE_MAX 1024 /* octets: RSA of 8192 bits */
#define TLS_SIGNING_MAX 256   /* handshakes that wait for a signature at a time; others wait for their turn */

struct tls_pair {
    struct span certificate; /* PEM: the leaf, then its chain */
    struct span key;         /* PEM, without a passphrase */
};

/* What a handshake waits for. */
struct tls_signing {
    struct span key;     /* TLS_KEY_ID octets: which key */
    uint16_t scheme;     /* RFC 8446 section 4.2.3 */
    struct span content; /* what is to be signed */
    void *asked;         /* the signer's own */
};

/* How signatures are made where a server has certificates only. Must outlive the servers that use it. */
struct tls_signer {
    /* Answers with tls_signing_answer(), now or later; `signing` stays until then or until it is cancelled. */
    void (*ask)(void *arg, struct tls_signing *signing);
    void (*cancel)(void *arg, struct tls_signing *signing); /* nobody waits any more: no answer */
    void *arg;
    unsigned waiting;    /* private */
    struct list gate;    /* private: handshakes that wait for their turn */
};
void tls_signer_init(struct tls_signer *signer, void (*ask)(void *, struct tls_signing *),
                     void (*cancel)(void *, struct tls_signing *), void *arg);
/* An empty signature: the handshake fails, because of `why` (static text). */
void tls_signing_answer(struct tls_signing *signing, struct span signature, const char *why);

struct tls_server_settings {
    const struct tls_pair *pairs; /* the first is used where the client names no host or an unknown one */
    unsigned count;
    bool only_tls13;
    /* The same in all processes that shall resume each other's sessions; empty: sessions are not resumed. The keys of
     * tickets are derived from it and the time, and change twice a day. */
    struct span ticket_secret;
    struct tls_signer *signer; /* has the keys, those of `pairs` are not looked at; NULL: they are there */
};

struct tls_server;
/* SYNTAX or DENIED with a sentence in `error` (which pair, and what is wrong with it); MEMORY. */
MUST_CHECK enum status tls_server_new(const struct tls_server_settings *settings, char error[TLS_ERROR_SIZE],
                                      struct tls_server **ret);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server); /* NULL is fine */
/* Can this pair be used, and until when (wall clock, ms)? For `goniec check`. */
MUST_CHECK enum status tls_pair_check(const struct tls_pair *pair, char error[TLS_ERROR_SIZE], int64_t *ret_until_wall_ms);
/* The certificates of a text, and nothing else that stands in it. SYNTAX: there are none. */
MUST_CHECK enum status tls_only_certificates(struct span pem, struct buf *ret);

struct tls_client_settings {
    struct span trust; /* PEM of the authorities; empty: nobody is trusted */
    bool only_tls13;
    bool allow_tls10;  /* for old receivers where encryption is only opportunistic */
    unsigned sessions; /* how many sites' sessions are kept for resumption; 0: none */
};

struct tls_client;
MUST_CHECK enum status tls_client_new(const struct tls_client_settings *settings, char error[TLS_ERROR_SIZE],
                                      struct tls_client **ret);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client);
/* Reads the system's authorities (Debian: /etc/ssl/certs/ca-certificates.crt). IO: errno. */
MUST_CHECK enum status tls_trust_system(struct buf *ret);

/* What a client wants of one connection. */
struct tls_wish {
    const char *name;    /* sent as SNI and compared with the certificate; NULL: neither (an IP address is not sent) */
    bool required;       /* the certificate must verify for `name`, else the handshake fails */
    struct span session; /* key under which sessions are kept, e.g. "host:port"; empty: no resumption */
};

struct tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
    int bits;
    bool resumed;
    bool verified;            /* client side: chain and name are good, whether required or not */
    const char *verify_text;  /* why not; static */
    char peer_name[256];      /* client side: the name that matched, else the subject's common name; server side: SNI */
};

#define TLS_BINDING_MAX 64

/* Channel bindings (RFC 5056): octets that both ends of a connection know and that no other connection has, so that a login
 * made with them cannot be passed on. 0 octets: this connection has none of that kind. */
struct tls_bindings {
    size_t exporter_n, unique_n, end_point_n;
    unsigned char exporter[TLS_BINDING_MAX];  /* tls-exporter (RFC 9266): TLS 1.3 */
    unsigned char unique[TLS_BINDING_MAX];    /* tls-unique (RFC 5929): TLS 1.2 with an extended master secret (RFC 7627) */
    unsigned char end_point[TLS_BINDING_MAX]; /* tls-server-end-point (RFC 5929): a hash of the server's certificate */
};

/* Makes a P-256 key and a certificate for `name` that it signs itself, both as PEM. */
MUST_CHECK enum status tls_self_signed(const char *name, unsigned days, struct buf *ret_certificate, struct buf *ret_key);
/* Octets nobody can guess. Never fails short: aborts when the system has none. */
void tls_random(void *p, size_t n);
