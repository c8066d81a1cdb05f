/* SPDX-License-Identifier: Apache-2.0
 *
 * error - last errors, each kept once
 *
 * A receiver that is down gives thousands of entries the same words. Where each one differs (queue
 * ids in replies), a budget bounds what is kept: over it, the code stays and the text goes.
 */
#include "internal.h"

static size_t size_of(const struct queue_error *error)
{
    return sizeof(*error) + error->text_len + error->peer_len;
}

static bool equal(const void *item, const void *key)
{
    const struct queue_error *error = item;
    const struct queue_error_view *view = key;
    return error->code == view->code && error->reply == view->reply &&
           error->permanent == view->permanent && error->enhanced.class == view->enhanced.class &&
           error->enhanced.subject == view->enhanced.subject &&
           error->enhanced.detail == view->enhanced.detail &&
           bytes_equal(queue_error_text(error), view->text) &&
           bytes_equal(queue_error_peer(error), view->peer);
}

struct queue_error *error_pin(struct queue_error *error)
{
    if (error != NULL) error->refs += 1;
    return error;
}

struct queue_error *error_get(struct queue *queue, const struct queue_error_view *given)
{
    struct queue_error_view view = *given;
    view.text.len = MIN(view.text.len, QUEUE_ERROR_TEXT_MAX);
    view.peer.len = MIN(view.peer.len, QUEUE_PEER_MAX);
    if (queue->error_bytes + view.text.len + view.peer.len > queue->options->error_bytes_max) {
        view.text = view.peer = BYTES("");
    }
    const uint64_t hash = hash_bytes(queue->seed ^ view.code, view.text) ^
                          hash_bytes(queue->seed + view.permanent, view.peer);
    struct queue_error *error = table_find(&queue->errors, hash, equal, &view);
    if (error != NULL) return error_pin(error);

    error = base_alloc(sizeof(*error) + view.text.len + view.peer.len);
    error->hash = hash;
    error->refs = 1;
    error->code = view.code;
    error->enhanced = view.enhanced;
    error->reply = view.reply;
    error->permanent = view.permanent;
    error->text_len = (uint16_t)view.text.len;
    error->peer_len = (uint8_t)view.peer.len;
    if (view.text.len > 0) memcpy(error->text, view.text.data, view.text.len);
    if (view.peer.len > 0) memcpy(error->text + view.text.len, view.peer.data, view.peer.len);
    table_add(&queue->errors, hash, error);
    queue->error_bytes += size_of(error);
    return error;
}

void error_put(struct queue *queue, struct queue_error **slot)
{
    struct queue_error *error = *slot;
    *slot = NULL;
    if (error == NULL) return;
    ASSERT(error->refs > 0);
    error->refs -= 1;
    if (error->refs > 0) return;
    table_remove(&queue->errors, error->hash, error);
    queue->error_bytes -= size_of(error);
    base_free(error);
}
