/* SPDX-License-Identifier: Apache-2.0
 *
 * net - connections, their delays and their fates
 */
#include "net.h"
#include <errno.h>
#include <stdlib.h>

enum { WINDOW_MIN = 512, WINDOW_MAX = 256 * 1024 };

enum fate {
    FATE_NONE = 0,
    FATE_RESET,  /* after so many octets */
    FATE_SILENT, /* likewise: nothing arrives any more, and nobody is told */
    FATE_DRIP,   /* octet by octet for a while */
};

struct chunk {
    struct list link;
    uint32_t len;
    instant at;
};

struct direction { /* from ends[side] to the other */
    char *data;    /* octets written and not yet read: [first, first + len) of a ring of cap */
    size_t cap, first, len, arrived;
    size_t window;
    struct list chunks; /* not yet arrived */
    struct sim_event arrival;
    instant last_at;
    bool ended, end_arrived;
    struct net_connection *connection;
    uint8_t side;
};

struct net_connection {
    struct net_end ends[2];
    struct direction directions[2];
    struct sim_event opening, burial;
    char path[128]; /* of a local listener */
    duration delay;
    uint8_t fate;
    bool spared, broken;
    uint64_t octets, fate_after;
};

static struct list listeners = {&listeners, &listeners};

/* ---- telling -----------------------------------------------------------------------------------
 */

static void told(struct sim_event *event)
{
    struct net_end *end = CONTAINER_OF(event, struct net_end, change);
    if (end->events != NULL && !end->closed) end->events->on_change(end);
}

static void tell(struct net_end *end)
{
    if (end->closed || end->events == NULL || sim_is_due(&end->change)) return;
    sim_after(&end->change, DURATION_US(1 + sim_below(SIM_NET, 20)));
}

/* In an event of its own: whoever closed the last end may still look at it. */
static void buried(struct sim_event *event)
{
    struct net_connection *connection = CONTAINER_OF(event, struct net_connection, burial);
    for (int side = 0; side < 2; side++) {
        struct direction *direction = &connection->directions[side];
        struct list *node;
        while ((node = list_pop_front(&direction->chunks)) != NULL)
            base_free(CONTAINER_OF(node, struct chunk, link));
        base_free(direction->data);
        sim_cancel(&direction->arrival);
        sim_cancel(&connection->ends[side].change);
    }
    sim_cancel(&connection->opening);
    base_free(connection);
}

static void maybe_free(struct net_connection *connection)
{
    if (!connection->ends[0].closed || !connection->ends[1].closed) return;
    connection->burial.happen = buried;
    sim_after(&connection->burial, DURATION_MS(1));
}

static void break_off(struct net_connection *connection, int error)
{
    if (connection->broken) return;
    connection->broken = true;
    for (int side = 0; side < 2; side++) {
        struct net_end *end = &connection->ends[side];
        if (end->error == 0) end->error = error;
        tell(end);
    }
}

/* ---- octets on their way -----------------------------------------------------------------------
 */

/* Fate counts what is written in both directions. */
static bool meets_fate(struct net_connection *connection, size_t len)
{
    connection->octets += len;
    if (connection->fate == FATE_NONE || connection->octets < connection->fate_after) return false;
    if (sim.calm && connection->fate == FATE_DRIP) connection->fate = FATE_NONE;
    if (connection->fate != FATE_RESET) return connection->fate == FATE_SILENT;
    SIM_TRACE("net: connection %p is reset by fate", (void *)connection);
    break_off(connection, -ECONNRESET);
    return true;
}

static void plan_arrival(struct direction *direction)
{
    if (list_is_empty(&direction->chunks) || sim_is_due(&direction->arrival)) return;
    const struct chunk *first = CONTAINER_OF(direction->chunks.next, struct chunk, link);
    sim_at(&direction->arrival, first->at);
}

static void arrived(struct sim_event *event)
{
    struct direction *direction = CONTAINER_OF(event, struct direction, arrival);
    struct net_connection *connection = direction->connection;
    while (!list_is_empty(&direction->chunks)) {
        struct chunk *chunk = CONTAINER_OF(direction->chunks.next, struct chunk, link);
        if (chunk->at > sim.now) break;
        list_remove(&chunk->link);
        if (chunk->len == 0) direction->end_arrived = true;
        direction->arrived += chunk->len;
        connection->ends[direction->side].acked += chunk->len;
        base_free(chunk);
    }
    plan_arrival(direction);
    struct net_end *reader = &connection->ends[!direction->side];
    if (reader->closed && direction->arrived > 0 && !connection->broken) {
        /* Octets for one that has gone. */
        direction->first = (direction->first + direction->arrived) % direction->cap;
        direction->len -= direction->arrived;
        direction->arrived = 0;
        break_off(connection, -ECONNRESET);
    }
    tell(reader);
}

