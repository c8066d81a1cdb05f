/* SPDX-License-Identifier: Apache-2.0
 *
 * stream - one byte stream on one core
 *
 * Output is a ring of pieces. Text is copied into a chain and its pieces point into the chain;
 * content is sent from where it lies. One send is in flight at a time and takes as many pieces as
 * fit, at most SEND_MAX octets, so that a deadline measures progress on a slow link too.
 */
#include "internal.h"

enum { SEND_MAX = 1024 * 1024, PIECES_FIRST = 8, REST_STEP = 64 * 1024 };

static const struct ring_socket_events socket_events;

/* ---- the group ------------------------------------------------------------------------------- */

static void next_turn(struct ring_timer *timer)
{
    (void)timer; /* the flush of this turn does the work; the timer only kept us from sleeping */
}

void stream_group_init(struct stream_group *group, struct ring *ring)
{
    *group = (struct stream_group){.ring = ring};
    list_init(&group->dirty);
    ring_timer_init(&group->again, next_turn);
}

void stream_mark_dirty(struct stream *stream)
{
    if (list_is_empty(&stream->dirty_link)) {
        list_push_back(&stream->group->dirty, &stream->dirty_link);
    }
}

static void show_input(struct stream *stream);

void stream_group_flush(void *context)
{
    struct stream_group *group = context;
    struct list todo;
    list_init(&todo);
    list_append_all(&todo, &group->dirty); /* what becomes dirty from here on waits for next turn */
    struct list *node;
    while ((node = list_pop_front(&todo)) != NULL) {
        struct stream *stream = CONTAINER_OF(node, struct stream, dirty_link);
        if (stream->closing) continue;
        if (stream->input_again) show_input(stream);
        if (!stream->closing) stream_start_send(stream);
    }
    if (!list_is_empty(&group->dirty)) {
        ring_timer_arm(group->ring, &group->again, 1); /* at once */
    }
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static void deadline_fired(struct ring_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, deadline);
    if (stream->closing) return;
    if (stream->lingering)
        stream_close(stream); /* the last word has had its time */
    else
        stream->events->on_deadline(stream);
}

static void init(struct stream *stream, struct stream_group *group,
                 const struct stream_events *events)
{
    *stream = (struct stream){.group = group, .events = events};
    list_init(&stream->dirty_link);
    buf_chain_init(&stream->text);
    ring_timer_init(&stream->deadline, deadline_fired);
    group->open += 1;
}

static void has_opened(struct stream *stream)
{
    stream->open = true;
    if (!stream->paused && !stream->finishing) stream_start_receiving(stream);
}

void stream_accept(struct stream *stream, struct stream_group *group, int fd,
                   const struct stream_events *events)
{
    init(stream, group, events);
    ring_socket_adopt(&stream->socket, group->ring, fd, &socket_events);
    has_opened(stream);
}

void stream_connect(struct stream *stream, struct stream_group *group, const struct address *peer,
                    const struct address *source, const struct stream_events *events)
{
    init(stream, group, events);
    ring_socket_connect(&stream->socket, group->ring, peer, source, &socket_events);
}

static void on_connected(struct ring_socket *socket, int error)
{
    struct stream *stream = CONTAINER_OF(socket, struct stream, socket);
    if (error == 0) {
        has_opened(stream);
        if (stream->piece_count > 0 || stream->secure != NULL) stream_mark_dirty(stream);
    }
    stream->events->on_open(stream, error);
}

/* ---- input
 * ----------------------------------------------------------------------------------------- */

/* What came through TLS may be a login: it is wiped when it is freed. */
static void free_rest(const struct stream *stream)
{
    if (stream->secure != NULL)
        base_free_secret(stream->rest, stream->rest_cap);
    else
        base_free(stream->rest);
}

static char *enlarge(const struct stream *stream, size_t cap)
{
    if (stream->secure == NULL) return base_realloc(stream->rest, cap);
    char *larger = base_realloc(NULL, cap);
    if (stream->rest_len > 0) memcpy(larger, stream->rest, stream->rest_len);
    free_rest(stream);
    return larger;
}

