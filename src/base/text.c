/* SPDX-License-Identifier: Apache-2.0
 *
 * text - printing into a fixed buffer
 */
#include "ringpost/base.h"
#include <stdarg.h>
#include <stdio.h>

void text_init(struct text *text, char *data, size_t cap)
{
    ASSERT(cap > 0);
    *text = (struct text){.data = data, .cap = cap};
    data[0] = '\0';
}

void text_put(struct text *text, struct bytes bytes)
{
    const size_t room = text->cap - 1 - text->len;
    const size_t len = MIN(room, bytes.len);
    text->cut |= len < bytes.len;
    if (len > 0) memcpy(text->data + text->len, bytes.data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void text_printf(struct text *text, const char *format, ...)
{
    const size_t room = text->cap - text->len;
    va_list args;
    va_start(args, format);
    const int wanted = vsnprintf(text->data + text->len, room, format, args);
    va_end(args);
    ASSERT(wanted >= 0);
    text->cut |= (size_t)wanted >= room;
    text->len += MIN((size_t)wanted, room - 1);
}
