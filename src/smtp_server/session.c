/* SPDX-License-Identifier: Apache-2.0
 *
 * session - the states of a session, the loop that gives out steps, and the driver's answers
 */
#include "session.h"
#include <stdarg.h>
#include <stdio.h>

#define TO(state) (1u << SMTP_SERVER_##state)

enum limit { NO_DEADLINE, COMMAND_DEADLINE, CONTENT_DEADLINE, TLS_DEADLINE };

static const struct {
    const char *doing;   /* ends "timed out while ..." in logs */
    uint32_t successors; /* TO() of every legal next state */
    enum limit limit;
} states[] = {
    [SMTP_SERVER_GREETING] = {"greeting", TO(CONNECTED) | TO(HANDSHAKE) | TO(CLOSING), NO_DEADLINE},
    [SMTP_SERVER_CONNECTED] = {"waiting for EHLO",
                               TO(CONNECTED) | TO(READY) | TO(CHUNK_REFUSED) | TO(TLS_DUE) |
                                   TO(CLOSING),
                               COMMAND_DEADLINE},
    [SMTP_SERVER_READY] = {"waiting for a command",
                           TO(READY) | TO(ASKING_MAIL) | TO(CHUNK_REFUSED) | TO(TLS_DUE) |
                               TO(ASKING_AUTH) | TO(CLOSING),
                           COMMAND_DEADLINE},
    [SMTP_SERVER_ASKING_MAIL] = {"beginning a transaction", TO(SENDER) | TO(READY) | TO(CLOSING),
                                 NO_DEADLINE},
    [SMTP_SERVER_SENDER] = {"waiting for RCPT",
                            TO(READY) | TO(ASKING_RCPT) | TO(CHUNK_REFUSED) | TO(CLOSING),
                            COMMAND_DEADLINE},
    [SMTP_SERVER_ASKING_RCPT] = {"taking a recipient", TO(SENDER) | TO(RECIPIENTS) | TO(CLOSING),
                                 NO_DEADLINE},
    [SMTP_SERVER_RECIPIENTS] = {"waiting for RCPT, DATA or BDAT",
                                TO(READY) | TO(ASKING_RCPT) | TO(ASKING_DATA) | TO(ASKING_CHUNK) |
                                    TO(CHUNK_REFUSED) | TO(CLOSING),
                                COMMAND_DEADLINE},
    [SMTP_SERVER_ASKING_DATA] = {"making room for content", TO(DATA) | TO(READY) | TO(CLOSING),
                                 NO_DEADLINE},
    [SMTP_SERVER_DATA] = {"receiving content",
                          TO(DATA_REFUSED) | TO(READY) | TO(COMPLETE) | TO(CLOSING),
                          CONTENT_DEADLINE},
    [SMTP_SERVER_DATA_REFUSED] = {"receiving content that is refused", TO(READY) | TO(CLOSING),
                                  CONTENT_DEADLINE},
    [SMTP_SERVER_ASKING_CHUNK] = {"making room for content",
                                  TO(CHUNK) | TO(CHUNK_REFUSED) | TO(CLOSING), NO_DEADLINE},
    [SMTP_SERVER_CHUNK] = {"receiving a chunk",
                           TO(CHUNKS) | TO(CHUNK_REFUSED) | TO(CHUNKS_FAILED) | TO(READY) |
                               TO(COMPLETE) | TO(CLOSING),
                           CONTENT_DEADLINE},
    [SMTP_SERVER_CHUNK_REFUSED] = {"receiving a chunk that is refused",
                                   TO(CONNECTED) | TO(READY) | TO(SENDER) | TO(RECIPIENTS) |
                                       TO(CHUNKS_FAILED) | TO(CLOSING),
                                   CONTENT_DEADLINE},
    [SMTP_SERVER_CHUNKS] = {"waiting for BDAT",
                            TO(CHUNK) | TO(CHUNK_REFUSED) | TO(READY) | TO(CLOSING),
                            COMMAND_DEADLINE},
    [SMTP_SERVER_CHUNKS_FAILED] = {"waiting for RSET", TO(CHUNK_REFUSED) | TO(READY) | TO(CLOSING),
                                   COMMAND_DEADLINE},
    [SMTP_SERVER_COMPLETE] = {"completing a message", TO(ASKING_END) | TO(CLOSING), NO_DEADLINE},
    [SMTP_SERVER_ASKING_END] = {"committing a message", TO(READY) | TO(CLOSING), NO_DEADLINE},
    [SMTP_SERVER_TLS_DUE] = {"beginning TLS", TO(HANDSHAKE) | TO(CLOSING), NO_DEADLINE},
    [SMTP_SERVER_HANDSHAKE] = {"waiting for the TLS handshake",
                               TO(GREETING) | TO(CONNECTED) | TO(CLOSING), TLS_DEADLINE},
    [SMTP_SERVER_ASKING_AUTH] = {"authenticating", TO(AUTH_RESPONSE) | TO(READY) | TO(CLOSING),
                                 NO_DEADLINE},
    [SMTP_SERVER_AUTH_RESPONSE] = {"waiting for a response of AUTH",
                                   TO(ASKING_AUTH) | TO(READY) | TO(CLOSING), COMMAND_DEADLINE},
    [SMTP_SERVER_CLOSING] = {"closing", 0, NO_DEADLINE},
};
static_assert(ARRAY_COUNT(states) == SMTP_SERVER_STATE_COUNT, "one row for each state");

