/* SPDX-License-Identifier: Apache-2.0
 *
 * session - what the files of smtp_server share
 */
#pragma once
#include "ringpost/smtp_server.h"

/* The only writer of ->state; asserts that the move is legal. */
void session_become(struct smtp_server *session, enum smtp_server_state next);

/* A reply of one line, without CRLF; at most one is waiting at a time. */
void session_reply(struct smtp_server *session, const char *reply);
void session_replyf(struct smtp_server *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for a command that was wrong: counts it, and ends the session at the limit. */
void session_reply_bad(struct smtp_server *session, const char *reply);
/* The same for a command that is out of order, which is not counted behind a refused MAIL: the rest
 * of a pipelined group could not know (RFC 2920 section 3.1). */
void session_reply_disorder(struct smtp_server *session, const char *reply);
/* The last reply of the session: 221 or 421. Replaces one that waits. */
void session_reply_and_close(struct smtp_server *session, const char *reply);

/* The driver is told ABORT if it holds something of the transaction. Facts stay. */
void session_drop(struct smtp_server *session);
/* The same, and all of the transaction is forgotten. */
void session_reset(struct smtp_server *session);

/* Moves one command line, without CRLF, out of the input. false: no whole line is there. A line
 * over the limit is overlong: only its first octets are in *line. */
bool session_take_line(struct smtp_server *session, struct bytes *input, struct bytes *line,
                       bool *overlong);
/* Carries out one command line. NEED_INPUT: go on (there may be a reply); or a question. */
enum smtp_server_step session_command(struct smtp_server *session, struct bytes line, bool overlong,
                                      struct smtp_server_out *out);

/* Content. */
void session_begin_content(struct smtp_server *session, bool dots);
void session_chunk_done(struct smtp_server *session);
/* Throws refused content away, up to its end at most. */
void session_swallow(struct smtp_server *session, struct bytes *input);

/* The commands: each gets what follows the verb and the spaces. */
typedef enum smtp_server_step command_act(struct smtp_server *session, struct bytes args,
                                          struct smtp_server_out *out);
command_act command_helo, command_ehlo;
command_act command_mail, command_rcpt;
command_act command_data, command_bdat;
command_act command_rset, command_noop, command_help, command_vrfy, command_quit;
command_act command_unimplemented, command_foreign;
command_act command_starttls, command_auth;
/* A BDAT line that tells no size: what follows may be content, so nothing more is read. */
void command_bdat_unreadable(struct smtp_server *session);
extern const char command_needs_tls[]; /* the reply where TLS is required and not there */
bool session_needs_tls(const struct smtp_server *session);
/* May mail be sent through us? By the network or by name. */
bool session_may_relay(const struct smtp_server *session);
bool session_may_auth(const struct smtp_server *session); /* secured, or need not be */
/* The next line of an exchange, which is no command; like session_command(). */
enum smtp_server_step session_auth_response(struct smtp_server *session, struct bytes line,
                                            bool overlong, struct smtp_server_out *out);
/* The driver's no to AUTH. */
void session_refuse_auth(struct smtp_server *session, const char *reply);
/* Octets that came behind STARTTLS, before TLS: ends the session. */
void session_refuse_injection(struct smtp_server *session, struct bytes *input);
