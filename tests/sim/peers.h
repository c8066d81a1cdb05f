/* SPDX-License-Identifier: Apache-2.0
 *
 * peers - who the product talks to: injectors, receivers, the operator
 */
#pragma once
#include "net.h"
#include "ringpost/tls.h"

/* A buffer of octets on their way out through a window. */
struct outbox {
    char *data;
    size_t len, cap, first;
};
void outbox_put(struct outbox *outbox, const char *data, size_t len);
void outbox_printf(struct outbox *outbox, const char *format, ...) PRINTF_LIKE(2, 3);
/* Writes what the window takes; false: the connection is broken. */
bool outbox_flush(struct outbox *outbox, struct net_end *end);
static inline bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->first == outbox->len;
}
void outbox_deinit(struct outbox *outbox);
/* What TLS has to send. Returns how many octets that were. */
size_t outbox_put_tls(struct outbox *outbox, struct tls *tls);
wall_ms peers_wall(void);

void receivers_start(void);
/* Excuses what was accepted and cannot be known to the sender yet. */
void receivers_excuse(void);
/* The limit that the configuration sets for every site. */
enum { SITE_CONNECTIONS_MAX = 3 };

void injectors_start(void);
bool injectors_done(void);
enum { INJECTION_PORT = 2525, SECURE_PORT = 2526, MESSAGE_SIZE_MAX = 256 * 1024 };
/* The second port is TLS from the first octet on, the first one offers STARTTLS. */
static inline bool injectors_know_tls(void)
{
    return sim.options.seed % 3 != 0;
}

bool keys_have_failed(void); /* a signing key, when it was used */

void operator_begin(void);
void operator_stop(void);
/* How many messages the running server says it has; -1: not known yet. Asks again each time. */
int64_t operator_count(void);
