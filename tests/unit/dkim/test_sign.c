/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sign - RFC 8463's example octet for octet; canonical fields; the fields we write
 */
#include "internal.h"
#include "keys.h"
#include "ringpost/codec/base64.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

#define EXAMPLE_HEADER                                                                             \
    "From: Joe SixPack <joe@football.example.com>\r\n"                                             \
    "To: Suzie Q <suzie@shopping.example.net>\r\n"                                                 \
    "Subject: Is dinner ready?\r\n"                                                                \
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"                                              \
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define EXAMPLE_BODY "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"

static struct dkim_key *must_read(const char *pem)
{
    struct dkim_key *key = read_alone(pem);
    assert_non_null(key);
    return key;
}

static void hash_body(const char *body, size_t len, struct dkim_hashes *hashes)
{
    struct dkim_body state;
    struct dkim_piece piece = {&state, {body, len}};
    dkim_body_init(&state, 3);
    dkim_bodies_add(&piece, 1);
    dkim_body_end(&state, hashes);
}

static void assert_base64(const uint8_t *octets, size_t len, const char *wanted)
{
    char text[2 * DKIM_SIGNATURE_MAX];
    text[codec_base64_encode(octets, len, text)] = '\0';
    assert_string_equal(text, wanted);
}

/* ---- RFC 8463 appendix A.3 ----------------------------------------------------------------------
 */

static void sign_example(const char *pem, const char *signature_field, const char *wanted)
{
    struct dkim_key *key = must_read(pem);
    struct digest_sha256 digest;
    struct dkim_sink sink;
    struct mime_field field;
    uint8_t hash[DIGEST_SHA256_LEN], signature[DKIM_SIGNATURE_MAX];
    struct bytes rest = BYTES(EXAMPLE_HEADER), own = bytes_of(signature_field);
    digest_sha256_init(&digest);
    dkim_sink_init(&sink, &digest);
    while (
        mime_field_next(&rest, &field)) /* h= has them in this order, then nothing more of them */
        dkim_canonical_field(&sink, &field, CODEC_DKIM_RELAXED, true);
    assert_true(mime_field_next(&own, &field));
    dkim_canonical_field(&sink, &field, CODEC_DKIM_RELAXED, false);
    dkim_sink_end(&sink);
    digest_sha256_end(&digest, hash);
    assert_true(dkim_key_sign(key, 0, hash, signature));
    assert_base64(signature, dkim_key_signature_len(key), wanted);
    dkim_key_unref(key);
}