static void keep_rest(struct stream *stream, struct bytes input)
{
    if (input.len == 0) return;
    const size_t wanted = stream->rest_len + input.len;
    if (wanted > stream->rest_cap) {
        size_t cap = MAX(stream->rest_cap, 256u);
        while (cap < wanted)
            cap = cap < REST_STEP ? cap * 2 : cap + REST_STEP;
        stream->rest = enlarge(stream, cap);
        stream->group->kept += cap - stream->rest_cap;
        stream->rest_cap = (uint32_t)cap;
    }
    memcpy(stream->rest + stream->rest_len, input.data, input.len);
    stream->rest_len = (uint32_t)wanted;
}

void stream_drop_rest(struct stream *stream)
{
    free_rest(stream);
    stream->group->kept -= stream->rest_cap;
    stream->rest = NULL;
    stream->rest_len = stream->rest_cap = 0;
}

static void tell_end(struct stream *stream)
{
    if (!stream->ended || stream->end_told || stream->paused || stream->closing) return;
    stream->end_told = true;
    stream->events->on_end(stream, (enum stream_end)stream->end, stream->end_error);
}

static bool takes_input(const struct stream *stream)
{
    return !stream->paused && !stream->closing && !stream->finishing;
}

/* Shows input to the user until it takes no more; returns what was left. */
static struct bytes offer(struct stream *stream, struct bytes input)
{
    const struct stream_secure *secure = stream->secure;
    stream->in_input = true;
    while (input.len > 0 && takes_input(stream)) {
        const size_t taken = stream->events->on_input(stream, input);
        ASSERT(taken <= input.len);
        input = bytes_skip(input, taken);
        if (stream->secure != secure) input.len = 0; /* clear text is not to be seen as protected */
        if (taken == 0) break;
    }
    stream->in_input = false;
    return input;
}

static void show_input(struct stream *stream)
{
    stream->input_again = false;
    if (stream->rest_len > 0) {
        const struct bytes input = {stream->rest, stream->rest_len};
        const struct bytes left = offer(stream, input);
        if (left.len == 0) {
            stream_drop_rest(stream);
        } else {
            memmove(stream->rest, left.data, left.len);
            stream->rest_len = (uint32_t)left.len;
        }
    }
    tell_end(stream);
    if (!stream->paused && !stream->closing && !stream->finishing) stream_start_receiving(stream);
}

void stream_start_receiving(struct stream *stream)
{
    if (stream->receiving || !stream->open || stream->ended) return;
    stream->receiving = true;
    ring_recv_start(&stream->socket);
}

static void stop_receiving(struct stream *stream)
{
    if (!stream->receiving) return;
    stream->receiving = false;
    ring_recv_stop(&stream->socket);
}

void stream_take_input(struct stream *stream, struct bytes input)
{
    if (stream->rest_len == 0 && !stream->paused) {
        keep_rest(stream, offer(stream, input)); /* the usual way: no copy */
        return;
    }
    keep_rest(stream, input);
    if (!stream->paused) show_input(stream);
}

void stream_end_input(struct stream *stream, enum stream_end end, int error)
{
    stream->ended = true;
    stream->end = (uint8_t)end;
    stream->end_error = error;
    stop_receiving(stream);
    tell_end(stream);
}

/* The socket brings no more. */
static void input_ended(struct stream *stream, int error)
{
    if (!stream->ended) { /* TLS may have seen an end before */
        stream->ended = true;
        stream->end = error ? STREAM_END_ERROR : STREAM_END_PEER;
        stream->end_error = error;
    }
    if (stream->finishing && stream->piece_count == 0 && !ring_is_sending(&stream->socket)) {
        stream_close(stream);
        return;
    }
    if (stream->broken) stream->paused = false; /* there is no use in waiting with the news */
    tell_end(stream);
}

static void on_received(struct ring_socket *socket, struct bytes data, int error)
{
    struct stream *stream = CONTAINER_OF(socket, struct stream, socket);
    if (data.len == 0) {
        input_ended(stream, error);
        return;
    }
    if (stream->finishing) return; /* nobody reads it any more */
    if (UNLIKELY(stream->secure != NULL))
        stream_secure_received(stream, data);
    else
        stream_take_input(stream, data);
    if (stream->closing || stream->finishing) stream_drop_rest(stream);
    /* A burst may pass the limit by what one turn brings; then the socket is left alone until the
     * user has taken it. */
    const bool much = stream->paused && stream->group->kept > STREAM_GROUP_KEPT_MUCH;
    if (stream->rest_len > (much ? 0 : STREAM_INPUT_MAX)) stop_receiving(stream);
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
}

