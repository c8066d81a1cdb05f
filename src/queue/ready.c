/* SPDX-License-Identifier: Apache-2.0
 *
 * ready - the owner's side of one (site, profile, source): what to do next
 *
 * Looks in this order: a job whose time is over, connections to end, a job to give, a connection to
 * open, jobs to fail because no host answers; else says until when there is nothing to do.
 */
#include "hosts.h"

enum {
    PUT_BACK_MAX = 3,
    WAKE_ANYWAY_S = 5, /* waiters are woken by events; should one be missed, look after this */
};

void queue_ready_init(struct queue_ready *ready)
{
    *ready = (struct queue_ready){0};
    list_init(&ready->dirty_link);
    list_init(&ready->wake_link);
    list_init(&ready->idle_link);
    list_init(&ready->jobs);
    list_init(&ready->idle);
    list_init(&ready->busy);
    list_init(&ready->full);
}

void queue_ready_deinit(struct queue_ready *ready)
{
    ASSERT(queue_ready_is_idle(ready) && ready->in_flight == 0);
    list_remove(&ready->wake_link);
    queue_plan_put(&ready->plan);
}

void queue_ready_plan(struct queue_ready *ready, const struct queue_plan *plan, uint32_t home)
{
    ASSERT(home < ARRAY_COUNT(ready->plan_version));
    if (LIKELY(ready->plan_version[home] == plan->version)) return;
    ready->plan_version[home] = plan->version;
    queue_plan_put(&ready->plan);
    ready->plan = base_alloc(plan->size);
    /* Not ->refs: home counts there while we copy. */
    memcpy(&ready->plan->size, &plan->size, plan->size - offsetof(struct queue_plan, size));
    ready->plan->refs = 1;
    ready->hash = plan->hash;
}

void queue_ready_add(struct queue_ready *ready, struct queue_job *job)
{
    list_push_back(&ready->jobs, &job->link);
    ready->waiting += 1;
}

bool queue_ready_put_back(struct queue_ready *ready, struct queue_job *job, bool counts)
{
    if (counts && job->put_back >= PUT_BACK_MAX) return false;
    job->put_back += counts;
    list_push_front(&ready->jobs, &job->link);
    ready->waiting += 1;
    return true;
}

struct queue_job *queue_ready_take(struct queue_ready *ready)
{
    struct list *node = list_pop_front(&ready->jobs);
    if (node == NULL) return NULL;
    ready->waiting -= 1;
    return CONTAINER_OF(node, struct queue_job, link);
}

/* ---- which host ---------------------------------------------------------------------------------
 */

struct choice {
    const struct queue_target *target; /* NULL: none now */
    const struct queue_host *paused;   /* the one that comes back first */
    const struct queue_target *paused_target;
    struct queue_host *busy; /* one that others are finding out about */
};

static bool source_can_use(const struct queue_source *source, const struct address *address)
{
    if (source->address4.family == 0 && source->address6.family == 0) return true;
    return address->family == 6 ? source->address6.family != 0 : source->address4.family != 0;
}

/* The first usable address of a random one of the most preferred hosts that have one. A backup is
 * for when its betters fail, not for when several of us knock at their door at once: a host that is
 * busy being asked counts as usable, unless it failed the last time. */
static struct choice choose_target(const struct queue_plan *plan, const struct queue_hosts *hosts,
                                   struct random *random, instant now)
{
    struct choice choice = {0};
    const struct queue_target *best = NULL;
    uint32_t hosts_seen = 0;
    uint64_t seen[4] = {0}; /* a bit a host */
    for (size_t i = 0; i < plan->target_count; i++) {
        const struct queue_target *target = &plan->targets[i];
        if (best != NULL && target->preference != best->preference) break;
        if (!source_can_use(&plan->source, &target->address)) continue;
        if (seen[target->host / 64] >> (target->host % 64) & 1) continue;
        struct queue_host *host = queue_hosts_find(hosts, plan, &target->address);
        if (host != NULL && host_is_paused(host, now)) {
            if (choice.paused == NULL || host->until < choice.paused->until) {
                choice.paused = host;
                choice.paused_target = target;
            }
            continue;
        }
        if (host != NULL && host_is_busy(host)) {
            if (choice.busy == NULL) choice.busy = host;
            if (host->failures == 0) best = target;
            continue;
        }
        best = target;
        seen[target->host / 64] |= (uint64_t)1 << (target->host % 64);
        hosts_seen += 1;
        if (random_below(random, hosts_seen) == 0) choice.target = target;
    }
    return choice;
}

/* ---- decisions ----------------------------------------------------------------------------------
 */

static uint32_t connections_max(const struct queue_ready *ready, instant now)
{
    const uint32_t most = MAX(ready->plan->options.connections_max, 1u);
    return now < ready->refused_until ? MIN(most, MAX(ready->refused_at, 1u)) : most;
}

static struct queue_connection *oldest_idle(const struct queue_ready *ready)
{
    if (list_is_empty(&ready->idle)) return NULL;
    return CONTAINER_OF(ready->idle.prev, struct queue_connection, link);
}

static instant idle_end(const struct queue_ready *ready, const struct queue_connection *connection)
{
    const struct queue_site_options *options = &ready->plan->options;
    const uint32_t most = options->messages_per_connection;
    if (ready->draining || (most > 0 && connection->given >= most)) return 0;
    if (ready->open + ready->opening > MAX(options->connections_max, 1u)) return 0;
    return connection->idle_since + options->idle_timeout;
}

