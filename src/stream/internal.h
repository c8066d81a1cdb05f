/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - between the stream and its TLS
 */
#pragma once
#include "ringpost/stream.h"

struct stream_piece {
    const char *data;
    uint32_t len;
    bool text; /* lies in the chain */
};

/* ---- stream.c ---------------------------------------------------------------------------------
 */

void stream_mark_dirty(struct stream *stream);
/* Plaintext that has come: shown to the user, the rest is kept. */
void stream_take_input(struct stream *stream, struct bytes input);
/* No more input: told to the user after the input before it. */
void stream_end_input(struct stream *stream, enum stream_end end, int error);
void stream_drop_rest(struct stream *stream);
void stream_start_receiving(struct stream *stream);
/* The first pieces, as many as fit into one send, as they are. */
void stream_send_pieces(struct stream *stream, uint32_t count);
/* Pieces as octets, up to max of them; returns how many. */
uint32_t stream_view_pieces(struct stream *stream, struct bytes *pieces, uint32_t max);
/* len octets from the front are of no more use here. */
void stream_drop_output(struct stream *stream, size_t len);
/* Starts a send, if there is something and none is in flight. */
void stream_start_send(struct stream *stream);
void stream_all_sent(struct stream *stream); /* finishing, and nothing is left to send */

/* ---- secure.c: only for a stream with TLS ------------------------------------------------------
 */

struct stream_secure {
    struct tls *tls;
    uint64_t clear_until;   /* of ->queued: up to here it leaves in clear */
    uint32_t clear_pieces;  /* the same in pieces still there */
    bool begun, told;       /* the handshake; the user knows how it ended */
    size_t flying;          /* octets of ciphertext in the send in flight */
    uint64_t flown;         /* ... sent before, ever */
    uint64_t encrypted;     /* plaintext that is in the ciphertext not yet sent */
    uint64_t encrypted_end; /* where in the ciphertext it ends */
};
void stream_secure_received(struct stream *stream, struct bytes ciphertext);
void stream_secure_send(struct stream *stream); /* nothing is in flight */
void stream_secure_sent(struct stream *stream);
void stream_secure_free(struct stream *stream);
