/* SPDX-License-Identifier: Apache-2.0
 *
 * lifecycle - the way down, order by order
 *
 * 1. CLOSE to every part: no new connections; sessions end their transaction, and meanwhile
 *    deliveries in flight end and no others begin; the spool syncs. Each reports, at the latest
 *    after shutdown_timeout.
 * 2. When all have reported, STOP to every part but the first: it gives everything back, its ring
 *    runs dry, it reports with its last message and leaves its loop.
 * 3. Worker 0 does the same and the process ends with status 0.
 *
 * With a disk that does not answer there is no way to give everything back: such a part says so and
 * just leaves.
 *
 * A second signal ends the process at once: the spool is made for that.
 */
#include "serve.h"

static const duration CHECK_EVERY = DURATION_MS(20), DRY_WITHIN = DURATION_S(3);
static const duration DISK_WITHIN = DURATION_S(5); /* what waits for the disk gets so much more */

static const struct {
    const char *doing;
    uint32_t successors;
} states[] = {
#define TO(state) (1u << PART_##state)
    [PART_RUNNING] = {"running", TO(CLOSING)},
    [PART_CLOSING] = {"finishing injection sessions", TO(DRAINING)},
    [PART_DRAINING] = {"finishing deliveries", TO(SYNCING)},
    [PART_SYNCING] = {"syncing the spool", TO(DRAINED)},
    [PART_DRAINED] = {"waiting for the other workers", TO(STOPPING)},
    [PART_STOPPING] = {"giving everything back", TO(GONE)},
    [PART_GONE] = {"gone", 0},
#undef TO
};
static_assert(ARRAY_COUNT(states) == PART_STATE_COUNT, "one row for each state");

static void become(struct part *part, enum part_state next)
{
    ASSERT(states[part->state].successors & (1u << next));
    part->state = next;
    event_log(&part->worker->events, EVENT_DEBUG, "serve", "worker %u: %s", part->worker->index,
              states[next].doing);
}

static struct part *part_of(void *worker)
{
    return ((struct worker *)worker)->user;
}

/* ---- down
 * ------------------------------------------------------------------------------------------ */

static void check_again(struct part *part)
{
    ring_timer_arm(part->worker->ring, &part->check_timer,
                   ring_now(part->worker->ring) + CHECK_EVERY);
}

static void stop_reported(struct inbox_node *node, void *context);

static void leave(struct part *part)
{
    if (part->worker->index > 0) {
        part->stop_report.on_arrival = stop_reported;
        worker_post(part->worker, 0, &part->stop_report);
    }
    become(part, PART_GONE);
    worker_stop(part->worker);
}

static void give_back(struct part *part)
{
    become(part, PART_STOPPING);
    if (part->worker->index == 0) operator_end(part->server);
    ring_timer_disarm(part->worker->ring, &part->event_timer);
    if (part->stuck) { /* mail that waits for its commit holds on to all the rest */
        leave(part);
        return;
    }
    deliver_destroy(&part->deliver);
    dns_destroy(&part->dns);
    receive_destroy(&part->receive);
    dkim_desk_destroy(&part->desk);
    spool_destroy(&part->spool);
    part->dry_by = ring_now(part->worker->ring) + DRY_WITHIN;
    check_again(part);
}

static void stop_ordered(struct inbox_node *node, void *context)
{
    (void)node;
    give_back(part_of(context));
}

static void stop_reported(struct inbox_node *node, void *context)
{
    struct server *server = part_of(context)->server;
    CONTAINER_OF(node, struct part, stop_report)->gone = true;
    if (--server->reports == 0) give_back(&server->parts[0]);
}

static void all_closed(struct server *server)
{
    ring_poll_stop(&server->signals);
    ring_timer_disarm(server->workers[0].ring, &server->second);
    server->reports = server->count - 1;
    if (server->reports == 0) give_back(&server->parts[0]);
    for (uint32_t i = 1; i < server->count; i++) {
        server->parts[i].stop_order.on_arrival = stop_ordered;
        worker_post(&server->workers[0], i, &server->parts[i].stop_order);
    }
}

static void close_reported(struct inbox_node *node, void *context)
{
    struct server *server = part_of(context)->server;
    (void)node;
    if (--server->reports == 0) all_closed(server);
}

static void on_drained(struct deliver *deliver, void *context)
{
    struct part *part = context;
    (void)deliver;
    part->delivered = true;
}

static bool is_dry(struct part *part)
{
    if (ring_now(part->worker->ring) >= part->dry_by) return true;
    return ring_in_flight(part->worker->ring) == 0;
}

static void step_down(struct part *part)
{
    const instant now = ring_now(part->worker->ring);
    switch (part->state) {
    case PART_CLOSING:
        if (now >= part->closing_by) receive_abort(part->receive);
        /* Only a disk that does not answer keeps a session longer. */
        if (!receive_is_closed(part->receive) && now < part->closing_by + DISK_WITHIN) break;
        become(part, PART_DRAINING);
        break;
    case PART_DRAINING:
        if (part->delivered) become(part, PART_SYNCING);
        break;
    case PART_SYNCING:
        if (!spool_is_idle(part->spool) && now < part->closing_by + DISK_WITHIN) break;
        part->stuck = spool_is_committing(part->spool) || !receive_is_closed(part->receive);
        if (part->stuck) {
            event_log(&part->worker->events, EVENT_ERROR, "serve",
                      "the disk of the spool does not answer: ending without it. What it has not "
                      "taken was not acknowledged either");
        }
        become(part, PART_DRAINED);
        part->close_report.on_arrival = close_reported;
        worker_post(part->worker, 0, &part->close_report);
        return; /* the next move is an order */
    case PART_STOPPING:
        if (!is_dry(part)) break;
        leave(part);
        return;
    case PART_RUNNING:
    case PART_DRAINED:
    case PART_GONE:
    case PART_STATE_COUNT:
        UNREACHABLE("serve: nothing to check in this state");
    }
    check_again(part);
}

static void check_timer_fired(struct ring_timer *timer)
{
    step_down(CONTAINER_OF(timer, struct part, check_timer));
}

static void close_ordered(struct inbox_node *node, void *context)
{
    struct part *part = part_of(context);
    const instant now = ring_now(part->worker->ring);
    (void)node;
    part->closing_by = now + part->server->config->shutdown_timeout;
    ring_timer_init(&part->check_timer, check_timer_fired);
    become(part, PART_CLOSING);
    receive_shut_down(part->receive);
    /* Now, not when the last session has gone: a session may use up all the time there is, and what
     * was begun meanwhile would be cut off, to be delivered twice. */
    deliver_drain(part->deliver, MAX(part->closing_by, now + DURATION_MS(1)), on_drained, part);
    check_again(part);
}

void close_begin(struct server *server)
{
    server->closing = true;
    operator_close(server);
    server->reports = server->count;
    for (uint32_t i = 0; i < server->count; i++) {
        server->parts[i].close_order.on_arrival = close_ordered;
        worker_post(&server->workers[0], i, &server->parts[i].close_order);
    }
}
