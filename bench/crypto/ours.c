/* SPDX-License-Identifier: Apache-2.0
 *
 * ours - what is measured of Ringpost, in words that C++ understands
 */
#include "ours.h"
#include "ringpost/digest.h"
#include "ringpost/dkim.h"
#include "ringpost/tls.h"
#include <stdio.h>
#include <stdlib.h>

void ours_sha256(const char *data, size_t size, uint8_t out[32])
{
    digest_sha256_once((struct bytes){data, size}, out);
}

void ours_sha256_many(const char *data, size_t size, size_t count, uint8_t out[32])
{
    struct digest_sha256 states[OURS_STREAMS_MAX];
    struct digest_job jobs[OURS_STREAMS_MAX];
    struct digest_end ends[OURS_STREAMS_MAX];
    uint8_t hashes[OURS_STREAMS_MAX][DIGEST_SHA256_LEN];
    for (size_t i = 0; i < count; i++) {
        digest_sha256_init(&states[i]);
        jobs[i] = (struct digest_job){&states[i], {data + i * size, size}};
        ends[i] = (struct digest_end){&states[i], {NULL, 0}, hashes[i]};
    }
    digest_sha256_add_many(jobs, count);
    digest_sha256_end_many(ends, count);
    memcpy(out, hashes[count - 1], DIGEST_SHA256_LEN);
}

void ours_body_many(const char *data, size_t size, size_t count, uint8_t out[32])
{
    static struct dkim_body bodies[OURS_STREAMS_MAX];
    static struct dkim_hashes hashes[OURS_STREAMS_MAX];
    struct dkim_piece pieces[OURS_STREAMS_MAX];
    struct dkim_end ends[OURS_STREAMS_MAX];
    for (size_t i = 0; i < count; i++) {
        dkim_body_init(&bodies[i], 1 << CODEC_DKIM_RELAXED);
        pieces[i] = (struct dkim_piece){&bodies[i], {data + i * size, size}};
        ends[i] = (struct dkim_end){&bodies[i], &hashes[i]};
    }
    dkim_bodies_add(pieces, count);
    dkim_bodies_end(ends, count);
    memcpy(out, hashes[count - 1].of[CODEC_DKIM_RELAXED], DIGEST_SHA256_LEN);
}

/* As a sender of bulk mail has it. */
static const char header_text[] =
    "Received: from app.signed.test ([192.0.2.7]) by relay.test with ESMTPS id 1a2b3c4d5e6f;\r\n"
    " Fri, 27 Nov 2026 10:00:00 +0000\r\n"
    "Date: Fri, 27 Nov 2026 10:00:00 +0000\r\n"
    "From: \"The Weekly Letter\" <letter@signed.test>\r\n"
    "Reply-To: <answers@signed.test>\r\n"
    "To: \"A Reader\" <reader@dest.test>\r\n"
    "Subject: =?utf-8?q?This_week=E2=80=99s_letter:_forty_things_that_you_may_have_missed?=\r\n"
    "Message-ID: <20261127100000.1a2b3c4d5e6f.4711@signed.test>\r\n"
    "List-Id: <weekly.signed.test>\r\n"
    "List-Unsubscribe: <mailto:leave@signed.test?subject=4711>,\r\n"
    " <https://signed.test/unsubscribe/0123456789abcdef0123456789abcdef>\r\n"
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/alternative; boundary=\"=_0123456789abcdef\"\r\n"
    "X-Campaign: weekly-2026-48\r\n";

struct ours_signer {
    struct dkim_signers *signers;
    struct dkim_header header;
};

struct ours_signer *ours_signer_create(bool rsa)
{
    char why[256];
    struct dkim_key *key =
        dkim_key_generate(rsa ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256, 2048, why, sizeof(why));
    if (key == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    const struct dkim_signer signer = {
        .domain = BYTES("signed.test"),
        .selector = BYTES("bench"),
        .key = key,
        .header_mode = CODEC_DKIM_RELAXED,
        .body_mode = CODEC_DKIM_RELAXED,
        .headers = dkim_headers_default,
        .header_count = dkim_headers_default_count,
        .oversign = dkim_oversign_default,
        .oversign_count = dkim_oversign_default_count,
    };
    struct ours_signer *ours = calloc(1, sizeof(*ours));
    ours->signers = dkim_signers_create(&signer, 1);
    dkim_key_unref(key);
    return ours;
}

bool ours_sign(struct ours_signer *ours, char *out, size_t size)
{
    const struct dkim_hashes hashes = {{{1}}};
    struct dkim_choice choice;
    struct dkim_field field;
    struct text text;
    text_init(&text, out, size);
    dkim_header_clear(&ours->header);
    dkim_header_add(&ours->header, (struct bytes){header_text, sizeof(header_text) - 1});
    dkim_choose(ours->signers, &ours->header, &choice);
    if (choice.count != 1) return false;
    if (dkim_field_write(choice.signers[0], &ours->header, &hashes, 1764237600, &text, &field) !=
        NULL) {
        return false;
    }
    if (!dkim_field_sign(&field, 0)) return false;
    dkim_field_finish(&field, out);
    return true;
}

struct tls_server *ours_server(const char *certificate, const char *key)
{
    static const uint8_t seed[TLS_TICKETS_SEED_LEN] = {1};
    const struct tls_certificate files = {certificate, key};
    const struct tls_server_options options = {
        .certificates = &files,
        .certificate_count = 1,
        .tickets = tls_tickets_create(seed, 1),
    };
    char why[256];
    const char *option;
    struct tls_server *server = tls_server_create(&options, &option, why, sizeof(why));
    if (server == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return server;
}

struct tls *ours_accept(struct tls_server *server)
{
    return tls_accept(server, 1);
}

static void take_output(struct tls *tls, char *out, size_t size, size_t *used)
{
    struct bytes pieces[16];
    const size_t count = tls_output(tls, pieces, ARRAY_COUNT(pieces));
    *used = 0;
    for (size_t i = 0; i < count && *used + pieces[i].len <= size; i++) {
        memcpy(out + *used, pieces[i].data, pieces[i].len);
        *used += pieces[i].len;
    }
    tls_output_sent(tls, *used);
}

bool ours_handshake(struct tls *tls, const char *in, size_t len, char *out, size_t size,
                    size_t *used)
{
    tls_feed(tls, (struct bytes){in, len});
    const bool done = tls_handshake(tls) == TLS_OPEN;
    take_output(tls, out, size, used);
    return done;
}

void ours_exchange(struct tls *tls, const char *in, size_t len, const char *answer, size_t size,
                   char *out, size_t out_size, size_t *used)
{
    char plain[32768];
    const struct bytes piece = {answer, size};
    tls_feed(tls, (struct bytes){in, len});
    while (tls_read(tls, plain, sizeof(plain)) > 0) {
    }
    tls_write(tls, &piece, 1, size);
    take_output(tls, out, out_size, used);
}

void ours_tls_free(struct tls *tls)
{
    tls_close(tls);
    tls_free(&tls);
}
