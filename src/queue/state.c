/* SPDX-License-Identifier: Apache-2.0
 *
 * state - what survives a restart of the queue's knowledge about one message
 *
 *   full      1 u8 | entries u32 | recipients u32 | entry ... | status u8 for each recipient
 *   entry     attempts u16 | due u64 (wall clock, ms; 0 = now) | flags u8 | code u16 | class u8
 *             | subject u16 | detail u16 | text len u16 | peer len u8 | text | peer
 *   compact   2 u8 | entries u32 | recipients u32 | attempts u16 | due u64 | two statuses an octet
 *
 * little-endian; entries and recipients in the order of message.c. Compact is written when the full
 * form would not fit. Reading trusts nothing: a state that does not fit its message is as none, and
 * the recipients are tried again (twice rather than never).
 */
#include "internal.h"

enum {
    FULL = 1,
    COMPACT = 2,
    HEAD_SIZE = 1 + 4 + 4,
    ENTRY_SIZE = 2 + 8 + 1 + 2 + 1 + 2 + 2 + 2 + 1,
    FLAG_REPLY = 1,
    FLAG_PERMANENT = 2,
    FLAG_ERROR = 4,
};

static void put_number(struct text *out, uint64_t value, size_t octets)
{
    char data[8];
    for (size_t i = 0; i < octets; i++)
        data[i] = (char)(uint8_t)(value >> (8 * i));
    text_put(out, (struct bytes){data, octets});
}

static bool take_number(struct bytes *in, size_t octets, uint64_t *value)
{
    if (in->len < octets) return false;
    *value = 0;
    for (size_t i = 0; i < octets; i++)
        *value |= (uint64_t)(uint8_t)in->data[i] << (8 * i);
    *in = bytes_skip(*in, octets);
    return true;
}

static bool take_bytes(struct bytes *in, uint64_t len, struct bytes *out)
{
    if (in->len < len) return false;
    *out = (struct bytes){in->data, (size_t)len};
    *in = bytes_skip(*in, (size_t)len);
    return true;
}

static uint64_t wall_due(const struct queue *queue, const struct queue_entry *entry, instant now,
                         wall_ms wall)
{
    const instant due = queue_entry_due(queue, entry);
    if (due <= now) return 0;
    return (uint64_t)MAX(wall + (int64_t)((due - now) / DURATION_MS(1)), 0);
}

static void put_entry(const struct queue *queue, const struct queue_entry *entry, instant now,
                      wall_ms wall, size_t text_max, struct text *out)
{
    const struct queue_error *error = entry->error;
    const struct smtp_enhanced none = {0};
    const struct smtp_enhanced enhanced = error != NULL ? error->enhanced : none;
    struct bytes text = error != NULL ? queue_error_text(error) : BYTES("");
    struct bytes peer = error != NULL ? queue_error_peer(error) : BYTES("");
    text.len = MIN(text.len, text_max);
    if (text_max < QUEUE_ERROR_TEXT_MAX) peer.len = 0;
    uint8_t flags = 0;
    if (error != NULL) flags = FLAG_ERROR;
    if (error != NULL && error->reply) flags |= FLAG_REPLY;
    if (error != NULL && error->permanent) flags |= FLAG_PERMANENT;

    put_number(out, entry->attempts, 2);
    put_number(out, wall_due(queue, entry, now, wall), 8);
    put_number(out, flags, 1);
    put_number(out, error != NULL ? error->code : 0, 2);
    put_number(out, enhanced.class, 1);
    put_number(out, enhanced.subject, 2);
    put_number(out, enhanced.detail, 2);
    put_number(out, text.len, 2);
    put_number(out, peer.len, 1);
    text_put(out, text);
    text_put(out, peer);
}

static uint8_t status_at(const struct queue_message *message, uint32_t index)
{
    return message->split == NULL ? message->entry.status : message->split->statuses[index];
}