void stream_resume(struct stream *stream)
{
    if (!stream->paused || stream->closing) return;
    stream->paused = false;
    if (stream->rest_len == 0 && !stream->ended && stream->receiving) return;
    stream->input_again = true;
    stream_mark_dirty(stream);
}

/* ---- output
 * ----------------------------------------------------------------------------------------- */

static struct stream_piece *piece_at(struct stream *stream, uint32_t index)
{
    return &stream->pieces[(stream->piece_first + index) & (stream->piece_cap - 1)];
}

static void add_piece(struct stream *stream, const char *data, size_t len, bool text)
{
    /* Not a piece being sent, nor one that leaves in clear with TLS behind it: it may grow. */
    const uint32_t fixed = stream->secure != NULL && stream->secure->clear_pieces > 0
                               ? stream->secure->clear_pieces
                               : stream->sending_pieces;
    stream->queued += len;
    if (stream->piece_count > fixed) {
        struct stream_piece *last = piece_at(stream, stream->piece_count - 1);
        if (last->text == text && last->data + last->len == data && last->len + len < SEND_MAX) {
            last->len += (uint32_t)len;
            return;
        }
    }
    if (stream->piece_count == stream->piece_cap) {
        const uint32_t cap = stream->piece_cap ? stream->piece_cap * 2 : PIECES_FIRST;
        struct stream_piece *pieces = base_alloc(cap * sizeof(*pieces));
        for (uint32_t i = 0; i < stream->piece_count; i++)
            pieces[i] = *piece_at(stream, i);
        base_free(stream->pieces);
        stream->pieces = pieces;
        stream->piece_cap = cap;
        stream->piece_first = 0;
    }
    stream->piece_count += 1;
    *piece_at(stream, stream->piece_count - 1) =
        (struct stream_piece){.data = data, .len = (uint32_t)len, .text = text};
}

static void send_copied(struct stream *stream, struct bytes text,
                        void (*add)(struct buf_chain *chain, size_t len))
{
    if (stream->closing) return;
    while (text.len > 0) {
        size_t room;
        char *at = buf_chain_room(&stream->text, &room);
        const size_t len = MIN(room, text.len);
        memcpy(at, text.data, len);
        add(&stream->text, len);
        add_piece(stream, at, len, true);
        text = bytes_skip(text, len);
    }
    stream_mark_dirty(stream);
}

void stream_send_text(struct stream *stream, struct bytes text)
{
    send_copied(stream, text, buf_chain_add);
}

void stream_send_secret(struct stream *stream, struct bytes text)
{
    send_copied(stream, text, buf_chain_add_secret);
}

void stream_send_ref(struct stream *stream, struct bytes octets)
{
    if (stream->closing) return;
    while (octets.len > 0) {
        const size_t len = MIN(octets.len, (size_t)SEND_MAX);
        add_piece(stream, octets.data, len, false);
        octets = bytes_skip(octets, len);
    }
    stream_mark_dirty(stream);
}

uint32_t stream_view_pieces(struct stream *stream, struct bytes *pieces, uint32_t max)
{
    const uint32_t count = MIN(stream->piece_count, max);
    for (uint32_t i = 0; i < count; i++) {
        const struct stream_piece *piece = piece_at(stream, i);
        pieces[i] = (struct bytes){piece->data, piece->len};
    }
    return count;
}

void stream_drop_output(struct stream *stream, size_t len)
{
    while (len > 0) {
        struct stream_piece *piece = piece_at(stream, 0);
        const uint32_t part = (uint32_t)MIN(len, piece->len);
        if (piece->text) buf_chain_consume(&stream->text, part);
        len -= part;
        piece->data += part;
        piece->len -= part;
        if (piece->len > 0) return;
        stream->piece_first = (stream->piece_first + 1) & (stream->piece_cap - 1);
        stream->piece_count -= 1;
    }
}

void stream_send_pieces(struct stream *stream, uint32_t max)
{
    struct bytes pieces[RING_SEND_PIECES_MAX];
    size_t total = 0;
    uint32_t count = 0;
    while (count < max && count < RING_SEND_PIECES_MAX && total < SEND_MAX) {
        const struct stream_piece *piece = piece_at(stream, count);
        pieces[count++] = (struct bytes){piece->data, piece->len};
        total += piece->len;
    }
    stream->sending_pieces = count;
    ring_send(&stream->socket, pieces, count);
}

