/* SPDX-License-Identifier: Apache-2.0
 *
 * idn - U-labels to A-labels (RFC 5891), for the domains of SMTPUTF8 mail (RFC 6531 section 3.7.3)
 *
 * The only file that knows libidn2, whose tables of Unicode nobody should write again.
 */
#include "private.h"
#include <idn2.h>

bool dns_idn_to_ascii(struct bytes name, struct text *out)
{
    enum { INPUT_MAX = 1024 };
    uint8_t input[INPUT_MAX];
    uint8_t *ascii = NULL;
    if (name.len >= sizeof(input) || memchr(name.data, 0, name.len) != NULL) return false;
    memcpy(input, name.data, name.len);
    input[name.len] = 0;
    const int result = idn2_lookup_u8(input, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (result != IDN2_OK) return false;
    text_put(out, bytes_of((const char *)ascii));
    idn2_free(ascii);
    return !out->cut;
}
