/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_step - the content reader and the stuffer, one octet at a time: the specification
 *
 * The scalar kernel is a loop around this; the vector kernels use it where a line begins with a
 * dot. Everything about ends of lines and of data is decided here or proved equal to here.
 *
 *              CR             LF                "."              other
 *   LINE_START AFTER_CR       IN_LINE, bare LF  AFTER_DOT (*)    IN_LINE
 *   IN_LINE    AFTER_CR       IN_LINE, bare LF  IN_LINE          IN_LINE
 *   AFTER_CR   AFTER_CR, bare LINE_START        IN_LINE, bare CR IN_LINE, bare CR
 *   AFTER_DOT  AFTER_DOT_CR   IN_LINE, bare LF  IN_LINE          IN_LINE
 *   AFTER_DOT_CR: LF gives END; for anything else the dot was a stuffed one, and the CR that was
 *   held back is written: then as in AFTER_CR.
 *   (*) DATA only, the dot is not written; BDAT: IN_LINE.
 */
#pragma once
#include "ringpost/scan.h"

/* One octet that ends no line goes to the destination. */
static inline void scan_put(struct scan_reader *reader, char octet, char *out)
{
    const unsigned char value = (unsigned char)octet;
    *out = octet;
    reader->octets += 1;
    reader->line += 1;
    reader->state = octet == '\r' ? SCAN_AFTER_CR : SCAN_IN_LINE;
    if (octet == '\n') reader->classes |= SCAN_BARE_LF;
    if (value == 0) reader->classes |= SCAN_NUL;
    if (value > 127) reader->classes |= SCAN_8BIT;
}

static inline void scan_put_line_end(struct scan_reader *reader, char *out)
{
    ASSERT(reader->line > 0); /* the CR */
    *out = '\n';
    reader->octets += 1;
    reader->line_max = MAX(reader->line_max, reader->line - 1);
    reader->line = 0;
    reader->state = SCAN_LINE_START;
}

/* One step: takes at most one octet and writes at most one. Not in SCAN_END. */
static inline struct scan_progress scan_step(struct scan_reader *reader, char octet, char *out)
{
    const struct scan_progress swallowed = {1, 0}, copied = {1, 1}, released = {0, 1};

    switch ((enum scan_state)reader->state) {
    case SCAN_LINE_START:
        if (octet == '.' && reader->dots) {
            reader->state = SCAN_AFTER_DOT;
            return swallowed;
        }
        if (octet == '.') reader->classes |= SCAN_LEADING_DOT;
        break;
    case SCAN_IN_LINE:
        break;
    case SCAN_AFTER_CR:
        if (octet == '\n') {
            scan_put_line_end(reader, out);
            return copied;
        }
        reader->classes |= SCAN_BARE_CR;
        break;
    case SCAN_AFTER_DOT:
        if (octet == '\r') {
            reader->state = SCAN_AFTER_DOT_CR;
            return swallowed;
        }
        if (octet == '.') reader->classes |= SCAN_LEADING_DOT;
        break;
    case SCAN_AFTER_DOT_CR:
        if (octet == '\n') {
            reader->state = SCAN_END;
            return swallowed;
        }
        scan_put(reader, '\r', out);
        return released;
    case SCAN_END:
        UNREACHABLE("scan_step: behind the end of data");
    }
    scan_put(reader, octet, out);
    return copied;
}

/* One octet of content on its way out; returns how many octets were written (1 or 2). */
static inline size_t scan_stuff_octet(struct scan_stuffer *stuffer, char octet, char *out)
{
    const bool stuffed = octet == '.' && stuffer->state == SCAN_LINE_START;
    if (octet == '\n' && stuffer->state == SCAN_AFTER_CR) {
        stuffer->state = SCAN_LINE_START;
    } else {
        stuffer->state = octet == '\r' ? SCAN_AFTER_CR : SCAN_IN_LINE;
    }
    out[0] = octet;
    if (stuffed) out[1] = octet;
    return stuffed ? 2 : 1;
}
