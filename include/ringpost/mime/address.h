/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/address - lists of mailboxes and groups: From, To, Cc, ... (RFC 5322 section 3.4, 6532,
 * 2047)
 *
 * Job     reads a field's body address by address, obsolete and slightly wrong forms too; prints
 *         mailboxes so that any text makes a correct name.
 * Owner   what is read points into the body; nothing is allocated. Reading a whole list is linear
 *         in its octets.
 */
#pragma once
#include "ringpost/base.h"

enum { MIME_NAME_MAX = 500 }; /* octets of a name, longer ones are cut */

enum mime_address_kind {
    MIME_ADDRESS_MAILBOX,
    MIME_ADDRESS_GROUP_BEGIN, /* has a name only; its members follow */
    MIME_ADDRESS_GROUP_END,   /* comes for each group, also if ";" is missing */
    MIME_ADDRESS_INVALID,     /* what stands between two commas is no address: see ->whole */
};
struct mime_address {
    enum mime_address_kind kind;
    /* As they were written, with quotes, comments and folding: the functions below take them out.
     */
    struct bytes name;          /* empty if there is none */
    struct bytes local, domain; /* a source route (section 4.4) has been dropped */
    struct bytes comment; /* first one behind the address, without parentheses: old mail has the
                           * name there */
    struct bytes whole;   /* all of it, without the comma */
};
struct mime_address_reader {
    struct bytes rest;
    bool in_group;
};
void mime_address_reader_init(struct mime_address_reader *reader, struct bytes body);
/* The next one; false: no more. */
bool mime_address_next(struct mime_address_reader *reader, struct mime_address *address);

/* The name as UTF-8, encoded-words decoded; the comment's text if there is no name. Returns its
 * length, at most cap. */
size_t mime_address_name(const struct mime_address *address, char *out, size_t cap);
/* local@domain, quoted only where it must be; out is cut if it has no room. Of a mailbox only. */
void mime_address_spec(const struct mime_address *address, struct text *out);

/* ---- printing: a field's body, folded to lines of 78 characters where that can be --------------
 */

struct mime_address_printer {
    struct text *out; /* ->cut tells whether all had room */
    size_t column;    /* characters in the line */
    bool seven_bit;   /* names in encoded-words; false: UTF-8 stays (RFC 6532) */
    bool comma;       /* before the next one */
};
/* column: characters in the line so far: "To:" are 3. The first address begins with a space. */
void mime_address_printer_init(struct mime_address_printer *printer, struct text *out,
                               size_t column, bool seven_bit);
/* name: any text as UTF-8, may be empty; what would break the field (CR, LF, other controls)
 * becomes a space. spec: local@domain, quoted as it must be. False, and nothing is printed, if spec
 * is not such a thing, or has octets over 127 and seven_bit is set. */
MUST_USE bool mime_address_print(struct mime_address_printer *printer, struct bytes name,
                                 struct bytes spec);
void mime_address_print_group(struct mime_address_printer *printer, struct bytes name);
void mime_address_print_group_end(struct mime_address_printer *printer);
/* Is it local@domain, nothing else around it: no comments, white space outside of quotes, controls?
 */
bool mime_address_spec_is_valid(struct bytes spec);
