/* SPDX-License-Identifier: Apache-2.0
 *
 * policy - the numbers: pauses, rates, how many connections
 *
 * Small pure functions, so that each can be argued about, measured and tested alone.
 */
#include "ringpost/queue.h"

duration queue_retry_pause(const struct queue_site_options *options, uint32_t attempts,
                           struct random *random)
{
    ASSERT(options->retry_count > 0 && options->retry_count <= QUEUE_RETRY_MAX && attempts > 0);
    const uint32_t index = MIN(attempts, options->retry_count) - 1;
    const duration pause = DURATION_S(MAX(options->retry_s[index], 1u));
    /* Only longer, never shorter: a receiver's or an operator's minimum holds. */
    return pause + random_below(random, pause / 10 + 1);
}

duration queue_host_pause(const struct queue_site_options *options, uint32_t failures)
{
    ASSERT(options->retry_count > 0 && failures > 0);
    const uint32_t first_s = MIN(options->host_pause_s, options->retry_s[0]);
    const uint32_t last_s =
        MIN(options->host_pause_max_s, options->retry_s[options->retry_count - 1]);
    const uint64_t pause_s = (uint64_t)first_s << MIN(failures - 1, 20u);
    return DURATION_S(MAX(MIN(pause_s, MAX(first_s, last_s)), 1u));
}

/* The virtual schedule: ->next is the theoretical time of the next message; running ahead of it by
 * the burst is allowed. */
instant queue_rate_at(const struct queue_rate *rate, const struct queue_site_options *options,
                      instant now)
{
    if (options->message_interval == 0) return now;
    const duration ahead = (MAX(options->message_burst, 1u) - 1) * options->message_interval;
    return rate->next <= now + ahead ? now : rate->next - ahead;
}

void queue_rate_take(struct queue_rate *rate, const struct queue_site_options *options, instant now)
{
    rate->next = MAX(rate->next, now) + options->message_interval;
}

uint32_t queue_connections_wanted(const struct queue_load *load)
{
    const uint32_t total = load->open + load->opening;
    if (load->waiting == 0 || total >= load->connections_max) return 0;
    /* The first connection tells what the receiver can do: one is enough to find out. */
    if (load->open == 0) return load->opening == 0 ? 1 : 0;
    if (load->transaction_us == 0) return 0;

    /* Little's law: in_flight jobs in transaction_us each are in_flight / transaction_us done in a
     * microsecond. */
    const uint64_t in_flight = MAX(load->in_flight, load->open);
    const uint64_t backlog_us = (uint64_t)load->waiting * load->transaction_us / in_flight;
    if (backlog_us <= QUEUE_BACKLOG_US) return 0;
    uint64_t wanted = (load->open * backlog_us + QUEUE_BACKLOG_US - 1) / QUEUE_BACKLOG_US;
    wanted = MIN(wanted, 2 * (uint64_t)load->open); /* double at most, then look again */
    wanted = MIN(wanted, (uint64_t)load->open + load->waiting);
    wanted = MIN(wanted, load->connections_max);
    return wanted > total ? (uint32_t)(wanted - total) : 0;
}
