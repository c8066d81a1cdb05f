/* SPDX-License-Identifier: Apache-2.0
 *
 * sign - DKIM signatures of messages that come in: hashed while they arrive, signed at their end
 *
 * Content is not looked at where it arrives. Once a turn, all messages with new content are gone
 * through together, each from where it lies in the spool's memory, so that their bodies are hashed
 * side by side (see dkim). When the header has come, From decides who signs; a message that nobody
 * signs is left alone from then on.
 *
 * At the end of a message its signature fields are written, with a hole each, and what is to be put
 * on top of it goes to the worker's desk until the holes are filled. The session waits as for a
 * commit.
 */
#include "internal.h"
#include "ringpost/mime/address.h"

enum {
    PIECES_MAX = 64, /* bodies that are hashed in one go */
    PREFIX_MAX = TRACE_MAX + DKIM_SIGNATURES_MAX * DKIM_FIELD_MAX,
};

enum sign_state {
    SIGN_HEADER = 0, /* not known yet who signs it */
    SIGN_BODY,       /* the body is being hashed */
    SIGN_NOT,        /* nobody signs it */
    SIGN_KEY,        /* waits for the operations with the keys */
    SIGN_STATE_COUNT,
};
static const uint32_t successors[] = {
#define TO(state) (1u << SIGN_##state)
    [SIGN_HEADER] = TO(BODY) | TO(NOT),
    [SIGN_BODY] = TO(KEY) | TO(NOT),
    [SIGN_NOT] = 0,
    [SIGN_KEY] = 0,
#undef TO
};
static_assert(ARRAY_COUNT(successors) == SIGN_STATE_COUNT, "one row for each state");

struct sign_message { /* from BEGIN to the commit */
    struct session *session;
    struct list link; /* of the desk's fresh; by itself: nothing new has come */
    struct dkim_signers *signers;
    struct dkim_choice choice;
    struct spool_cursor cursor;
    uint64_t at; /* content before it has been hashed, or is the header */
    uint8_t state;
    bool whole; /* no more content comes */
    /* SIGN_KEY */
    wall_ms now;
    uint32_t field_count;
    struct dkim_body body;
    struct dkim_hashes hashes; /* of the whole body */
};

static void become(struct sign_message *message, enum sign_state next)
{
    ASSERT(successors[message->state] & (1u << next));
    message->state = next;
}

static struct receive *receive_of(const struct sign_message *message)
{
    return message->session->receive;
}

/* ---- what the session tells ---------------------------------------------------------------------
 */

void sign_begin(struct session *session)
{
    struct sign_desk *desk = &session->receive->sign;
    if (desk->signers == NULL || !session->terms->options.dkim) return;
    struct sign_message *message = pool_get(&desk->messages);
    message->session = session;
    message->signers = dkim_signers_ref(desk->signers);
    list_init(&message->link);
    session->signing = message;
}

static void look_at(struct sign_message *message)
{
    if (message->state == SIGN_NOT || !list_is_empty(&message->link)) return;
    list_push_back(&receive_of(message)->sign.fresh, &message->link);
}

void sign_content(struct session *session)
{
    if (session->signing != NULL) look_at(session->signing);
}

void sign_drop(struct session *session)
{
    struct sign_message *message = session->signing;
    if (message == NULL) return;
    session->signing = NULL;
    list_remove(&message->link);
    dkim_signers_unref(message->signers);
    pool_put(&session->receive->sign.messages, message);
}

bool sign_end(struct session *session)
{
    struct sign_message *message = session->signing;
    if (message == NULL) return false;
    if (message->state == SIGN_NOT) {
        sign_drop(session);
        return false;
    }
    message->whole = true;
    look_at(message);
    return true;
}

/* ---- header and body ----------------------------------------------------------------------------
 */

static void not_signed(struct sign_message *message, const char *why)
{
    struct session *session = message->session;
    struct worker *worker = session->receive->worker;
    char id[EVENT_ID_TEXT_MAX];
    become(message, SIGN_NOT);
    if (why == NULL) return;
    metrics_add(&worker->metrics, METRICS_DKIM_UNSIGNED, 1);
    event_log(&worker->events, EVENT_INFO, "receive", "%s: message %s is not signed: it %s",
              session->client_text, event_id_print(session->draft.id, id), why);
}

