/* SPDX-License-Identifier: Apache-2.0
 *
 * world - the heap of events, chance, failures
 */
#include "sim.h"
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct sim sim;

void sim_at(struct sim_event *event, instant at)
{
    ASSERT(event->happen != NULL);
    heap_put(&sim.events, &event->node, MAX(at, sim.now));
}

void sim_cancel(struct sim_event *event)
{
    heap_remove(&sim.events, &event->node);
}

bool sim_step(void)
{
    struct heap_node *node = heap_first(&sim.events);
    if (node == NULL) return false;
    struct sim_event *event = CONTAINER_OF(node, struct sim_event, node);
    sim.now = MAX(sim.now, heap_first_key(&sim.events));
    heap_remove(&sim.events, node);
    sim.happened += 1;
    if (sim.happened > sim.options.steps) {
        sim_fail(SIM_CHECK_DRAIN, "after %llu events the run still has no end",
                 (unsigned long long)sim.happened);
    }
    event->happen(event);
    return true;
}

bool sim_fault(enum sim_fault fault, enum sim_stream stream, uint32_t of)
{
    const bool hit = sim_below(stream, of) == 0;
    return hit && !sim.calm && (sim.options.faults & (uint32_t)fault) != 0;
}

void sim_trace(const char *format, ...)
{
    va_list arguments;
    if (!sim.options.trace) return;
    printf("%llu.%06llu ", (unsigned long long)(sim.now / DURATION_S(1)),
           (unsigned long long)(sim.now % DURATION_S(1) / 1000));
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static const char *const names[] = {
    [SIM_CHECK_DURABLE] = "250 only when durable",
    [SIM_CHECK_OUTCOME] = "one outcome for each recipient",
    [SIM_CHECK_REFUSED] = "refused mail is not delivered",
    [SIM_CHECK_OCTETS] = "octets are sacred",
    [SIM_CHECK_MIXED] = "no octet of another message",
    [SIM_CHECK_LIMITS] = "limits hold",
    [SIM_CHECK_DRAIN] = "the queue drains",
    [SIM_CHECK_IDLE] = "at idle all is given back",
    [SIM_CHECK_ACCOUNT] = "the account tells the truth",
    [SIM_CHECK_ASSERT] = "no assertion fails",
    [SIM_CHECK_KERNEL] = "sound system calls",
};
static_assert(ARRAY_COUNT(names) == SIM_CHECK_COUNT, "a name for each checker");

const char *sim_checker_name(enum sim_checker checker)
{
    return checker > 0 && checker < SIM_CHECK_COUNT ? names[checker] : "";
}

void sim_fail(enum sim_checker checker, const char *format, ...)
{
    va_list arguments;
    printf("FAILED (%s), seed %llu, life %u, %.6f s, event %llu: ", names[checker],
           (unsigned long long)sim.options.seed, sim.life, (double)sim.now / 1e9,
           (unsigned long long)sim.happened);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _Exit(SIM_EXIT_FAILED + (int)checker);
}