static void put_compact(const struct queue *queue, struct queue_message *message, instant now,
                        wall_ms wall, struct text *out)
{
    uint16_t attempts = UINT16_MAX;
    uint64_t due = UINT64_MAX;
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        const struct queue_entry *entry = queue_message_entry(message, e);
        if (entry->left == 0) continue;
        attempts = MIN(attempts, entry->attempts);
        due = MIN(due, wall_due(queue, entry, now, wall));
    }
    put_number(out, attempts, 2);
    put_number(out, due, 8);
    for (uint32_t i = 0; i < queue_message_recipients(message); i += 2) {
        uint8_t pair = status_at(message, i);
        if (i + 1 < queue_message_recipients(message))
            pair |= (uint8_t)(status_at(message, i + 1) << 4);
        put_number(out, pair, 1);
    }
}

void queue_message_describe(const struct queue *queue, const struct queue_message *given,
                            instant now, wall_ms wall, struct text *out)
{
    struct queue_message *message = (struct queue_message *)(uintptr_t)given; /* only read */
    const size_t room = out->cap - out->len - 1;
    const uint64_t fixed = HEAD_SIZE + (uint64_t)queue_message_entries(message) * ENTRY_SIZE +
                           queue_message_recipients(message);
    const bool full = fixed <= room;
    put_number(out, full ? FULL : COMPACT, 1);
    put_number(out, queue_message_entries(message), 4);
    put_number(out, queue_message_recipients(message), 4);
    if (!full) {
        put_compact(queue, message, now, wall, out);
        return;
    }
    /* Each entry's share of the room for texts; with few entries more than any text takes. */
    const size_t share = (room - (size_t)fixed) / queue_message_entries(message);
    const size_t text_max = share >= QUEUE_ERROR_TEXT_MAX + QUEUE_PEER_MAX
                                ? QUEUE_ERROR_TEXT_MAX
                                : MIN(share, QUEUE_ERROR_TEXT_MAX - 1);
    for (uint32_t e = 0; e < queue_message_entries(message); e++)
        put_entry(queue, queue_message_entry(message, e), now, wall, text_max, out);
    for (uint32_t i = 0; i < queue_message_recipients(message); i++)
        put_number(out, status_at(message, i), 1);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct entry_state {
    uint64_t attempts, due, flags;
    struct queue_error_view error;
};

static bool take_entry(struct bytes *in, struct entry_state *state)
{
    uint64_t code, class, subject, detail, text_len, peer_len;
    const bool numbers = take_number(in, 2, &state->attempts) && take_number(in, 8, &state->due) &&
                         take_number(in, 1, &state->flags) && take_number(in, 2, &code) &&
                         take_number(in, 1, &class) && take_number(in, 2, &subject) &&
                         take_number(in, 2, &detail) && take_number(in, 2, &text_len) &&
                         take_number(in, 1, &peer_len);
    if (!numbers) return false;
    state->error = (struct queue_error_view){
        .code = (uint16_t)code,
        .enhanced = {(uint8_t) class, (uint16_t)subject, (uint16_t)detail},
        .reply = state->flags & FLAG_REPLY,
        .permanent = state->flags & FLAG_PERMANENT,
    };
    return take_bytes(in, text_len, &state->error.text) &&
           take_bytes(in, peer_len, &state->error.peer);
}

/* A due time far in the future means that the clock was wrong, then or now: never longer than the
 * longest pause. */
static instant due_instant(const struct queue *queue, const struct queue_entry *entry, uint64_t due,
                           instant now, wall_ms wall)
{
    if (due == 0 || due > INT64_MAX || (wall_ms)due <= wall) return now;
    const struct queue_site_options *options = queue_entry_options(queue, entry);
    duration most = 0;
    for (uint32_t i = 0; i < options->retry_count; i++)
        most = MAX(most, DURATION_S(options->retry_s[i]));
    const uint64_t wait_ms = MIN(due - (uint64_t)wall, UINT64_MAX / DURATION_MS(1));
    return now + MIN(DURATION_MS(wait_ms), most + most / 10);
}

static void restore_entry(struct queue *queue, struct queue_entry *entry,
                          const struct entry_state *state, instant now, wall_ms wall)
{
    entry->attempts = (uint16_t)state->attempts;
    if (state->flags & FLAG_ERROR) queue_entry_set_error(queue, entry, &state->error);
    queue_entry_wait(queue, entry, due_instant(queue, entry, state->due, now, wall));
}

static void restore_statuses(struct queue *queue, struct queue_message *message,
                             struct bytes statuses, bool packed)
{
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        for (uint32_t i = 0; i < entry->count; i++) {
            const uint32_t at = entry->first + i;
            uint8_t status = (uint8_t)statuses.data[packed ? at / 2 : at];
            if (packed) status = at % 2 ? status >> 4 : status & 15;
            *queue_status_of(entry, i) = status & QUEUE_DELAY_TOLD;
            if (!queue_is_pending(status)) {
                queue_recipient_settled(queue, entry, i, status & QUEUE_STATUS_MASK);
            }
        }
    }
}