/* The header section in one piece, copied only where it lies in several. */
static struct bytes header_octets(struct sign_message *message, uint64_t len)
{
    struct sign_desk *desk = &receive_of(message)->sign;
    struct spool_cursor cursor = {0};
    struct bytes some = spool_draft_read(&message->session->draft, &cursor, 0);
    if (some.len >= len) return (struct bytes){some.data, len};
    if (desk->header_room_size < len) {
        desk->header_room_size = MAX(64 * 1024, len);
        desk->header_room = base_realloc(desk->header_room, desk->header_room_size);
    }
    size_t at = 0;
    while (some.len > 0 && at < len) {
        const size_t part = MIN(some.len, len - at);
        memcpy(desk->header_room + at, some.data, part);
        at += part;
        some = spool_draft_read(&message->session->draft, &cursor, at);
    }
    return (struct bytes){desk->header_room, at};
}

/* The fields of what we put on top, and of the content, in order. */
static struct dkim_header *read_header(struct sign_message *message, struct bytes on_top)
{
    struct dkim_header *header = &receive_of(message)->sign.header;
    const struct smtp_server_header *facts = smtp_server_header(&message->session->smtp);
    dkim_header_clear(header);
    if (facts->no_header) {
        header->why = "has no header";
    } else if (facts->len > DKIM_HEADER_MAX) {
        header->why = "has a header that is too long";
    } else {
        dkim_header_add(header, on_top);
        dkim_header_add(header, header_octets(message, facts->len));
    }
    return header;
}

/* A user who may send from some addresses only gets no signature for another one in From, whoever
 * it is that the envelope names. */
static bool from_is_permitted(const struct session *session, const struct dkim_header *header)
{
    char room[SMTP_PATH_MAX + 1];
    if (session->user == NULL) return true;
    for (uint32_t i = 0; i < header->count; i++) {
        struct mime_address_reader reader;
        struct mime_address address;
        if (!bytes_equal_nocase(header->fields[i].name, BYTES("From"))) continue;
        mime_address_reader_init(&reader, header->fields[i].body);
        while (mime_address_next(&reader, &address)) {
            struct text spec;
            if (address.kind != MIME_ADDRESS_MAILBOX) continue;
            text_init(&spec, room, sizeof(room));
            mime_address_spec(&address, &spec);
            if (spec.cut || session_sender_fault(session, text_bytes(&spec)) != NULL) return false;
        }
    }
    return true;
}

/* Who signs it; false as long as that is not known. */
static bool choose(struct sign_message *message)
{
    const struct session *session = message->session;
    const struct smtp_server_header *facts = smtp_server_header(&session->smtp);
    if (session->draft.result != SPOOL_OK) { /* it will be refused: there is nothing to look at */
        become(message, SIGN_NOT);
        return true;
    }
    if (!facts->ended) return false;
    const struct dkim_header *header = read_header(message, (struct bytes){0});
    dkim_choose(message->signers, header, &message->choice);
    if (message->choice.count > 0 && !from_is_permitted(session, header)) {
        not_signed(message, "is From an address that is not its user's");
        return true;
    }
    if (message->choice.count == 0) {
        not_signed(message, message->choice.why);
        return true;
    }
    become(message, SIGN_BODY);
    message->at = MIN(facts->len + 2, session->draft.content_size); /* behind the empty line */
    dkim_body_init(&message->body, message->choice.body_modes);
    return true;
}

/* What can be hashed of it now; empty: nothing, for now or any more. */
static struct bytes next_piece(struct sign_message *message)
{
    if (message->state == SIGN_HEADER && !choose(message)) return (struct bytes){0};
    if (message->state != SIGN_BODY) return (struct bytes){0};
    const struct bytes piece =
        spool_draft_read(&message->session->draft, &message->cursor, message->at);
    message->at += piece.len;
    return piece;
}

/* Rounds: each message gives its next piece, and the pieces are hashed together. */
static void hash_fresh(struct sign_desk *desk)
{
    struct dkim_piece pieces[PIECES_MAX];
    size_t count;
    do {
        count = 0;
        LIST_FOR_EACH_SAFE(node, &desk->fresh)
        {
            struct sign_message *message = CONTAINER_OF(node, struct sign_message, link);
            const struct bytes octets = next_piece(message);
            if (octets.len == 0) {
                list_remove(&message->link);
                if (message->whole) list_push_back(&desk->whole, &message->link);
                continue;
            }
            pieces[count++] = (struct dkim_piece){&message->body, octets};
            if (count == PIECES_MAX) break;
        }
        dkim_bodies_add(pieces, count);
    } while (count > 0);
}

/* The hashes of those that are whole, together as well. */
static void hash_whole(struct sign_desk *desk)
{
    struct dkim_end ends[PIECES_MAX];
    size_t count = 0;
    LIST_FOR_EACH(node, &desk->whole)
    {
        struct sign_message *message = CONTAINER_OF(node, struct sign_message, link);
        if (message->state != SIGN_BODY) continue;
        ends[count++] = (struct dkim_end){&message->body, &message->hashes};
        if (count < PIECES_MAX) continue;
        dkim_bodies_end(ends, count);
        count = 0;
    }
    dkim_bodies_end(ends, count);
}

