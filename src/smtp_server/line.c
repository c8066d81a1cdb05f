/* SPDX-License-Identifier: Apache-2.0
 *
 * line - takes command lines out of the input
 *
 * A line that is whole in the input is used in place. Only pieces are copied, into a buffer of the
 * limit's size; of a longer line the rest is counted and lost, up to its CRLF. A bare LF is an
 * octet of the line like any other (RFC 5321 section 2.3.8), and the command then refuses it.
 *
 * Lines of AUTH may be six times as long, and are so hardly ever: the session has no buffer for
 * them. Such a line stays in the input, where the driver keeps it, until it is whole.
 */
#include "session.h"

static void keep_piece(struct smtp_server *session, struct bytes piece)
{
    if (session->line_len < sizeof(session->line)) {
        const size_t room = sizeof(session->line) - session->line_len;
        memcpy(session->line + session->line_len, piece.data, MIN(room, piece.len));
    }
    const uint64_t len = (uint64_t)session->line_len + piece.len;
    session->line_len = (uint32_t)MIN(len, UINT32_MAX);
    session->line_last = piece.data[piece.len - 1];
}

/* Up to the next LF, or all; true if that is the end of the line. */
static bool take_piece(struct smtp_server *session, struct bytes *input)
{
    const char *lf = memchr(input->data, '\n', input->len);
    const struct bytes piece = {input->data, lf ? (size_t)(lf - input->data) + 1 : input->len};
    const char before_lf = piece.len > 1           ? piece.data[piece.len - 2]
                           : session->line_len > 0 ? session->line_last
                                                   : '\0';
    keep_piece(session, piece);
    *input = bytes_skip(*input, piece.len);
    return lf != NULL && before_lf == '\r';
}

/* Is it a line of AUTH, or can it still become one? */
static bool is_wide(const struct smtp_server *session, struct bytes input)
{
    const struct bytes verb = BYTES("AUTH ");
    if (session->state == SMTP_SERVER_AUTH_RESPONSE) return true;
    if (session->options->auth == 0) return false;
    const size_t len = MIN(input.len, verb.len);
    return bytes_equal_nocase((struct bytes){input.data, len}, (struct bytes){verb.data, len});
}

bool session_take_line(struct smtp_server *session, struct bytes *input, struct bytes *line,
                       bool *overlong)
{
    const size_t limit = session->options->max_command_line;
    if (session->line_len == 0 && input->len > 0) {
        const size_t len = scan_find_crlf(input->data, input->len);
        if (len < input->len) {
            *line = (struct bytes){input->data, len};
            *overlong =
                len + 2 > limit && (len + 2 > SMTP_AUTH_LINE_MAX || !is_wide(session, *input));
            *input = bytes_skip(*input, len + 2);
            return true;
        }
        if (input->len < SMTP_AUTH_LINE_MAX && is_wide(session, *input)) return false;
    }
    while (input->len > 0) {
        if (take_piece(session, input)) {
            const size_t len = session->line_len;
            *line = (struct bytes){session->line, MIN(len, sizeof(session->line)) - 2};
            *overlong = len > limit;
            session->line_len = 0;
            return true;
        }
    }
    return false;
}
