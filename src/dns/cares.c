/* SPDX-License-Identifier: Apache-2.0
 *
 * cares - questions to the name servers by c-ares, its sockets polled through the ring
 *
 *     ask ──▶ channel (c-ares: ids, retries, TCP when truncated) ──▶ sockets
 *                │                                                     │
 *                └── timer: c-ares' time-outs        watch: one ring_poll for each life of a socket
 *
 * - A channel keeps its UDP port as long as it has questions in flight, which under load is for
 *   ever, and a forger would have to guess the id only. So a channel is given a limited number of
 *   questions; then a new one takes over, and the old one goes when its last answer is in.
 * - c-ares closes a socket right after telling so, and the kernel gives its number to the next one;
 *   a watch is therefore never used for a second socket, and frees itself when the ring is done.
 * - c-ares reports some failures from inside ares_query(); these are put off to the timer, since
 *   the contract promises no callback from inside dns_backend_ask().
 */
#include "ringpost/dns.h"
#include "ringpost/ring.h"
#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <threads.h>

enum {
    QUESTIONS_PER_CHANNEL = 250,
    EDNS_SIZE = 1232,         /* fits every path without fragments */
    RECEIVE_BUFFER = 1 << 20, /* the answers to all that may be in flight, at once */
};

struct channel {
    struct list link; /* in ->backend->channels */
    struct dns_backend *backend;
    ares_channel ares;
    struct ring_timer timer;
    struct list watches;
    uint32_t asked, pending;
    bool busy; /* inside of c-ares: must not be destroyed now */
};
struct watch {
    struct ring_poll poll;
    struct list link;
    struct channel *channel; /* NULL when stopped */
    int fd;
    uint32_t wanted; /* POLLIN | POLLOUT */
    bool armed;
};
struct dns_backend {
    struct ring *ring;
    duration timeout;
    uint32_t tries;
    size_t server_count;
    struct address servers[DNS_SERVERS_MAX];
    struct list channels;
    struct channel *current; /* takes new questions; may be NULL */
    struct list failed;      /* queries whose failure is still to be told */
    struct ring_timer failed_timer;
    bool asking, closing;
    bool lone_server;
};

/* ---- sockets --------------------------------------------------------------------------------- */

static void process(struct channel *channel, int read_fd, int write_fd);

static void on_watch_closed(struct ring_poll *poll)
{
    base_free(CONTAINER_OF(poll, struct watch, poll));
}

static void watch_arm(struct watch *watch)
{
    watch->armed = true;
    ring_poll_start(&watch->poll, watch->channel->backend->ring, watch->fd, watch->wanted);
}

static void watch_stop(struct watch *watch)
{
    list_remove(&watch->link);
    watch->channel = NULL;
    ring_poll_stop(&watch->poll);
}

static void on_ready(struct ring_poll *poll, uint32_t events)
{
    struct watch *watch = CONTAINER_OF(poll, struct watch, poll);
    const bool readable = events & (POLLIN | POLLERR | POLLHUP);
    const bool writable = events & (POLLOUT | POLLERR | POLLHUP);
    watch->armed = false;
    process(watch->channel, readable ? watch->fd : ARES_SOCKET_BAD,
            writable ? watch->fd : ARES_SOCKET_BAD);
    if (watch->channel != NULL && !watch->armed) watch_arm(watch);
}

static void watch_start(struct channel *channel, int fd, uint32_t wanted)
{
    struct watch *watch = base_alloc(sizeof(*watch));
    watch->poll.on_ready = on_ready;
    watch->poll.on_closed = on_watch_closed;
    watch->channel = channel;
    watch->fd = fd;
    watch->wanted = wanted;
    list_push_back(&channel->watches, &watch->link);
    watch_arm(watch);
}

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = context;
    const uint32_t wanted = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);
    struct watch *watch = NULL;
    LIST_FOR_EACH(node, &channel->watches)
    {
        struct watch *other = CONTAINER_OF(node, struct watch, link);
        if (other->fd == fd) watch = other;
    }
    if (watch != NULL && wanted != 0 && (!watch->armed || !(wanted & ~watch->wanted))) {
        watch->wanted = wanted; /* armed for more than that: harmless, once */
        return;
    }
    if (watch != NULL) watch_stop(watch);
    if (wanted != 0) watch_start(channel, fd, wanted);
}

/* ---- channels -------------------------------------------------------------------------------- */

static void channel_destroy(struct channel *channel)
{
    ASSERT(!channel->busy);
    if (channel->backend->current == channel) channel->backend->current = NULL;
    ares_destroy(channel->ares); /* stops the watches */
    ASSERT(list_is_empty(&channel->watches));
    ring_timer_disarm(channel->backend->ring, &channel->timer);
    list_remove(&channel->link);
    base_free(channel);
}

