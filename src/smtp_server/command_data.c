/* SPDX-License-Identifier: Apache-2.0
 *
 * command_data - DATA (RFC 5321 section 4.1.1.4) and BDAT (RFC 3030)
 *
 * BDAT announces a number of octets which are in the stream whether the command is welcome or not.
 * They are always taken, exactly, before the reply; never is one of them looked at as a command.
 */
#include "session.h"

enum smtp_server_step command_data(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    if (session->state == SMTP_SERVER_SENDER) {
        session_reply_bad(session, session->transaction.refused > 0
                                       ? "554 5.5.1 No valid recipients"
                                       : "503 5.5.1 RCPT comes first");
        return SMTP_SERVER_NEED_INPUT;
    }
    if (session->transaction.body == SMTP_BODY_BINARYMIME) { /* RFC 3030 section 3 */
        session_reply_bad(session, "503 5.5.1 BINARYMIME needs BDAT");
        return SMTP_SERVER_NEED_INPUT;
    }
    session_become(session, SMTP_SERVER_ASKING_DATA);
    return SMTP_SERVER_BEGIN;
}

void command_bdat_unreadable(struct smtp_server *session)
{
    /* What follows can be the content of a chunk of unknown length. Read as commands it would let
     * a message speak for its client; so the session ends here. The 421 is the answer to whatever
     * comes next (RFC 5321 section 3.8). */
    session_reply_and_close(session, "501 5.5.4 Syntax: BDAT size [LAST]\r\n"
                                     "421 4.7.0 Lost track of the content: closing connection");
}

/* "123" or "123 LAST". */
static bool parse_size(struct bytes args, uint64_t *size, bool *last)
{
    const char *space = args.len > 0 ? memchr(args.data, ' ', args.len) : NULL;
    const struct bytes digits = {args.data, space ? (size_t)(space - args.data) : args.len};
    const struct bytes rest = bytes_trim(bytes_skip(args, digits.len));
    *last = bytes_equal_nocase(rest, BYTES("LAST"));
    return (rest.len == 0 || *last) && bytes_to_u64(digits, UINT64_MAX, size);
}

/* Why the chunk cannot be had now, or NULL. */
static const char *chunk_fault(const struct smtp_server *session)
{
    const struct smtp_server_options *options = session->options;
    const struct smtp_server_transaction *transaction = &session->transaction;
    const uint64_t room = options->max_message_size - transaction->reader.octets;

    if (session_needs_tls(session)) return command_needs_tls;
    if (!(options->extensions & SMTP_EXT_CHUNKING)) return "502 5.5.1 CHUNKING is not offered";
    if (!session->extended) return "503 5.5.1 EHLO comes first";
    if (session->state == SMTP_SERVER_CHUNKS_FAILED) {
        return "503 5.5.1 An earlier chunk was refused: RSET comes first";
    }
    if (session->state != SMTP_SERVER_RECIPIENTS && session->state != SMTP_SERVER_CHUNKS) {
        return "503 5.5.1 MAIL and RCPT come first";
    }
    if (options->max_message_size > 0 && transaction->chunk_size > room) {
        return "552 5.3.4 Message too big";
    }
    return NULL;
}

/* Where the session stands once the chunk is gone. A chunk out of order changes nothing; a refused
 * one fails the transaction, and the last one ends it. */
static enum smtp_server_state state_after_refusal(const struct smtp_server *session)
{
    const bool content_begun =
        session->state == SMTP_SERVER_CHUNKS || session->state == SMTP_SERVER_CHUNKS_FAILED;
    const bool too_big = session->state == SMTP_SERVER_RECIPIENTS && session->extended &&
                         (session->options->extensions & SMTP_EXT_CHUNKING);
    if (!content_begun && !too_big) return session->state;
    return session->transaction.chunk_last ? SMTP_SERVER_READY : SMTP_SERVER_CHUNKS_FAILED;
}

enum smtp_server_step command_bdat(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    struct smtp_server_transaction *transaction = &session->transaction;
    (void)out;
    if (!parse_size(args, &transaction->chunk_size, &transaction->chunk_last)) {
        command_bdat_unreadable(session);
        return SMTP_SERVER_NEED_INPUT;
    }
    transaction->chunk_left = transaction->chunk_size;

    const char *fault = chunk_fault(session);
    if (fault != NULL) {
        session->state_after = state_after_refusal(session);
        session_reply_disorder(session, fault);
        if (session->state == SMTP_SERVER_CLOSING) return SMTP_SERVER_NEED_INPUT;
        if (session->state_after != session->state) session_drop(session);
        session_become(session, SMTP_SERVER_CHUNK_REFUSED);
        return SMTP_SERVER_NEED_INPUT;
    }
    if (session->state == SMTP_SERVER_CHUNKS) {
        session_become(session, SMTP_SERVER_CHUNK);
        return SMTP_SERVER_NEED_INPUT;
    }
    session_become(session, SMTP_SERVER_ASKING_CHUNK);
    return SMTP_SERVER_BEGIN;
}
