/* SPDX-License-Identifier: Apache-2.0
 *
 * record - the key in DNS (RFC 6376 section 3.6.1): printed, and compared with what is published
 */
#include "internal.h"
#include "ringpost/codec/base64.h"

static const char *key_type(const struct dkim_key *key)
{
    return dkim_key_algorithm(key) == DKIM_ED25519_SHA256 ? "ed25519" : "rsa";
}

void dkim_record_print(const struct dkim_key *key, struct text *out)
{
    uint8_t public[DKIM_PUBLIC_MAX];
    char printed[DKIM_PUBLIC_MAX * 2];
    const size_t len = dkim_key_public(key, public);
    const size_t printed_len = codec_base64_encode(public, len, printed);
    text_printf(out, "v=DKIM1; k=%s; p=", key_type(key));
    text_put(out, (struct bytes){printed, printed_len});
}

/* The value of a tag (RFC 6376 section 3.2), without white space around it; data is NULL if there
 * is none. */
static struct bytes tag_value(struct bytes record, struct bytes name)
{
    while (record.len > 0) {
        const char *end = memchr(record.data, ';', record.len);
        const size_t len = end ? (size_t)(end - record.data) : record.len;
        const struct bytes tag = {record.data, len};
        const char *equals = memchr(tag.data, '=', tag.len);
        record = bytes_skip(record, len + 1);
        if (equals == NULL) continue;
        const struct bytes tag_name = bytes_trim((struct bytes){tag.data, equals - tag.data});
        if (!bytes_equal(tag_name, name)) continue;
        return bytes_trim(bytes_skip(tag, (size_t)(equals - tag.data) + 1));
    }
    return (struct bytes){0};
}

/* Is the word one of those between colons? No list: every word is. */
static bool list_has(struct bytes list, struct bytes word)
{
    if (list.data == NULL) return true;
    for (;;) {
        const char *colon = list.len > 0 ? memchr(list.data, ':', list.len) : NULL;
        const size_t len = colon ? (size_t)(colon - list.data) : list.len;
        const struct bytes item = bytes_trim((struct bytes){list.data, len});
        if (bytes_equal_nocase(item, word) || bytes_equal(item, BYTES("*"))) return true;
        if (colon == NULL) return false;
        list = bytes_skip(list, len + 1);
    }
}

const char *dkim_record_compare(const struct dkim_key *key, struct bytes record)
{
    uint8_t public[DKIM_PUBLIC_MAX], published[2 * DKIM_RECORD_MAX];
    const struct bytes version = tag_value(record, BYTES("v")),
                       type = tag_value(record, BYTES("k"));
    const struct bytes value = tag_value(record, BYTES("p"));
    if (version.data != NULL && !bytes_equal(version, BYTES("DKIM1"))) {
        return "is no DKIM record: it does not begin with v=DKIM1";
    }
    if (value.data == NULL) return "has no p=";
    if (value.len == 0) return "is revoked: its p= is empty";
    if (!bytes_equal_nocase(type.data ? type : BYTES("rsa"), bytes_of(key_type(key)))) {
        return "is for a key of another type (k=)";
    }
    if (codec_base64_decoded_max(value.len) > sizeof(published)) return "has a p= that is too long";
    const struct codec_result got =
        codec_base64_decode(value.data, value.len, published, CODEC_BASE64_STRICT);
    if (got.error != CODEC_NO_ERROR) return "has a p= that is no base64";
    const size_t len = dkim_key_public(key, public);
    if (!bytes_equal((struct bytes){(const char *)public, len},
                     (struct bytes){(const char *)published, got.written})) {
        return "is for another key: its p= differs";
    }
    if (!list_has(tag_value(record, BYTES("h")), BYTES("sha256")))
        return "does not allow sha256 (h=)";
    if (!list_has(tag_value(record, BYTES("s")), BYTES("email"))) return "is not for mail (s=)";
    return NULL;
}
