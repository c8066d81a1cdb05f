/* SPDX-License-Identifier: Apache-2.0
 *
 * send_smtp - hands messages in over one connection (RFC 5321), command by command
 *
 * A refusal is printed as the server said it. One recipient's refusal does not cost the others
 * their mail. When a write fails, a reply may explain it: servers say why before they hang up.
 */
#include "ringpost/scan.h"
#include "ringpost/smtp.h"
#include "send.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { IN_MAX = 4096, CONTENT_MAX = 64 * 1024, COMMAND_MAX = 1024, HOST_MAX = 256 };

struct session {
    const char *via;
    int fd;
    bool lost;        /* nothing more is to be read from it */
    uint32_t offered; /* enum smtp_extension */
    uint64_t size_max;
    struct smtp_reply_parser parser;
    struct bytes input; /* not parsed yet, in in[] */
    char in[IN_MAX];
    char command[COMMAND_MAX]; /* the last one, without CRLF; for people */
};

/* ---- the connection -------------------------------------------------------------------------- */

/* "host", "host:port", "[::1]:port", "::1". False: too long, or the port is empty. */
static bool split_via(const char *via, char host[HOST_MAX], const char **port)
{
    const char *end = via + strlen(via), *start = via, *colon = strrchr(via, ':');
    *port = "25";
    if (via[0] == '[') {
        const char *bracket = strchr(via, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')) return false;
        start = via + 1;
        end = bracket;
        if (bracket[1] == ':') *port = bracket + 2;
    } else if (colon != NULL && colon == strchr(via, ':')) { /* several: an IPv6 address alone */
        end = colon;
        *port = colon + 1;
    }
    const size_t len = (size_t)(end - start);
    if (len == 0 || len >= HOST_MAX || **port == '\0') return false;
    memcpy(host, start, len);
    host[len] = '\0';
    return true;
}

static int connect_one(const struct addrinfo *address, unsigned timeout_s)
{
    const struct timeval patience = {.tv_sec = (time_t)timeout_s};
    const int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* connect() too */
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) return fd;
    const int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_to(struct session *session, unsigned timeout_s)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    char host[HOST_MAX];
    const char *port;
    if (!split_via(session->via, host, &port)) {
        return send_complain(EX_USAGE, "%s: that is no host:port", session->via);
    }
    const int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0) {
        return send_complain(error == EAI_AGAIN ? EX_TEMPFAIL : EX_NOHOST, "%s: %s", session->via,
                             gai_strerror(error));
    }
    session->fd = -1;
    for (const struct addrinfo *a = addresses; a != NULL && session->fd < 0; a = a->ai_next)
        session->fd = connect_one(a, timeout_s);
    const int why = errno;
    freeaddrinfo(addresses);
    if (session->fd >= 0) return EX_OK;
    return send_complain(EX_TEMPFAIL, "%s: %s", session->via, strerror(why));
}

static bool send_octets(struct session *session, const char *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        const ssize_t n = send(session->fd, data + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        sent += (size_t)n;
    }
    return true;
}

/* ---- replies --------------------------------------------------------------------------------- */

static void note_offer(struct session *session, struct bytes line)
{
    struct bytes args;
    const uint32_t extension = smtp_extension_parse(line, &args);
    session->offered |= extension;
    if (extension == SMTP_EXT_SIZE && !bytes_to_u64(args, UINT64_MAX, &session->size_max)) {
        session->size_max = 0;
    }
}

static int no_reply(struct session *session, ssize_t n)
{
    session->lost = true;
    if (n == 0) {
        return send_complain(EX_TEMPFAIL, "%s: hung up after %s", session->via, session->command);
    }
    return send_complain(EX_TEMPFAIL, "%s: after %s: %s", session->via, session->command,
                         errno == EAGAIN ? "no answer in time" : strerror(errno));
}