void session_become(struct smtp_server *session, enum smtp_server_state next)
{
    ASSERT(states[session->state].successors & (1u << next));
    session->state = next;
    session->progress += 1;
}

static bool is_asking(const struct smtp_server *session)
{
    switch (session->state) {
    case SMTP_SERVER_ASKING_MAIL:
    case SMTP_SERVER_ASKING_RCPT:
    case SMTP_SERVER_ASKING_DATA:
    case SMTP_SERVER_ASKING_CHUNK:
    case SMTP_SERVER_ASKING_END:
    case SMTP_SERVER_ASKING_AUTH:
        return true;
    case SMTP_SERVER_TLS_DUE:
    case SMTP_SERVER_HANDSHAKE:
    case SMTP_SERVER_AUTH_RESPONSE:
    case SMTP_SERVER_GREETING:
    case SMTP_SERVER_CONNECTED:
    case SMTP_SERVER_READY:
    case SMTP_SERVER_SENDER:
    case SMTP_SERVER_RECIPIENTS:
    case SMTP_SERVER_DATA:
    case SMTP_SERVER_DATA_REFUSED:
    case SMTP_SERVER_CHUNK:
    case SMTP_SERVER_CHUNK_REFUSED:
    case SMTP_SERVER_CHUNKS:
    case SMTP_SERVER_CHUNKS_FAILED:
    case SMTP_SERVER_COMPLETE:
    case SMTP_SERVER_CLOSING:
    case SMTP_SERVER_STATE_COUNT:
        break;
    }
    return false;
}

/* ---- options and beginning --------------------------------------------------------------------
 */

struct smtp_server_options smtp_server_options_default(void)
{
    return (struct smtp_server_options){
        .hostname = BYTES("localhost"),
        .banner = BYTES("ESMTP Ringpost"),
        .max_message_size = 50u << 20,
        .max_recipients = 1000,
        .max_command_line = SMTP_SERVER_LINE_MAX,
        .max_text_line = 998,
        .max_bad_commands = 100,
        .max_received = 50,
        .command_timeout_s = 300,
        .content_timeout_s = 180,
        .tls_timeout_s = 30,
        .max_auth_failures = 3,
        .extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 |
                      SMTP_EXT_ENHANCEDSTATUSCODES | SMTP_EXT_CHUNKING | SMTP_EXT_BINARYMIME |
                      SMTP_EXT_DSN,
    };
}

void smtp_server_init(struct smtp_server *session, const struct smtp_server_options *options,
                      bool relay_allowed)
{
    ASSERT(options->hostname.len > 0 && options->hostname.len <= SMTP_SERVER_HOSTNAME_MAX);
    ASSERT(options->banner.len <= SMTP_SERVER_BANNER_MAX);
    ASSERT(options->max_command_line >= 512);
    ASSERT(options->max_command_line <= SMTP_SERVER_LINE_MAX);
    /* The large buffers behind need no clearing: their lengths say what is valid. */
    memset(session, 0, offsetof(struct smtp_server, helo));
    session->options = options;
    session->state = SMTP_SERVER_GREETING;
    session->relay_allowed = relay_allowed;
}

void smtp_server_init_secured(struct smtp_server *session)
{
    ASSERT(session->state == SMTP_SERVER_GREETING);
    session->state_after = SMTP_SERVER_GREETING;
    session_become(session, SMTP_SERVER_HANDSHAKE);
}

static void greet(struct smtp_server *session)
{
    const struct smtp_server_options *options = session->options;
    session_replyf(session, "220 %.*s %.*s", BYTES_FMT(options->hostname),
                   BYTES_FMT(options->banner));
    session_become(session, SMTP_SERVER_CONNECTED);
}

/* ---- replies ----------------------------------------------------------------------------------
 */

