/* SPDX-License-Identifier: Apache-2.0
 *
 * stream - one byte stream on one core: a socket with an input rest, an output queue, a deadline
 *
 * Job     gives the user whole views of unread input, gathers output of a turn into one send, keeps
 *         the deadline, and closes in order. TLS sits in here, unseen by the user once it is open.
 * Drive   callbacks; the group's flush once a turn (a worker hook) starts the sends.
 * Owner   embedded in a session; the session's memory is free when on_closed was called, which
 *         happens exactly once after stream_close() - never from inside it.
 * Errors  how a stream ended is data: enum stream_end.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/buf.h"
#include "ringpost/ring.h"
#include "ringpost/tls.h"

struct stream_group { /* one a worker and purpose */
    struct ring *ring;
    struct list dirty;       /* streams with output to send or input to look at again */
    uint32_t open;           /* streams not yet closed */
    uint64_t kept;           /* memory of unread input, over all streams */
    struct ring_timer again; /* something was left for the next turn */
};
void stream_group_init(struct stream_group *group, struct ring *ring);
void stream_group_flush(void *group); /* a worker hook (WORKER_FLUSH) */

enum stream_end {
    STREAM_END_PEER = 0, /* orderly end of the peer's stream */
    STREAM_END_ERROR,    /* reset, unreachable, ... */
};
struct stream;
struct stream_events {
    /* Of stream_connect(): 0 or -errno; after an error close it. NULL for accepted streams. */
    void (*on_open)(struct stream *stream, int error);
    /* All unread input in one piece. Returns how many octets it took; the rest is shown again with
     * what follows it. Not called while paused or closing. */
    size_t (*on_input)(struct stream *stream, struct bytes input);
    /* Everything queued has left (the counts below tell about parts). May be NULL. */
    void (*on_drained)(struct stream *stream);
    /* No more input will come; what was queued may still be sent. The user closes. */
    void (*on_end)(struct stream *stream, enum stream_end end, int error);
    /* Of stream_start_tls(): NULL when the handshake is done; else why it failed, in words (lives
     * as long as stream_tls()), and the user closes: stream_finish() lets the alert leave. Never
     * from inside stream_start_tls(). May be NULL where TLS is never started. */
    void (*on_secure)(struct stream *stream, const char *error);
    void (*on_deadline)(struct stream *stream);
    void (*on_closed)(struct stream *stream);
};

/* Unread octets kept before a socket is left alone; a user must take some before. Streams that are
 * paused while the group keeps much are left alone with the first octet kept. */
enum { STREAM_INPUT_MAX = 256 * 1024, STREAM_GROUP_KEPT_MUCH = 16 * 1024 * 1024 };

struct stream {
    struct ring_socket socket;
    struct ring_timer deadline;
    struct stream_group *group;
    const struct stream_events *events;
    struct list dirty_link;
    struct buf_chain text;       /* copied output, storage of the text pieces */
    struct stream_piece *pieces; /* ring of piece_cap, a power of two; NULL when never used */
    uint32_t piece_cap, piece_first, piece_count;
    struct stream_secure *secure; /* TLS and what is in its way; NULL in clear */
    char *rest;                   /* unread input; NULL when none */
    uint32_t rest_len, rest_cap;
    uint64_t queued, sent; /* octets of output, ever */
    uint32_t sending_pieces;
    bool paused, finishing, closing, ended, end_told, input_again, in_input, receiving, open;
    bool broken;       /* a send failed: nothing more leaves */
    bool lingering;    /* all is sent; the peer's end is waited for */
    duration patience; /* of stream_finish_reading() */
    uint8_t end;       /* enum stream_end, when ended before it could be told */
    int end_error;
};
void stream_accept(struct stream *stream, struct stream_group *group, int fd,
                   const struct stream_events *events);
/* source may be NULL (or port 0). */
void stream_connect(struct stream *stream, struct stream_group *group, const struct address *peer,
                    const struct address *source, const struct stream_events *events);
void stream_send_text(struct stream *stream, struct bytes text); /* copied */
/* The same for a password: the copy is wiped when it has left (with TLS, when it is encrypted). */
void stream_send_secret(struct stream *stream, struct bytes text);
/* Not copied: the octets stay until stream->sent has reached what stream->queued is after this
 * call, or on_closed. */
void stream_send_ref(struct stream *stream, struct bytes octets);
static inline uint64_t stream_unsent(const struct stream *stream)
{
    return stream->queued - stream->sent;
}
/* TLS from here on; the stream owns tls (of tls_accept() or tls_connect()). What was queued before
 * leaves in clear first. Input not yet taken is dropped, also what on_input leaves untaken when it
 * calls this: clear text behind STARTTLS must never be read as if it had come protected (RFC 3207
 * section 6); who wants to end the session for it looks at its input first.
 *
 * Once on_secure has told that the handshake is done, on_input shows plaintext and sends are
 * encrypted, at most 64 KB ahead of a send. What is queued before waits for it. The counts queued
 * and sent go on in plaintext, which is sent when its ciphertext has left. The deadline is the
 * user's, also for the handshake.
 *
 * The end: close_notify is STREAM_END_PEER, and so is an end without it (SMTP marks its own ends),
 * also in the handshake; a forged or broken record is STREAM_END_ERROR with -EPROTO, after the
 * input before it. A stream that is finished during the handshake sends what TLS has to say (an
 * alert), no more. */
void stream_start_tls(struct stream *stream, struct tls *tls);
/* For tls_get_info(), tls_error(), tls_session_take(); NULL in clear. */
struct tls *stream_tls(const struct stream *stream);
/* Octets of output that have arrived at the peer's system: see ring_socket_acked(). With TLS an
 * estimate in plaintext, good for seeing that it moves. */
uint64_t stream_acked(const struct stream *stream);
/* Replaces the deadline; INSTANT_FOREVER: none. */
void stream_set_deadline(struct stream *stream, instant at);
void stream_pause(struct stream *stream);  /* no more on_input; the socket is read no further */
void stream_resume(struct stream *stream); /* kept input is shown again at this turn's flush */
/* Sends what is queued, then closes by itself; no more on_input. The deadline still counts. */
void stream_finish(struct stream *stream);
/* The same for a peer that may still be sending. To close a socket with unread input resets the
 * connection, and a reset can take the last reply out of the peer's hands. So everything that comes
 * is read and thrown away until the peer has ended too, for at most `patience` after the last octet
 * has left. */
void stream_finish_reading(struct stream *stream, duration patience);
void stream_close(struct stream *stream); /* now; idempotent */
