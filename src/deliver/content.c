/* SPDX-License-Identifier: Apache-2.0
 *
 * content - queues the octets of a message on a connection
 *
 * As they lie in home's memory, when they can go as they are; what a receiver does not take so is
 * made while it is sent (convert.c). Where dots have to be doubled (DATA,
 * RFC 5321 section 4.5.2) the pieces are cut at them; a hostile content can consist of nothing
 * else, so only a bounded part is queued at a time.
 */
#include "internal.h"

enum { COPY_BELOW = 512 }; /* shorter runs are copied together instead of being a piece each */

static void send_run(struct stream *stream, struct bytes run)
{
    if (run.len == 0) return;
    if (run.len < COPY_BELOW)
        stream_send_text(stream, run);
    else
        stream_send_ref(stream, run);
}

/* Octets up to and with the line end before the next dot that begins a line; all if there is none.
 * line_start: the text begins a line. */
static size_t run_before_dot(struct bytes text, bool line_start)
{
    if (line_start && text.len > 0 && text.data[0] == '.') return 0;
    size_t at = 0;
    while (at < text.len) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        if (end == NULL) return text.len;
        at = (size_t)(end - text.data) + 1;
        if (at < text.len && text.data[at] == '.') return at;
    }
    return text.len;
}

static void send_piece(struct deliver_connection *connection, struct bytes text)
{
    struct stream *stream = &connection->stream;
    while (text.len > 0 && stream_unsent(stream) < UNSENT_MAX) {
        const size_t run = run_before_dot(text, connection->line_start);
        if (run == 0) {
            stream_send_text(stream, BYTES(".."));
            text = bytes_skip(text, 1);
            connection->piece_at += 1;
            connection->line_start = false;
            continue;
        }
        send_run(stream, (struct bytes){text.data, run});
        connection->line_start = text.data[run - 1] == '\n';
        text = bytes_skip(text, run);
        connection->piece_at += run;
    }
}

static bool send_pieces(struct deliver_connection *connection, const struct deliver_job *job)
{
    while (connection->piece < job->piece_count) {
        const struct bytes piece = job->pieces[connection->piece];
        send_piece(connection, bytes_skip(piece, connection->piece_at));
        if (connection->piece_at < piece.len) return false;
        connection->piece += 1;
        connection->piece_at = 0;
    }
    return true;
}

bool content_continue(struct deliver_connection *connection)
{
    struct deliver_job *job = connection->sending;
    const bool all = job->conversion != NULL ? convert_send(job, &connection->stream)
                                             : send_pieces(connection, job);
    if (!all) return false;
    connection->sending = NULL;
    job->transaction.content_end = connection->stream.queued;
    return true;
}

bool content_begin(struct deliver_connection *connection, struct deliver_job *job, bool stuffed)
{
    const bool dots = stuffed && job->transaction.content_flags & SMTP_CONTENT_LEADING_DOT;
    if (job->conversion != NULL || dots) {
        /* Not wholly sent whatever the connection counts, until all of it is queued. */
        job->transaction.content_end = UINT64_MAX;
        connection->sending = job;
        connection->piece = 0;
        connection->piece_at = 0;
        connection->line_start = true;
        if (job->conversion != NULL) convert_send_begin(job, dots);
        return content_continue(connection);
    }
    for (uint32_t i = 0; i < job->piece_count; i++) {
        if (job->pieces[i].len > 0) stream_send_ref(&connection->stream, job->pieces[i]);
    }
    job->transaction.content_end = connection->stream.queued;
    return true;
}
