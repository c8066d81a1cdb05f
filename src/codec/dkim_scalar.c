/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim_scalar - white space of relaxed bodies, octet by octet (RFC 6376 section 3.4.4)
 */
#include "dkim_ops.h"

static bool is_wsp(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* A space or tab counts, as a space, if it is the last of its run and no CRLF follows: to know that
 * it is enough to look ahead. */
static size_t relax(const char *src, size_t len, char *dst)
{
    size_t written = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_wsp(src[i])) {
            dst[written++] = src[i];
            continue;
        }
        const bool more = i + 1 < len && is_wsp(src[i + 1]);
        const bool ends = i + 2 < len && src[i + 1] == '\r' && src[i + 2] == '\n';
        if (!more && !ends) dst[written++] = ' ';
    }
    return written;
}

const struct dkim_ops dkim_ops_scalar = {.relax = relax};
