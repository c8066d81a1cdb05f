/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_queue_state - a message's state as found on disk: whatever it says, the message is tried
 *
 * The first octet chooses how many recipients the message has.
 */
#include "ringpost/queue.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t make_envelope(uint32_t recipients, char *out, size_t cap)
{
    const struct smtp_envelope head = {.recipient_count = recipients};
    size_t len = smtp_envelope_store_head(&head, out, cap);
    for (uint32_t i = 0; i < recipients; i++) {
        char address[32];
        const int length = snprintf(address, sizeof(address), "%u@d%u.test", i, i % 3);
        const struct smtp_recipient recipient = {.address = {address, (size_t)length}};
        len += smtp_envelope_store_recipient(&recipient, out + len, cap - len);
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const uint32_t recipients = 1 + data[0] % 8;
    const instant now = DURATION_S(1000);
    const wall_ms wall = 1700000000000;
    struct queue queue;
    struct queue_options options;
    queue_options_default(&options);
    queue_init(&queue, &options, 0, 1, now, 1);

    char stored[1024];
    struct smtp_envelope envelope;
    const size_t len = make_envelope(recipients, stored, sizeof(stored));
    if (!smtp_envelope_load((struct bytes){stored, len}, &envelope)) abort();
    struct queue_message *message = queue_message_new(&queue);
    if (!queue_message_admit(&queue, message, &envelope, now, DURATION_S(60))) abort();
    queue_message_restore(&queue, message, (struct bytes){(const char *)data + 1, size - 1}, now,
                          wall);
    uint32_t left = 0;
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        const struct queue_entry *entry = queue_message_entry(message, e);
        const bool done = entry->state == QUEUE_ENTRY_DONE;
        if (done != (entry->left == 0)) abort();
        if (!done && entry->state != QUEUE_ENTRY_WAITING) abort();
        left += entry->left;
    }
    if (left != queue.recipient_count) abort();

    /* What was read can be written, and says the same again. */
    char space[SPOOL_STATE_MAX];
    struct text out;
    text_init(&out, space, sizeof(space));
    queue_message_describe(&queue, message, now, wall, &out);
    if (out.cut) abort();
    queue_message_forget(&queue, message);
    queue_message_free(&queue, message);
    queue_deinit(&queue);
    return 0;
}