/* Waits for a whole reply, which is in session->parser.reply then. */
static int read_reply(struct session *session, bool offers)
{
    for (;;) {
        const enum smtp_reply_status status = smtp_reply_parse(&session->parser, &session->input);
        if (status == SMTP_REPLY_MALFORMED) {
            session->lost = true;
            return send_complain(EX_PROTOCOL, "%s: no reply of SMTP after %s", session->via,
                                 session->command);
        }
        if (status != SMTP_REPLY_MORE && offers) note_offer(session, session->parser.line);
        if (status == SMTP_REPLY_DONE) return EX_OK;
        if (status == SMTP_REPLY_LINE) continue;
        const ssize_t n = recv(session->fd, session->in, sizeof(session->in), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return no_reply(session, n);
        session->input = (struct bytes){session->in, (size_t)n};
    }
}

static int status_of(uint16_t code)
{
    if (code >= 500) return EX_UNAVAILABLE;
    return code >= 400 ? EX_TEMPFAIL : EX_PROTOCOL;
}

/* "250 2.0.0 Ok": as the server said it, lines joined. */
static const char *reply_line(const struct smtp_reply *reply)
{
    static char line[SMTP_REPLY_TEXT_MAX + 32];
    struct text text;
    text_init(&text, line, sizeof(line));
    text_printf(&text, "%u ", (unsigned)reply->code);
    if (reply->enhanced.class != 0) {
        text_printf(&text, "%u.%u.%u ", (unsigned)reply->enhanced.class,
                    (unsigned)reply->enhanced.subject, (unsigned)reply->enhanced.detail);
    }
    text_put(&text, smtp_reply_text(reply));
    return line;
}

static int print_refusal(const struct session *session)
{
    const struct smtp_reply *reply = &session->parser.reply;
    return send_complain(status_of(reply->code), "%s: after %s: %s", session->via, session->command,
                         reply_line(reply));
}

/* EX_OK if the reply is of the wanted kind: 2 or 3, its first digit. */
static int expect(struct session *session, unsigned kind)
{
    const int status = read_reply(session, false);
    if (status != EX_OK) return status;
    return session->parser.reply.code / 100 == kind ? EX_OK : print_refusal(session);
}

static int command(struct session *session, unsigned kind)
{
    char line[COMMAND_MAX + 2];
    const size_t len = strlen(session->command);
    memcpy(line, session->command, len);
    memcpy(line + len, "\r\n", 2);
    (void)send_octets(session, line, len + 2); /* if that fails, so does reading, and says why */
    return expect(session, kind);
}

/* ---- one message ----------------------------------------------------------------------------- */

static void print_path(struct session *session, struct text *out, const char *verb,
                       struct bytes address)
{
    text_init(out, session->command, sizeof(session->command));
    text_printf(out, "%s:<", verb);
    text_put(out, address);
    text_put(out, BYTES(">"));
    ASSERT(!out->cut); /* the builder's check has bounded addresses by SMTP_PATH_MAX */
}

static int mail_command(struct session *session, const struct mime_builder *builder, bool utf8)
{
    struct text out;
    print_path(session, &out, "MAIL FROM", builder->message->from.list[0].address);
    if (session->offered & SMTP_EXT_SIZE) {
        text_printf(&out, " SIZE=%llu", (unsigned long long)mime_build_len(builder));
    }
    if (mime_build_is_8bit(builder)) text_put(&out, BYTES(" BODY=8BITMIME"));
    if (utf8) text_put(&out, BYTES(" SMTPUTF8"));
    return command(session, 2);
}

/* One command a recipient. The worst status; *accepted: of how many. */
static int rcpt_commands(struct session *session, const struct send_input *input, size_t *accepted)
{
    const struct send_list *const lists[] = {&input->to, &input->cc, &input->bcc};
    int worst = EX_OK;
    *accepted = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        const struct mime_mailbox *mailboxes = lists[i]->items;
        for (size_t k = 0; k < lists[i]->count && !session->lost; k++) {
            struct text out;
            print_path(session, &out, "RCPT TO", mailboxes[k].address);
            const int status = command(session, 2);
            *accepted += status == EX_OK;
            if (status != EX_OK && worst != EX_UNAVAILABLE) worst = status;
        }
    }
    return worst;
}

static int send_content(struct session *session, struct mime_builder *builder)
{
    static char content[CONTENT_MAX], stuffed[2 * CONTENT_MAX];
    struct scan_stuffer stuffer;
    scan_stuffer_init(&stuffer);
    bool good = true;
    for (size_t n; good && (n = mime_build_next(builder, content, sizeof(content))) > 0;)
        good = send_octets(session, stuffed, scan_stuff(&stuffer, content, n, stuffed));
    if (good) {
        ASSERT(scan_stuffer_at_line_start(&stuffer)); /* the builder ends every message so */
        good = send_octets(session, ".\r\n", 3);
    }
    snprintf(session->command, sizeof(session->command), "the message");
    return expect(session, 2);
}

