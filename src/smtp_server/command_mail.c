/* SPDX-License-Identifier: Apache-2.0
 *
 * command_mail - MAIL FROM (RFC 5321 section 4.1.1.2; RFC 1870, 3461, 4954, 6152, 6531)
 */
#include "session.h"

static enum smtp_server_step bad(struct smtp_server *session, const char *reply)
{
    session_reply_bad(session, reply);
    session->transaction.mail_refused = true;
    return SMTP_SERVER_NEED_INPUT;
}

static const char *path_fault(enum smtp_syntax syntax)
{
    switch (syntax) {
    case SMTP_SYNTAX_OK:
        return NULL;
    case SMTP_SYNTAX_TOO_LONG:
        return "501 5.1.7 Sender address too long";
    case SMTP_SYNTAX_NEEDS_UTF8:
        return "553 5.6.7 Sender address needs SMTPUTF8";
    case SMTP_SYNTAX_BAD:
    case SMTP_SYNTAX_UNKNOWN:
    case SMTP_SYNTAX_UNSUPPORTED:
        break;
    }
    return "501 5.1.7 Bad sender address: FROM:<address> expected";
}

/* Parameters are known by their extensions: one that is not offered is not known. */
static const char *params_fault(const struct smtp_server *session, struct bytes text,
                                struct smtp_mail_params *params)
{
    const uint32_t offered = session->options->extensions;
    const enum smtp_syntax syntax = smtp_mail_params_parse(text, params);
    if (text.len > 0 && text.data[0] == ' ' && !session->extended) {
        return "555 5.5.4 Parameters need EHLO";
    }
    if (syntax == SMTP_SYNTAX_UNKNOWN) return "555 5.5.4 Parameter not known";
    if (syntax == SMTP_SYNTAX_UNSUPPORTED) return "504 5.5.4 Parameter not implemented";
    if (syntax != SMTP_SYNTAX_OK) return "501 5.5.4 Bad parameter";
    if ((params->envid.len > 0 || params->ret != SMTP_RET_UNSET) && !(offered & SMTP_EXT_DSN)) {
        return "555 5.5.4 DSN is not offered";
    }
    if (params->auth.len > 0 && session->options->auth == 0) {
        return "555 5.5.4 AUTH is not offered";
    }
    if (params->smtputf8 && !(offered & SMTP_EXT_SMTPUTF8)) {
        return "555 5.5.4 SMTPUTF8 is not offered";
    }
    if (params->body == SMTP_BODY_8BITMIME && !(offered & SMTP_EXT_8BITMIME)) {
        return "555 5.5.4 8BITMIME is not offered";
    }
    if (params->body == SMTP_BODY_BINARYMIME && !(offered & SMTP_EXT_BINARYMIME)) {
        return "504 5.5.4 BINARYMIME is not implemented";
    }
    return NULL;
}

enum smtp_server_step command_mail(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    const struct bytes from = BYTES("FROM:");
    const uint64_t max_size = session->options->max_message_size;

    /* A stranger learns at once that there is a way (RFC 4954 section 6). */
    if (session->options->auth != 0 && !session_may_relay(session)) {
        return bad(session, "530 5.7.0 Authentication required");
    }
    if (!bytes_starts_with_nocase(args, from)) return bad(session, path_fault(SMTP_SYNTAX_BAD));
    args = bytes_skip(args, from.len);
    while (args.len > 0 && args.data[0] == ' ') /* wrong, common and harmless */
        args = bytes_skip(args, 1);

    /* SMTPUTF8 comes behind the path that needs it. */
    const char *fault = path_fault(smtp_path_parse(&args, true, true, &out->path));
    if (fault != NULL) return bad(session, fault);
    fault = params_fault(session, args, &out->mail);
    if (fault != NULL) return bad(session, fault);
    if (out->path.utf8 && !out->mail.smtputf8) {
        return bad(session, path_fault(SMTP_SYNTAX_NEEDS_UTF8));
    }
    if (max_size > 0 && out->mail.size > max_size) {
        session_replyf(session, "552 5.3.4 Message too big: the limit is %llu octets",
                       (unsigned long long)max_size);
        session->transaction.mail_refused = true;
        return SMTP_SERVER_NEED_INPUT;
    }
    /* Only one that we know may speak for others (RFC 4954 section 5). */
    if (out->mail.auth.len > 0 && !session->authenticated) out->mail.auth = BYTES("<>");
    session->transaction = (struct smtp_server_transaction){
        .declared_size = out->mail.size,
        .body = out->mail.body,
        .smtputf8 = out->mail.smtputf8,
    };
    session_become(session, SMTP_SERVER_ASKING_MAIL);
    return SMTP_SERVER_MAIL;
}
