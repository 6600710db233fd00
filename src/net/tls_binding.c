/* net/tls_binding.c -- what a login is tied to, so that it is worth nothing on any other connection. */
#include "net/stream_priv.h"
#include <openssl/x509.h>

/* Of TLS 1.2 only where the master secret is that of this very handshake (RFC 7627); OpenSSL never renegotiates here. */
static bool is_safe(SSL *ssl)
{
    return SSL_version(ssl) >= TLS1_3_VERSION || (SSL_version(ssl) == TLS1_2_VERSION && SSL_get_extms_support(ssl) == 1);
}

/* RFC 9266 section 2 */
static size_t get_exporter(SSL *ssl, unsigned char ret[TLS_BINDING_MAX])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    const size_t octets = 32;
    return SSL_version(ssl) >= TLS1_3_VERSION &&
           SSL_export_keying_material(ssl, ret, octets, label, sizeof label - 1, NULL, 0, 0) == 1 ? octets : 0;
}

/* The first Finished of the handshake (RFC 5929 section 3.1): the client's, or the server's where a session was resumed. */
static size_t get_unique(SSL *ssl, unsigned char ret[TLS_BINDING_MAX])
{
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return 0;
    bool is_own = (SSL_session_reused(ssl) == 1) == (SSL_is_server(ssl) == 1);
    size_t n = is_own ? SSL_get_finished(ssl, ret, TLS_BINDING_MAX) : SSL_get_peer_finished(ssl, ret, TLS_BINDING_MAX);
    return n <= TLS_BINDING_MAX ? n : 0;
}

/* RFC 5929 section 4.1: the hash of the certificate's own signature, or SHA-256 instead of MD5 and SHA-1. A signature
 * without one (Ed25519) leaves the binding undefined. */
static size_t get_end_point(SSL *ssl, unsigned char ret[TLS_BINDING_MAX])
{
    X509 *leaf = SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
    int digest = NID_undef;
    if (!leaf || X509_get_signature_info(leaf, &digest, NULL, NULL, NULL) != 1 || digest == NID_undef)
        return 0;
    const EVP_MD *kind = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!kind || X509_digest(leaf, kind, hash, &n) != 1 || n > TLS_BINDING_MAX)
        return 0;
    memcpy(ret, hash, n);
    return n;
}

bool stream_tls_can_bind(const struct stream *stream) { return stream_tls(stream) && is_safe(stream->tls->ssl); }

void stream_tls_bindings(const struct stream *stream, struct tls_bindings *ret)
{
    *ret = (struct tls_bindings){ .exporter_n = 0 };
    if (!stream_tls_can_bind(stream))
        return;
    SSL *ssl = stream->tls->ssl;
    ret->exporter_n = get_exporter(ssl, ret->exporter);
    ret->unique_n = get_unique(ssl, ret->unique);
    ret->end_point_n = get_end_point(ssl, ret->end_point);
    tls_forget_errors();
}
