/* SPDX-License-Identifier: Apache-2.0
 *
 * address_private - the tokens of addresses, for reading and printing
 */
#pragma once
#include "ringpost/mime/address.h"

/* atext of RFC 5322 section 3.2.3, with UTF8-non-ascii of RFC 6532 section 3.2. */
static inline bool mime_is_atom_char(char c)
{
    return (unsigned char)c > 127 || (c > ' ' && c < 127 && strchr("()<>@,;:\\\".[]", c) == NULL);
}
/* Octets of the token at the front: white space and comments, quoted string, domain literal, a run
 * of atom characters, or one special character. text is not empty. */
size_t mime_address_token_len(struct bytes text);
/* local@domain, CFWS anywhere: sets ->local and ->domain; false if they make no sense. */
bool mime_address_read_spec(struct bytes text, struct mime_address *address);
