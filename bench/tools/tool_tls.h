/* SPDX-License-Identifier: Apache-2.0
 *
 * tool_tls - TLS of the bench programs: OpenSSL between octets received and octets to send
 *
 * No sockets here: a program feeds what it received and sends what it takes. Received octets are
 * read where they lie, and the octets to send are handed over with their buffer, so that TLS costs
 * its own computing and one copy. Peers are never verified; this is for measuring. A mistake in the
 * set-up ends the program, what a peer does wrong ends its connection.
 */
#pragma once

#include "tool.h"

#include <sys/types.h>

struct tool_tls_options {
    bool is_server;
    const char *certificate; /* PEM files of the server; NULL: a throw-away one is made */
    const char *key;
    const char *name; /* of the throw-away certificate; the SNI of a client */
    int version;      /* 0: 1.2 or 1.3; else this one only, as tool_tls_version() gave it */
    bool no_reuse;    /* a client resumes nothing, a server gives no tickets */
};

struct tool_tls_stats {
    uint64_t handshakes; /* completed, resumed ones counted */
    uint64_t resumed;
    uint64_t failed;
    const char *version; /* of the latest; NULL: none was completed */
    const char *cipher;
};

struct tool_tls_context; /* of a program */
struct tool_tls;         /* of a connection */

int tool_tls_version(const char *option, const char *text); /* "1.2", "1.3" */
struct tool_tls_context *tool_tls_context_open(const struct tool_tls_options *options);
const struct tool_tls_stats *tool_tls_stats(const struct tool_tls_context *context);
/* Writes "tls": {…} */
void tool_tls_json(FILE *out, const struct tool_tls_context *context);

struct tool_tls *tool_tls_open(struct tool_tls_context *context);
void tool_tls_close(struct tool_tls *tls); /* NULL: nothing */

/* Octets from the peer: they must stay until the next tool_tls_handshake() says TOOL_TLS_MORE or
 * tool_tls_read() returns 0. */
void tool_tls_feed(struct tool_tls *tls, const char *data, size_t length);
enum tool_tls_step { TOOL_TLS_MORE = 0, TOOL_TLS_DONE, TOOL_TLS_FAILED };
enum tool_tls_step tool_tls_handshake(struct tool_tls *tls);
bool tool_tls_is_secure(const struct tool_tls *tls); /* the handshake is done */
/* Plaintext octets, 0: the peer has to send more, -1: the peer has closed, or broken the protocol.
 */
ssize_t tool_tls_read(struct tool_tls *tls, char *out, size_t size);
void tool_tls_write(struct tool_tls *tls, const char *data, size_t length);
void tool_tls_notify(struct tool_tls *tls); /* close_notify: nothing may be written after it */

/* Swaps the buffer of octets to send for the caller's (NULL and 0 are fine); false: there are none.
 */
bool tool_tls_take(struct tool_tls *tls, char **data, size_t *size, size_t *used);
