/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture - envelopes and options for the tests of queue
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/queue.h"
#include <stdio.h>
#include <stdlib.h>

struct stored {
    char data[64 * 1024];
    size_t len;
    uint32_t count;
    struct smtp_envelope envelope;
};
static inline void stored_begin(struct stored *stored)
{
    const struct smtp_envelope head = {.reverse_path = BYTES("sender@example.net")};
    stored->len = smtp_envelope_store_head(&head, stored->data, sizeof(stored->data));
    stored->count = 0;
}
static inline void stored_add(struct stored *stored, const char *address)
{
    const struct smtp_recipient recipient = {.address = bytes_of(address)};
    stored->len += smtp_envelope_store_recipient(&recipient, stored->data + stored->len,
                                                 sizeof(stored->data) - stored->len);
    stored->count += 1;
}
static inline void stored_end(struct stored *stored)
{
    smtp_envelope_patch_count(stored->data, stored->count);
    assert_true(smtp_envelope_load((struct bytes){stored->data, stored->len}, &stored->envelope));
}
static inline struct queue_plan_input plan_of(const struct queue_options *options, const char *site,
                                              instant fresh_until)
{
    struct queue_plan_input input = {
        .site = bytes_of(site),
        .options = &options->defaults,
        .source = queue_options_source(options, 0),
        .target_count = 1,
        .fresh_until = fresh_until,
    };
    input.targets[0].address = (struct address){.family = 4, .port = 25, .ip = {192, 0, 2, 1}};
    input.targets[0].name = bytes_of(site);
    return input;
}