static void rfc_8463_example(void **state)
{
    struct dkim_hashes hashes;
    (void)state;
    hash_body(EXAMPLE_BODY, sizeof(EXAMPLE_BODY) - 1, &hashes);
    assert_base64(hashes.of[CODEC_DKIM_RELAXED], DIGEST_SHA256_LEN,
                  "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    sign_example(rfc8463_ed25519,
                 "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                 " d=football.example.com; i=@football.example.com;\r\n"
                 " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                 " subject : date : message-id : from : subject : date;\r\n"
                 " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                 " b=",
                 "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus"
                 "Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
    sign_example(rfc8463_rsa,
                 "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                 " d=football.example.com; i=@football.example.com;\r\n"
                 " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
                 " date : message-id : from : subject : date;\r\n"
                 " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                 " b=",
                 "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3"
                 "DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz"
                 "dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=");
}

/* ---- canonical fields ---------------------------------------------------------------------------
 */

static void assert_canonical(const char *text, enum codec_dkim_mode mode, const char *wanted)
{
    struct bytes rest = bytes_of(text);
    struct digest_sha256 digest;
    struct dkim_sink sink;
    struct mime_field field;
    uint8_t got[DIGEST_SHA256_LEN], expected[DIGEST_SHA256_LEN];
    digest_sha256_init(&digest);
    dkim_sink_init(&sink, &digest);
    while (mime_field_next(&rest, &field))
        dkim_canonical_field(&sink, &field, mode, true);
    dkim_sink_end(&sink);
    digest_sha256_end(&digest, got);
    digest_sha256_once(bytes_of(wanted), expected);
    assert_memory_equal(got, expected, sizeof(got));
}

static void canonical_fields(void **state)
{
    static const char example[] = "A: X\r\nB : Y\t\r\n\tZ  \r\n"; /* RFC 6376 section 3.4.5 */
    (void)state;
    assert_canonical(example, CODEC_DKIM_RELAXED, "a:X\r\nb:Y Z\r\n");
    assert_canonical(example, CODEC_DKIM_SIMPLE, example);
    assert_canonical("Subject:\r\n", CODEC_DKIM_RELAXED, "subject:\r\n");
    assert_canonical("Subject: \t \r\n", CODEC_DKIM_RELAXED, "subject:\r\n");
    assert_canonical("X:\r\n \t a\r\n b\t\tc \r\n \r\n", CODEC_DKIM_RELAXED, "x:a b c\r\n");
    assert_canonical("X: a", CODEC_DKIM_RELAXED, "x:a\r\n");
    assert_canonical("X: a", CODEC_DKIM_SIMPLE, "X: a\r\n");
    assert_canonical("X: \xff\x80\r\n", CODEC_DKIM_RELAXED, "x:\xff\x80\r\n");
}

/* Longer than the room between the fields and the hash, folded every few octets. */
static void a_very_long_field(void **state)
{
    enum { WORDS = 3000 };
    static char text[WORDS * 8 + 16], wanted[WORDS * 8 + 16];
    size_t at = 2, wanted_at = 2;
    (void)state;
    memcpy(text, "X:", 2);
    memcpy(wanted, "x:", 2);
    for (size_t i = 0; i < WORDS; i++) {
        const size_t blanks = 1 + i % 3;
        memcpy(text + at, "\r\n", 2);
        memset(text + at + 2, i % 2 ? ' ' : '\t', blanks);
        memcpy(text + at + 2 + blanks, "ab", 2);
        at += 4 + blanks;
        memcpy(wanted + wanted_at, i > 0 ? " ab" : "ab", i > 0 ? 3 : 2);
        wanted_at += i > 0 ? 3 : 2;
    }
    memcpy(text + at, "\r\n", 3);
    memcpy(wanted + wanted_at, "\r\n", 3);
    assert_canonical(text, CODEC_DKIM_RELAXED, wanted);
    assert_canonical(text, CODEC_DKIM_SIMPLE, text);
}

/* ---- bodies, several at a time ------------------------------------------------------------------
 */

static void fill(struct random *random, char *octets, size_t len)
{
    static const char some[] = "ab \t\r\n\r\n\r\n.";
    for (size_t i = 0; i < len; i++)
        octets[i] = some[random_below(random, sizeof(some) - 1)];
}

static void bodies_side_by_side(void **state)
{
    enum { BODIES = 35, LEN_MAX = 20000 };
    static char octets[BODIES][LEN_MAX], canonical[LEN_MAX + 2];
    struct random random;
    (void)state;
    random_init(&random, 3);
    for (int round = 0; round < 20; round++) {
        struct dkim_body bodies[BODIES];
        size_t len[BODIES], at[BODIES] = {0}, left = 0;
        for (size_t i = 0; i < BODIES; i++) {
            len[i] = random_below(&random, round % 2 ? LEN_MAX : 300);
            left += len[i];
            fill(&random, octets[i], len[i]);
            dkim_body_init(&bodies[i], (uint8_t)(1 + i % 3));
        }
        while (left > 0) {
            struct dkim_piece pieces[BODIES];
            for (size_t i = 0; i < BODIES; i++) {
                const size_t most = random_below(&random, 20000);
                const size_t piece = MIN(len[i] - at[i], most);
                pieces[i] = (struct dkim_piece){&bodies[i], {octets[i] + at[i], piece}};
                at[i] += piece;
                left -= piece;
            }
            const size_t together = random_below(&random, BODIES + 1); /* and the others alone */
            dkim_bodies_add(pieces, together);
            for (size_t i = together; i < BODIES; i++)
                dkim_bodies_add(&pieces[i], 1);
        }
        struct dkim_hashes ended[BODIES];
        struct dkim_end ends[BODIES];
        for (size_t i = 0; i < BODIES; i++)
            ends[i] = (struct dkim_end){&bodies[i], &ended[i]};
        const size_t together = random_below(&random, BODIES);
        dkim_bodies_end(ends, together);
        for (size_t i = together; i < BODIES; i++)
            dkim_body_end(&bodies[i], &ended[i]);
        for (size_t i = 0; i < BODIES; i++) {
            const struct dkim_hashes hashes = ended[i];
            for (int mode = 0; mode < 2; mode++) {
                uint8_t wanted[DIGEST_SHA256_LEN];
                if (!((1 + i % 3) >> mode & 1)) continue;
                const size_t size =
                    codec_dkim_canonical(octets[i], len[i], canonical, (enum codec_dkim_mode)mode);
                digest_sha256_once((struct bytes){canonical, size}, wanted);
                assert_memory_equal(hashes.of[mode], wanted, sizeof(wanted));
            }
        }
    }
}

/* A CR at the very end: all line ends before it count, more than the codec ends with at once. */
static void line_ends_that_count_at_the_end(void **state)
{
    enum { LINES = 700 };
    char octets[2 * LINES + 2], canonical[sizeof(octets) + 2];
    struct dkim_hashes hashes;
    (void)state;
    octets[0] = 'a';
    for (size_t i = 0; i < LINES; i++)
        memcpy(octets + 1 + 2 * i, "\r\n", 2);
    octets[sizeof(octets) - 1] = '\r';
    hash_body(octets, sizeof(octets), &hashes);
    for (int mode = 0; mode < 2; mode++) {
        uint8_t wanted[DIGEST_SHA256_LEN];
        const size_t size =
            codec_dkim_canonical(octets, sizeof(octets), canonical, (enum codec_dkim_mode)mode);
        assert_int_equal(size, sizeof(octets) + 2);
        digest_sha256_once((struct bytes){canonical, size}, wanted);
        assert_memory_equal(hashes.of[mode], wanted, sizeof(wanted));
    }
}

/* RFC 6376 sections 3.4.3 and 3.4.4: the hashes of nothing. */
static void empty_body(void **state)
{
    struct dkim_hashes hashes;
    (void)state;
    hash_body("", 0, &hashes);
    assert_base64(hashes.of[CODEC_DKIM_SIMPLE], DIGEST_SHA256_LEN,
                  "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
    assert_base64(hashes.of[CODEC_DKIM_RELAXED], DIGEST_SHA256_LEN,
                  "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* ---- the field ----------------------------------------------------------------------------------
 */

struct fixture {
    struct dkim_header header;
    struct dkim_hashes hashes;
    struct dkim_signers *signers;
    struct dkim_field field;
    struct text text;
    char room[2 * DKIM_FIELD_MAX];
};

static const char *write_field(struct fixture *fixture, const char *pem, struct dkim_signer signer,
                               const char *header)
{
    signer.key = must_read(pem);
    fixture->signers = dkim_signers_create(&signer, 1);
    dkim_key_unref(signer.key);
    fixture->header = (struct dkim_header){0};
    dkim_header_add(&fixture->header, bytes_of(header));
    hash_body(EXAMPLE_BODY, sizeof(EXAMPLE_BODY) - 1, &fixture->hashes);
    text_init(&fixture->text, fixture->room, sizeof(fixture->room));
    return dkim_field_write(dkim_signers_at(fixture->signers, 0), &fixture->header,
                            &fixture->hashes, 1700000000, &fixture->text, &fixture->field);
}

static void fixture_end(struct fixture *fixture)
{
    dkim_signers_unref(fixture->signers);
    dkim_header_deinit(&fixture->header);
}

/* Of several Received-like fields the last comes first; a name that is oversigned once more. */
static void the_field_as_it_is_written(void **state)
{
    static const struct bytes names[] = {{"To", 2}, {"X-A", 3}, {"Cc", 2}};
    static const struct bytes oversign[] = {{"to", 2}};
    const struct dkim_signer signer = {
        .domain = BYTES("football.example.com"),
        .selector = BYTES("brisbane"),
        .header_mode = CODEC_DKIM_RELAXED,
        .body_mode = CODEC_DKIM_RELAXED,
        .headers = names,
        .header_count = ARRAY_COUNT(names),
        .oversign = oversign,
        .oversign_count = ARRAY_COUNT(oversign),
        .expire_s = 3600,
    };
    static const char header[] = "X-A: 1\r\nFrom: joe@football.example.com\r\nx-a: 2\r\n"
                                 "To: suzie@example.net\r\n"
                                 "List-Unsubscribe: <https://example.com/u>\r\n"
                                 "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n";
    static const char wanted[] =
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        "\td=football.example.com; s=brisbane; t=1700000000; x=1700003600;\r\n"
        "\th=To:To:X-A:X-A:From:From:List-Unsubscribe:List-Unsubscribe\r\n"
        "\t:List-Unsubscribe-Post:List-Unsubscribe-Post;\r\n"
        "\tbh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
        "\tb=";
    struct fixture fixture;
    uint8_t hash[DIGEST_SHA256_LEN], signature[DKIM_SIGNATURE_MAX];
    (void)state;
    assert_null(write_field(&fixture, rfc8463_ed25519, signer, header));
    assert_memory_equal(fixture.text.data, wanted, sizeof(wanted) - 1);
    digest_sha256_once(
        BYTES("to:suzie@example.net\r\nx-a:2\r\nx-a:1\r\nfrom:joe@football.example.com\r\n"
              "list-unsubscribe:<https://example.com/u>\r\n"
              "list-unsubscribe-post:List-Unsubscribe=One-Click\r\n"
              "dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; "
              "d=football.example.com; s=brisbane; t=1700000000; x=1700003600; "
              "h=To:To:X-A:X-A:From:From:List-Unsubscribe:List-Unsubscribe "
              ":List-Unsubscribe-Post:List-Unsubscribe-Post; "
              "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b="),
        hash);
    assert_memory_equal(fixture.field.hash, hash, sizeof(hash));

    assert_true(dkim_field_sign(&fixture.field, 3));
    dkim_field_finish(&fixture.field, fixture.text.data);
    const struct bytes whole = text_bytes(&fixture.text);
    const struct codec_result got =
        codec_base64_decode(whole.data + sizeof(wanted) - 1, whole.len - (sizeof(wanted) - 1),
                            signature, CODEC_BASE64_STRICT);
    assert_true(got.error == CODEC_NO_ERROR && got.written == 64);
    assert_memory_equal(signature, fixture.field.signature, 64);
    fixture_end(&fixture);
}

/* Whatever is signed: lines are short, each begins a field or goes on with it, nothing follows. */
static void lines_of_long_fields(void **state)
{
    static char domain[DKIM_NAME_MAX + 1], header[8000];
    struct fixture fixture;
    size_t at = 0;
    (void)state;
    memset(domain, 'a', DKIM_NAME_MAX);
    for (size_t i = 60; i < DKIM_NAME_MAX; i += 60)
        domain[i] = '.';
    struct dkim_signer signer = {.domain = {domain, DKIM_NAME_MAX},
                                 .selector = BYTES("s"),
                                 .headers = dkim_headers_default,
                                 .header_count = dkim_headers_default_count,
                                 .oversign = dkim_oversign_default,
                                 .oversign_count = dkim_oversign_default_count};
    for (size_t i = 0; i < dkim_headers_default_count * 2; i++) {
        const struct bytes name = dkim_headers_default[i / 2];
        if (i == 1) continue; /* From */
        memcpy(header + at, name.data, name.len);
        memcpy(header + at + name.len, ": x\r\n", 6);
        at += name.len + 5;
    }
    assert_null(write_field(&fixture, rfc8463_rsa, signer, header));
    assert_true(dkim_field_sign(&fixture.field, 0));
    dkim_field_finish(&fixture.field, fixture.text.data);
    struct bytes rest = text_bytes(&fixture.text);
    struct mime_field field;
    assert_true(mime_field_next(&rest, &field));
    assert_int_equal(rest.len, 0);
    for (const char *line = fixture.text.data; *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        assert_non_null(end);
        assert_true(end - line <= 78 || (end - line < 300 && strstr(line, "d=") == line + 1));
        line = end + 2;
    }
    fixture_end(&fixture);
}

static void too_many_fields_to_name(void **state)
{
    static char header[64 * 1024];
    struct fixture fixture;
    size_t at = 0;
    (void)state;
    for (int i = 0; i < 2000; i++, at += 7)
        memcpy(header + at, "To: a\r\n", 8);
    const struct dkim_signer signer = {.domain = BYTES("example.com"),
                                       .selector = BYTES("s"),
                                       .headers = dkim_headers_default,
                                       .header_count = dkim_headers_default_count};
    assert_non_null(write_field(&fixture, rfc8463_rsa, signer, header));
    assert_int_equal(fixture.text.len, 0);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8463_example),
        cmocka_unit_test(canonical_fields),
        cmocka_unit_test(a_very_long_field),
        cmocka_unit_test(bodies_side_by_side),
        cmocka_unit_test(line_ends_that_count_at_the_end),
        cmocka_unit_test(empty_body),
        cmocka_unit_test(the_field_as_it_is_written),
        cmocka_unit_test(lines_of_long_fields),
        cmocka_unit_test(too_many_fields_to_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
