/* SPDX-License-Identifier: Apache-2.0
 *
 * command_rcpt - RCPT TO (RFC 5321 section 4.1.1.3; RFC 3461, 6531)
 *
 * <Postmaster> without a domain is taken from clients that may relay, like any other address. There
 * are no mailboxes here: a stranger's mail to it would have nowhere to go but onward.
 */
#include "session.h"

static enum smtp_server_step refuse(struct smtp_server *session, const char *reply)
{
    session->transaction.refused += 1;
    session_reply_bad(session, reply);
    return SMTP_SERVER_NEED_INPUT;
}

static const char *path_fault(enum smtp_syntax syntax)
{
    switch (syntax) {
    case SMTP_SYNTAX_OK:
        return NULL;
    case SMTP_SYNTAX_TOO_LONG:
        return "501 5.1.3 Recipient address too long";
    case SMTP_SYNTAX_NEEDS_UTF8:
        return "553 5.6.7 Recipient address needs SMTPUTF8";
    case SMTP_SYNTAX_BAD:
    case SMTP_SYNTAX_UNKNOWN:
    case SMTP_SYNTAX_UNSUPPORTED:
        break;
    }
    return "501 5.1.3 Bad recipient address: TO:<address> expected";
}

static const char *params_fault(const struct smtp_server *session, struct bytes text,
                                struct smtp_rcpt_params *params)
{
    const enum smtp_syntax syntax = smtp_rcpt_params_parse(text, params);
    if (text.len > 0 && text.data[0] == ' ' && !session->extended) {
        return "555 5.5.4 Parameters need EHLO";
    }
    if (syntax == SMTP_SYNTAX_UNKNOWN) return "555 5.5.4 Parameter not known";
    if (syntax == SMTP_SYNTAX_UNSUPPORTED) return "504 5.5.4 Parameter not implemented";
    if (syntax != SMTP_SYNTAX_OK) return "501 5.5.4 Bad parameter";
    if ((params->orcpt.len > 0 || params->notify != SMTP_NOTIFY_UNSET) &&
        !(session->options->extensions & SMTP_EXT_DSN)) {
        return "555 5.5.4 DSN is not offered";
    }
    if (!session->transaction.smtputf8 && scan_has_8bit(params->orcpt.data, params->orcpt.len)) {
        return "501 5.5.4 ORCPT needs SMTPUTF8"; /* RFC 6533 section 3 */
    }
    return NULL;
}

enum smtp_server_step command_rcpt(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    const struct bytes to = BYTES("TO:");
    struct smtp_server_transaction *transaction = &session->transaction;

    if (!bytes_starts_with_nocase(args, to)) return refuse(session, path_fault(SMTP_SYNTAX_BAD));
    args = bytes_skip(args, to.len);
    while (args.len > 0 && args.data[0] == ' ')
        args = bytes_skip(args, 1);

    const char *fault =
        path_fault(smtp_path_parse(&args, false, transaction->smtputf8, &out->path));
    if (fault == NULL) fault = params_fault(session, args, &out->rcpt);
    if (fault != NULL) return refuse(session, fault);
    if (!session_may_relay(session)) return refuse(session, "550 5.7.1 Relaying denied");
    if (transaction->recipients >= session->options->max_recipients) {
        /* Not a fault: RFC 5321 section 4.5.3.1.10 has the client send the rest later. */
        transaction->refused += 1;
        session_reply(session, "452 4.5.3 Too many recipients");
        return SMTP_SERVER_NEED_INPUT;
    }
    session_become(session, SMTP_SERVER_ASKING_RCPT);
    return SMTP_SERVER_RCPT;
}