/* ---- the end of a message -----------------------------------------------------------------------
 */

static void commit_unsigned(struct sign_message *message)
{
    struct session *session = message->session;
    sign_drop(session);
    session_commit_plain(session);
}

/* Writes the fields; those that cannot be written are left out. Their number. */
static uint32_t write_fields(struct sign_message *message, struct bytes trace, wall_ms now,
                             struct text *text, struct dkim_field fields[DKIM_SIGNATURES_MAX])
{
    uint32_t count = 0;
    const char *why = NULL;
    const struct dkim_header *header = read_header(message, trace);
    for (uint32_t i = 0; i < message->choice.count; i++) {
        const char *fault = dkim_field_write(message->choice.signers[i], header, &message->hashes,
                                             (uint64_t)now / 1000, text, &fields[count]);
        if (fault == NULL)
            count += 1;
        else
            why = fault;
    }
    if (count == 0) not_signed(message, why);
    return count;
}

/* The signatures are there: the message goes on its way to the disk. Without them it would be taken
 * for a forgery by whoever heeds its domain's DMARC policy; so a key that fails is a matter of
 * ours, and the client is to come again. */
static void on_signed(void *context, struct bytes text, bool good)
{
    struct sign_message *message = context;
    struct session *session = message->session;
    struct worker *worker = session->receive->worker;
    const wall_ms now = message->now;
    char id[EVENT_ID_TEXT_MAX];
    metrics_add(&worker->metrics, good ? METRICS_DKIM_SIGNATURES : METRICS_DKIM_UNSIGNED,
                good ? message->field_count : 1);
    sign_drop(session);
    if (good) {
        session_commit(session, text, now);
        return;
    }
    event_log(&worker->events, EVENT_ERROR, "receive",
              "%s: message %s cannot be signed: OpenSSL failed to use the key",
              session->client_text, event_id_print(session->draft.id, id));
    session_refuse_content(session, "451 4.3.0 The message could not be signed, try again later");
}

/* Signature fields, then the trace, to the desk; false: it goes without a signature. */
static bool have_signed(struct sign_message *message)
{
    struct receive *receive = receive_of(message);
    struct dkim_field fields[DKIM_SIGNATURES_MAX];
    char room[PREFIX_MAX + 1], trace_room[TRACE_MAX];
    struct text text, trace;
    message->now = ring_wall(receive->worker->ring);
    text_init(&text, room, sizeof(room));
    text_init(&trace, trace_room, sizeof(trace_room));
    trace_write(message->session, message->session->draft.id, message->now, &trace);
    message->field_count = write_fields(message, text_bytes(&trace), message->now, &text, fields);
    if (message->field_count == 0) return false;

    text_put(&text, text_bytes(&trace));
    become(message, SIGN_KEY);
    dkim_desk_sign(receive->desk, fields, message->field_count, text_bytes(&text), on_signed,
                   message);
    return true;
}

static void settle(struct sign_message *message)
{
    const bool good = message->session->draft.result == SPOOL_OK && message->state == SIGN_BODY;
    if (!good || !have_signed(message)) commit_unsigned(message);
}

static void sign_turn(void *context)
{
    struct sign_desk *desk = context;
    struct list *node;
    if (list_is_empty(&desk->fresh)) return;
    hash_fresh(desk);
    hash_whole(desk);
    while ((node = list_pop_front(&desk->whole)) != NULL)
        settle(CONTAINER_OF(node, struct sign_message, link));
}

/* ---- a worker's part of it
 * -----------------------------------------------------------------------------------
 */

void sign_desk_init(struct sign_desk *desk, struct worker *worker)
{
    *desk = (struct sign_desk){0};
    list_init(&desk->fresh);
    list_init(&desk->whole);
    pool_init(&desk->messages, sizeof(struct sign_message), 64);
    worker_add_hook(worker, WORKER_DECIDE, sign_turn, desk);
}

void sign_desk_set(struct sign_desk *desk, struct dkim_signers *signers)
{
    dkim_signers_unref(desk->signers);
    desk->signers = NULL;
    if (signers != NULL && dkim_signers_count(signers) > 0)
        desk->signers = dkim_signers_ref(signers);
}

void sign_desk_deinit(struct sign_desk *desk, struct worker *worker)
{
    worker_remove_hooks(worker, desk);
    dkim_signers_unref(desk->signers);
    dkim_header_deinit(&desk->header);
    base_free(desk->header_room);
    pool_deinit(&desk->messages);
}
