/* SPDX-License-Identifier: Apache-2.0
 *
 * command - the table of commands: verb, where it is legal, what it takes, what it does
 */
#include "session.h"

#define IN(state) (1u << SMTP_SERVER_##state)

enum {
    IN_ANY =
        IN(CONNECTED) | IN(READY) | IN(SENDER) | IN(RECIPIENTS) | IN(CHUNKS) | IN(CHUNKS_FAILED),
};
enum arguments { NO_ARGUMENT, AN_ARGUMENT, ANY_ARGUMENT };

struct command {
    struct bytes verb;
    uint32_t legal;       /* IN() of the states */
    const char *disorder; /* the reply elsewhere, once EHLO has come */
    enum arguments arguments;
    command_act *act;
    bool before_tls; /* legal also where TLS is required and not there yet (RFC 3207 section 4) */
};
#define VERB(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct command commands[] = {
    {VERB("MAIL"), IN(READY), "503 5.5.1 A transaction is under way", AN_ARGUMENT, command_mail},
    {VERB("RCPT"), IN(SENDER) | IN(RECIPIENTS), "503 5.5.1 MAIL comes first", AN_ARGUMENT,
     command_rcpt},
    {VERB("DATA"), IN(SENDER) | IN(RECIPIENTS), "503 5.5.1 MAIL and RCPT come first", NO_ARGUMENT,
     command_data},
    /* Legal anywhere, because the chunk must be taken before it can be refused. */
    {VERB("BDAT"), IN_ANY, NULL, ANY_ARGUMENT, command_bdat, .before_tls = true},
    {VERB("RSET"), IN_ANY, NULL, NO_ARGUMENT, command_rset},
    {VERB("EHLO"), IN_ANY, NULL, AN_ARGUMENT, command_ehlo, .before_tls = true},
    {VERB("HELO"), IN_ANY, NULL, AN_ARGUMENT, command_helo},
    {VERB("NOOP"), IN_ANY, NULL, ANY_ARGUMENT, command_noop, .before_tls = true},
    {VERB("QUIT"), IN_ANY, NULL, NO_ARGUMENT, command_quit, .before_tls = true},
    {VERB("STARTTLS"), IN_ANY, NULL, ANY_ARGUMENT, command_starttls, .before_tls = true},
    {VERB("AUTH"), IN_ANY, NULL, ANY_ARGUMENT, command_auth},
    {VERB("HELP"), IN_ANY, NULL, ANY_ARGUMENT, command_help},
    {VERB("VRFY"), IN_ANY, NULL, AN_ARGUMENT, command_vrfy},
    {VERB("EXPN"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    {VERB("TURN"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    {VERB("SEND"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    {VERB("SOML"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    {VERB("SAML"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    {VERB("ETRN"), IN_ANY, NULL, ANY_ARGUMENT, command_unimplemented},
    /* A browser that was tricked into talking to us (ALPACA): its body must not become commands. */
    {VERB("GET"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("POST"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("PUT"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("HEAD"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("OPTIONS"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("CONNECT"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("DELETE"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("PATCH"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("TRACE"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign},
    {VERB("PRI"), IN_ANY, NULL, ANY_ARGUMENT, command_foreign}, /* HTTP/2 */
};

static const struct command *find_command(struct bytes verb)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (bytes_equal_nocase(verb, commands[i].verb)) return &commands[i];
    }
    return NULL;
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (c < 32 || c == 127) return true;
    }
    return false;
}

/* Trailing white space is harmless (RFC 5321 section 4.1.1). CR and LF are no white space here. */
static struct bytes trim_end(struct bytes line)
{
    while (line.len > 0 && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t'))
        line.len -= 1;
    return line;
}

static size_t letters_len(struct bytes line)
{
    size_t len = 0;
    while (len < line.len && ascii_lower(line.data[len]) >= 'a' &&
           ascii_lower(line.data[len]) <= 'z')
        len += 1;
    return len;
}

/* The line is no command in form: why, or NULL. */
static const char *malformed(struct bytes line, bool overlong)
{
    if (overlong) return "500 5.5.2 Line too long";
    if (has_control(line)) return "500 5.5.2 Control character or bare CR or LF in command";
    return NULL;
}

/* A request of HTTP by a method that is not in the table. Of an overlong line only the octets that
 * are kept of every split are looked at. */
static bool is_request(const struct smtp_server *session, struct bytes line)
{
    static const char version[] = " HTTP/";
    const size_t len = MIN(line.len, session->options->max_command_line - 2);
    return memmem(line.data, len, version, sizeof(version) - 1) != NULL;
}

static enum smtp_server_step run(struct smtp_server *session, const struct command *command,
                                 struct bytes args, struct smtp_server_out *out)
{
    if (!command->before_tls && session_needs_tls(session)) {
        session_reply_bad(session, command_needs_tls);
        return SMTP_SERVER_NEED_INPUT;
    }
    if ((command->legal & (1u << session->state)) == 0) {
        if (session->state == SMTP_SERVER_CONNECTED) {
            session_reply_bad(session, "503 5.5.1 EHLO or HELO comes first");
        } else {
            session_reply_disorder(session, command->disorder);
        }
        return SMTP_SERVER_NEED_INPUT;
    }
    if (command->arguments == NO_ARGUMENT && args.len > 0) {
        session_reply_bad(session, "501 5.5.4 No argument allowed");
        return SMTP_SERVER_NEED_INPUT;
    }
    if (command->arguments == AN_ARGUMENT && args.len == 0) {
        session_reply_bad(session, "501 5.5.4 Argument missing");
        return SMTP_SERVER_NEED_INPUT;
    }
    return command->act(session, args, out);
}

enum smtp_server_step session_command(struct smtp_server *session, struct bytes line, bool overlong,
                                      struct smtp_server_out *out)
{
    line = trim_end(line);
    const struct bytes verb = {line.data, letters_len(line)};
    const struct command *command = find_command(verb);
    const bool separated = verb.len == line.len || line.data[verb.len] == ' ';
    const char *fault = malformed(line, overlong);

    /* Whatever else is wrong with the line: behind it comes a body. */
    if (command != NULL ? command->act == command_foreign : is_request(session, line)) {
        return command_foreign(session, line, out);
    }
    if (fault != NULL || !separated) {
        if (bytes_equal_nocase(verb, BYTES("BDAT"))) {
            command_bdat_unreadable(session);
        } else if (overlong && command != NULL && command->act == command_auth) {
            session_reply_bad(session, "500 5.5.6 Line of AUTH too long"); /* RFC 4954 section 6 */
        } else {
            session_reply_bad(session, fault ? fault : "500 5.5.2 Command not understood");
        }
        return SMTP_SERVER_NEED_INPUT;
    }
    if (command == NULL) {
        session_reply_bad(session, "500 5.5.1 Command not known");
        return SMTP_SERVER_NEED_INPUT;
    }
    struct bytes args = bytes_skip(line, verb.len);
    while (args.len > 0 && args.data[0] == ' ')
        args = bytes_skip(args, 1);
    return run(session, command, args, out);
}
