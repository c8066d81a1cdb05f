/* SPDX-License-Identifier: Apache-2.0
 *
 * net - a simulated network of byte streams: TCP and local sockets
 *
 * Both sides of the world use it alike: the kernel for the product's sockets, injectors, receivers
 * and the operator for theirs. A connection has a delay, a window, and sometimes a fate: it is cut
 * off, goes silent, or passes octets one at a time.
 */
#pragma once
#include "sim.h"

struct net_end;
struct net_listener;

struct net_events { /* called by events only, never from inside a call below */
    void (*on_connected)(struct net_end *end, int error); /* of net_connect(); may be NULL */
    void (*on_change)(struct net_end *end);               /* something can be read or written */
};
struct net_end {
    struct net_connection *connection;
    const struct net_events *events; /* NULL: nobody looks any more */
    void *owner;
    uint8_t side;
    bool open;   /* connected */
    bool closed; /* net_close() was called */
    instant closed_at;
    int error; /* -errno once broken */
    uint64_t acked;
    struct sim_event change;
    struct address local, peer;
};

struct net_listener {
    struct list link;
    struct address address; /* family 0: a path */
    char path[128];
    /* The new end is yours: net_close() it. */
    void (*on_incoming)(struct net_listener *listener, struct net_end *end);
    void *owner;
    bool silent;    /* a black hole: nobody answers a connection attempt */
    duration delay; /* one way */
};
void net_listen(struct net_listener *listener);
void net_unlisten(struct net_listener *listener);
bool net_is_taken(const struct address *address);

struct net_end *net_connect(const struct address *peer, const char *path,
                            const struct net_events *events, void *owner);
/* Octets taken (0: the window is full), or -errno. */
int64_t net_write(struct net_end *end, const void *data, size_t len);
size_t net_read(struct net_end *end, void *data, size_t len); /* 0: nothing there now */
size_t net_readable(const struct net_end *end);
bool net_at_end(const struct net_end *end); /* all was read, and no more comes */
void net_shutdown(struct net_end *end);     /* no more will be written */
void net_close(struct net_end *end);        /* unread input resets the connection, as TCP does */
void net_reset(struct net_end *end);        /* then close it */
/* Never a fate for this connection (the operator's). */
void net_spare(struct net_end *end);
bool net_peer_is_closed(const struct net_end *end);
instant net_peer_closed_at(const struct net_end *end);
