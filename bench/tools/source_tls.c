/* SPDX-License-Identifier: Apache-2.0
 *
 * source_tls - TLS of ringpost-source's sessions: ciphertext in and out, plaintext for the rest
 *
 * Commands and content of one gathering are copied together before they are encrypted: one large
 * record costs less than several small ones.
 */
#include "source.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_SIZE  16384u /* one record */
#define SEALED_SIZE 18432u /* one record with its overhead */

void source_tls_open(struct source *source)
{
    const struct source_options *options = &source->options;
    if (options->tls == SOURCE_TLS_NONE) return;
    const struct tool_tls_options tls = {
        .name = options->tls_name,
        .version = options->tls_version,
        .no_reuse = options->tls_no_reuse,
    };
    source->tls = tool_tls_context_open(&tls);
}

void source_tls_start(struct source *source, struct source_session *session)
{
    session->tls = tool_tls_open(source->tls);
    if (session->sealed_in == NULL) session->sealed_in = tool_alloc(SEALED_SIZE);
    session->state = SOURCE_HANDSHAKE;
    tool_tls_feed(session->tls, NULL, 0);
    if (tool_tls_handshake(session->tls) == TOOL_TLS_FAILED) session->state = SOURCE_BROKEN;
}

void source_tls_end(struct source_session *session)
{
    tool_tls_close(session->tls);
    session->tls = NULL;
}

char *source_tls_room(struct source_session *session, size_t *size)
{
    *size = SEALED_SIZE;
    return session->sealed_in;
}

void source_tls_input(struct source *source, struct source_session *session, size_t octets)
{
    tool_tls_feed(session->tls, session->sealed_in, octets);
    if (session->state == SOURCE_HANDSHAKE) {
        switch (tool_tls_handshake(session->tls)) {
        case TOOL_TLS_MORE:
            return;
        case TOOL_TLS_FAILED:
            session->state = SOURCE_BROKEN;
            return;
        case TOOL_TLS_DONE:
            source_session_secured(source, session);
            break;
        }
    }
    while (session->state != SOURCE_BROKEN) {
        const ssize_t got = tool_tls_read(session->tls, session->in + session->in_used,
                                          sizeof session->in - session->in_used);
        if (got == 0) return;
        if (got < 0) {
            session->state = SOURCE_BROKEN;
            return;
        }
        session->in_used += (size_t)got;
        source_session_replies(source, session);
    }
}

void source_tls_output(struct source_session *session)
{
    static char plain[PLAIN_SIZE];
    size_t used = 0;
    for (unsigned i = 0; i < session->iov_used; i++) {
        const char *data = session->iov[i].iov_base;
        size_t left = session->iov[i].iov_len;
        while (left > 0) {
            const size_t take = left < PLAIN_SIZE - used ? left : PLAIN_SIZE - used;
            memcpy(plain + used, data, take);
            used += take;
            data += take;
            left -= take;
            if (used < PLAIN_SIZE) continue;
            tool_tls_write(session->tls, plain, used);
            used = 0;
        }
    }
    if (used > 0) tool_tls_write(session->tls, plain, used);
    session->iov_used = 0;
    size_t length = 0;
    if (tool_tls_take(session->tls, &session->sealed_out, &session->sealed_out_size, &length)) {
        session->iov[session->iov_used++] =
            (struct iovec){.iov_base = session->sealed_out, .iov_len = length};
    }
}
