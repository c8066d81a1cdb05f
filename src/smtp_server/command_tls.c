/* SPDX-License-Identifier: Apache-2.0
 *
 * command_tls - STARTTLS (RFC 3207), and what a client may do without TLS
 *
 * What was learned in clear counts for nothing behind the handshake: an attacker in the middle may
 * have said it. That holds for octets that are still unread, too (CVE-2011-0411): they end the
 * session.
 */
#include "session.h"

const char command_needs_tls[] = "530 5.7.0 Must issue a STARTTLS command first";

bool session_needs_tls(const struct smtp_server *session)
{
    return session->options->require_tls && !session->secured;
}

/* Why TLS cannot begin here, or NULL. */
static const char *fault(const struct smtp_server *session, struct bytes args)
{
    if (!(session->options->extensions & SMTP_EXT_STARTTLS)) {
        return "502 5.5.1 Command not implemented";
    }
    if (session->secured) return "503 5.5.1 TLS is there already";
    if (args.len > 0) return "501 5.5.4 No argument allowed";
    /* Before EHLO, too: some clients (gsasl) do not ask first, and all is forgotten anyway. */
    if (session->state == SMTP_SERVER_CONNECTED || session->state == SMTP_SERVER_READY) return NULL;
    return "503 5.5.1 A transaction is under way";
}

enum smtp_server_step command_starttls(struct smtp_server *session, struct bytes args,
                                       struct smtp_server_out *out)
{
    const char *wrong = fault(session, args);
    (void)out;
    if (wrong != NULL) {
        session_reply_bad(session, wrong);
    } else {
        session_reply(session, "220 2.0.0 Ready to start TLS");
        session_become(session, SMTP_SERVER_TLS_DUE);
    }
    return SMTP_SERVER_NEED_INPUT;
}

void session_refuse_injection(struct smtp_server *session, struct bytes *input)
{
    *input = bytes_skip(*input, input->len);
    session_reply_and_close(session, "421 4.7.0 Data in clear behind STARTTLS: closing connection");
}

void smtp_server_secured(struct smtp_server *session)
{
    ASSERT(session->state == SMTP_SERVER_HANDSHAKE);
    session_reset(session);
    session->secured = true;
    session->authenticated = session->extended = false;
    session->helo_len = 0;
    session_become(session, session->state_after);
}
