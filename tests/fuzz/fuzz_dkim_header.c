/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dkim_header - any octets as a message's header: canonical forms, choice and signature field
 *
 * The canonical forms are compared with a second implementation, which does what RFC 6376 section
 * 3.4.2 says step by step on a copy. What is written must be a field that can be read again, and
 * name each field as often as it is there.
 */
#include "internal.h"
#include "ringpost/codec/base64.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16 };

static const char ed25519[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";

static void require(bool good)
{
    if (!good) abort();
}

static const struct dkim_signers *all_signers(void)
{
    static struct dkim_signers *signers;
    char why[200];
    if (signers != NULL) return signers;
    struct dkim_key_reader *reader = dkim_key_reader_create();
    struct dkim_key *key = dkim_key_read(reader, bytes_of(ed25519), why, sizeof(why));
    dkim_key_reader_free(&reader);
    struct dkim_signer given[4];
    for (uint8_t i = 0; i < 4; i++) {
        given[i] = (struct dkim_signer){
            .domain = i % 2 ? BYTES("example.com") : BYTES("x"),
            .selector = BYTES("s"),
            .key = key,
            .header_mode = i / 2,
            .body_mode = i % 2,
            .all = i < 2,
            .subdomains = true,
            .headers = dkim_headers_default,
            .header_count = dkim_headers_default_count,
            .oversign = dkim_oversign_default,
            .oversign_count = dkim_oversign_default_count,
        };
    }
    signers = dkim_signers_create(given, 4);
    dkim_key_unref(key);
    return signers;
}

/* ---- the second implementation ------------------------------------------------------------------
 */

static size_t without(char *text, size_t len, const char *what)
{
    const size_t what_len = strlen(what);
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        if (len - i >= what_len && memcmp(text + i, what, what_len) == 0)
            i += what_len;
        else
            text[out++] = text[i++];
    }
    return out;
}

/* Unfold; each run of white space a space; none at the ends. */
static size_t relax(const struct mime_field *field, char *out)
{
    char *text = out + field->name.len + 1;
    for (size_t i = 0; i < field->name.len; i++)
        out[i] = ascii_lower(field->name.data[i]);
    out[field->name.len] = ':';
    memcpy(text, field->body.data, field->body.len);
    size_t len = without(text, field->body.len, "\r\n");
    len = without(text, len, "\n"); /* a bare one is a line end to the reader of fields, too */
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\t') text[i] = ' ';
    }
    for (size_t before = len + 1; before != len;) {
        before = len;
        for (size_t i = 0; i + 1 < len; i++) {
            if (text[i] != ' ' || text[i + 1] != ' ') continue;
            memmove(text + i, text + i + 1, len - i - 1);
            len -= 1;
            i -= 1;
        }
    }
    if (len > 0 && text[len - 1] == ' ') len -= 1;
    if (len > 0 && text[0] == ' ') memmove(text, text + 1, --len);
    memcpy(text + len, "\r\n", 2);
    return field->name.len + 1 + len + 2;
}

static void check_relaxed(const struct mime_field *field)
{
    uint8_t got[DIGEST_SHA256_LEN], wanted[DIGEST_SHA256_LEN];
    struct digest_sha256 digest;
    struct dkim_sink sink;
    char *text = base_alloc(field->whole.len + 4);
    digest_sha256_once((struct bytes){text, relax(field, text)}, wanted);
    digest_sha256_init(&digest);
    dkim_sink_init(&sink, &digest);
    dkim_canonical_field(&sink, field, CODEC_DKIM_RELAXED, true);
    dkim_sink_end(&sink);
    digest_sha256_end(&digest, got);
    require(memcmp(got, wanted, sizeof(got)) == 0);
    base_free(text);
}

/* ---- the field ----------------------------------------------------------------------------------
 */

/* How often the name stands in h=. */
static size_t named(struct bytes body, struct bytes name)
{
    static char names[DKIM_FIELD_MAX];
    const char *start = memmem(body.data, body.len, "h=", 2);
    require(start != NULL);
    const struct bytes rest = bytes_skip(body, (size_t)(start - body.data) + 2);
    const char *end = memchr(rest.data, ';', rest.len);
    require(end != NULL);
    size_t len = (size_t)(end - rest.data), count = 0;
    memcpy(names, rest.data, len);
    len = without(names, len, "\r\n\t");
    for (struct bytes left = {names, len}; left.len > 0;) {
        const char *colon = memchr(left.data, ':', left.len);
        const size_t one = colon ? (size_t)(colon - left.data) : left.len;
        count += bytes_equal_nocase((struct bytes){left.data, one}, name);
        left = bytes_skip(left, one + 1);
    }
    return count;
}

static void check_field(const struct dkim_signer *signer, const struct dkim_header *header)
{
    static const struct bytes names[] = {{"From", 4}, {"Subject", 7}, {"References", 10}};
    static char room[2 * DKIM_FIELD_MAX];
    const struct dkim_hashes hashes = {0};
    struct dkim_field field;
    struct mime_field read;
    struct text text;
    text_init(&text, room, sizeof(room));
    if (dkim_field_write(signer, header, &hashes, 1700000000, &text, &field) != NULL) {
        require(text.len == 0);
        return;
    }
    require(text.len <= DKIM_FIELD_MAX);
    struct bytes rest = text_bytes(&text);
    require(mime_field_next(&rest, &read) && rest.len == 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        size_t there = i < 2; /* oversigned */
        for (uint32_t k = 0; k < header->count; k++)
            there += bytes_equal_nocase(header->fields[k].name, names[i]);
        require(named(read.body, names[i]) == there);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dkim_header header = {0};
    struct dkim_choice choice;
    if (size > INPUT_MAX) return 0;
    dkim_header_add(&header, (struct bytes){(const char *)data, size});
    for (uint32_t i = 0; i < header.count; i++)
        check_relaxed(&header.fields[i]);
    dkim_choose(all_signers(), &header, &choice);
    require(choice.count == 0 || header.why == NULL);
    for (uint32_t i = 0; i < choice.count; i++)
        check_field(choice.signers[i], &header);
    dkim_header_deinit(&header);
    return 0;
}
