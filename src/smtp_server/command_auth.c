/* SPDX-License-Identifier: Apache-2.0
 *
 * command_auth - AUTH (RFC 4954): the frame around a SASL exchange
 *
 * Whoever knows the mechanisms gets the client's octets and gives challenges or a verdict; here are
 * the base64, the order of things and the limits. A response is decoded into the memory of the
 * driver's ->out and kept nowhere else.
 */
#include "ringpost/codec/base64.h"
#include "session.h"

bool session_may_relay(const struct smtp_server *session)
{
    return session->relay_allowed || session->authenticated;
}

bool session_may_auth(const struct smtp_server *session)
{
    const struct smtp_server_options *options = session->options;
    if (options->auth == 0) return false;
    return session->secured || (options->auth_clear && session->relay_allowed);
}

/* ---- the client's side -------------------------------------------------------------------------
 */

/* false: not base64. */
static bool decode(struct smtp_server_out *out, struct bytes text)
{
    ASSERT(codec_base64_decoded_max(text.len) <= sizeof(out->auth.memory));
    const struct codec_result result =
        codec_base64_decode(text.data, text.len, out->auth.memory, CODEC_BASE64_PLAIN);
    out->auth.response = (struct bytes){out->auth.memory, result.written};
    return result.error == CODEC_NO_ERROR;
}

static enum smtp_server_step bad(struct smtp_server *session, const char *reply)
{
    session_reply_bad(session, reply);
    return SMTP_SERVER_NEED_INPUT;
}

static enum smtp_server_step ask(struct smtp_server *session, struct smtp_server_out *out)
{
    out->auth.mechanism = session->auth_mechanism;
    session_become(session, SMTP_SERVER_ASKING_AUTH);
    return SMTP_SERVER_AUTH;
}

/* Why AUTH cannot be had here, or NULL. */
static const char *fault(const struct smtp_server *session)
{
    if (session->options->auth == 0) return "502 5.5.1 Command not implemented";
    if (!session->extended) return "503 5.5.1 EHLO comes first";
    if (session->authenticated) return "503 5.5.1 Authenticated already";
    if (session->state != SMTP_SERVER_READY) return "503 5.5.1 A transaction is under way";
    if (!session_may_auth(session)) return "538 5.7.11 Encryption required: STARTTLS comes first";
    return NULL;
}

enum smtp_server_step command_auth(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    const char *wrong = fault(session);
    if (wrong != NULL) return bad(session, wrong);
    if (args.len == 0) return bad(session, "501 5.5.4 Syntax: AUTH mechanism [response]");
    const char *space = memchr(args.data, ' ', args.len);
    const struct bytes name = {args.data, space ? (size_t)(space - args.data) : args.len};
    const struct bytes response = bytes_trim(bytes_skip(args, name.len));
    const uint32_t mechanism = smtp_mechanism_parse(name) & session->options->auth;
    if (mechanism == 0) return bad(session, "504 5.5.4 Mechanism not known");

    out->auth.first = true;
    out->auth.has_response = response.len > 0;
    if (response.len == 0 || bytes_equal(response, BYTES("="))) { /* none; an empty one */
        out->auth.response = (struct bytes){out->auth.memory, 0};
    } else if (!decode(out, response)) {
        smtp_server_wipe(out);
        return bad(session, "501 5.5.2 Not base64");
    }
    session->auth_mechanism = (uint8_t)mechanism;
    session->auth_rounds = 0;
    return ask(session, out);
}

/* The exchange comes to nothing. */
static enum smtp_server_step give_up(struct smtp_server *session, const char *reply)
{
    session->auth_over = true;
    session_reply_bad(session, reply);
    if (session->state != SMTP_SERVER_CLOSING) session_become(session, SMTP_SERVER_READY);
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step session_auth_response(struct smtp_server *session, struct bytes line,
                                            bool overlong, struct smtp_server_out *out)
{
    if (overlong) return give_up(session, "500 5.5.6 Line of AUTH too long");
    if (bytes_equal(line, BYTES("*"))) return give_up(session, "501 5.7.0 AUTH was cancelled");
    if (!decode(out, line)) {
        smtp_server_wipe(out);
        return give_up(session, "501 5.5.2 Not base64: AUTH ends");
    }
    out->auth.first = false;
    out->auth.has_response = true;
    return ask(session, out);
}

void smtp_server_wipe(struct smtp_server_out *out)
{
    explicit_bzero(out->auth.memory, out->auth.response.len);
    out->auth.response.len = 0;
}

/* ---- the driver's side -------------------------------------------------------------------------
 */

void smtp_server_challenge(struct smtp_server *session, struct bytes octets)
{
    char text[(SMTP_SERVER_CHALLENGE_MAX + 2) / 3 * 4];
    ASSERT(session->state == SMTP_SERVER_ASKING_AUTH);
    ASSERT(octets.len <= SMTP_SERVER_CHALLENGE_MAX);
    ASSERT(session->auth_rounds < SMTP_SERVER_AUTH_ROUNDS_MAX);
    session->auth_rounds += 1;
    const size_t len = codec_base64_encode(octets.data, octets.len, text);
    session_replyf(session, "334 %.*s", (int)len, text);
    session_become(session, SMTP_SERVER_AUTH_RESPONSE);
}

void smtp_server_authenticated(struct smtp_server *session)
{
    ASSERT(session->state == SMTP_SERVER_ASKING_AUTH);
    session->authenticated = true;
    session_reply(session, "235 2.7.0 Authentication successful");
    session_become(session, SMTP_SERVER_READY);
}

void session_refuse_auth(struct smtp_server *session, const char *reply)
{
    session->auth_failures += reply[0] == '5';
    if (session->auth_failures < session->options->max_auth_failures) {
        session_reply(session, reply);
        session_become(session, SMTP_SERVER_READY);
        return;
    }
    char both[256];
    struct text text;
    text_init(&text, both, sizeof(both));
    text_printf(&text, "%s\r\n421 4.7.0 Too many failed authentications: closing connection",
                reply);
    ASSERT(!text.cut);
    session_reply_and_close(session, both);
}
