/* SPDX-License-Identifier: Apache-2.0
 *
 * pair - two ends of a connection in memory
 */
#pragma once
#include "authority.h"
#include "ringpost/tls.h"
#include <time.h>

struct pair {
    struct tls *server, *client;
    size_t crossed[2]; /* octets, to the server and to the client */
    size_t cut[2];     /* no more than this crosses; 0: all */
    size_t split;      /* octets fed at once; 0: all */
};

static inline wall_ms pair_now(void)
{
    return (wall_ms)time(NULL) * 1000;
}

static inline struct tls_server *pair_server(const char *const *files, size_t count,
                                             struct tls_tickets *tickets)
{
    struct tls_certificate certificates[8];
    const char *option;
    char why[256];
    struct tls_server_options options = {
        .certificates = certificates, .certificate_count = count, .tickets = tickets};
    char paths[8][128];
    for (size_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s", authority_path(files[i], ".pem"));
        certificates[i] = (struct tls_certificate){paths[i], NULL};
    }
    struct tls_server *server = tls_server_create(&options, &option, why, sizeof(why));
    if (server == NULL) fail_msg("%s", why);
    return server;
}

static inline struct tls_client *pair_client(const char *trust)
{
    char why[256];
    const struct tls_client_options options = {.trust_file = authority_path(trust, "-cert.pem")};
    struct tls_client *client = tls_client_create(&options, why, sizeof(why));
    if (client == NULL) fail_msg("%s", why);
    return client;
}

/* All of `from`'s output reaches `to`; what is read is appended to text (may be NULL). */
static inline bool pair_carry(struct pair *pair, bool to_server, char *text, size_t *len)
{
    struct tls *from = to_server ? pair->client : pair->server;
    struct tls *to = to_server ? pair->server : pair->client;
    size_t *crossed = &pair->crossed[to_server ? 0 : 1];
    const size_t cut = pair->cut[to_server ? 0 : 1];
    char plain[40000];
    bool moved = false;
    for (;;) {
        struct bytes piece;
        if (tls_output(from, &piece, 1) == 0) return moved;
        if (pair->split > 0) piece.len = MIN(piece.len, pair->split);
        if (cut > 0) piece.len = MIN(piece.len, cut - *crossed);
        if (piece.len == 0) return moved;
        char *copy = malloc(piece.len); /* so that a sanitizer sees who reads behind it */
        memcpy(copy, piece.data, piece.len);
        tls_output_sent(from, piece.len);
        *crossed += piece.len;
        moved = true;
        tls_feed(to, (struct bytes){copy, piece.len});
        tls_handshake(to);
        size_t got;
        while ((got = tls_read(to, plain, sizeof(plain))) > 0) {
            if (text == NULL) continue;
            memcpy(text + *len, plain, got);
            *len += got;
        }
        free(copy);
    }
}

static inline void pair_shake(struct pair *pair)
{
    tls_handshake(pair->client);
    while (pair_carry(pair, true, NULL, NULL) || pair_carry(pair, false, NULL, NULL)) {
    }
}

static inline void pair_free(struct pair *pair)
{
    tls_free(&pair->client);
    tls_free(&pair->server);
}

static inline void pair_both_open(const struct pair *pair)
{
    if (tls_status(pair->client) != TLS_OPEN) fail_msg("client: %s", tls_error(pair->client));
    if (tls_status(pair->server) != TLS_OPEN) fail_msg("server: %s", tls_error(pair->server));
}
