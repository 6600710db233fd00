/* net/tls_elsewhere.c -- keys whose private half another process has, as OpenSSL takes them.
 *
 * A provider of our own, in a library context of its own so that nothing but these keys ever finds it. A key is a public one
 * of OpenSSL's with a claim to have a private half; a signature by it makes the handshake wait (tls_signing.c). */
#include "net/tls_priv.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

#define PROPERTIES "provider=goniec"

struct remote_key {
    const char *type;  /* OpenSSL's name of the algorithm */
    EVP_PKEY *public;  /* NULL until it is imported */
    int kind;          /* EVP_PKEY_RSA, ... */
    unsigned char id[TLS_KEY_ID];
};

/* -- keys (provider-keymgmt(7)) -- */

static void *key_new(const char *type)
{
    struct remote_key *key = calloc(1, sizeof(*key));
    if (key)
        key->type = type;
    return key;
}

static void *key_new_rsa(void *provider) { return key_new("RSA"); }
static void *key_new_ec(void *provider) { return key_new("EC"); }
static void *key_new_ed25519(void *provider) { return key_new("ED25519"); }

static void key_free(void *keydata)
{
    struct remote_key *key = keydata;
    EVP_PKEY_free(key->public);
    free(key);
}

/* The private half is claimed, see above. */
static int key_has(const void *keydata, int selection) { return ((const struct remote_key *)keydata)->public != NULL; }

static int key_match(const void *a, const void *b, int selection)
{
    return EVP_PKEY_eq(((const struct remote_key *)a)->public, ((const struct remote_key *)b)->public) == 1;
}

/* Also how OpenSSL compares such a key with the certificate's. */
static int key_import(void *keydata, int selection, const OSSL_PARAM params[])
{
    struct remote_key *key = keydata;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
    bool good = context && !key->public && EVP_PKEY_fromdata_init(context) == 1 &&
                EVP_PKEY_fromdata(context, &key->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) == 1 &&
                tls_key_id_of(key->public, key->id);
    EVP_PKEY_CTX_free(context);
    key->kind = good ? EVP_PKEY_get_base_id(key->public) : 0;
    return good;
}

/* What cannot be had: that tells OpenSSL that no other provider can sign with this key. */
static int key_export(void *keydata, int selection, OSSL_CALLBACK *callback, void *arg)
{
    const struct remote_key *key = keydata;
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
        return 0;
    return EVP_PKEY_export(key->public, EVP_PKEY_PUBLIC_KEY, callback, arg);
}

static const OSSL_PARAM *key_transfer_types(int selection)
{
    static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };
    return types;
}

static int key_get_params(void *keydata, OSSL_PARAM params[])
{
    return EVP_PKEY_get_params(((struct remote_key *)keydata)->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),     OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL), OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_END,
    };
    return params;
}

/* The operation is looked for in the usual library context first: a name that is found there, though not for such a key,
 * costs less than one that is looked for in vain. */
static const char *key_operation_rsa(int operation) { return "RSA"; }
static const char *key_operation_ec(int operation) { return "ECDSA"; }
static const char *key_operation_ed25519(int operation) { return "ED25519"; }

#define FUNCTION(id, function) { (id), (void (*)(void))(function) }
#define KEY_FUNCTIONS(type)                                                                    \
    {                                                                                          \
        FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new_##type),                                       \
        FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                                            \
        FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                                              \
        FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                                          \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                        \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_transfer_types),                          \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                        \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_transfer_types),                          \
        FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                \
        FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),                      \
        FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_##type), { 0, NULL },   \
    }
static const OSSL_DISPATCH rsa_functions[] = KEY_FUNCTIONS(rsa);
static const OSSL_DISPATCH ec_functions[] = KEY_FUNCTIONS(ec);
static const OSSL_DISPATCH ed25519_functions[] = KEY_FUNCTIONS(ed25519);

