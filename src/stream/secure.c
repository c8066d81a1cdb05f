/* SPDX-License-Identifier: Apache-2.0
 *
 * secure - the stream's TLS: between the socket and the user's plaintext
 *
 *     socket ─▶ on_received ─▶ tls_feed, tls_read ─▶ stream_take_input ─▶ on_input
 *     socket ◀─ ring_send ◀─ tls_output ◀─ tls_write ◀─ pieces
 *
 * A piece is encrypted when it is about to be sent, AHEAD octets at most: so a message of 50 MB
 * never lies here as 50 MB of ciphertext. Once encrypted it is no longer needed, but counts as sent
 * when the ciphertext has left.
 */
#include "internal.h"
#include <errno.h>

enum { AHEAD = 64 * 1024, PLAIN_SIZE = 32 * 1024 };

void stream_start_tls(struct stream *stream, struct tls *tls)
{
    ASSERT(stream->secure == NULL);
    struct stream_secure *secure = base_alloc(sizeof(*secure));
    *secure = (struct stream_secure){
        .tls = tls,
        .clear_until = stream->queued,
        .clear_pieces = stream->piece_count,
    };
    stream->secure = secure;
    if (stream->closing) return;
    if (!stream->in_input) stream_drop_rest(stream); /* else whoever shows it drops it */
    stream_start_receiving(stream);
    stream_mark_dirty(stream);
}

struct tls *stream_tls(const struct stream *stream)
{
    return stream->secure != NULL ? stream->secure->tls : NULL;
}

uint64_t stream_acked(const struct stream *stream)
{
    const struct stream_secure *secure = stream->secure;
    const uint64_t acked = ring_socket_acked(&stream->socket);
    if (secure == NULL || stream->sent < secure->clear_until) return acked;
    const uint64_t overhead = secure->flown - (stream->sent - secure->clear_until);
    return acked > overhead ? acked - overhead : 0;
}

void stream_secure_free(struct stream *stream)
{
    if (stream->secure == NULL) return;
    tls_free(&stream->secure->tls);
    base_free(stream->secure);
    stream->secure = NULL;
}

static bool is_open(const struct stream_secure *secure)
{
    return secure->told &&
           (tls_status(secure->tls) == TLS_OPEN || tls_status(secure->tls) == TLS_CLOSED);
}

/* ---- handshake --------------------------------------------------------------------------------
 */

/* As far as it goes; tells the user how it ended. */
static void shake_hands(struct stream *stream)
{
    struct stream_secure *secure = stream->secure;
    secure->begun = true;
    const enum tls_status status = tls_handshake(secure->tls);
    if (status == TLS_HANDSHAKE) return;
    secure->told = true;
    if (status == TLS_FAILED) {
        stream->end_told = true; /* it is told by on_secure */
        stream_end_input(stream, STREAM_END_ERROR, -EPROTO);
        stream->events->on_secure(stream, tls_error(secure->tls));
    } else {
        stream_mark_dirty(stream); /* what was queued meanwhile */
        stream->events->on_secure(stream, NULL);
    }
}

/* ---- input ------------------------------------------------------------------------------------
 */

static bool takes_input(const struct stream *stream)
{
    return !stream->closing && !stream->finishing && !stream->ended;
}

/* Tells the end that TLS has come to, if it has. */
static void look_for_end(struct stream *stream)
{
    const enum tls_status status = tls_status(stream->secure->tls);
    if (!takes_input(stream)) return;
    if (status == TLS_CLOSED) stream_end_input(stream, STREAM_END_PEER, 0);
    if (status == TLS_FAILED) stream_end_input(stream, STREAM_END_ERROR, -EPROTO);
}

void stream_secure_received(struct stream *stream, struct bytes ciphertext)
{
    struct tls *tls = stream->secure->tls;
    char plain[PLAIN_SIZE];
    if (!takes_input(stream)) return; /* behind the end */
    tls_feed(tls, ciphertext);
    if (!stream->secure->told) shake_hands(stream);
    while (takes_input(stream)) {
        const size_t len = tls_read(tls, plain, sizeof(plain));
        if (len == 0) break;
        stream_take_input(stream, (struct bytes){plain, len});
    }
    tls_feed(tls, (struct bytes){0}); /* of use to nobody when the user has closed meanwhile */
    look_for_end(stream);
    if (!stream->closing && tls_output_len(tls) > 0) stream_mark_dirty(stream);
}

/* ---- output -----------------------------------------------------------------------------------
 */

static void encrypt(struct stream *stream)
{
    struct stream_secure *secure = stream->secure;
    while (stream->piece_count > 0 && secure->encrypted < AHEAD) {
        struct bytes pieces[RING_SEND_PIECES_MAX];
        const uint32_t count = stream_view_pieces(stream, pieces, RING_SEND_PIECES_MAX);
        const size_t len = tls_write(secure->tls, pieces, count, AHEAD - secure->encrypted);
        if (len == 0) break;
        stream_drop_output(stream, len);
        secure->encrypted += len;
    }
    secure->encrypted_end = secure->flown + tls_output_len(secure->tls);
}

void stream_secure_send(struct stream *stream)
{
    struct stream_secure *secure = stream->secure;
    struct bytes pieces[RING_SEND_PIECES_MAX];
    if (secure->clear_pieces > 0) {
        stream_send_pieces(stream, secure->clear_pieces);
        return;
    }
    if (!secure->begun && !stream->finishing) shake_hands(stream);
    if (stream->closing) return;
    if (is_open(secure) && secure->encrypted == 0) encrypt(stream);
    look_for_end(stream);
    if (stream->closing) return;
    /* What is still queued when it has failed, or before it is open, will never leave. */
    if (stream->finishing && (stream->piece_count == 0 || !is_open(secure))) tls_close(secure->tls);
    const size_t count = tls_output(secure->tls, pieces, ARRAY_COUNT(pieces));
    if (count == 0) {
        if (stream->finishing) stream_all_sent(stream);
        return;
    }
    for (size_t i = 0; i < count; i++)
        secure->flying += pieces[i].len;
    ring_send(&stream->socket, pieces, count);
}

void stream_secure_sent(struct stream *stream)
{
    struct stream_secure *secure = stream->secure;
    bool moved = false;
    if (stream->sending_pieces > 0) {
        struct bytes pieces[RING_SEND_PIECES_MAX];
        const uint32_t count = stream_view_pieces(stream, pieces, stream->sending_pieces);
        secure->clear_pieces -= count;
        stream->sending_pieces = 0;
        for (uint32_t i = 0; i < count; i++) {
            stream->sent += pieces[i].len;
            stream_drop_output(stream, pieces[i].len);
        }
        moved = true;
    } else {
        tls_output_sent(secure->tls, secure->flying);
        secure->flown += secure->flying;
        secure->flying = 0;
        moved = secure->encrypted > 0 && secure->flown >= secure->encrypted_end;
        if (moved) {
            stream->sent += secure->encrypted;
            secure->encrypted = 0;
        }
    }
    stream_start_send(stream);
    if (stream->closing || stream->finishing || !moved || stream_unsent(stream) > 0) return;
    if (stream->events->on_drained != NULL) stream->events->on_drained(stream);
}
