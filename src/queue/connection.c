/* SPDX-License-Identifier: Apache-2.0
 *
 * connection - bookkeeping of a ready queue's connections
 *
 *     CLOSED ──opening──▶ OPENING ──opened──▶ OPEN ──closing──▶ CLOSING ──closed──▶ CLOSED
 *                            └──────── failed, closing ───────────▲
 */
#include "hosts.h"

enum { REFUSED_PAUSE_S = 60, SMOOTHING = 8 };

/* The list that the connection belongs in. It is the only writer of ->link. */
static void connection_look(struct queue_ready *ready, struct queue_connection *connection)
{
    const struct queue_site_options *options = &ready->plan->options;
    const uint32_t most = options->messages_per_connection;
    list_remove(&connection->link);
    if (connection->state != QUEUE_CONNECTION_OPEN) {
        list_push_back(&ready->full, &connection->link);
        return;
    }
    const bool spent = most > 0 && connection->given >= most;
    const bool too_many = ready->open + ready->opening > MAX(options->connections_max, 1u);
    if (connection->in_flight == 0) {
        /* Spent ones go to the old end, where the next one to close is looked for. */
        if (spent || too_many)
            list_push_back(&ready->idle, &connection->link);
        else if (connection->room)
            list_push_front(&ready->idle, &connection->link);
        else
            list_push_back(&ready->full, &connection->link);
        return;
    }
    const bool takes = connection->room && !spent && !too_many;
    list_push_back(takes ? &ready->busy : &ready->full, &connection->link);
}

static void count(struct queue_ready *ready, uint8_t state, int32_t change)
{
    uint32_t *counter = state == QUEUE_CONNECTION_OPENING   ? &ready->opening
                        : state == QUEUE_CONNECTION_OPEN    ? &ready->open
                        : state == QUEUE_CONNECTION_CLOSING ? &ready->closing
                                                            : NULL;
    if (counter != NULL) *counter += (uint32_t)change;
}

/* The only writer of ->state. */
static void become(struct queue_ready *ready, struct queue_connection *connection, uint8_t state)
{
    ASSERT(state > connection->state || state == QUEUE_CONNECTION_CLOSED);
    count(ready, connection->state, -1);
    connection->state = state;
    count(ready, state, 1);
}

void queue_connection_opening(struct queue_ready *ready, struct queue_hosts *hosts,
                              struct queue_connection *connection, const struct address *peer)
{
    ASSERT(connection->state == QUEUE_CONNECTION_CLOSED);
    *connection = (struct queue_connection){.peer = *peer};
    list_init(&connection->link);
    hosts_get(hosts, ready->plan, peer)->opening += 1;
    hosts->connections += 1;
    become(ready, connection, QUEUE_CONNECTION_OPENING);
    connection_look(ready, connection);
}

/* It is not OPENING any more; the host has a record as long as one is. */
static struct queue_host *opening_ended(const struct queue_ready *ready, struct queue_hosts *hosts,
                                        const struct queue_connection *connection)
{
    struct queue_host *host = queue_hosts_find(hosts, ready->plan, &connection->peer);
    ASSERT(host != NULL && host->opening > 0);
    host->opening -= 1;
    return host;
}

void queue_connection_opened(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection, bool room, instant now)
{
    ASSERT(connection->state == QUEUE_CONNECTION_OPENING);
    struct queue_host *host = opening_ended(ready, hosts, connection);
    host->failures = 0;
    hosts_wake(hosts, &host->waiters, false);
    hosts_look(hosts, host);
    connection->room = room;
    connection->idle_since = now;
    become(ready, connection, QUEUE_CONNECTION_OPEN);
    connection_look(ready, connection);
}

void queue_connection_room(struct queue_ready *ready, struct queue_connection *connection,
                           bool room)
{
    connection->room = room;
    if (connection->state == QUEUE_CONNECTION_OPEN) connection_look(ready, connection);
}

void queue_connection_settled(struct queue_ready *ready, struct queue_connection *connection,
                              const struct queue_job *job, instant now)
{
    ASSERT(connection->in_flight > 0 && ready->in_flight > 0);
    connection->in_flight -= 1;
    ready->in_flight -= 1;
    ready->last_result = now;
    const duration us = MAX((now - MIN(job->given, now)) / DURATION_US(1), 1u);
    const uint32_t capped = (uint32_t)MIN(us, (duration)UINT32_MAX / (2 * SMOOTHING));
    ready->transaction_us = ready->transaction_us == 0
                                ? capped
                                : (ready->transaction_us * (SMOOTHING - 1) + capped) / SMOOTHING;
    if (connection->in_flight == 0) connection->idle_since = now;
    connection_look(ready, connection);
}

void queue_connection_closing(struct queue_ready *ready, struct queue_connection *connection)
{
    if (connection->state == QUEUE_CONNECTION_CLOSING) return;
    ASSERT(connection->state == QUEUE_CONNECTION_OPEN);
    become(ready, connection, QUEUE_CONNECTION_CLOSING);
    connection_look(ready, connection);
}

static bool has_open_to(const struct list *connections, const struct queue_connection *other)
{
    LIST_FOR_EACH(node, connections)
    {
        const struct queue_connection *connection =
            CONTAINER_OF(node, struct queue_connection, link);
        if (connection != other && connection->state == QUEUE_CONNECTION_OPEN &&
            address_equal(&connection->peer, &other->peer)) {
            return true;
        }
    }
    return false;
}

void queue_connection_failed(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection,
                             const struct queue_error_view *why, instant now)
{
    ASSERT(connection->state == QUEUE_CONNECTION_OPENING ||
           connection->state == QUEUE_CONNECTION_OPEN);
    struct queue_host *host = connection->state == QUEUE_CONNECTION_OPENING
                                  ? opening_ended(ready, hosts, connection)
                                  : hosts_get(hosts, ready->plan, &connection->peer);
    become(ready, connection, QUEUE_CONNECTION_CLOSING);
    connection_look(ready, connection);
    if (has_open_to(&ready->idle, connection) || has_open_to(&ready->busy, connection) ||
        has_open_to(&ready->full, connection)) {
        ready->refused_at = ready->open;
        ready->refused_until = now + DURATION_S(REFUSED_PAUSE_S);
        hosts_wake(hosts, &host->waiters, false);
        hosts_look(hosts, host);
        return;
    }
    host->failures += 1;
    host->until = now + queue_host_pause(&ready->plan->options, host->failures);
    host->code = why->code;
    host->enhanced = why->enhanced;
    host->reply = why->reply;
    host->text_len = (uint16_t)MIN(why->text.len, sizeof(host->text));
    if (host->text_len > 0) memcpy(host->text, why->text.data, host->text_len);
    hosts_wake(hosts, &host->waiters, true);
}

void queue_connection_closed(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection)
{
    ASSERT(connection->state != QUEUE_CONNECTION_CLOSED && connection->in_flight == 0);
    if (connection->state == QUEUE_CONNECTION_OPENING) { /* given up by us: says nothing */
        struct queue_host *host = opening_ended(ready, hosts, connection);
        hosts_wake(hosts, &host->waiters, false);
        hosts_look(hosts, host);
    }
    become(ready, connection, QUEUE_CONNECTION_CLOSED);
    list_remove(&connection->link);
    ASSERT(hosts->connections > 0);
    hosts->connections -= 1;
    hosts_wake(hosts, &hosts->waiters, false);
}