void stream_start_send(struct stream *stream)
{
    if (!stream->open || stream->broken || ring_is_sending(&stream->socket)) return;
    if (UNLIKELY(stream->secure != NULL))
        stream_secure_send(stream);
    else if (stream->piece_count > 0)
        stream_send_pieces(stream, stream->piece_count);
}

/* Reset or the like; what it means to the session is the user's to say. But the peer may have said
 * something before it went, as a receiver does that has enough of a large content (552): what has
 * arrived is received first, and then the end. */
static void send_failed(struct stream *stream, int error)
{
    stream->sending_pieces = 0;
    stream->broken = true;
    if (stream->finishing) {
        stream_close(stream);
        return;
    }
    if (!stream->ended && stream->receiving) {
        ring_socket_break(&stream->socket);
        return;
    }
    if (!stream->ended) {
        stream->ended = true;
        stream->end = STREAM_END_ERROR;
        stream->end_error = error;
    }
    stream->paused = false;
    tell_end(stream);
}

static void on_sent(struct ring_socket *socket, int64_t result)
{
    struct stream *stream = CONTAINER_OF(socket, struct stream, socket);
    if (result < 0) {
        send_failed(stream, (int)result);
        return;
    }
    if (UNLIKELY(stream->secure != NULL)) {
        stream_secure_sent(stream);
        return;
    }
    for (; stream->sending_pieces > 0; stream->sending_pieces--) {
        const struct stream_piece *piece = piece_at(stream, 0);
        stream->sent += piece->len;
        if (piece->text) buf_chain_consume(&stream->text, piece->len);
        stream->piece_first = (stream->piece_first + 1) & (stream->piece_cap - 1);
        stream->piece_count -= 1;
    }
    if (stream->piece_count > 0) {
        stream_start_send(stream);
    } else if (stream->finishing) {
        stream_all_sent(stream);
    } else if (stream->events->on_drained != NULL) {
        stream->events->on_drained(stream);
    }
}

/* ---- deadline and end
 * --------------------------------------------------------------------------------- */

void stream_set_deadline(struct stream *stream, instant at)
{
    if (stream->closing || stream->lingering) return;
    if (at == INSTANT_FOREVER) {
        ring_timer_disarm(stream->group->ring, &stream->deadline);
    } else {
        ring_timer_arm(stream->group->ring, &stream->deadline, at);
    }
}

/* Finishing, and nothing is left to send. */
void stream_all_sent(struct stream *stream)
{
    if (!stream->open || stream->ended || stream->broken || stream->patience == 0) {
        stream_close(stream);
        return;
    }
    ring_socket_shutdown(&stream->socket);
    stream_set_deadline(stream, ring_now(stream->group->ring) + stream->patience);
    stream->lingering = true;
}

void stream_finish(struct stream *stream)
{
    if (stream->closing || stream->finishing) return;
    stream->finishing = true;
    const bool nothing = stream->piece_count == 0 && stream->secure == NULL; /* close_notify */
    if (!stream->open || stream->broken || nothing) {
        stream_all_sent(stream);
        return;
    }
    stream_mark_dirty(stream);
}

void stream_finish_reading(struct stream *stream, duration patience)
{
    if (stream->closing || stream->finishing) return;
    stream->patience = patience;
    stream_start_receiving(stream); /* it had sent too much */
    stream_finish(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->closing) return;
    stream->closing = true;
    ring_timer_disarm(stream->group->ring, &stream->deadline);
    list_remove(&stream->dirty_link);
    if (!stream->in_input) stream_drop_rest(stream);
    ring_socket_close(&stream->socket);
}

static void on_closed(struct ring_socket *socket)
{
    struct stream *stream = CONTAINER_OF(socket, struct stream, socket);
    stream_secure_free(stream);
    buf_chain_deinit(&stream->text);
    base_free(stream->pieces);
    stream->pieces = NULL;
    stream_drop_rest(stream);
    stream->group->open -= 1;
    stream->events->on_closed(stream);
}

static const struct ring_socket_events socket_events = {
    .on_connected = on_connected,
    .on_received = on_received,
    .on_sent = on_sent,
    .on_closed = on_closed,
};
