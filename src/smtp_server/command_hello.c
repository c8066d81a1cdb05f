/* SPDX-License-Identifier: Apache-2.0
 *
 * command_hello - EHLO and HELO (RFC 5321 section 4.1.1.1)
 */
#include "session.h"

/* The name goes into the Received field as it is, so nothing in it may begin a comment, a quoted
 * string or a literal without end there, or be more than one word. Whether it is a name that
 * exists, or the literal one of an address, is nobody's business (section 4.1.4). */
static bool is_name(struct bytes name)
{
    if (name.len == 0 || name.len > SMTP_DOMAIN_MAX) return false;
    if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']') {
        name = (struct bytes){name.data + 1, name.len - 2};
    }
    for (size_t i = 0; i < name.len; i++) {
        const unsigned char c = (unsigned char)name.data[i];
        if (c < 33 || c > 126 || strchr("()<>@,;[]\\\"", c) != NULL) return false;
    }
    return true;
}

/* Both begin anew, whatever was before; false if the name is none. */
static bool begin(struct smtp_server *session, struct bytes name, bool extended)
{
    if (!is_name(name)) {
        session_reply_bad(session, "501 5.5.4 Not a domain name or address literal");
        return false;
    }
    session_reset(session);
    session->extended = extended;
    memcpy(session->helo, name.data, name.len);
    session->helo_len = (uint8_t)name.len;
    session_become(session, SMTP_SERVER_READY);
    return true;
}

enum smtp_server_step command_helo(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    (void)out;
    if (begin(session, args, false)) {
        session_replyf(session, "250 %.*s", BYTES_FMT(session->options->hostname));
    }
    return SMTP_SERVER_NEED_INPUT;
}

static void put_auth(uint32_t mechanisms, struct text *reply)
{
    text_put(reply, BYTES("250-AUTH"));
    for (uint32_t bit = 1; bit <= mechanisms; bit <<= 1) {
        if (mechanisms & bit) text_printf(reply, " %s", smtp_mechanism_name(bit));
    }
    text_put(reply, BYTES("\r\n"));
}

enum smtp_server_step command_ehlo(struct smtp_server *session, struct bytes args,
                                   struct smtp_server_out *out)
{
    static const struct {
        uint32_t extension;
        const char *line;
    } lines[] = {
        {SMTP_EXT_PIPELINING, "250-PIPELINING\r\n"},
        {SMTP_EXT_8BITMIME, "250-8BITMIME\r\n"},
        {SMTP_EXT_SMTPUTF8, "250-SMTPUTF8\r\n"},
        {SMTP_EXT_ENHANCEDSTATUSCODES, "250-ENHANCEDSTATUSCODES\r\n"},
        {SMTP_EXT_CHUNKING, "250-CHUNKING\r\n"},
        {SMTP_EXT_BINARYMIME, "250-BINARYMIME\r\n"},
        {SMTP_EXT_DSN, "250-DSN\r\n"},
    };
    const struct smtp_server_options *options = session->options;
    struct text reply;
    (void)out;
    if (!begin(session, args, true)) return SMTP_SERVER_NEED_INPUT;

    text_init(&reply, session->reply, sizeof(session->reply));
    text_printf(&reply, "250-%.*s\r\n", BYTES_FMT(options->hostname));
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        if (options->extensions & lines[i].extension) text_put(&reply, bytes_of(lines[i].line));
    }
    if (options->extensions & SMTP_EXT_SIZE) {
        text_printf(&reply, "250-SIZE %llu\r\n", (unsigned long long)options->max_message_size);
    }
    if ((options->extensions & SMTP_EXT_STARTTLS) && !session->secured) {
        text_put(&reply, BYTES("250-STARTTLS\r\n"));
    }
    if (session_may_auth(session) && !session->authenticated) put_auth(options->auth, &reply);
    text_put(&reply, BYTES("250 HELP\r\n"));
    ASSERT(!reply.cut);
    session->reply_len = (uint16_t)reply.len;
    return SMTP_SERVER_NEED_INPUT;
}
