/* SPDX-License-Identifier: Apache-2.0
 *
 * event_private - what the files of event share
 */
#pragma once
#include "ringpost/event.h"

/* Room for one line (EVENT_LINE_MAX octets) at the end of the buffer being filled, or NULL: the
 * line is lost and counted. Keep it with event_line_end(). */
char *event_line_begin(struct event_sink *sink, enum event_stream stream);
void event_line_end(struct event_sink *sink, enum event_stream stream, const char *end);

/* ---- format: each writes at out and returns the end ------------------------------------------ */

char *event_put_decimal(char *out, uint64_t value); /* up to 20 digits */
char *event_put_time(char *out, wall_ms when);      /* 24 characters */

/* C1 (U+0080 to U+009F), U+2028 and U+2029: terminals obey the first, many readers end a line at
 * the others and at U+0085. len: of the sequence; 0: it is none of these. */
uint16_t event_utf8_control(const char *data, size_t len);
