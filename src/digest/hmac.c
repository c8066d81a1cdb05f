/* SPDX-License-Identifier: Apache-2.0
 *
 * hmac - HMAC-SHA-256, PBKDF2 on it, and comparison in constant time
 */
#include "ringpost/digest.h"

struct hmac {
    struct digest_sha256 inner, outer; /* behind the padded keys */
};

/* RFC 2104 section 2: a long key is replaced by its hash. */
static void hmac_key(struct hmac *hmac, struct bytes key)
{
    uint8_t padded[DIGEST_SHA256_BLOCK] = {0};
    if (key.len > DIGEST_SHA256_BLOCK)
        digest_sha256_once(key, padded);
    else if (key.len > 0)
        memcpy(padded, key.data, key.len);
    const struct bytes block = {(const char *)padded, sizeof(padded)};
    for (size_t i = 0; i < sizeof(padded); i++)
        padded[i] ^= 0x36;
    digest_sha256_init(&hmac->inner);
    digest_sha256_add(&hmac->inner, block);
    for (size_t i = 0; i < sizeof(padded); i++)
        padded[i] ^= 0x36 ^ 0x5c;
    digest_sha256_init(&hmac->outer);
    digest_sha256_add(&hmac->outer, block);
    explicit_bzero(padded, sizeof(padded));
}

/* The text is that of `inner`; the keyed states stay for the next one. */
static void hmac_end(const struct hmac *hmac, struct digest_sha256 *inner,
                     uint8_t out[DIGEST_SHA256_LEN])
{
    struct digest_sha256 outer = hmac->outer;
    digest_sha256_end(inner, out);
    digest_sha256_add(&outer, (struct bytes){(const char *)out, DIGEST_SHA256_LEN});
    digest_sha256_end(&outer, out);
}

void digest_hmac_sha256(struct bytes key, struct bytes text, uint8_t out[DIGEST_SHA256_LEN])
{
    struct hmac hmac;
    hmac_key(&hmac, key);
    struct digest_sha256 inner = hmac.inner;
    digest_sha256_add(&inner, text);
    hmac_end(&hmac, &inner, out);
    explicit_bzero(&hmac, sizeof(hmac));
    explicit_bzero(&inner, sizeof(inner));
}

/* RFC 8018 section 5.2, for the first block. */
void digest_pbkdf2_sha256(struct bytes password, struct bytes salt, uint32_t iterations,
                          uint8_t out[DIGEST_SHA256_LEN])
{
    static const char first_block[4] = {0, 0, 0, 1};
    uint8_t link[DIGEST_SHA256_LEN];
    struct hmac hmac;
    ASSERT(iterations > 0);
    hmac_key(&hmac, password);
    struct digest_sha256 inner = hmac.inner;
    digest_sha256_add(&inner, salt);
    digest_sha256_add(&inner, (struct bytes){first_block, sizeof(first_block)});
    hmac_end(&hmac, &inner, link);
    memcpy(out, link, sizeof(link));
    for (uint32_t i = 1; i < iterations; i++) {
        inner = hmac.inner;
        digest_sha256_add(&inner, (struct bytes){(const char *)link, sizeof(link)});
        hmac_end(&hmac, &inner, link);
        for (size_t k = 0; k < sizeof(link); k++)
            out[k] ^= link[k];
    }
    explicit_bzero(&hmac, sizeof(hmac));
    explicit_bzero(&inner, sizeof(inner));
    explicit_bzero(link, sizeof(link));
}

bool digest_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *one = a, *other = b; /* volatile: no early way out */
    uint8_t differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= one[i] ^ other[i];
    return differ == 0;
}
