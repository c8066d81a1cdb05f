/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_content - where a message ends, and the two header fields that ringpost-source puts into it
 *
 * The content itself is thrown away. Only its first SINK_HEAD_MAX octets are kept until the message
 * is complete, because a relay puts trace fields before ours and a field may span two reads.
 */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

void sink_content_start(struct sink_session *session)
{
    session->content_size = 0;
    session->head_used = 0;
    session->match = 2; /* the CRLF of the DATA command stands before the first line */
}

static void keep_head(struct sink_session *session, const char *data, size_t length)
{
    const size_t room = SINK_HEAD_MAX - session->head_used;
    const size_t take = length < room ? length : room;
    memcpy(session->head + session->head_used, data, take);
    session->head_used += take;
}

/* Looks for CRLF.CRLF and nothing else (RFC 5321 section 4.1.1.4): a lone LF never ends a message.
 * match counts the octets of it seen so far, across reads. */
static size_t find_end(uint32_t *match, const char *data, size_t length)
{
    const char *at = data;
    const char *end = data + length;
    uint32_t state = *match;
    while (at < end && state < 5) {
        if (state == 0) {
            at = memchr(at, '\r', (size_t)(end - at));
            if (at == NULL) {
                at = end;
                break;
            }
            at += 1;
            state = 1;
            continue;
        }
        const char octet = *at++;
        if (octet == "\r\n.\r\n"[state]) {
            state += 1;
        } else {
            state = octet == '\r';
        }
    }
    *match = state;
    return (size_t)(at - data);
}

size_t sink_content_data(struct sink *sink, struct sink_session *session, const char *data,
                         size_t length)
{
    const size_t used = find_end(&session->match, data, length);
    keep_head(session, data, used);
    session->content_size += used;
    if (session->match == 5) {
        session->content_size -= 3;
        sink_message_end(sink, session);
    }
    return used;
}

size_t sink_content_bdat(struct sink_session *session, const char *data, size_t length)
{
    const size_t used = length < session->content_left ? length : (size_t)session->content_left;
    if (!session->chunk_swallow) {
        keep_head(session, data, used);
        session->content_size += used;
    }
    session->content_left -= used;
    return used;
}

/* The value of the field at line, or NULL when it is another one. */
static const char *field_value(const char *line, const char *end, const char *name)
{
    const size_t length = strlen(name);
    if ((size_t)(end - line) < length || strncasecmp(line, name, length) != 0) return NULL;
    const char *value = line + length;
    while (value < end && *value == ' ')
        value += 1;
    return value;
}

void sink_content_fields(const struct sink_session *session, struct sink_bench_fields *fields)
{
    const char *line = session->head;
    const char *end = session->head + session->head_used;
    fields->id[0] = 0;
    fields->time_ns = 0;
    fields->is_signed = false;
    while (line < end && *line != '\r') {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL) return; /* a field cut off at SINK_HEAD_MAX is no use */
        if (*line == 'D' || *line == 'd') {
            fields->is_signed |= field_value(line, newline, "DKIM-Signature:") != NULL;
        }
        if (*line == 'X' || *line == 'x') {
            const char *id = field_value(line, newline, "X-Bench-Id:");
            const char *time = field_value(line, newline, "X-Bench-Time:");
            if (id != NULL) {
                const size_t length =
                    (size_t)(newline - id) - (newline > id && newline[-1] == '\r');
                const size_t take = length < SINK_ID_MAX - 1 ? length : SINK_ID_MAX - 1;
                memcpy(fields->id, id, take);
                fields->id[take] = 0;
            }
            if (time != NULL) fields->time_ns = strtoull(time, NULL, 10);
        }
        if (fields->time_ns != 0 && fields->id[0] != 0) return;
        line = newline + 1;
    }
}
