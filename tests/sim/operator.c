/* SPDX-License-Identifier: Apache-2.0
 *
 * operator - asks and orders over the control socket, and sends SIGHUP
 */
#include "kernel.h"
#include "model.h"
#include "peers.h"
#include "settings.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static struct net_end *line;
static struct outbox question;
static char answer[64 * 1024];
static size_t answer_len;
static int64_t messages_known = -1;
static struct sim_event next;
static bool going, counting;

static void hang_up(void)
{
    if (line != NULL) net_close(line);
    line = NULL;
    outbox_deinit(&question);
}

static void on_connected(struct net_end *end, int error)
{
    if (error != 0) {
        hang_up();
        return;
    }
    (void)outbox_flush(&question, end);
}

static void on_change(struct net_end *end)
{
    for (;;) {
        const size_t room = sizeof(answer) - 1 - answer_len;
        const size_t got = net_read(end, answer + answer_len, room);
        if (got == 0) break;
        answer_len += got;
        if (answer_len == sizeof(answer) - 1) answer_len = 0; /* only the end matters */
    }
    answer[answer_len] = '\0';
    if (!net_at_end(end) && end->error == 0) return;
    const char *total = strstr(answer, "\"ok\"");
    const char *count = total == NULL ? NULL : strstr(total, "\"messages\"");
    if (count != NULL && counting) messages_known = (int64_t)strtoll(count + 11, NULL, 10);
    hang_up();
}

static const struct net_events events = {on_connected, on_change};

static void ask(const char *request)
{
    if (line != NULL) return;
    counting = false;
    answer_len = 0;
    outbox_printf(&question, "%s\n", request);
    line = net_connect(NULL, "/control.sock", &events, NULL);
    net_spare(line);
}

int64_t operator_count(void)
{
    const int64_t known = messages_known;
    messages_known = -1;
    if (line == NULL) {
        ask("{\"command\":\"summary\"}");
        counting = true;
    }
    return known;
}

/* Of a message that a listing has named. */
static void show_one(void)
{
    char request[64];
    const char *id = strstr(answer, "\"id\": \"");
    if (id == NULL) id = strstr(answer, "\"id\":\"");
    if (id == NULL) return;
    id += strcspn(id + 5, "\"") + 6;
    snprintf(request, sizeof(request), "{\"command\":\"%s\",\"id\":\"%.13s\"}",
             sim_below(SIM_OPERATOR, 2) ? "show" : "retry", id);
    ask(request);
}

static void delete_domain(void)
{
    char request[64];
    const uint32_t domain = (uint32_t)sim_below(SIM_OPERATOR, sim.options.domains);
    if (line != NULL) return;
    snprintf(request, sizeof(request), "{\"command\":\"delete\",\"domain\":\"d%u.test\"}", domain);
    model_unreliable(domain);
    ask(request);
}

static void bored(struct sim_event *event)
{
    static const char *const requests[] = {
        "{\"command\":\"summary\"}",
        "{\"command\":\"summary\",\"by\":\"domain\"}",
        "{\"command\":\"list\",\"limit\":20}",
        "{\"command\":\"list\",\"domain\":\"d1.test\"}",
        "{\"command\":\"retry\",\"all\":true}",
        "{\"command\":\"retry\",\"domain\":\"d0.test\"}",
        "{\"command\":\"stats\"}",
        "{\"command\":\"show\",\"id\":\"0000000000001\"}",
        "nonsense",
    };
    if (sim_fault(SIM_FAULT_OPERATOR, SIM_OPERATOR, 3)) kernel_signal(SIGHUP);
    if (sim_fault(SIM_FAULT_SETTINGS, SIM_SETTINGS, 2)) {
        settings_change();
        kernel_signal(SIGHUP);
    }
    if (sim_fault(SIM_FAULT_SETTINGS, SIM_SETTINGS, 20)) delete_domain();
    if (sim_fault(SIM_FAULT_OPERATOR, SIM_OPERATOR, 3)) show_one();
    if (sim_fault(SIM_FAULT_OPERATOR, SIM_OPERATOR, 60)) delete_domain();
    if (sim_fault(SIM_FAULT_OPERATOR, SIM_OPERATOR, 2))
        ask(requests[sim_below(SIM_OPERATOR, ARRAY_COUNT(requests))]);
    if (going && !sim.calm) sim_after(event, DURATION_MS(sim_skewed(SIM_OPERATOR, 100, 60000)));
}

void operator_begin(void)
{
    going = true;
    messages_known = -1;
    next.happen = bored;
    sim_after(&next, DURATION_S(1));
}

void operator_stop(void)
{
    going = false;
    sim_cancel(&next);
    hang_up();
}