void session_replyf(struct smtp_server *session, const char *format, ...)
{
    va_list args;
    ASSERT(session->reply_len == 0);
    va_start(args, format);
    const int len = vsnprintf(session->reply, sizeof(session->reply) - 2, format, args);
    va_end(args);
    ASSERT(len > 3 && (size_t)len < sizeof(session->reply) - 2);
    memcpy(session->reply + len, "\r\n", 2);
    session->reply_len = (uint16_t)(len + 2);
}

void session_reply(struct smtp_server *session, const char *reply)
{
    const size_t len = strlen(reply);
    ASSERT(session->reply_len == 0);
    ASSERT(len > 3 && len < sizeof(session->reply) - 2);
    memcpy(session->reply, reply, len);
    memcpy(session->reply + len, "\r\n", 2);
    session->reply_len = (uint16_t)(len + 2);
}

void session_reply_bad(struct smtp_server *session, const char *reply)
{
    session->bad_commands += 1;
    if (session->bad_commands > session->options->max_bad_commands) {
        session_reply_and_close(session, "421 4.7.0 Too many errors: closing connection");
        return;
    }
    session_reply(session, reply);
}

void session_reply_disorder(struct smtp_server *session, const char *reply)
{
    if (session->transaction.mail_refused) {
        session_reply(session, reply);
    } else {
        session_reply_bad(session, reply);
    }
}

void session_reply_and_close(struct smtp_server *session, const char *reply)
{
    session_reset(session);
    session->reply_len = 0;
    session_reply(session, reply);
    session_become(session, SMTP_SERVER_CLOSING);
}

void session_drop(struct smtp_server *session)
{
    session->abort_due |= session->transaction.held;
    session->transaction.held = false;
}

