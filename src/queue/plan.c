/* SPDX-License-Identifier: Apache-2.0
 *
 * plan - where and how mail of one ready queue goes, in one piece of memory without pointers
 *
 *     struct queue_plan | targets | site NUL profile NUL source | names of hosts | user password
 */
#include "internal.h"

struct queue_plan *plan_make(struct queue *queue, const struct queue_plan_input *input,
                             uint64_t hash, struct bytes key)
{
    ASSERT(input->target_count <= ARRAY_COUNT(input->targets));
    const size_t text_start =
        offsetof(struct queue_plan, targets) + input->target_count * sizeof(struct queue_target);
    size_t size = text_start;
    size += key.len;
    for (size_t i = 0; i < input->target_count; i++)
        size += input->targets[i].name.len;
    size += input->user.len + input->password.len;

    struct queue_plan *plan = base_alloc(size);
    plan->refs = 1;
    plan->size = (uint32_t)size;
    plan->version = ++queue->plan_version;
    plan->generation = queue->generation;
    plan->hash = hash;
    plan->fresh_until = input->fresh_until;
    plan->options = *input->options;
    plan->source = *input->source;
    plan->tls_implicit = input->tls_implicit;
    plan->auth_clear = input->auth_clear;
    plan->user_len = (uint16_t)input->user.len;
    plan->password_len = (uint16_t)input->password.len;
    plan->site_len = (uint16_t)input->site.len;
    plan->profile_len = (uint16_t)input->profile.len;
    plan->key_len = (uint16_t)key.len;
    plan->target_count = (uint16_t)input->target_count;

    char *text = (char *)plan + text_start;
    memcpy(text, key.data, key.len);
    size_t at = key.len;
    for (size_t i = 0; i < input->target_count; i++) {
        const struct bytes name = input->targets[i].name;
        plan->targets[i] = (struct queue_target){
            .address = input->targets[i].address,
            .preference = input->targets[i].preference,
            .host = input->targets[i].host,
            .name_len = (uint8_t)name.len,
            .name_start = (uint32_t)at,
        };
        ASSERT(name.len <= UINT8_MAX);
        if (name.len > 0) memcpy(text + at, name.data, name.len);
        at += name.len;
    }
    plan->user_start = (uint32_t)at;
    if (input->user.len > 0) memcpy(text + at, input->user.data, input->user.len);
    at += input->user.len;
    if (input->password.len > 0) memcpy(text + at, input->password.data, input->password.len);
    return plan;
}

bool plan_same_targets(const struct queue_plan *a, const struct queue_plan *b)
{
    if (a->target_count != b->target_count) return false;
    /* DNS gives them in another order each time: look for each one. 64 at the most. */
    for (size_t i = 0; i < a->target_count; i++) {
        bool found = false;
        for (size_t k = 0; k < b->target_count && !found; k++)
            found = address_equal(&a->targets[i].address, &b->targets[k].address);
        if (!found) return false;
    }
    return true;
}

void queue_plan_put(struct queue_plan **slot)
{
    struct queue_plan *plan = *slot;
    *slot = NULL;
    if (plan == NULL) return;
    ASSERT(plan->refs > 0);
    plan->refs -= 1;
    if (plan->refs == 0) base_free_secret(plan, plan->size); /* a password may be in it */
}
