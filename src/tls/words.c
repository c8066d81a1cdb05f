/* SPDX-License-Identifier: Apache-2.0
 *
 * words - OpenSSL's failures, and names from certificates, in a form fit for logs
 */
#include "internal.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* The first error is the cause, what follows are the layers above it. */
void tls_explain(struct text *out)
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error);
    const char *words = ERR_reason_error_string(error);
    ERR_clear_error();
    if (error == 0) {
        text_put(out, BYTES("failed for no known reason"));
    } else if (ERR_SYSTEM_ERROR(error)) {
        text_printf(out, "%s", strerror(reason));
    } else if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
        text_printf(out, "the peer refuses: %s",
                    SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    } else if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
               (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
                reason == SSL_R_HTTPS_PROXY_REQUEST)) {
        text_put(out, BYTES("the peer does not speak TLS"));
    } else if (words != NULL) {
        text_printf(out, "%s", words);
    } else {
        text_printf(out, "error %lx", error);
    }
}

static bool is_clean(char c)
{
    return c > ' ' && c < 127 && strchr("()\\\"<>,;", c) == NULL;
}

char *tls_clean_copy(const char *text, size_t len)
{
    char *copy = base_alloc(len + 1);
    for (size_t i = 0; i < len; i++)
        copy[i] = is_clean(text[i]) ? text[i] : '?';
    return copy;
}

static char *common_name(X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len = 0;
    if (at >= 0) {
        len =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
    char *copy = tls_clean_copy((const char *)text, len > 0 ? (size_t)MIN(len, 255) : 0);
    OPENSSL_free(text);
    return copy;
}

char *tls_certificate_name(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    char *found = NULL;
    for (int i = 0; found == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        const int len = ASN1_STRING_length(name->d.dNSName);
        found = tls_clean_copy((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                               (size_t)MIN(len, 255));
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error(); /* of an extension that cannot be read */
    return found != NULL ? found : common_name(certificate);
}
