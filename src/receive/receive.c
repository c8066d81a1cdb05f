/* SPDX-License-Identifier: Apache-2.0
 *
 * receive - listeners, and the life of the whole
 */
#include "internal.h"
#include <stdio.h>

enum { BACKLOG = 1024, SESSIONS_PER_SLAB = 64 };
static const duration COMPLAIN_EVERY = DURATION_S(10);

/* ---- terms -------------------------------------------------------------------------------------
 */

static char *copy(struct bytes text)
{
    char *copied = base_alloc(text.len + 1);
    if (text.len > 0) memcpy(copied, text.data, text.len);
    return copied;
}

struct listener_terms *listener_terms_new(const struct receive_listener_options *options)
{
    struct listener_terms *terms = base_alloc(sizeof(*terms));
    const size_t size = options->relay_from_count * sizeof(struct address);
    terms->refs = 1;
    terms->options = *options;
    terms->hostname = copy(options->smtp.hostname);
    terms->banner = copy(options->smtp.banner);
    terms->relay_from = base_alloc(size);
    if (size > 0) memcpy(terms->relay_from, options->relay_from, size);
    terms->options.smtp.hostname.data = terms->hostname;
    terms->options.smtp.banner.data = terms->banner;
    terms->options.relay_from = terms->relay_from;
    if (options->tls != NULL) terms->options.tls = tls_server_share(options->tls);
    return terms;
}

void listener_terms_unref(struct listener_terms *terms)
{
    if (--terms->refs > 0) return;
    base_free(terms->hostname);
    base_free(terms->banner);
    base_free(terms->relay_from);
    tls_server_free(&terms->options.tls);
    base_free(terms);
}

/* ---- listeners
 * ------------------------------------------------------------------------------------ */

static const char *const refusals[] = {
    [LIMIT_TOTAL] = "too many connections",
    [LIMIT_CLIENT] = "too many connections from this address",
    [LIMIT_FILES] = "too many connections for the limit of open files (RLIMIT_NOFILE)",
};

/* Who expects TLS would not understand a word. */
static void refuse(struct receive *receive, int fd, const struct receive_listener_options *options,
                   struct bytes text)
{
    ring_fd_refuse(receive->worker->ring, fd, options->tls_implicit ? BYTES("") : text);
}

static void on_accepted(struct ring_listener *ring_listener, int fd, const struct address *peer)
{
    struct receive_listener *listener = CONTAINER_OF(ring_listener, struct receive_listener, ring);
    struct receive *receive = listener->receive;
    struct metrics *metrics = &receive->worker->metrics;
    const struct receive_listener_options *options = &listener->terms->options;
    char text[ADDRESS_TEXT_MAX];
    uint32_t slot = 0;
    if (receive->shutting_down) {
        refuse(receive, fd, options, BYTES("421 4.3.2 Shutting down\r\n"));
        return;
    }
    const enum limit_verdict verdict =
        limits_enter(receive->limits, &options->address, peer, fd, options, &slot);
    if (verdict != LIMIT_OK) {
        metrics_add(metrics, METRICS_CONNECTIONS_IN_REFUSED, 1);
        event_log(&receive->worker->events, EVENT_INFO, "receive", "%s: refused: %s",
                  address_print(peer, text), refusals[verdict]);
        refuse(receive, fd, options,
               verdict == LIMIT_CLIENT
                   ? BYTES("421 4.7.0 Too many connections from your address\r\n")
                   : BYTES("421 4.3.2 Too many connections, try again later\r\n"));
        return;
    }
    metrics_add(metrics, METRICS_CONNECTIONS_IN, 1);
    session_start(receive, listener->terms, fd, peer, slot);
}

static void on_error(struct ring_listener *ring_listener, int error)
{
    struct receive_listener *listener = CONTAINER_OF(ring_listener, struct receive_listener, ring);
    struct receive *receive = listener->receive;
    const instant now = ring_now(receive->worker->ring);
    if (now < receive->next_complaint) return; /* it is tried again all the time */
    receive->next_complaint = now + COMPLAIN_EVERY;
    event_log(&receive->worker->events, EVENT_ERROR, "receive",
              "accept: %s; connections wait until it works again", strerror(-error));
}

static void listener_closed(struct ring_listener *ring_listener)
{
    struct receive_listener *listener = CONTAINER_OF(ring_listener, struct receive_listener, ring);
    list_remove(&listener->link);
    listener_terms_unref(listener->terms);
    base_free(listener);
}