static void send_chunk(struct direction *direction, uint32_t len)
{
    struct net_connection *connection = direction->connection;
    struct chunk *chunk = base_alloc(sizeof(*chunk));
    chunk->len = len;
    chunk->at = MAX(direction->last_at,
                    sim.now + connection->delay + DURATION_US(sim_skewed(SIM_NET, 0, 200)));
    direction->last_at = chunk->at;
    list_push_back(&direction->chunks, &chunk->link);
    plan_arrival(direction);
}

static void store(struct direction *direction, const char *data, size_t len)
{
    if (direction->len + len > direction->cap) {
        size_t cap = MAX(direction->cap * 2, (size_t)4096);
        while (cap < direction->len + len)
            cap *= 2;
        char *larger = base_alloc(cap);
        for (size_t i = 0; i < direction->len; i++)
            larger[i] = direction->data[(direction->first + i) % direction->cap];
        base_free(direction->data);
        direction->data = larger;
        direction->cap = cap;
        direction->first = 0;
    }
    const size_t at = (direction->first + direction->len) % direction->cap;
    const size_t run = MIN(len, direction->cap - at);
    memcpy(direction->data + at, data, run);
    memcpy(direction->data, data + run, len - run);
    direction->len += len;
}

int64_t net_write(struct net_end *end, const void *data, size_t len)
{
    struct net_connection *connection = end->connection;
    struct direction *direction = &connection->directions[end->side];
    if (end->error != 0) return end->error == -ECONNRESET ? -EPIPE : end->error;
    if (direction->ended) return -EPIPE;
    if (!end->open) return -ENOTCONN;
    const size_t room = direction->window > direction->len ? direction->window - direction->len : 0;
    len = MIN(len, room);
    if (len == 0) return 0;
    const bool lost = meets_fate(connection, len);
    if (connection->broken) return -ECONNRESET;
    store(direction, data, len);
    size_t left = lost ? 0 : len; /* what is lost still fills the window */
    while (left > 0) {
        const bool drip =
            connection->fate == FATE_DRIP && connection->octets < connection->fate_after + 2000;
        size_t piece = drip ? 1 : left;
        if (!drip && left > 1 && sim_below(SIM_NET, 4) == 0) piece = 1 + sim_below(SIM_NET, left);
        send_chunk(direction, (uint32_t)piece);
        if (drip) direction->last_at += DURATION_US(50);
        left -= piece;
    }
    return (int64_t)len;
}

size_t net_readable(const struct net_end *end)
{
    return end->connection->directions[!end->side].arrived;
}

size_t net_read(struct net_end *end, void *data, size_t len)
{
    struct direction *direction = &end->connection->directions[!end->side];
    len = MIN(len, direction->arrived);
    if (len == 0) return 0;
    const size_t run = MIN(len, direction->cap - direction->first);
    memcpy(data, direction->data + direction->first, run);
    memcpy((char *)data + run, direction->data, len - run);
    direction->first = (direction->first + len) % direction->cap;
    direction->len -= len;
    direction->arrived -= len;
    tell(&end->connection->ends[!end->side]); /* there is room */
    return len;
}

