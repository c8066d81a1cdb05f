/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate - certificates and keys from PEM files
 *
 * Read twice: once to know the names, the kind of key and the dates, once by OpenSSL into the
 * context that serves it. All failures name the file.
 */
#include "internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static bool failed(struct text *out, const char *path, const char *what)
{
    text_printf(out, "%s: %s: ", path, what);
    tls_explain(out);
    return false;
}

static char *copy_of(const char *text)
{
    const size_t len = strlen(text);
    char *copy = base_alloc(len + 1);
    memcpy(copy, text, len);
    return copy;
}

static wall_ms wall_of(const ASN1_TIME *time)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    const bool known = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    return known ? ((wall_ms)days * 86400 + seconds) * 1000 : 0;
}

/* A key's file may have a phrase; nobody is there to be asked for it. */
static int no_phrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static void add_name(struct tls_identity *identity, const char *text, size_t len)
{
    char *name = tls_clean_copy(text, len);
    for (size_t i = 0; i < len; i++)
        name[i] = ascii_lower(name[i]);
    identity->names =
        base_realloc(identity->names, (identity->name_count + 1) * sizeof(*identity->names));
    identity->names[identity->name_count++] = name;
}

static void read_names(struct tls_identity *identity, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        add_name(identity, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                 (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    identity->name = tls_certificate_name(certificate);
    if (identity->name_count == 0) add_name(identity, identity->name, strlen(identity->name));
}

bool tls_identity_read(struct tls_identity *identity, const char *path, char *why, size_t why_size)
{
    struct text out;
    text_init(&out, why, why_size);
    *identity = (struct tls_identity){0};
    ERR_clear_error();
    BIO *file = BIO_new_file(path, "r");
    if (file == NULL) return failed(&out, path, "cannot open it");
    X509 *certificate = PEM_read_bio_X509(file, NULL, no_phrase, NULL);
    BIO_free(file);
    if (certificate == NULL) return failed(&out, path, "no certificate in it");
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (key == NULL) {
        X509_free(certificate);
        return failed(&out, path, "a key of an unknown kind");
    }
    char words[48];
    struct text kind;
    text_init(&kind, words, sizeof(words));
    text_printf(&kind, "%s %d", EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
    identity->key_type = EVP_PKEY_get_base_id(key);
    identity->key = copy_of(words);
    identity->path = copy_of(path);
    read_names(identity, certificate);
    identity->info = (struct tls_certificate_info){
        .path = identity->path,
        .name = identity->name,
        .key = identity->key,
        .starts = wall_of(X509_get0_notBefore(certificate)),
        .expires = wall_of(X509_get0_notAfter(certificate)),
    };
    X509_free(certificate);
    return true;
}

void tls_identity_deinit(struct tls_identity *identity)
{
    for (size_t i = 0; i < identity->name_count; i++)
        base_free(identity->names[i]);
    base_free(identity->names);
    base_free(identity->name);
    base_free(identity->path);
    base_free(identity->key);
    *identity = (struct tls_identity){0};
}

bool tls_identity_use(SSL_CTX *context, const struct tls_certificate *certificate, char *why,
                      size_t why_size)
{
    const char *key = certificate->key != NULL ? certificate->key : certificate->certificate;
    struct text out;
    text_init(&out, why, why_size);
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(context, no_phrase);
    if (SSL_CTX_use_certificate_chain_file(context, certificate->certificate) != 1)
        return failed(&out, certificate->certificate, "cannot use the certificate");
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        const unsigned long error = ERR_peek_error();
        const bool mismatch = ERR_GET_LIB(error) == ERR_LIB_X509;
        if (!mismatch) return failed(&out, key, "cannot use the key");
        ERR_clear_error();
        text_printf(&out, "%s: the key does not belong to the certificate %s", key,
                    certificate->certificate);
        return false;
    }
    if (SSL_CTX_check_private_key(context) != 1) return failed(&out, key, "cannot use the key");
    return true;
}
