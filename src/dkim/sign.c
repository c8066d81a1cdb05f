/* SPDX-License-Identifier: Apache-2.0
 *
 * sign - the DKIM-Signature field: which fields it covers, its text, its signature
 *
 * The text is written once with a hole where the signature goes, for all else about it is known:
 *
 *     DKIM-Signature: v=1; a=...; c=...; d=...; s=...; t=...;
 *     <tab>h=...:...;
 *     <tab>bh=...;
 *     <tab>b=<hole: base64 in lines of SIGNATURE_LINE>
 *
 * b= is the last tag, so that the field without its value, which is what is signed (RFC 6376
 * section 3.7), is just the text up to the hole.
 */
#include "internal.h"
#include "ringpost/codec/base64.h"
#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_LEN = 76, SIGNATURE_LINE = 72 };

static const char *const mode_names[] = {"simple", "relaxed"};

/* ---- text in folded lines -----------------------------------------------------------------------
 */

struct folder {
    struct text *out;
    size_t column;
};

static void fold(struct folder *folder)
{
    text_put(folder->out, BYTES("\r\n\t"));
    folder->column = 8;
}

/* A word, behind a space or, where it must be, in a new line. */
static void put_word(struct folder *folder, struct bytes word)
{
    if (folder->column + 1 + word.len > LINE_MAX_LEN) {
        fold(folder);
    } else {
        text_put(folder->out, BYTES(" "));
        folder->column += 1;
    }
    text_put(folder->out, word);
    folder->column += word.len;
}

static void PRINTF_LIKE(2, 3) put_tag(struct folder *folder, const char *format, ...)
{
    char room[2 * DKIM_NAME_MAX];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(room, sizeof(room), format, args);
    va_end(args);
    ASSERT(len > 0 && (size_t)len < sizeof(room));
    put_word(folder, (struct bytes){room, (size_t)len});
}

/* ":Name", folded before the colon where it must be (section 3.5, h=). */
static void put_name(struct folder *folder, struct bytes name, bool first)
{
    if (!first && folder->column + 1 + name.len + 1 > LINE_MAX_LEN) fold(folder);
    text_put(folder->out, first ? BYTES("h=") : BYTES(":"));
    text_put(folder->out, name);
    folder->column += name.len + (first ? 2 : 1);
}

/* ---- the fields that are signed -----------------------------------------------------------------
 */

/* Names into h=, fields into the hash, in the same order. Of several fields with one name the last
 * one comes first (section 5.4.2); a name more than there are fields says that there is no further
 * one (section 5.4, "null string"). */
static void put_fields(const struct dkim_signer *signer, const struct dkim_header *header,
                       struct folder *folder, struct dkim_sink *sink)
{
    const bool *oversigned = CONTAINER_OF(signer, const struct dkim_entry, signer)->oversigned;
    bool first = true;
    fold(folder);
    for (size_t i = 0; i < signer->header_count; i++) {
        const struct bytes name = signer->headers[i];
        for (uint32_t k = header->count; k > 0; k--) {
            const struct mime_field *field = &header->fields[k - 1];
            if (field->name.len != name.len || !bytes_equal_nocase(field->name, name)) continue;
            put_name(folder, name, first);
            first = false;
            dkim_canonical_field(sink, field, (enum codec_dkim_mode)signer->header_mode, true);
            if (folder->out->cut) return;
        }
        if (!oversigned[i]) continue;
        put_name(folder, name, first);
        first = false;
    }
    text_put(folder->out, BYTES(";"));
    folder->column += 1;
}

/* ---- contract -----------------------------------------------------------------------------------
 */

static void put_head(const struct dkim_signer *signer, uint64_t now_s, struct folder *folder)
{
    const bool rsa = dkim_key_algorithm(signer->key) == DKIM_RSA_SHA256;
    text_put(folder->out, BYTES("DKIM-Signature:"));
    folder->column = folder->out->len;
    put_tag(folder, "v=1;");
    put_tag(folder, "a=%s;", rsa ? "rsa-sha256" : "ed25519-sha256");
    put_tag(folder, "c=%s/%s;", mode_names[signer->header_mode], mode_names[signer->body_mode]);
    put_tag(folder, "d=%.*s;", BYTES_FMT(signer->domain));
    put_tag(folder, "s=%.*s;", BYTES_FMT(signer->selector));
    put_tag(folder, "t=%llu;", (unsigned long long)now_s);
    if (signer->expire_s > 0)
        put_tag(folder, "x=%llu;", (unsigned long long)(now_s + signer->expire_s));
}

static void put_hole(struct folder *folder, struct dkim_field *field)
{
    char spaces[SIGNATURE_LINE];
    memset(spaces, ' ', sizeof(spaces));
    size_t left = codec_base64_encoded_len(field->len, 0);
    while (left > 0) {
        const size_t len = MIN(left, (size_t)SIGNATURE_LINE);
        text_put(folder->out, (struct bytes){spaces, len});
        left -= len;
        text_put(folder->out, left > 0 ? BYTES("\r\n\t") : BYTES("\r\n"));
    }
}

const char *dkim_field_write(const struct dkim_signer *signer, const struct dkim_header *header,
                             const struct dkim_hashes *body, uint64_t now_s, struct text *out,
                             struct dkim_field *field)
{
    char room[DKIM_FIELD_MAX + 1], body_hash[64];
    struct text text;
    struct folder folder = {.out = &text};
    struct digest_sha256 digest;
    struct dkim_sink sink;
    text_init(&text, room, sizeof(room));
    digest_sha256_init(&digest);
    dkim_sink_init(&sink, &digest);
    field->key = signer->key;
    field->len = (uint16_t)dkim_key_signature_len(signer->key);

    put_head(signer, now_s, &folder);
    put_fields(signer, header, &folder, &sink);
    const size_t hash_len =
        codec_base64_encode(body->of[signer->body_mode], DIGEST_SHA256_LEN, body_hash);
    put_tag(&folder, "bh=%.*s;", (int)hash_len, body_hash);
    fold(&folder);
    text_put(&text, BYTES("b="));
    field->hole = (uint32_t)(out->len + text.len);
    const struct bytes signed_text = text_bytes(&text);
    put_hole(&folder, field);
    if (text.cut) return "has too many header fields that are to be signed";

    const size_t name_len = sizeof("DKIM-Signature") - 1;
    const struct mime_field own = {.name = {room, name_len},
                                   .body = bytes_skip(signed_text, name_len + 1),
                                   .whole = signed_text};
    dkim_canonical_field(&sink, &own, (enum codec_dkim_mode)signer->header_mode, false);
    dkim_sink_end(&sink);
    digest_sha256_end(&digest, field->hash);
    text_put(out, text_bytes(&text));
    ASSERT(!out->cut);
    return NULL;
}

bool dkim_field_sign(struct dkim_field *field, uint32_t slot)
{
    return dkim_key_sign(field->key, slot, field->hash, field->signature);
}

void dkim_field_finish(const struct dkim_field *field, char *text)
{
    char printed[DKIM_SIGNATURE_MAX * 2];
    const size_t len = codec_base64_encode(field->signature, field->len, printed);
    char *place = text + field->hole;
    for (size_t at = 0; at < len; at += SIGNATURE_LINE) {
        const size_t part = MIN(len - at, (size_t)SIGNATURE_LINE);
        memcpy(place, printed + at, part);
        place += part + 3; /* a line end and a tab */
    }
}
