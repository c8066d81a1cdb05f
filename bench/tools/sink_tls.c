/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_tls - TLS of ringpost-sink's sessions: ciphertext in and out, plaintext for sink_session
 */
#include "sink.h"

#define PLAIN_SIZE 16384u /* one record */

void sink_tls_open(struct sink *sink)
{
    const struct sink_options *options = &sink->options;
    if (options->tls == SINK_TLS_NONE) return;
    const struct tool_tls_options tls = {
        .is_server = true,
        .certificate = options->tls_certificate,
        .key = options->tls_key,
        .name = options->hostname,
        .version = options->tls_version,
        .no_reuse = options->tls_no_reuse,
    };
    sink->tls = tool_tls_context_open(&tls);
}

void sink_tls_start(struct sink *sink, struct sink_session *session)
{
    session->tls = tool_tls_open(sink->tls);
    session->out_clear = session->out_used; /* what has been said so far leaves in clear */
}

bool sink_tls_may_send(const struct sink_session *session)
{
    return session->tls == NULL || session->out_clear > 0 || tool_tls_is_secure(session->tls);
}

void sink_tls_input(struct sink *sink, struct sink_session *session, const char *data,
                    size_t length)
{
    static char plain[PLAIN_SIZE];
    tool_tls_feed(session->tls, data, length);
    if (!tool_tls_is_secure(session->tls)) {
        switch (tool_tls_handshake(session->tls)) {
        case TOOL_TLS_MORE:
            return;
        case TOOL_TLS_FAILED:
            sink_session_drop(session);
            return;
        case TOOL_TLS_DONE:
            if (session->state == SINK_STARTTLS) session->state = SINK_COMMAND;
            break;
        }
    }
    for (;;) {
        const ssize_t got = tool_tls_read(session->tls, plain, sizeof plain);
        if (got == 0) return;
        if (got < 0) {
            session->ended = true;
            if (session->state != SINK_DROPPED) session->state = SINK_CLOSING;
            return;
        }
        sink_session_input(sink, session, plain, (size_t)got);
    }
}

bool sink_tls_output(struct sink_session *session, size_t octets)
{
    if (octets > 0) tool_tls_write(session->tls, session->out, octets);
    session->sending_done = 0;
    return tool_tls_take(session->tls, &session->sending, &session->sending_size,
                         &session->sending_used);
}
