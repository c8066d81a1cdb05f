/* SPDX-License-Identifier: Apache-2.0
 *
 * command_other - RSET, NOOP, HELP, VRFY, QUIT, and what is not for us
 */
#include "session.h"

enum smtp_server_step command_rset(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reset(session);
    session_reply(session, "250 2.0.0 Ok");
    session_become(session, session->state == SMTP_SERVER_CONNECTED ? SMTP_SERVER_CONNECTED
                                                                    : SMTP_SERVER_READY);
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_noop(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reply(session, "250 2.0.0 Ok");
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_help(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reply(session,
                  "214 2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT (RFC 5321)");
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_vrfy(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args; /* whatever it is, it changes nothing and is not repeated */
    (void)out;
    session_reply(session, "252 2.1.5 Cannot verify, but will try to deliver");
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_quit(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reply_and_close(session, "221 2.0.0 Bye");
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_unimplemented(struct smtp_server *session, struct bytes args,
                                            struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reply_bad(session, "502 5.5.1 Command not implemented");
    return SMTP_SERVER_NEED_INPUT;
}

enum smtp_server_step command_foreign(struct smtp_server *session, struct bytes args,
                                      struct smtp_server_out *out)
{
    (void)args;
    (void)out;
    session_reply_and_close(session, "421 4.7.0 This is a mail server: closing connection");
    return SMTP_SERVER_NEED_INPUT;
}
