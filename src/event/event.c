/* SPDX-License-Identifier: Apache-2.0
 *
 * event - buffers of lines, and the log for people
 *
 * A stream has at most buffers_max buffers: one being filled, full ones that wait to be taken,
 * some away with the writer, spare ones. When none is left, lines are lost, counted, and mentioned
 * in the log as soon as there is room again.
 */
#include "event_private.h"
#include <stdarg.h>
#include <stdio.h>

enum { BUFFERS_MAX_DEFAULT = 64 };

static struct event_buffer *buffer_of(struct inbox_node *node)
{
    return node == NULL ? NULL : CONTAINER_OF(node, struct event_buffer, node);
}

void event_set_options(struct event_sink *sink, const struct event_options *options)
{
    sink->options = *options;
    if (sink->options.buffers_max == 0) sink->options.buffers_max = BUFFERS_MAX_DEFAULT;
}

void event_sink_init(struct event_sink *sink, const struct event_options *options)
{
    *sink = (struct event_sink){0};
    event_set_options(sink, options);
}

static uint32_t free_chain(struct inbox_node *node)
{
    uint32_t count = 0;
    while (node != NULL) {
        struct inbox_node *next = node->next;
        base_free(buffer_of(node));
        node = next;
        count += 1;
    }
    return count;
}

void event_sink_deinit(struct event_sink *sink)
{
    for (size_t i = 0; i < EVENT_STREAM_COUNT; i++) {
        struct event_stream_state *stream = &sink->streams[i];
        stream->buffers -= free_chain(stream->full_oldest) + free_chain(stream->spare);
        if (stream->filling != NULL) {
            base_free(stream->filling);
            stream->buffers -= 1;
        }
        ASSERT(stream->buffers == 0);
    }
    *sink = (struct event_sink){0};
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void close_filling(struct event_stream_state *stream)
{
    struct inbox_node *node = &stream->filling->node;
    node->next = NULL;
    if (stream->full_oldest == NULL) {
        stream->full_oldest = node;
    } else {
        stream->full_newest->next = node;
    }
    stream->full_newest = node;
    stream->filling = NULL;
}

static bool open_filling(struct event_sink *sink, enum event_stream id)
{
    struct event_stream_state *stream = &sink->streams[id];
    struct event_buffer *buffer = buffer_of(stream->spare);
    if (buffer != NULL) {
        stream->spare = buffer->node.next;
    } else if (stream->buffers < sink->options.buffers_max) {
        buffer = base_alloc(sizeof(*buffer));
        stream->buffers += 1;
    } else {
        return false;
    }
    buffer->node.next = NULL;
    buffer->sink = sink;
    buffer->stream = (uint8_t)id;
    buffer->lines = 0;
    buffer->len = 0;
    stream->filling = buffer;
    return true;
}

/* Room was found again: say once how much was lost meanwhile. It goes to the log for both streams;
 * when the log itself has no room, only the metrics know. */
static void tell_losses(struct event_sink *sink, enum event_stream id)
{
    static const char *const what[EVENT_STREAM_COUNT] = {"log lines", "account records"};
    struct event_stream_state *stream = &sink->streams[id];
    const uint64_t lost = stream->lost - stream->lost_told;
    if (lost == 0) return;
    stream->lost_told = stream->lost;
    event_log(sink, EVENT_WARNING, "event", "%llu %s were lost: their file could not keep up",
              (unsigned long long)lost, what[id]);
}

char *event_line_begin(struct event_sink *sink, enum event_stream id)
{
    struct event_stream_state *stream = &sink->streams[id];
    if (UNLIKELY(stream->filling != NULL &&
                 stream->filling->len + EVENT_LINE_MAX > EVENT_BUFFER_SIZE)) {
        close_filling(stream);
    }
    if (UNLIKELY(stream->filling == NULL)) {
        if (!open_filling(sink, id)) {
            stream->lost += 1;
            return NULL;
        }
        tell_losses(sink, id);
    }
    return stream->filling->data + stream->filling->len;
}

void event_line_end(struct event_sink *sink, enum event_stream id, const char *end)
{
    struct event_buffer *buffer = sink->streams[id].filling;
    const size_t len = (size_t)(end - buffer->data);
    ASSERT(len > buffer->len && len <= buffer->len + EVENT_LINE_MAX);
    buffer->len = (uint32_t)len;
    buffer->lines += 1;
}

struct event_buffer *event_take(struct event_sink *sink, enum event_stream id, bool partly)
{
    struct event_stream_state *stream = &sink->streams[id];
    if (partly && stream->filling != NULL && stream->filling->len > 0) close_filling(stream);
    struct event_buffer *oldest = buffer_of(stream->full_oldest);
    stream->full_oldest = stream->full_newest = NULL;
    return oldest;
}

void event_return(struct event_sink *sink, struct event_buffer *buffer)
{
    struct event_stream_state *stream = &sink->streams[buffer->stream];
    ASSERT(buffer->sink == sink && stream->buffers > 0);
    if (stream->buffers > sink->options.buffers_max) { /* the limit was lowered */
        stream->buffers -= 1;
        base_free(buffer);
        return;
    }
    buffer->node.next = stream->spare;
    stream->spare = &buffer->node;
}

/* ---- the log --------------------------------------------------------------------------------- */

static char *put_text(char *out, const char *text)
{
    const size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

/* Text from outside must not forge lines or move a terminal's cursor: control characters (C0, DEL,
 * C1, Unicode's line ends) and what is not UTF-8 become question marks, octet for octet. */
static void clean(char *text, const char *end)
{
    while (text < end) {
        const size_t len = utf8_char_len(text, (size_t)(end - text));
        const unsigned char first = (unsigned char)text[0];
        const bool control = first < 0x20 || first == 0x7f || event_utf8_control(text, len) != 0;
        if (control || len == 0) memset(text, '?', MAX(len, 1u));
        text += MAX(len, 1u);
    }
}

void event_log(struct event_sink *sink, enum event_level level, const char *module,
               const char *format, ...)
{
    static const char *const levels[] = {
        [EVENT_ERROR] = " error ",
        [EVENT_WARNING] = " warning ",
        [EVENT_INFO] = " info ",
        [EVENT_DEBUG] = " debug ",
    };
    if (level > sink->options.level) return;
    char *const line = event_line_begin(sink, EVENT_LOG);
    if (line == NULL) return;
    char *out = event_put_time(line, sink->now);
    out = put_text(out, levels[level]);
    out = put_text(out, module);
    out = put_text(out, ": ");

    const size_t room = EVENT_LINE_MAX - 1 - (size_t)(out - line); /* 1 for the line feed */
    va_list args;
    va_start(args, format);
    const int wanted = vsnprintf(out, room, format, args);
    va_end(args);
    char *end = out + MIN(wanted < 0 ? 0 : (size_t)wanted, room - 1);
    clean(out, end);
    *end++ = '\n';
    event_line_end(sink, EVENT_LOG, end);
}
