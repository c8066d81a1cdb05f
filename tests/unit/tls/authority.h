/* SPDX-License-Identifier: Apache-2.0
 *
 * authority - certificates for tests, made on the spot
 *
 * PEM files in a temporary folder: nothing that expires is in the repository. Users include cmocka
 * first.
 */
#pragma once
#include "ringpost/base.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct authority_wish {
    const char *file;   /* FILE.pem: chain and key; FILE-cert.pem, FILE-key.pem: apart */
    const char *names;  /* subjectAltName: "DNS:mx.test,DNS:*.test"; NULL: none */
    const char *common; /* common name */
    const char *issuer; /* file of the issuer; NULL: self-signed */
    bool rsa;           /* else P-256 */
    bool is_authority;
    long from_days, to_days; /* from today; to_days 0: ten days */
};

static char authority_folder[64];

static inline const char *authority_path(const char *file, const char *ending)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % ARRAY_COUNT(paths)];
    snprintf(path, sizeof(paths[0]), "%s/%s%s", authority_folder, file, ending);
    return path;
}

static inline void authority_begin(void)
{
    snprintf(authority_folder, sizeof(authority_folder), "/tmp/ringpost-tls-XXXXXX");
    if (mkdtemp(authority_folder) == NULL) abort();
}

static inline void authority_end(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", authority_folder);
    if (system(command) != 0) abort();
}

static inline void authority_extend(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    if (extension == NULL || X509_add_ext(certificate, extension, -1) != 1) abort();
    X509_EXTENSION_free(extension);
}

static inline void *authority_load(const char *path, bool key)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) abort();
    void *found = key ? (void *)PEM_read_PrivateKey(file, NULL, NULL, NULL)
                      : (void *)PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (found == NULL) abort();
    return found;
}

static inline void authority_save(const char *path, X509 *certificate, X509 *issuer, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) abort();
    if (certificate != NULL) PEM_write_X509(file, certificate);
    if (issuer != NULL) PEM_write_X509(file, issuer);
    if (key != NULL) PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

static inline void authority_make(const struct authority_wish *wish)
{
    static long serial = 1;
    X509 *certificate = X509_new(), *issuer = NULL;
    EVP_PKEY *key = wish->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), *signer = key;
    const char *common = wish->common != NULL ? wish->common : wish->file;
    if (certificate == NULL || key == NULL) abort();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wish->from_days * 86400 - 3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate),
                    (wish->to_days != 0 ? wish->to_days : 10) * 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    if (wish->issuer != NULL) {
        issuer = authority_load(authority_path(wish->issuer, "-cert.pem"), false);
        signer = authority_load(authority_path(wish->issuer, "-key.pem"), true);
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    }
    if (wish->names != NULL) authority_extend(certificate, NID_subject_alt_name, wish->names);
    authority_extend(certificate, NID_basic_constraints,
                     wish->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (X509_sign(certificate, signer, EVP_sha256()) == 0) abort();
    authority_save(authority_path(wish->file, ".pem"), certificate, issuer, key);
    authority_save(authority_path(wish->file, "-cert.pem"), certificate, NULL, NULL);
    authority_save(authority_path(wish->file, "-key.pem"), NULL, NULL, key);
    if (signer != key) EVP_PKEY_free(signer);
    EVP_PKEY_free(key);
    X509_free(issuer);
    X509_free(certificate);
}
