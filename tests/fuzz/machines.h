/* SPDX-License-Identifier: Apache-2.0
 *
 * machines - the three plays of fuzz_machines.c, and the content of messages they share
 */
#pragma once
#include "choices.h"
#include "ringpost/smtp.h"

void machines_server(struct choices *choices);
void machines_client(struct choices *choices);
void machines_pair(struct choices *choices);

/* Content made of snippets that matter: dots, bare CR and LF, NUL, octets over 127, long lines,
 * header fields with a limit. */
void machines_put_content(struct choices *choices, struct text *out);
bool machines_ends_line(struct bytes content); /* nothing, or CRLF at its end */

struct machines_limits {
    uint64_t size;
    uint32_t text_line;
    uint32_t received;
    uint32_t cuts;
};
enum machines_judgement { CONTENT_GOOD, CONTENT_BAD, CONTENT_UNSURE };
/* What a server must think of it, read in the simplest way. whole: no more comes. Whether fields
 * with a limit stand in the header is left open. */
enum machines_judgement machines_judge(struct bytes content, bool whole,
                                       const struct machines_limits *limits);
/* The content as DATA sends it, up to and with the final dot (RFC 5321 section 4.5.2). after_lf:
 * dots behind a bare LF are doubled too. */
void machines_stuff(struct bytes content, bool after_lf, struct text *out);