static const OSSL_ALGORITHM keys[] = {
    { "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_functions, NULL },
    { "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_functions, NULL },
    { "ED25519:1.3.101.112", PROPERTIES, ed25519_functions, NULL },
    { NULL, NULL, NULL, NULL },
};

/* -- signatures (provider-signature(7)) -- */

struct remote_signature {
    const struct remote_key *key;
    const char *digest; /* one of ours */
    bool pss;
};

static void *signature_new(void *provider, const char *properties) { return calloc(1, sizeof(struct remote_signature)); }
static void signature_free(void *context) { free(context); }

static int signature_set_params(void *context, const OSSL_PARAM params[])
{
    struct remote_signature *signature = context;
    const OSSL_PARAM *padding = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    int number;
    if (!padding)
        return 1; /* the length of the salt: who signs knows what TLS wants */
    if (padding->data_type == OSSL_PARAM_UTF8_STRING)
        signature->pss = strcmp(padding->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    else if (OSSL_PARAM_get_int(padding, &number) == 1)
        signature->pss = number == RSA_PKCS1_PSS_PADDING;
    else
        return 0;
    return 1;
}

static const OSSL_PARAM *signature_settable_params(void *context, void *provider)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END,
    };
    return params;
}

static const char *digest_of(const char *name)
{
    static const struct { const char *theirs, *ours; } names[] = {
        { "SHA256", "SHA256" },   { "SHA2-256", "SHA256" }, { "SHA384", "SHA384" },
        { "SHA2-384", "SHA384" }, { "SHA512", "SHA512" },   { "SHA2-512", "SHA512" },
    };
    for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
        if (OPENSSL_strcasecmp(name, names[i].theirs) == 0)
            return names[i].ours;
    return "";
}

static int signature_begin(void *context, const char *digest, void *keydata, const OSSL_PARAM params[])
{
    struct remote_signature *signature = context;
    signature->key = keydata;
    signature->digest = digest_of(digest);
    return signature_set_params(context, params);
}

static int signature_sign(void *context, unsigned char *ret, size_t *ret_n, size_t room, const unsigned char *p, size_t n)
{
    const struct remote_signature *signature = context;
    size_t most = (size_t)EVP_PKEY_get_size(signature->key->public);
    if (!ret) {
        *ret_n = most;
        return 1;
    }
    uint16_t scheme = tls_scheme_code(signature->key->kind, signature->digest, signature->pss);
    return scheme && tls_signing_wait(signature->key->id, scheme, span_of(p, n), ret, MIN(room, most), ret_n);
}

static const OSSL_DISPATCH signature_functions[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signature_begin),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signature_sign),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set_params),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable_params),
    { 0, NULL },
};

static const OSSL_ALGORITHM signatures[] = {
    { "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signature_functions, NULL },
    { "ECDSA", PROPERTIES, signature_functions, NULL },
    { "ED25519:1.3.101.112", PROPERTIES, signature_functions, NULL },
    { NULL, NULL, NULL, NULL },
};

/* -- the provider (provider-base(7)) -- */

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache)
{
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int provider_begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **ret, void **ret_context)
{
    static const OSSL_DISPATCH functions[] = { FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query), { 0, NULL } };
    static char context; /* keys and signatures want one that is not NULL */
    *ret = functions;
    *ret_context = &context;
    return 1;
}

static OSSL_LIB_CTX *library; /* NULL: it could not be made */

static void make_library(void)
{
    OSSL_LIB_CTX *fresh = OSSL_LIB_CTX_new();
    if (fresh && OSSL_PROVIDER_add_builtin(fresh, "goniec", provider_begin) == 1 && OSSL_PROVIDER_load(fresh, "goniec"))
        library = fresh;
    else
        OSSL_LIB_CTX_free(fresh);
}

EVP_PKEY *tls_key_elsewhere(const EVP_PKEY *public)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_library);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = library ? EVP_PKEY_CTX_new_from_name(library, OBJ_nid2sn(EVP_PKEY_get_base_id(public)), PROPERTIES) : NULL;
    if (!context || EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &params) != 1 || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    return key;
}
