/* SPDX-License-Identifier: Apache-2.0
 *
 * receive - accept mail: listeners, sessions, envelope and content into the spool, 250 after commit
 *
 * Job     joins stream, smtp_server and spool. What happens to an accepted message is the business
 *         of whoever set the callbacks.
 * Owner   one struct receive a worker; limits are shared by all workers.
 * Errors  limits and full disks are answered to the client (421, 451, 452) and counted.
 */
#pragma once
#include "ringpost/auth.h"
#include "ringpost/base.h"
#include "ringpost/smtp_server.h"
#include "ringpost/spool.h"
#include "ringpost/tls.h"
#include "ringpost/worker.h"
#include <stdatomic.h>

struct dkim_desk;
struct dkim_signers;
struct dns;
struct receive;

struct receive_listener_options {
    struct address address;
    struct smtp_server_options smtp;
    const struct address *relay_from; /* networks whose clients may relay */
    size_t relay_from_count;
    uint32_t connections_max;            /* of this listener, all workers together */
    uint32_t connections_per_client_max; /* from one IP address */
    bool add_date, add_message_id;       /* when missing */
    bool dkim;                           /* messages are signed, if there is a signer for them */
    bool refuse_null_mx; /* senders whose domain accepts no mail (RFC 7505): 550 5.7.27 */
    /* Certificates and so on, for STARTTLS where smtp.extensions has it, or from the first octet on
     * (RFC 8314). NULL: no TLS. Shared: receive takes a share of its own. */
    struct tls_server *tls;
    bool tls_implicit;
};
struct receive_options {
    const struct receive_listener_options *listeners;
    size_t listener_count;
    struct dkim_signers *signers; /* DKIM; NULL: none. Counted: receive holds on to it by itself */
    struct auth_options auth;     /* ->users stay until receive_configure() has given others */
};

/* Connections in all and by client address, counted over all workers without locks. One for each
 * process; opened by receive_limits_create(). */
struct receive_limits;
struct receive_limits *receive_limits_create(void);
/* Open files: at most so many connections over all listeners, and none with such a descriptor or a
 * higher one (they are given out lowest first, so its number says how many are in use). No bounds
 * before the first call. Any thread. */
void receive_limits_set(struct receive_limits *limits, uint32_t clients_max,
                        uint32_t descriptor_max);
void receive_limits_destroy(struct receive_limits **limits);

struct receive_callbacks {
    /* A zeroed handle for a message about to be committed. */
    struct spool_message *(*message_new)(void *context);
    void (*message_free)(void *context, struct spool_message *message); /* it was not committed */
    /* Durable: answered 250 in this turn. Loaded and pinned once for you. */
    void (*accepted)(void *context, struct spool_message *message);
    /* The resolver to ask about a sender's domain; NULL: mail for it does not go by MX. */
    struct dns *(*sender_dns)(void *context, struct bytes domain);
};

/* Binds the listeners; accepts nothing before receive_start(). options are copied. NULL: why. */
struct receive *receive_create(struct worker *worker, struct receive_limits *limits,
                               struct auth_shared *auth, struct dkim_desk *desk,
                               const struct receive_options *options,
                               const struct receive_callbacks *callbacks, void *context, char *why,
                               size_t why_size);
void receive_start(struct receive *receive, struct spool *spool); /* on the worker's thread */
/* New options for new sessions; listeners are matched by address: new ones are bound, missing ones
 * closed, the others stay open. false: why says what could not be bound; the rest is in force. */
MUST_USE bool receive_configure(struct receive *receive, const struct receive_options *options,
                                char *why, size_t why_size);
/* No new connections; idle sessions get 421 at once, the others after their transaction. */
void receive_shut_down(struct receive *receive);
/* Time is over: sessions get 421 in the middle of what they do, and are closed within half a
 * second. One whose commit is under way gets its reply first. Call it again until all is closed. */
void receive_abort(struct receive *receive);
uint32_t receive_sessions(const struct receive *receive);
/* No session, no listener, no password is being looked at. */
bool receive_is_closed(const struct receive *receive);
void receive_destroy(struct receive **receive); /* is closed */