bool net_at_end(const struct net_end *end)
{
    const struct direction *direction = &end->connection->directions[!end->side];
    return direction->end_arrived && direction->arrived == 0;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

void net_listen(struct net_listener *listener)
{
    list_push_back(&listeners, &listener->link);
}

void net_unlisten(struct net_listener *listener)
{
    list_remove(&listener->link);
}

bool net_is_taken(const struct address *address)
{
    LIST_FOR_EACH(node, &listeners)
    {
        if (address_equal(&CONTAINER_OF(node, struct net_listener, link)->address, address))
            return true;
    }
    return false;
}

static bool matches(const struct net_listener *listener, const struct address *address,
                    const char *path)
{
    if (path != NULL) return listener->address.family == 0 && strcmp(listener->path, path) == 0;
    return listener->address.family != 0 && address_equal(&listener->address, address);
}

/* Several may share an address (SO_REUSEPORT). */
static struct net_listener *find(const struct address *address, const char *path)
{
    uint64_t count = 0;
    LIST_FOR_EACH(node, &listeners)
    count += matches(CONTAINER_OF(node, struct net_listener, link), address, path);
    if (count == 0) return NULL;
    uint64_t skip = sim_below(SIM_NET, count);
    LIST_FOR_EACH(node, &listeners)
    {
        struct net_listener *listener = CONTAINER_OF(node, struct net_listener, link);
        if (matches(listener, address, path) && skip-- == 0) return listener;
    }
    return NULL;
}

static void opened(struct sim_event *event)
{
    struct net_connection *connection = CONTAINER_OF(event, struct net_connection, opening);
    struct net_end *near = &connection->ends[0], *far = &connection->ends[1];
    struct net_listener *listener =
        find(&near->peer, near->peer.family == 0 ? connection->path : NULL);
    int error = listener == NULL ? -ECONNREFUSED : 0;
    if (listener != NULL && listener->silent) error = -ETIMEDOUT;
    if (near->closed) error = -ECONNRESET;
    if (error != 0) {
        far->closed = true;
        if (!near->closed) {
            near->error = error;
            if (near->events != NULL) near->events->on_connected(near, error);
        }
        maybe_free(connection);
        return;
    }
    near->open = far->open = true;
    listener->on_incoming(listener, far);
    if (!near->closed && near->events != NULL) {
        near->events->on_connected(near, 0);
        tell(near);
    }
}

static void choose_fate(struct net_connection *connection)
{
    if (!sim_fault(SIM_FAULT_NET, SIM_NET, 12)) return;
    connection->fate = (uint8_t)(1 + sim_below(SIM_NET, 3));
    connection->fate_after = sim_skewed(SIM_NET, 0, sim_below(SIM_NET, 2) ? 2000 : 200000);
}

static uint16_t next_port = 20000;

struct net_end *net_connect(const struct address *peer, const char *path,
                            const struct net_events *events, void *owner)
{
    struct net_connection *connection = base_alloc(sizeof(*connection));
    struct net_listener *listener = find(peer, path);
    connection->delay = listener != NULL ? listener->delay : DURATION_US(50);
    for (uint8_t side = 0; side < 2; side++) {
        struct direction *direction = &connection->directions[side];
        connection->ends[side] =
            (struct net_end){.connection = connection, .side = side, .change.happen = told};
        *direction = (struct direction){.connection = connection,
                                        .side = side,
                                        .window = sim_skewed(SIM_NET, WINDOW_MIN, WINDOW_MAX),
                                        .arrival.happen = arrived};
        list_init(&direction->chunks);
    }
    struct net_end *near = &connection->ends[0], *far = &connection->ends[1];
    near->events = events;
    near->owner = owner;
    if (peer != NULL) near->peer = *peer;
    near->local = (struct address){.family = 4, .prefix = 32, .ip = {127, 0, 0, 1}};
    near->local.port = next_port++;
    if (next_port < 20000) next_port = 20000;
    far->peer = near->local;
    far->local = near->peer;
    if (path != NULL) {
        far->peer.family = 0;
        snprintf(connection->path, sizeof(connection->path), "%s", path);
    }
    connection->opening.happen = opened;
    choose_fate(connection);
    duration wait = 2 * connection->delay + DURATION_US(10 + sim_skewed(SIM_NET, 0, 100));
    if (listener != NULL && listener->silent) wait = DURATION_S(127);
    sim_after(&connection->opening, wait);
    return near;
}

bool net_peer_is_closed(const struct net_end *end)
{
    return end->connection->ends[!end->side].closed;
}

instant net_peer_closed_at(const struct net_end *end)
{
    return end->connection->ends[!end->side].closed_at;
}

void net_spare(struct net_end *end)
{
    end->connection->fate = FATE_NONE;
}

void net_shutdown(struct net_end *end)
{
    struct direction *direction = &end->connection->directions[end->side];
    if (direction->ended || !end->open || end->error != 0) return;
    direction->ended = true;
    if (end->connection->fate == FATE_SILENT &&
        end->connection->octets >= end->connection->fate_after)
        return;
    send_chunk(direction, 0);
}

void net_reset(struct net_end *end)
{
    break_off(end->connection, -ECONNRESET);
}

void net_close(struct net_end *end)
{
    if (end->closed) return;
    struct net_connection *connection = end->connection;
    const bool unread = net_readable(end) > 0;
    if (end->open && !unread) net_shutdown(end);
    end->closed = true;
    end->closed_at = sim.now;
    end->events = NULL;
    sim_cancel(&end->change);
    if (end->open && unread) break_off(connection, -ECONNRESET);
    maybe_free(connection);
}