/* How long the jobs on connections take: the smoothed time, or what the present ones have taken
 * already when that is more. */
static uint32_t transaction_us(const struct queue_ready *ready, instant now)
{
    if (ready->in_flight == 0 || now <= ready->last_result) return ready->transaction_us;
    const duration silent_us = (now - ready->last_result) / DURATION_US(1);
    return (uint32_t)MAX((duration)ready->transaction_us, MIN(silent_us, (duration)UINT32_MAX / 2));
}

static struct queue_decision give(struct queue_ready *ready, struct queue_connection *connection,
                                  instant now)
{
    struct queue_job *job = queue_ready_take(ready);
    queue_rate_take(&ready->rate, &ready->plan->options, now);
    if (ready->in_flight == 0) ready->last_result = now;
    ready->in_flight += 1;
    job->given = now;
    connection->in_flight += 1;
    connection->given += 1;
    queue_connection_room(ready, connection, false); /* until the driver says otherwise */
    return (struct queue_decision){.step = QUEUE_STEP_GIVE, .job = job, .connection = connection};
}

static struct queue_decision wait(instant at)
{
    return (struct queue_decision){.step = QUEUE_STEP_WAIT, .at = at};
}

static struct queue_decision wait_for(struct queue_ready *ready, struct list *waiters, instant now)
{
    list_remove(&ready->wake_link);
    list_push_back(waiters, &ready->wake_link);
    return wait(now + DURATION_S(WAKE_ANYWAY_S));
}

/* There are jobs, the rate allows one, and no connection has room. */
static struct queue_decision open_or_fail(struct queue_ready *ready, struct queue_hosts *hosts,
                                          struct random *random, instant now)
{
    const struct queue_load load = {
        .waiting = ready->waiting,
        .open = ready->open,
        .opening = ready->opening,
        .in_flight = ready->in_flight,
        .transaction_us = transaction_us(ready, now),
        .connections_max = connections_max(ready, now),
    };
    const uint32_t total = ready->open + ready->opening + ready->closing;
    const bool alone = ready->open + ready->opening == 0;
    if (queue_connections_wanted(&load) == 0 || total >= load.connections_max) {
        /* Slow ones have to be noticed without an event: look again, less and less often. */
        const duration again = MAX((duration)load.transaction_us, 2 * (duration)QUEUE_BACKLOG_US);
        return wait(ready->in_flight > 0 && total < load.connections_max ? now + DURATION_US(again)
                                                                         : INSTANT_FOREVER);
    }
    if (hosts->connections >= hosts->connections_max) return wait_for(ready, &hosts->waiters, now);

    const struct choice choice = choose_target(ready->plan, hosts, random, now);
    if (choice.target != NULL) {
        return (struct queue_decision){.step = QUEUE_STEP_OPEN, .target = choice.target};
    }
    if (choice.busy != NULL) return wait_for(ready, &choice.busy->waiters, now);
    if (!alone || ready->closing > 0) {
        return wait(choice.paused != NULL ? choice.paused->until : INSTANT_FOREVER);
    }
    return (struct queue_decision){
        .step = QUEUE_STEP_FAIL,
        .job = queue_ready_take(ready),
        .target = choice.paused_target,
        .host = choice.paused,
        .at = choice.paused != NULL ? choice.paused->until : now,
    };
}

/* Of the job at the front, whose turn comes first. */
static instant first_expiry(const struct queue_ready *ready)
{
    if (ready->waiting == 0 || ready->draining) return INSTANT_FOREVER;
    const struct queue_job *job = CONTAINER_OF(ready->jobs.next, struct queue_job, link);
    return job->expires != 0 ? job->expires : INSTANT_FOREVER;
}

struct queue_decision queue_ready_decide(struct queue_ready *ready, struct queue_hosts *hosts,
                                         struct random *random, instant now)
{
    if (ready->plan == NULL) return wait(INSTANT_FOREVER);
    const instant allowed = queue_rate_at(&ready->rate, &ready->plan->options, now);
    const bool give_now = ready->waiting > 0 && !ready->draining && allowed <= now;
    instant at = first_expiry(ready);
    if (at <= now) {
        return (struct queue_decision){.step = QUEUE_STEP_EXPIRE, .job = queue_ready_take(ready)};
    }
    struct queue_connection *idle = oldest_idle(ready);
    if (idle != NULL) {
        const instant end = idle_end(ready, idle);
        if (end == 0 || (end <= now && !give_now)) {
            queue_connection_closing(ready, idle);
            return (struct queue_decision){.step = QUEUE_STEP_CLOSE, .connection = idle};
        }
        at = MIN(at, end);
    }
    if (ready->waiting == 0 || ready->draining) return wait(at);
    if (allowed > now) return wait(MIN(at, allowed));
    struct list *node = !list_is_empty(&ready->idle) ? ready->idle.next : ready->busy.next;
    if (node != &ready->busy) {
        return give(ready, CONTAINER_OF(node, struct queue_connection, link), now);
    }
    struct queue_decision decision = open_or_fail(ready, hosts, random, now);
    if (decision.step == QUEUE_STEP_WAIT) decision.at = MIN(decision.at, at);
    return decision;
}
