/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of queue share
 */
#pragma once
#include "ringpost/queue.h"

enum {
    IDLE_DOMAINS_MAX = 4096, /* kept with their routes though nothing is queued for them */
    IDLE_GATES_MAX = 1024,
};

/* domain.c */
struct queue_domain *domain_get(struct queue *queue, struct bytes name); /* found or made */
void domain_add_entry(struct queue_domain *domain, struct queue_entry *entry, struct queue *queue);
void domain_remove_entry(struct queue *queue, struct queue_entry *entry);
void domain_waiting_more(struct queue_domain *domain, instant due);
void domain_waiting_less(struct queue_domain *domain, instant due);
void domain_set_site(struct queue *queue, struct queue_domain *domain, struct bytes site);
void domain_detach(struct queue_domain *domain);
void domains_drop_idle(struct queue *queue, uint32_t keep);

/* plan.c */
struct queue_plan *plan_make(struct queue *queue, const struct queue_plan_input *input,
                             uint64_t hash, struct bytes key);
bool plan_same_targets(const struct queue_plan *a, const struct queue_plan *b);

/* gate.c */
void gate_add_entry(struct queue *queue, struct queue_gate *gate, struct queue_entry *entry,
                    instant now);
void gate_remove_entry(struct queue *queue, struct queue_gate *gate, struct queue_entry *entry);
bool gate_is_blocked(const struct queue_gate *gate, instant now);
void gate_look(struct queue *queue, struct queue_gate *gate); /* puts it into the right list */
void gates_drop_idle(struct queue *queue, uint32_t keep);

/* entry.c: the only writer of ->state */
void entry_become(struct queue_entry *entry, enum queue_entry_state next);
/* Leaves what it waits in (schedule, domain, gate, failing) and becomes NEW. */
void entry_leave(struct queue *queue, struct queue_entry *entry);
void entry_fail(struct queue *queue, struct queue_entry *entry, struct queue_error *error);

/* error.c: a reference more; NULL stays NULL */
struct queue_error *error_pin(struct queue_error *error);
struct queue_error *error_get(struct queue *queue, const struct queue_error_view *view);
void error_put(struct queue *queue, struct queue_error **error);
