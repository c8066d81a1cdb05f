/* SPDX-License-Identifier: Apache-2.0
 *
 * control - the protocol of the control socket, both ends of it
 *
 * The operator's commands connect to a local stream socket, write one line of JSON, and read lines
 * of JSON until the end of the stream. The file's mode is the authentication.
 *
 *     request   {"command":"list","domain":"example.com","limit":100}
 *     reply     rows, one JSON object a line, then
 *               {"ok":true, ...}              or, alone, {"error":"why"}
 *
 *     command   fields                     rows                            with ok
 *     summary   by ("site", "domain"),     groups, most entries first      groups, messages,
 *               limit                                                      recipients
 *     list      domain, limit              items
 *     show      id                         message, entries, recipients    found
 *     retry     id, domain or all                                          entries
 *     delete    id or domain                                               entries
 *     stats                                one object
 *
 * A reply without its last line was cut off. Parsing and printing of requests are pure; the server
 * side is operator.c, the client side client.c and render.c.
 */
#pragma once
#include "ringpost/base.h"

enum {
    CONTROL_REQUEST_MAX = 64 * 1024, /* octets of a request's line */
    CONTROL_DOMAIN_MAX = 255,
    CONTROL_LIMIT_MAX = 1000000, /* rows of one worker */
};

/* ---- requests -------------------------------------------------------------------------------- */

enum control_command {
    CONTROL_SUMMARY = 0,
    CONTROL_LIST,
    CONTROL_SHOW,
    CONTROL_RETRY,
    CONTROL_DELETE,
    CONTROL_STATS,
    CONTROL_COMMAND_COUNT,
};
struct control_request {
    uint8_t command;                     /* enum control_command */
    bool by_site;                        /* summary: a row is a site, not a domain */
    bool all;                            /* retry: everything */
    uint32_t limit;                      /* rows; never 0 */
    uint64_t id;                         /* 0 = none */
    char domain[CONTROL_DOMAIN_MAX + 1]; /* as given; empty = none */
};
/* line: without its line feed. false: why says what is wrong with it. */
MUST_USE bool control_request_parse(struct bytes line, struct control_request *request,
                                    struct text *why);
/* With a line feed; false when it is not text, or out was too small. */
MUST_USE bool control_request_print(const struct control_request *request, struct text *out);
