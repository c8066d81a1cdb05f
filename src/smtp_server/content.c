/* SPDX-License-Identifier: Apache-2.0
 *
 * content - moves content to the driver's memory, or throws it away, and judges it
 *
 * Content that will be refused is dropped as soon as that is known, but the reply waits for its
 * end, and its reason is chosen there, so that it does not depend on the split of packets: faults
 * that the reader sees are looked for up to the end and rank before those of the header. A fault of
 * the header therefore decides only when there is no other, and then nothing was dropped before it.
 */
#include "session.h"

enum { SCRATCH_SIZE = 4096 };

void session_begin_content(struct smtp_server *session, bool dots)
{
    scan_reader_init(&session->transaction.reader, dots);
    smtp_server_watch_init(&session->transaction.watch);
    session->transaction.watch.strict = session->transaction.body == SMTP_BODY_BINARYMIME;
}

/* Why the content so far cannot be accepted, or NULL. Once not NULL it stays so. */
static const char *content_fault(const struct smtp_server *session)
{
    const struct smtp_server_options *options = session->options;
    const struct scan_reader *reader = &session->transaction.reader;
    const struct smtp_server_header *header = &session->transaction.watch.header;
    /* Anything may be in a binary body: it has no lines (RFC 3030 section 3). */
    const bool lines = session->transaction.body != SMTP_BODY_BINARYMIME;

    if (lines && reader->classes & (SCAN_BARE_CR | SCAN_BARE_LF)) {
        return "550 5.5.2 Message has a bare CR or LF: lines end in CRLF";
    }
    if (lines && reader->classes & SCAN_NUL) return "550 5.6.0 Message has a NUL octet";
    if (options->max_message_size > 0 && reader->octets > options->max_message_size) {
        return "552 5.3.4 Message too big";
    }
    if (lines && options->max_text_line > 0 &&
        scan_reader_longest(reader) > options->max_text_line) {
        return "550 5.6.0 Message has a line that is too long";
    }
    if (header->odd) return "550 5.6.0 Message header has a bare CR, a bare LF or a NUL octet";
    if (header->received > options->max_received) {
        return "554 5.4.6 Too many Received fields: mail loop";
    }
    if (header->cut_count > SMTP_SERVER_CUTS_MAX) {
        return "550 5.6.0 Too many Return-Path fields";
    }
    return NULL;
}

/* Deadlines restart by steps of content, see SMTP_SERVER_PROGRESS_OCTETS. */
static void count_progress(struct smtp_server *session, uint64_t octets_before)
{
    const uint64_t step = SMTP_SERVER_PROGRESS_OCTETS;
    if (octets_before / step != session->transaction.reader.octets / step) session->progress += 1;
}

static void finish_facts(struct smtp_server *session)
{
    scan_reader_finish(&session->transaction.reader);
    smtp_server_watch_finish(&session->transaction.watch);
}

/* The reply to content, all of which has come; next is where the transaction goes on, or READY. */
static void refuse_content(struct smtp_server *session, const char *fault,
                           enum smtp_server_state next)
{
    session_drop(session);
    session_become(session, next);
    if (next == SMTP_SERVER_READY) session_reset(session);
    session_reply(session, fault);
}

static void data_done(struct smtp_server *session)
{
    finish_facts(session);
    const char *fault = content_fault(session);
    if (fault != NULL) {
        refuse_content(session, fault, SMTP_SERVER_READY);
    } else {
        session_become(session, SMTP_SERVER_COMPLETE);
    }
}

void session_chunk_done(struct smtp_server *session)
{
    const bool last = session->transaction.chunk_last;
    if (last) finish_facts(session);
    const char *fault = content_fault(session);
    if (fault != NULL) {
        refuse_content(session, fault, last ? SMTP_SERVER_READY : SMTP_SERVER_CHUNKS_FAILED);
    } else if (last) {
        session_become(session, SMTP_SERVER_COMPLETE);
    } else {
        session_replyf(session, "250 2.0.0 Ok: %llu octets",
                       (unsigned long long)session->transaction.chunk_size);
        session_become(session, SMTP_SERVER_CHUNKS);
    }
}