static bool add_listener(struct receive *receive, const struct receive_listener_options *options,
                         char *why, size_t why_size)
{
    struct receive_listener *listener = base_alloc(sizeof(*listener));
    struct address address = options->address;
    char text[ADDRESS_TEXT_MAX];
    const int error = ring_listen(&listener->ring, receive->worker->ring, &address, BACKLOG);
    if (error < 0) {
        snprintf(why, why_size, "cannot listen on %s: %s", address_print(&options->address, text),
                 strerror(-error));
        base_free(listener);
        return false;
    }
    listener->ring.on_accepted = on_accepted;
    listener->ring.on_error = on_error;
    listener->ring.on_closed = listener_closed;
    listener->receive = receive;
    listener->terms = listener_terms_new(options);
    list_push_back(&receive->listeners, &listener->link);
    if (receive->started) ring_accept_start(&listener->ring);
    return true;
}

static const struct receive_listener_options *find_options(const struct receive_options *options,
                                                           const struct address *address)
{
    for (size_t i = 0; i < options->listener_count; i++) {
        if (address_equal(&options->listeners[i].address, address)) return &options->listeners[i];
    }
    return NULL;
}

static bool has_listener(const struct receive *receive, const struct address *address)
{
    LIST_FOR_EACH(node, &receive->listeners)
    {
        const struct receive_listener *listener = CONTAINER_OF(node, struct receive_listener, link);
        if (address_equal(&listener->terms->options.address, address)) return true;
    }
    return false;
}

bool receive_configure(struct receive *receive, const struct receive_options *options, char *why,
                       size_t why_size)
{
    bool all = true;
    sign_desk_set(&receive->sign, options->signers);
    auth_configure(receive->auth, &options->auth);
    LIST_FOR_EACH_SAFE(node, &receive->listeners)
    {
        struct receive_listener *listener = CONTAINER_OF(node, struct receive_listener, link);
        const struct receive_listener_options *found =
            find_options(options, &listener->terms->options.address);
        if (found == NULL) {
            ring_listener_close(&listener->ring);
            continue;
        }
        listener_terms_unref(listener->terms);
        listener->terms = listener_terms_new(found);
    }
    for (size_t i = 0; i < options->listener_count; i++) {
        if (has_listener(receive, &options->listeners[i].address)) continue;
        all &= add_listener(receive, &options->listeners[i], why, why_size);
    }
    return all;
}

/* ---- the whole
 * -------------------------------------------------------------------------------------- */

struct receive *receive_create(struct worker *worker, struct receive_limits *limits,
                               struct auth_shared *auth, struct dkim_desk *desk,
                               const struct receive_options *options,
                               const struct receive_callbacks *callbacks, void *context, char *why,
                               size_t why_size)
{
    struct receive *receive = base_alloc(sizeof(*receive));
    receive->worker = worker;
    receive->limits = limits;
    receive->auth = auth_create(worker, auth, &options->auth);
    receive->desk = desk;
    receive->callbacks = *callbacks;
    receive->context = context;
    receive->sender_seed = random_u64(&worker->random);
    list_init(&receive->listeners);
    list_init(&receive->sessions);
    pool_init(&receive->session_pool, sizeof(struct session), SESSIONS_PER_SLAB);
    stream_group_init(&receive->streams, worker->ring);
    worker_add_hook(worker, WORKER_FLUSH, stream_group_flush, &receive->streams);
    sign_desk_init(&receive->sign, worker);
    if (!receive_configure(receive, options, why, why_size)) {
        /* The process ends with this message; listeners that were bound end with it. */
        return NULL;
    }
    return receive;
}

void receive_start(struct receive *receive, struct spool *spool)
{
    receive->spool = spool;
    receive->started = true;
    LIST_FOR_EACH(node, &receive->listeners)
    {
        ring_accept_start(&CONTAINER_OF(node, struct receive_listener, link)->ring);
    }
}

void receive_shut_down(struct receive *receive)
{
    receive->shutting_down = true;
    LIST_FOR_EACH_SAFE(node, &receive->listeners)
    {
        ring_listener_close(&CONTAINER_OF(node, struct receive_listener, link)->ring);
    }
    LIST_FOR_EACH_SAFE(node, &receive->sessions)
    {
        struct session *session = CONTAINER_OF(node, struct session, link);
        session->idle = !smtp_server_in_transaction(&session->smtp);
        session_shut_down(session);
    }
}

void receive_abort(struct receive *receive)
{
    LIST_FOR_EACH_SAFE(node, &receive->sessions)
    {
        session_abort(CONTAINER_OF(node, struct session, link));
    }
}

uint32_t receive_sessions(const struct receive *receive)
{
    return (uint32_t)receive->session_pool.in_use;
}

bool receive_is_closed(const struct receive *receive)
{
    return receive->session_pool.in_use == 0 && list_is_empty(&receive->listeners) &&
           auth_is_idle(receive->auth);
}

void receive_destroy(struct receive **receive_pointer)
{
    struct receive *receive = *receive_pointer;
    ASSERT(receive_is_closed(receive));
    worker_remove_hooks(receive->worker, &receive->streams);
    sign_desk_deinit(&receive->sign, receive->worker);
    pool_deinit(&receive->session_pool);
    auth_destroy(&receive->auth);
    base_free(receive);
    *receive_pointer = NULL;
}
