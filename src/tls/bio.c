/* SPDX-License-Identifier: Apache-2.0
 *
 * bio - OpenSSL's side of the wire: reads what was fed, writes into the output
 *
 * OpenSSL's own memory BIO would copy all ciphertext once more in each direction; this one reads
 * from where the octets lie and writes to where they are sent from.
 */
#include "internal.h"
#include <openssl/crypto.h>

static int read_input(BIO *bio, char *data, size_t len, size_t *got)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = MIN(len, tls->input.len);
    if (*got == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(data, tls->input.data, *got);
    tls->input = bytes_skip(tls->input, *got);
    return 1;
}

static int write_output(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls *tls = BIO_get_data(bio);
    *written = 0;
    BIO_clear_retry_flags(bio);
    if (tls->output.len + len > TLS_OUTPUT_MAX) return 0;
    buf_chain_append(&tls->output, (struct bytes){data, len});
    *written = len;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is held back */
}

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method; /* for the life of the process */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ringpost");
    if (method == NULL) return;
    BIO_meth_set_read_ex(method, read_input);
    BIO_meth_set_write_ex(method, write_output);
    BIO_meth_set_ctrl(method, control);
}

BIO *tls_bio_create(struct tls *tls)
{
    if (!CRYPTO_THREAD_run_once(&once, make_method) || method == NULL) return NULL;
    BIO *bio = BIO_new(method);
    if (bio == NULL) return NULL;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}