static void arm_timer(struct channel *channel)
{
    struct timeval left;
    struct ring *ring = channel->backend->ring;
    if (channel->pending == 0 || ares_timeout(channel->ares, NULL, &left) == NULL) {
        ring_timer_disarm(ring, &channel->timer);
        return;
    }
    const duration wait = DURATION_S(left.tv_sec) + DURATION_US(left.tv_usec);
    ring_timer_arm(ring, &channel->timer, ring_now(ring) + wait + DURATION_MS(1));
}

/* Lets c-ares read, write and look at its clock; the channel may be gone afterwards. */
static void process(struct channel *channel, int read_fd, int write_fd)
{
    channel->busy = true;
    ares_process_fd(channel->ares, read_fd, write_fd);
    channel->busy = false;
    if (channel->pending == 0 && channel != channel->backend->current) {
        channel_destroy(channel);
    } else {
        arm_timer(channel);
    }
}

static void on_timer(struct ring_timer *timer)
{
    process(CONTAINER_OF(timer, struct channel, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static int set_servers(const struct dns_backend *backend, ares_channel ares)
{
    struct ares_addr_port_node nodes[DNS_SERVERS_MAX] = {0};
    if (backend->server_count == 0) return ARES_SUCCESS;
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct address *server = &backend->servers[i];
        nodes[i].next = i + 1 < backend->server_count ? &nodes[i + 1] : NULL;
        nodes[i].family = server->family == 4 ? AF_INET : AF_INET6;
        memcpy(&nodes[i].addr, server->ip, server->family == 4 ? 4 : 16);
        nodes[i].udp_port = nodes[i].tcp_port = server->port;
    }
    return ares_set_servers_ports(ares, nodes);
}

static bool has_one_server(ares_channel ares)
{
    struct ares_addr_port_node *servers = NULL;
    if (ares_get_servers_ports(ares, &servers) != ARES_SUCCESS || servers == NULL) return false;
    const bool one = servers->next == NULL;
    ares_free_data(servers);
    return one;
}

static int open_ares(struct dns_backend *backend, struct channel *channel)
{
    static char lookups[] = "b", no_file[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = (int)(backend->timeout / DURATION_MS(1)),
        .tries = (int)backend->tries,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
        .ednspsz = EDNS_SIZE,
        .socket_receive_buffer_size = RECEIVE_BUFFER,
        .resolvconf_path = no_file,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_RCVBUF;
    if (backend->server_count > 0) mask |= ARES_OPT_RESOLVCONF; /* nothing of it is wanted */
    /* A failure reported by a server makes c-ares ask the next one, but then it forgets what it
     * was. With nobody else to ask, the answer itself is worth more. */
    if (backend->lone_server) options.flags |= ARES_FLAG_NOCHECKRESP;
    int status = ares_init_options(&channel->ares, &options, mask);
    if (status != ARES_SUCCESS) return status;
    status = set_servers(backend, channel->ares);
    if (status != ARES_SUCCESS) ares_destroy(channel->ares);
    return status;
}

/* The number of servers may come from /etc/resolv.conf and is known only afterwards. */
static int open_ares_by_servers(struct dns_backend *backend, struct channel *channel)
{
    int status = open_ares(backend, channel);
    if (status != ARES_SUCCESS) return status;
    const bool lone = has_one_server(channel->ares);
    if (lone == backend->lone_server) return status;
    backend->lone_server = lone;
    ares_destroy(channel->ares);
    return open_ares(backend, channel);
}

/* ARES_SUCCESS: ->current is a fresh channel. */
static int channel_create(struct dns_backend *backend)
{
    struct channel *channel = base_alloc(sizeof(*channel));
    channel->backend = backend;
    list_init(&channel->watches);
    ring_timer_init(&channel->timer, on_timer);
    const int status = open_ares_by_servers(backend, channel);
    if (status != ARES_SUCCESS) {
        base_free(channel);
        return status;
    }
    list_push_back(&backend->channels, &channel->link);
    backend->current = channel;
    return status;
}

/* The channel for the next question; NULL: none can be opened now. */
static struct channel *current_channel(struct dns_backend *backend)
{
    struct channel *channel = backend->current;
    if (channel != NULL && channel->asked < QUESTIONS_PER_CHANNEL) return channel;
    backend->current = NULL;
    if (channel != NULL && channel->pending == 0 && !channel->busy) channel_destroy(channel);
    return channel_create(backend) == ARES_SUCCESS ? backend->current : NULL;
}

/* ---- questions ------------------------------------------------------------------------------- */

static enum dns_error error_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return DNS_ERROR_TIMEOUT;
    case ARES_EREFUSED:
        return DNS_ERROR_REFUSED;
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
        return DNS_ERROR_SERVFAIL;
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
        return DNS_ERROR_BAD_NAME;
    case ARES_EFORMERR:
    case ARES_EBADRESP:
        return DNS_ERROR_BAD_ANSWER;
    default: /* no memory, no descriptors, connection refused; of several servers: failures too */
        return DNS_ERROR_UNREACHABLE;
    }
}

static void tell_later(struct dns_backend *backend, struct dns_backend_query *query,
                       enum dns_error error)
{
    query->error = (uint8_t)error;
    list_push_back(&backend->failed, &query->link);
    if (ring_timer_is_armed(&backend->failed_timer)) return;
    ring_timer_arm(backend->ring, &backend->failed_timer, ring_now(backend->ring));
}

static void on_failed_timer(struct ring_timer *timer)
{
    struct dns_backend *backend = CONTAINER_OF(timer, struct dns_backend, failed_timer);
    struct list failed;
    list_init(&failed);
    list_append_all(&failed, &backend->failed);
    for (struct list *node; (node = list_pop_front(&failed)) != NULL;) {
        struct dns_backend_query *query = CONTAINER_OF(node, struct dns_backend_query, link);
        query->on_answer(query, query->error, BYTES(""));
    }
}

static void on_ares_answer(void *context, int status, int timeouts, unsigned char *data, int len)
{
    struct dns_backend_query *query = context;
    struct dns_backend *backend = query->backend;
    struct channel *channel = query->context;
    (void)timeouts;
    if (backend->closing) return;
    channel->pending -= 1;
    const bool answered = data != NULL && len > 0;
    if (backend->asking) {
        tell_later(backend, query, answered ? DNS_ERROR_UNREACHABLE : error_of(status));
    } else if (answered) { /* what the server said, NXDOMAIN too, is read by our own parser */
        query->on_answer(query, DNS_ERROR_NONE, (struct bytes){(const char *)data, (size_t)len});
    } else {
        query->on_answer(query, error_of(status), BYTES(""));
    }
}

void dns_backend_ask(struct dns_backend *backend, struct dns_backend_query *query, const char *name,
                     enum dns_type type)
{
    enum { CLASS_IN = 1 };
    struct channel *channel = current_channel(backend);
    query->backend = backend;
    query->context = channel;
    if (channel == NULL) {
        tell_later(backend, query, DNS_ERROR_UNREACHABLE);
        return;
    }
    channel->asked += 1;
    channel->pending += 1;
    const bool nested = backend->asking, busy = channel->busy;
    backend->asking = channel->busy = true;
    ares_query(channel->ares, name, CLASS_IN, (int)type, on_ares_answer, query);
    backend->asking = nested;
    channel->busy = busy;
    const instant due = ring_now(backend->ring) + backend->timeout;
    if (channel->pending > 0 &&
        (!ring_timer_is_armed(&channel->timer) || due < channel->timer.at)) {
        ring_timer_arm(backend->ring, &channel->timer, due);
    }
}

/* ---- the backend ----------------------------------------------------------------------------- */

static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

struct dns_backend *dns_backend_create(struct ring *ring, const struct dns_backend_options *options,
                                       char *why, size_t why_size)
{
    static once_flag once = ONCE_FLAG_INIT;
    call_once(&once, init_library);
    if (options->server_count > DNS_SERVERS_MAX) {
        snprintf(why, why_size, "more than %d name servers", DNS_SERVERS_MAX);
        return NULL;
    }
    struct dns_backend *backend = base_alloc(sizeof(*backend));
    backend->ring = ring;
    backend->timeout = MIN(MAX(options->timeout, DURATION_MS(10)), DURATION_S(60));
    backend->tries = MIN(MAX(options->tries, 1u), 10u);
    backend->server_count = options->server_count;
    for (size_t i = 0; i < options->server_count; i++)
        backend->servers[i] = options->servers[i];
    list_init(&backend->channels);
    list_init(&backend->failed);
    ring_timer_init(&backend->failed_timer, on_failed_timer);
    int status = library_status;
    if (status == ARES_SUCCESS) status = channel_create(backend);
    if (status != ARES_SUCCESS) {
        snprintf(why, why_size, "c-ares: %s", ares_strerror(status));
        base_free(backend);
        return NULL;
    }
    return backend;
}

void dns_backend_destroy(struct dns_backend **backend)
{
    struct dns_backend *mine = *backend;
    *backend = NULL;
    if (mine == NULL) return;
    mine->closing = true;
    while (!list_is_empty(&mine->channels))
        channel_destroy(CONTAINER_OF(mine->channels.next, struct channel, link));
    while (list_pop_front(&mine->failed) != NULL) {
    }
    ring_timer_disarm(mine->ring, &mine->failed_timer);
    base_free(mine);
}