static void give_up(struct session *session)
{
    snprintf(session->command, sizeof(session->command), "RSET");
    (void)command(session, 2);
}

static int transaction(struct session *session, const struct send_input *input,
                       struct mime_builder *builder, bool utf8)
{
    size_t accepted;
    int status = mail_command(session, builder, utf8);
    if (status != EX_OK) return status;
    const int refused = rcpt_commands(session, input, &accepted);
    if (session->lost) return refused;
    if (accepted == 0) return give_up(session), refused;
    snprintf(session->command, sizeof(session->command), "DATA");
    status = command(session, 3);
    if (status == EX_OK) status = send_content(session, builder);
    return status != EX_OK ? status : refused;
}

/* ---- the session ----------------------------------------------------------------------------- */

static void print_hello(struct session *session, const char *verb)
{
    char name[HOST_MAX] = "";
    if (gethostname(name, sizeof(name) - 1) != 0) name[0] = '\0';
    const bool good = smtp_domain_is_valid(bytes_of(name), false);
    snprintf(session->command, sizeof(session->command), "%s %s", verb, good ? name : "localhost");
}

static int hello(struct session *session)
{
    char line[COMMAND_MAX + 3];
    snprintf(session->command, sizeof(session->command), "the greeting");
    int status = expect(session, 2);
    if (status != EX_OK) return status;
    print_hello(session, "EHLO");
    const int len = snprintf(line, sizeof(line), "%s\r\n", session->command);
    (void)send_octets(session, line, (size_t)len);
    status = read_reply(session, true);
    if (status != EX_OK || session->parser.reply.code / 100 == 2) return status;
    session->offered = 0; /* RFC 5321 section 3.2: an old server */
    print_hello(session, "HELO");
    return command(session, 2);
}

/* An address of the envelope that the header does not have. */
static bool bcc_has_8bit(const struct send_input *input)
{
    const struct mime_mailbox *mailboxes = input->bcc.items;
    for (size_t i = 0; i < input->bcc.count; i++) {
        if (scan_has_8bit(mailboxes[i].address.data, mailboxes[i].address.len)) return true;
    }
    return false;
}

/* The message as this server can take it. */
static int build(struct session *session, struct send_input *input, struct mime_builder *builder,
                 bool *utf8)
{
    struct mime_message *message = &input->message;
    send_refresh(message);
    message->eight_bit = input->eight_bit && (session->offered & SMTP_EXT_8BITMIME);
    const enum mime_build_result result = mime_build_init(builder, message);
    if (result != MIME_BUILD_OK) return send_explain(result, builder->culprit);
    *utf8 = mime_build_is_utf8(builder) || bcc_has_8bit(input);
    if (*utf8 && !(session->offered & SMTP_EXT_SMTPUTF8)) {
        return send_complain(EX_UNAVAILABLE,
                             "%s: addresses with other characters than ASCII need "
                             "SMTPUTF8, which is not offered",
                             session->via);
    }
    if (session->size_max > 0 && mime_build_len(builder) > session->size_max) {
        return send_complain(EX_UNAVAILABLE, "%s: takes %llu octets, the message has %llu",
                             session->via, (unsigned long long)session->size_max,
                             (unsigned long long)mime_build_len(builder));
    }
    return EX_OK;
}

static int send_all(struct session *session, struct send_input *input)
{
    static struct mime_builder builder;
    uint64_t done = 0;
    bool utf8 = false;
    int status = EX_OK;
    for (; status == EX_OK && done < input->count; done++) {
        status = build(session, input, &builder, &utf8);
        if (status == EX_OK) status = transaction(session, input, &builder, utf8);
        if (status != EX_OK) break;
    }
    if (status == EX_OK && input->count == 1) {
        printf("%s\n", reply_line(&session->parser.reply));
    } else if (input->count > 1) {
        printf("%llu messages accepted\n", (unsigned long long)done);
    }
    return status;
}

int send_over_smtp(struct send_input *input)
{
    static struct session session;
    session.via = input->via;
    smtp_reply_parser_init(&session.parser);
    int status = connect_to(&session, input->timeout_s);
    if (status != EX_OK) return status;
    status = hello(&session);
    if (status == EX_OK) status = send_all(&session, input);
    if (!session.lost)
        (void)send_octets(&session, "QUIT\r\n", 6); /* whatever it answers, nothing depends on it */
    close(session.fd);
    return status;
}