static bool statuses_are_valid(struct bytes statuses, bool packed)
{
    for (size_t i = 0; i < statuses.len; i++) {
        const uint8_t octet = (uint8_t)statuses.data[i];
        if (!packed && octet > (QUEUE_DELAY_TOLD | QUEUE_STATUS_MASK)) return false;
        if ((octet & QUEUE_STATUS_MASK) > QUEUE_DELETED) return false;
        if (packed && (octet >> 4 & QUEUE_STATUS_MASK) > QUEUE_DELETED) return false;
    }
    return true;
}

static bool restore_compact(struct queue *queue, struct queue_message *message, struct bytes in,
                            instant now, wall_ms wall)
{
    struct entry_state state = {0};
    if (!take_number(&in, 2, &state.attempts) || !take_number(&in, 8, &state.due)) return false;
    if (in.len != (queue_message_recipients(message) + (size_t)1) / 2) return false;
    if (!statuses_are_valid(in, true)) return false;
    restore_statuses(queue, message, in, true);
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        if (entry->left > 0) restore_entry(queue, entry, &state, now, wall);
    }
    return true;
}

/* Once over it to check, once to apply: a state counts as a whole or not at all. */
static bool restore_full(struct queue *queue, struct queue_message *message, struct bytes in,
                         instant now, wall_ms wall)
{
    struct entry_state state;
    struct bytes cursor = in;
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        if (!take_entry(&cursor, &state)) return false;
    }
    if (cursor.len != queue_message_recipients(message) || !statuses_are_valid(cursor, false))
        return false;
    restore_statuses(queue, message, cursor, false);
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        if (!take_entry(&in, &state)) return false;
        if (entry->left > 0) restore_entry(queue, entry, &state, now, wall);
    }
    return true;
}

static bool restore(struct queue *queue, struct queue_message *message, struct bytes in,
                    instant now, wall_ms wall)
{
    uint64_t kind, entries, recipients;
    const bool head = take_number(&in, 1, &kind) && take_number(&in, 4, &entries) &&
                      take_number(&in, 4, &recipients);
    if (!head || entries != queue_message_entries(message) ||
        recipients != queue_message_recipients(message)) {
        return false;
    }
    if (kind == FULL) return restore_full(queue, message, in, now, wall);
    if (kind == COMPACT) return restore_compact(queue, message, in, now, wall);
    return false;
}

void queue_message_restore(struct queue *queue, struct queue_message *message, struct bytes state,
                           instant now, wall_ms wall)
{
    if (restore(queue, message, state, now, wall)) return;
    for (uint32_t e = 0; e < queue_message_entries(message); e++)
        queue_entry_wait(queue, queue_message_entry(message, e), now);
}