/* From now on the content is thrown away. */
static void begin_refusal(struct smtp_server *session)
{
    session_drop(session);
    if (session->state == SMTP_SERVER_DATA) {
        session_become(session, SMTP_SERVER_DATA_REFUSED);
    } else {
        session->state_after =
            session->transaction.chunk_last ? SMTP_SERVER_READY : SMTP_SERVER_CHUNKS_FAILED;
        session_become(session, SMTP_SERVER_CHUNK_REFUSED);
    }
}

size_t smtp_server_content(struct smtp_server *session, struct bytes *input, char *dst, size_t cap)
{
    struct smtp_server_transaction *transaction = &session->transaction;
    const bool chunk = session->state == SMTP_SERVER_CHUNK;
    const uint64_t octets_before = transaction->reader.octets;

    ASSERT(chunk || session->state == SMTP_SERVER_DATA);
    ASSERT(transaction->held && transaction->recipients > 0);
    ASSERT(cap > 0);
    const size_t len = chunk ? MIN(input->len, transaction->chunk_left) : input->len;
    const struct scan_progress done = scan_read(&transaction->reader, input->data, len, dst, cap);
    if (done.taken > 0) *input = bytes_skip(*input, done.taken);
    smtp_server_watch_feed(&transaction->watch, dst, done.written);
    count_progress(session, octets_before);

    if (chunk) {
        ASSERT(done.taken == done.written); /* no dots in a chunk */
        transaction->chunk_left -= done.taken;
    } else if (transaction->reader.state == SCAN_END) {
        data_done(session);
        return done.written;
    }
    if (content_fault(session) != NULL) begin_refusal(session);
    return done.written;
}

static void swallow_data(struct smtp_server *session, struct bytes *input)
{
    struct scan_reader *reader = &session->transaction.reader;
    char scratch[SCRATCH_SIZE];
    while (input->len > 0 && reader->state != SCAN_END) {
        const uint64_t octets_before = reader->octets;
        const struct scan_progress done =
            scan_read(reader, input->data, input->len, scratch, sizeof(scratch));
        *input = bytes_skip(*input, done.taken);
        count_progress(session, octets_before);
    }
    if (reader->state != SCAN_END) return;
    scan_reader_finish(reader);
    refuse_content(session, content_fault(session), SMTP_SERVER_READY);
}

/* A refusal that was known when the chunk began has its reply waiting; otherwise the content is
 * read on, for a reason that does not depend on the split. */
static void swallow_chunk(struct smtp_server *session, struct bytes *input)
{
    struct smtp_server_transaction *transaction = &session->transaction;
    char scratch[SCRATCH_SIZE];
    while (input->len > 0 && transaction->chunk_left > 0) {
        size_t len = MIN(input->len, transaction->chunk_left);
        const uint64_t left_before = transaction->chunk_left;
        if (session->reply_len == 0) {
            len = scan_read(&transaction->reader, input->data, len, scratch, sizeof(scratch)).taken;
        }
        *input = bytes_skip(*input, len);
        transaction->chunk_left -= len;
        if (left_before / SMTP_SERVER_PROGRESS_OCTETS !=
            transaction->chunk_left / SMTP_SERVER_PROGRESS_OCTETS) {
            session->progress += 1;
        }
    }
    if (transaction->chunk_left > 0) return;
    const enum smtp_server_state next = session->state_after;
    if (session->reply_len == 0) {
        if (transaction->chunk_last) scan_reader_finish(&transaction->reader);
        refuse_content(session, content_fault(session), next);
        return;
    }
    session_become(session, next);
    if (next == SMTP_SERVER_READY) session_reset(session);
}

void session_swallow(struct smtp_server *session, struct bytes *input)
{
    if (session->state == SMTP_SERVER_DATA_REFUSED) {
        swallow_data(session, input);
    } else {
        swallow_chunk(session, input);
    }
}
