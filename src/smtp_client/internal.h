/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of smtp_client share
 *
 *     client.c       the state of the connection, the table of states, deadlines, the ends
 *     session.c      greeting, EHLO, extensions
 *     secure.c       STARTTLS, TLS, AUTH
 *     offer.c        what can be known before a transaction is tried
 *     command.c      prints commands: everything that is ever sent, but the content
 *     transaction.c  phases of a transaction, what its replies mean
 *     verdict.c      verdicts
 */
#pragma once
#include "ringpost/smtp_client.h"

/* ---- phases of a transaction, on the sending side ----------------------------------------------
 */

enum smtp_client_phase {
    PHASE_OFFERED = 0, /* nothing is sent */
    PHASE_RCPT,        /* MAIL is sent, recipients from next_rcpt on are not */
    PHASE_GO,          /* DATA or BDAT is next */
    PHASE_AWAIT_GO,    /* DATA is sent; what follows depends on its reply */
    PHASE_CONTENT,     /* the content is next */
    PHASE_END,         /* the final dot is next */
    PHASE_LONE_DOT,    /* the same, without content: 354 although no recipient stands */
    PHASE_SENT,        /* all is sent */
    PHASE_DONE,        /* settled; on ->done, or taken */
    PHASE_COUNT,
};
void transaction_become(struct smtp_transaction *transaction, enum smtp_client_phase next);
/* MAIL was not refused (or not answered yet). */
static inline bool transaction_stands(const struct smtp_transaction *transaction)
{
    return transaction->verdict.outcome == SMTP_OUTCOME_NONE;
}
/* Each recipient without a verdict gets the transaction's; it is done then. */
void transaction_finish(struct smtp_client *client, struct smtp_transaction *transaction);
/* Appends commands until nothing may follow, or content comes next, or out is full. */
enum smtp_client_action transaction_next(struct smtp_client *client, struct text *out,
                                         struct smtp_transaction **content);
void transaction_on_reply(struct smtp_client *client, struct smtp_client_expected owed,
                          const struct smtp_reply *reply);

/* ---- the connection ----------------------------------------------------------------------------
 */

void client_become(struct smtp_client *client, enum smtp_client_state next);
/* Remembers the first cause only. */
void client_set_end(struct smtp_client *client, enum smtp_client_end end,
                    const struct smtp_verdict *why);
void client_expect(struct smtp_client *client, enum smtp_stage stage,
                   struct smtp_transaction *transaction);
/* The receiver cannot cope with pipelining: no more transactions, but those in flight go on. */
void client_misbehaved(struct smtp_client *client, const struct smtp_verdict *why);
/* Replies and commands no longer match: nothing that follows can be trusted. */
void client_lost_sync(struct smtp_client *client, struct smtp_client_expected owed,
                      const char *why);
static inline bool client_pipelines(const struct smtp_client *client)
{
    return client->options.pipelining && (client->extensions & SMTP_EXT_PIPELINING);
}
static inline bool client_chunks(const struct smtp_client *client)
{
    return client->options.pipelining && client->options.chunking &&
           (client->extensions & SMTP_EXT_CHUNKING);
}
/* Whole transactions follow each other without waiting. */
static inline bool client_has_window(const struct smtp_client *client)
{
    return client_chunks(client) && client_pipelines(client);
}

/* The session cannot go on as it has to, and will be tried again; QUIT is the proper end. */
void client_give_up(struct smtp_client *client, enum smtp_stage stage, uint16_t code,
                    struct smtp_enhanced enhanced, const char *words);
/* A reply to nothing more: the connection is over at once, without a QUIT. */
void client_break(struct smtp_client *client, enum smtp_client_end end,
                  const struct smtp_verdict *why);
struct smtp_client_expected client_take_expected(struct smtp_client *client);
static inline bool client_tls_is_needed(const struct smtp_client *client)
{
    return client->options.tls >= SMTP_TLS_ENCRYPT;
}
/* STARTTLS was said, and nothing of what TLS brings has been seen. */
bool client_tls_is_unproved(const struct smtp_client *client);

/* ---- secure.c ----------------------------------------------------------------------------------
 */

enum client_auth_step { /* what is said next */
                        AUTH_PLAIN = 0,
                        AUTH_PLAIN_RESPONSE, /* by itself: too long for the command */
                        AUTH_LOGIN,
                        AUTH_LOGIN_USER,
                        AUTH_LOGIN_PASSWORD,
                        AUTH_ALL_SAID,
};
void secure_on_auth_line(struct smtp_client *client, struct bytes mechanisms);
/* EHLO was answered: TLS, AUTH, or transactions, whatever comes next. HELO too. */
void secure_next(struct smtp_client *client);
void secure_on_starttls(struct smtp_client *client, const struct smtp_reply *reply);
void secure_on_auth(struct smtp_client *client, const struct smtp_reply *reply);
void secure_say_auth(struct smtp_client *client, struct text *out);
/* Octets in clear where only TLS may come. */
void secure_on_intruder(struct smtp_client *client);

/* ---- session.c, offer.c, command.c -------------------------------------------------------------
 */

void session_on_ehlo_line(struct smtp_client *client, struct bytes line);
void session_on_reply(struct smtp_client *client, enum smtp_stage stage,
                      const struct smtp_reply *reply);

/* Settles what need not be tried: single recipients, or all of them. false: none is left. */
bool offer_check(struct smtp_client *client, struct smtp_transaction *transaction);
/* ENVID and ORCPT are optional: one that could not stand in a command is left out. */
bool offer_envid_is_sound(struct bytes envid);
bool offer_orcpt_is_sound(struct bytes orcpt, bool utf8_allowed);

void client_command_hello(const struct smtp_client *client, const char *verb, struct text *out);
void client_command_mail(const struct smtp_client *client,
                         const struct smtp_transaction *transaction, struct text *out);
void client_command_rcpt(const struct smtp_client *client,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient, struct text *out);
void client_command_bdat(uint64_t size, struct text *out);

/* ---- verdict.c ---------------------------------------------------------------------------------
 */

/* outcome by the class of the code. */
void verdict_of_reply(struct smtp_verdict *verdict, enum smtp_stage stage,
                      const struct smtp_reply *reply);
void verdict_local(struct smtp_verdict *verdict, enum smtp_outcome outcome, enum smtp_stage stage,
                   uint16_t code, struct smtp_enhanced enhanced, const char *text);
void verdict_not_tried(struct smtp_verdict *verdict, enum smtp_stage stage);
void verdict_copy(struct smtp_verdict *to, const struct smtp_verdict *from);
/* The verdict on one recipient, by a refusal of its RCPT while accepted others stand. */
void verdict_of_rcpt(struct smtp_verdict *verdict, const struct smtp_reply *reply,
                     uint32_t accepted);
static inline bool verdict_is_too_many(const struct smtp_verdict *verdict)
{
    return verdict->outcome == SMTP_OUTCOME_NOT_TRIED && verdict->stage == SMTP_STAGE_RCPT;
}
/* A refusal that no receiver gives to the same command in lock step. */
bool verdict_blames_order(const struct smtp_reply *reply);