void session_reset(struct smtp_server *session)
{
    session_drop(session);
    session->transaction = (struct smtp_server_transaction){0};
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static enum smtp_server_step next_command(struct smtp_server *session, struct bytes *input,
                                          struct smtp_server_out *out)
{
    struct bytes line;
    bool overlong;
    if (!session_take_line(session, input, &line, &overlong)) return SMTP_SERVER_NEED_INPUT;
    session->progress += 1;
    if (session->state == SMTP_SERVER_AUTH_RESPONSE) {
        return session_auth_response(session, line, overlong, out);
    }
    const enum smtp_server_step step = session_command(session, line, overlong, out);
    if (session->state == SMTP_SERVER_TLS_DUE && input->len > 0) {
        session_refuse_injection(session, input);
    }
    return step;
}

/* One thing that leads on: a step for the driver, or NEED_INPUT. The latter is final only if no
 * reply has come up and the state does not lead on by itself. */
static enum smtp_server_step advance(struct smtp_server *session, struct bytes *input,
                                     struct smtp_server_out *out)
{
    switch (session->state) {
    case SMTP_SERVER_GREETING:
        greet(session);
        return SMTP_SERVER_NEED_INPUT;
    case SMTP_SERVER_CONNECTED:
    case SMTP_SERVER_READY:
    case SMTP_SERVER_SENDER:
    case SMTP_SERVER_RECIPIENTS:
    case SMTP_SERVER_CHUNKS:
    case SMTP_SERVER_CHUNKS_FAILED:
    case SMTP_SERVER_AUTH_RESPONSE:
        return next_command(session, input, out);
    case SMTP_SERVER_TLS_DUE:
        if (input->len > 0) { /* came while the driver was busy with the 220 */
            session_refuse_injection(session, input);
            return SMTP_SERVER_NEED_INPUT;
        }
        session->state_after = SMTP_SERVER_CONNECTED;
        session_become(session, SMTP_SERVER_HANDSHAKE);
        return SMTP_SERVER_STARTTLS;
    case SMTP_SERVER_HANDSHAKE:
        return SMTP_SERVER_WAIT;
    case SMTP_SERVER_DATA:
        return input->len > 0 ? SMTP_SERVER_CONTENT : SMTP_SERVER_NEED_INPUT;
    case SMTP_SERVER_CHUNK:
        if (session->transaction.chunk_left == 0) {
            session_chunk_done(session);
            return SMTP_SERVER_NEED_INPUT;
        }
        return input->len > 0 ? SMTP_SERVER_CONTENT : SMTP_SERVER_NEED_INPUT;
    case SMTP_SERVER_DATA_REFUSED:
    case SMTP_SERVER_CHUNK_REFUSED:
        session_swallow(session, input);
        return SMTP_SERVER_NEED_INPUT;
    case SMTP_SERVER_COMPLETE:
        session_become(session, SMTP_SERVER_ASKING_END);
        return SMTP_SERVER_END;
    case SMTP_SERVER_ASKING_MAIL:
    case SMTP_SERVER_ASKING_RCPT:
    case SMTP_SERVER_ASKING_DATA:
    case SMTP_SERVER_ASKING_CHUNK:
    case SMTP_SERVER_ASKING_END:
    case SMTP_SERVER_ASKING_AUTH:
        return SMTP_SERVER_WAIT;
    case SMTP_SERVER_CLOSING:
        return SMTP_SERVER_CLOSE;
    case SMTP_SERVER_STATE_COUNT:
        break;
    }
    UNREACHABLE("smtp_server: no such state");
}

/* The reply to a chunk waits until all octets of the chunk have come (RFC 3030 section 2). */
static bool has_reply(const struct smtp_server *session)
{
    return session->reply_len > 0 && session->state != SMTP_SERVER_CHUNK_REFUSED;
}

/* What ends the session before the client does. In the middle of a handshake nothing can be said.
 */
static void say_last_word(struct smtp_server *session)
{
    if (session->state == SMTP_SERVER_HANDSHAKE) {
        session_become(session, SMTP_SERVER_CLOSING);
    } else {
        session_reply_and_close(session, session->last_word);
    }
}

enum smtp_server_step smtp_server_next(struct smtp_server *session, struct bytes *input,
                                       struct smtp_server_out *out)
{
    for (;;) {
        if (session->abort_due) {
            session->abort_due = false;
            return SMTP_SERVER_ABORT;
        }
        if (session->auth_over) {
            session->auth_over = false;
            return SMTP_SERVER_AUTH_OVER;
        }
        if (has_reply(session)) {
            out->reply = (struct bytes){session->reply, session->reply_len};
            session->reply_len = 0; /* the text stays until the next call */
            return SMTP_SERVER_REPLY;
        }
        if (session->last_word != NULL && !is_asking(session) &&
            session->state != SMTP_SERVER_CLOSING) {
            say_last_word(session);
            continue;
        }
        /* Each turn uses up input or changes the state, or is the last. */
        const uint32_t before = session->progress;
        const enum smtp_server_step step = advance(session, input, out);
        if (step != SMTP_SERVER_NEED_INPUT) return step;
        if (session->progress == before) return step;
    }
}

/* ---- the driver's answers ---------------------------------------------------------------------
 */

void smtp_server_accept(struct smtp_server *session, struct bytes id)
{
    struct smtp_server_transaction *transaction = &session->transaction;

    ASSERT(session->state == SMTP_SERVER_ASKING_END || id.len == 0);
    switch (session->state) {
    case SMTP_SERVER_ASKING_MAIL:
        transaction->held = true;
        session_reply(session, "250 2.1.0 Ok");
        session_become(session, SMTP_SERVER_SENDER);
        return;
    case SMTP_SERVER_ASKING_RCPT:
        transaction->recipients += 1;
        session_reply(session, "250 2.1.5 Ok");
        session_become(session, SMTP_SERVER_RECIPIENTS);
        return;
    case SMTP_SERVER_ASKING_DATA:
        session_begin_content(session, true);
        session_reply(session, "354 End data with <CR><LF>.<CR><LF>");
        session_become(session, SMTP_SERVER_DATA);
        return;
    case SMTP_SERVER_ASKING_CHUNK:
        session_begin_content(session, false);
        session_become(session, SMTP_SERVER_CHUNK);
        return;
    case SMTP_SERVER_ASKING_END:
        ASSERT(id.len <= 200);
        session_replyf(session, "250 2.0.0 Ok: queued as %.*s", BYTES_FMT(id));
        transaction->held = false; /* the message is the driver's own now */
        session_reset(session);
        session->messages += 1;
        session->bad_commands = 0;
        session_become(session, SMTP_SERVER_READY);
        return;
    case SMTP_SERVER_TLS_DUE:
    case SMTP_SERVER_HANDSHAKE:
    case SMTP_SERVER_ASKING_AUTH:
    case SMTP_SERVER_AUTH_RESPONSE:
    case SMTP_SERVER_GREETING:
    case SMTP_SERVER_CONNECTED:
    case SMTP_SERVER_READY:
    case SMTP_SERVER_SENDER:
    case SMTP_SERVER_RECIPIENTS:
    case SMTP_SERVER_DATA:
    case SMTP_SERVER_DATA_REFUSED:
    case SMTP_SERVER_CHUNK:
    case SMTP_SERVER_CHUNK_REFUSED:
    case SMTP_SERVER_CHUNKS:
    case SMTP_SERVER_CHUNKS_FAILED:
    case SMTP_SERVER_COMPLETE:
    case SMTP_SERVER_CLOSING:
    case SMTP_SERVER_STATE_COUNT:
        break;
    }
    UNREACHABLE("smtp_server: an answer that nobody asked for");
}

/* What a refusal leads to; the driver has dropped what it had, except after RCPT. */
static enum smtp_server_state state_refused(const struct smtp_server *session)
{
    if (session->state == SMTP_SERVER_ASKING_RCPT) {
        return session->transaction.recipients > 0 ? SMTP_SERVER_RECIPIENTS : SMTP_SERVER_SENDER;
    }
    if (session->state == SMTP_SERVER_ASKING_CHUNK) return SMTP_SERVER_CHUNK_REFUSED;
    return SMTP_SERVER_READY;
}

void smtp_server_refuse(struct smtp_server *session, const char *reply)
{
    ASSERT(is_asking(session));
    ASSERT(reply[0] == '4' || reply[0] == '5');
    if (session->state != SMTP_SERVER_ASKING_RCPT) session->transaction.held = false;
    if (strncmp(reply, "421", 3) == 0) {
        session_reply_and_close(session, reply);
        return;
    }
    if (session->state == SMTP_SERVER_ASKING_AUTH) {
        session_refuse_auth(session, reply);
        return;
    }
    const enum smtp_server_state next = state_refused(session);
    const bool mail = session->state == SMTP_SERVER_ASKING_MAIL;
    session_reply(session, reply);
    if (session->state == SMTP_SERVER_ASKING_RCPT) session->transaction.refused += 1;
    if (next == SMTP_SERVER_CHUNK_REFUSED) {
        session->state_after =
            session->transaction.chunk_last ? SMTP_SERVER_READY : SMTP_SERVER_CHUNKS_FAILED;
    }
    session_become(session, next);
    if (next == SMTP_SERVER_READY) session_reset(session);
    session->transaction.mail_refused = mail;
}

/* ---- facts and deadlines ----------------------------------------------------------------------
 */

uint8_t smtp_server_content_flags(const struct smtp_server *session)
{
    const struct smtp_server_transaction *transaction = &session->transaction;
    const struct scan_reader *reader = &transaction->reader;
    ASSERT(session->state == SMTP_SERVER_ASKING_END);
    return (uint8_t)((reader->classes & SCAN_8BIT ? SMTP_CONTENT_8BIT : 0) |
                     (reader->classes & SCAN_LEADING_DOT ? SMTP_CONTENT_LEADING_DOT : 0) |
                     (reader->state == SCAN_IN_LINE ? SMTP_CONTENT_NO_FINAL_CRLF : 0) |
                     (transaction->watch.header.has_8bit ? SMTP_CONTENT_UTF8_HEADER : 0));
}

uint8_t smtp_server_protocol(const struct smtp_server *session)
{
    static const uint8_t protocols[2][2][2] = {
        /* by UTF-8, TLS, AUTH */
        {{SMTP_PROTOCOL_ESMTP, SMTP_PROTOCOL_ESMTPA},
         {SMTP_PROTOCOL_ESMTPS, SMTP_PROTOCOL_ESMTPSA}},
        {{SMTP_PROTOCOL_UTF8SMTP, SMTP_PROTOCOL_UTF8SMTPA},
         {SMTP_PROTOCOL_UTF8SMTPS, SMTP_PROTOCOL_UTF8SMTPSA}},
    };
    if (!session->extended) return SMTP_PROTOCOL_SMTP; /* no other name is known with HELO */
    return protocols[session->transaction.smtputf8][session->secured][session->authenticated];
}

uint32_t smtp_server_deadline_s(const struct smtp_server *session)
{
    switch (states[session->state].limit) {
    case NO_DEADLINE:
        return 0;
    case COMMAND_DEADLINE:
        return session->options->command_timeout_s;
    case CONTENT_DEADLINE:
        return session->options->content_timeout_s;
    case TLS_DEADLINE:
        return session->options->tls_timeout_s;
    }
    UNREACHABLE("smtp_server: no such limit");
}

const char *smtp_server_doing(const struct smtp_server *session)
{
    return states[session->state].doing;
}

bool smtp_server_in_transaction(const struct smtp_server *session)
{
    return session->transaction.held || is_asking(session);
}

void smtp_server_timed_out(struct smtp_server *session)
{
    session->last_word = "421 4.4.2 Timeout: closing connection";
}

void smtp_server_shut_down(struct smtp_server *session)
{
    session->last_word = "421 4.3.2 Service is shutting down: closing connection";
}
