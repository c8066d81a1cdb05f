/* SPDX-License-Identifier: Apache-2.0
 *
 * tls - a toy behind the seam of tls.h: found before OpenSSL when the simulator is linked
 *
 * It keeps no secret, but it has what matters to those who use it: a handshake of two flights that
 * may fail, records that come in pieces, tickets, names that are verified, close_notify. Octets are
 * changed on the way, so that clear text on one side shows. Both sides of the world use it.
 *
 *     record: type, length (2 octets), payload
 *     HELLO  ticket (8), name asked for         client to server
 *     ANSWER resumed (1), name of the certificate        and back
 *     FINISHED                                  client to server: open
 *     TICKET (8), DATA, CLOSE, ALERT
 */
#include "ringpost/tls.h"
#include "ringpost/buf.h"
#include "sim.h"

enum { HEADER_LEN = 3, RECORD_MAX = 16384, NAME_MAX_LEN = 127, TICKET_LEN = 8 };
enum record {
    HELLO = 0xC1,
    ANSWER,
    FINISHED,
    TICKET,
    DATA,
    CLOSE,
    ALERT,
};

/* ---- servers, clients, tickets ----------------------------------------------------------------
 */

struct tls_tickets {
    uint64_t seed;
};

struct tls_server {
    uint32_t users;
    struct tls_tickets *tickets;
    struct tls_certificate_info info;
    char name[NAME_MAX_LEN + 1]; /* of the certificate: that of its file */
};

struct tls_client {
    uint32_t users;
};

struct tls_session {
    uint64_t ticket;
    char peer_name[NAME_MAX_LEN + 1];
};

struct tls_tickets *tls_tickets_create(const uint8_t seed[TLS_TICKETS_SEED_LEN], wall_ms now)
{
    struct tls_tickets *tickets = base_alloc(sizeof(*tickets));
    (void)now;
    tickets->seed = hash_bytes(0, (struct bytes){(const char *)seed, TLS_TICKETS_SEED_LEN});
    return tickets;
}

void tls_tickets_free(struct tls_tickets **tickets)
{
    base_free(*tickets);
    *tickets = NULL;
}

static uint64_t ticket_of(const struct tls_tickets *tickets, wall_ms now)
{
    return hash_u64(tickets->seed ^ (uint64_t)(now / TLS_TICKETS_EPOCH_MS)) | 1;
}

static void copy_name(char *to, const char *from, size_t len)
{
    len = MIN(len, (size_t)NAME_MAX_LEN);
    if (len > 0) memcpy(to, from, len);
    to[len] = '\0';
}

struct tls_server *tls_server_create(const struct tls_server_options *options, const char **option,
                                     char *why, size_t why_size)
{
    struct tls_server *server = base_alloc(sizeof(*server));
    const char *path = options->certificates[0].certificate, *slash = strrchr(path, '/');
    (void)option, (void)why, (void)why_size;
    server->users = 1;
    server->tickets = options->tickets;
    path = slash != NULL ? slash + 1 : path;
    copy_name(server->name, path, strlen(path));
    server->info = (struct tls_certificate_info){
        .path = server->name, .name = server->name, .key = "toy", .expires = INT64_MAX};
    return server;
}

void tls_server_free(struct tls_server **server)
{
    if (*server != NULL && --(*server)->users == 0) base_free(*server);
    *server = NULL;
}

struct tls_server *tls_server_share(struct tls_server *server)
{
    server->users += 1;
    return server;
}

size_t tls_server_certificates(const struct tls_server *server)
{
    (void)server;
    return 1;
}

const struct tls_certificate_info *tls_server_certificate(const struct tls_server *server,
                                                          size_t index)
{
    (void)index;
    return &server->info;
}

struct tls_client *tls_client_create(const struct tls_client_options *options, char *why,
                                     size_t why_size)
{
    struct tls_client *client = base_alloc(sizeof(*client));
    (void)options, (void)why, (void)why_size;
    client->users = 1;
    return client;
}

void tls_client_free(struct tls_client **client)
{
    if (*client != NULL && --(*client)->users == 0) base_free(*client);
    *client = NULL;
}

const struct tls_certificate_info *tls_client_certificate(const struct tls_client *client)
{
    (void)client;
    return NULL;
}

void tls_session_free(struct tls_session **session)
{
    base_free(*session);
    *session = NULL;
}

/* ---- connections ------------------------------------------------------------------------------
 */

struct tls {
    struct tls_server *server;
    struct tls_client *client;
    enum tls_status status;
    wall_ms now;
    bool begun, doomed, verify, closing, resumed, has_name;
    struct buf_chain output;
    char *input; /* records, the first one perhaps read in part */
    size_t input_len, input_cap;
    size_t plain_at, plain_end; /* of the record at the front; 0: none */
    uint64_t ticket;            /* to resume; or of the server, not yet taken */
    bool fresh;
    char sni[NAME_MAX_LEN + 1], peer_name[NAME_MAX_LEN + 1];
    char *names; /* each ended by NUL */
    size_t names_len;
    const char *error;
};

static struct tls *create(wall_ms now)
{
    struct tls *tls = base_alloc(sizeof(*tls));
    buf_chain_init(&tls->output);
    tls->now = now;
    tls->error = "";
    tls->doomed = sim_fault(SIM_FAULT_TLS, SIM_TLS, 25);
    return tls;
}

struct tls *tls_accept(struct tls_server *server, wall_ms now)
{
    struct tls *tls = create(now);
    server->users += 1;
    tls->server = server;
    return tls;
}

struct tls *tls_connect(struct tls_client *client, const struct tls_connect_options *options)
{
    struct tls *tls = create(options->now);
    client->users += 1;
    tls->client = client;
    tls->verify = options->verify;
    if (options->sni != NULL) copy_name(tls->sni, options->sni, strlen(options->sni));
    for (size_t i = 0; i < options->name_count; i++) {
        const size_t len = strlen(options->names[i]) + 1;
        tls->names = base_realloc(tls->names, tls->names_len + len);
        memcpy(tls->names + tls->names_len, options->names[i], len);
        tls->names_len += len;
    }
    if (options->session != NULL) {
        tls->ticket = options->session->ticket;
        memcpy(tls->peer_name, options->session->peer_name, sizeof(tls->peer_name));
    }
    return tls;
}

void tls_free(struct tls **tls)
{
    struct tls *mine = *tls;
    *tls = NULL;
    if (mine == NULL) return;
    tls_server_free(&mine->server);
    tls_client_free(&mine->client);
    buf_chain_deinit(&mine->output);
    base_free(mine->input);
    base_free(mine->names);
    base_free(mine);
}

enum tls_status tls_status(const struct tls *tls)
{
    return tls->status;
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}

/* ---- records ----------------------------------------------------------------------------------
 */

/* To and from the wire: each octet by its place. Eight at once: else it is most of what TLS costs
 * here. */
static void change(char *to, const char *from, size_t len)
{
    enum { PERIOD = 256 };
    static char mask[PERIOD];
    if (mask[0] == 0) {
        for (size_t i = 0; i < PERIOD; i++)
            mask[i] = (char)(0xA5 + i * 7);
    }
    size_t i = 0;
    for (uint64_t eight, with; i + sizeof(eight) <= len; i += sizeof(eight)) {
        memcpy(&eight, from + i, sizeof(eight));
        memcpy(&with, mask + i % PERIOD, sizeof(with));
        eight ^= with;
        memcpy(to + i, &eight, sizeof(eight));
    }
    for (; i < len; i++)
        to[i] = (char)(from[i] ^ mask[i % PERIOD]);
}

static void put_record(struct tls *tls, enum record type, const char *payload, size_t len)
{
    char record[HEADER_LEN + RECORD_MAX];
    ASSERT(len <= RECORD_MAX);
    record[0] = (char)type;
    record[1] = (char)(len >> 8);
    record[2] = (char)len;
    change(record + HEADER_LEN, payload, len);
    buf_chain_append(&tls->output, (struct bytes){record, HEADER_LEN + len});
}

static void fail(struct tls *tls, const char *error, bool alert)
{
    if (alert) put_record(tls, ALERT, "", 0);
    tls->status = TLS_FAILED;
    tls->error = error;
}

void tls_feed(struct tls *tls, struct bytes ciphertext)
{
    if (tls->status == TLS_CLOSED || tls->status == TLS_FAILED || ciphertext.len == 0) return;
    if (tls->input_len + ciphertext.len > tls->input_cap) {
        tls->input_cap = MAX(2 * tls->input_cap, tls->input_len + ciphertext.len);
        tls->input = base_realloc(tls->input, tls->input_cap);
    }
    memcpy(tls->input + tls->input_len, ciphertext.data, ciphertext.len);
    tls->input_len += ciphertext.len;
}

/* The record at the front, in clear; its length is that of the payload. 0: not whole yet. */
static unsigned peek_record(struct tls *tls, struct bytes *payload)
{
    const unsigned char *header = (const unsigned char *)tls->input;
    if (tls->input_len == 0) return 0;
    if (header[0] < HELLO || header[0] > ALERT) {
        fail(tls, "the peer does not speak TLS", true);
        return 0;
    }
    if (tls->input_len < HEADER_LEN) return 0;
    const size_t len = (size_t)header[1] << 8 | header[2];
    if (tls->input_len < HEADER_LEN + len) return 0;
    change(tls->input + HEADER_LEN, tls->input + HEADER_LEN, len);
    *payload = (struct bytes){tls->input + HEADER_LEN, len};
    return header[0];
}

static void drop_record(struct tls *tls, size_t payload_len)
{
    const size_t len = HEADER_LEN + payload_len;
    tls->input_len -= len;
    memmove(tls->input, tls->input + len, tls->input_len);
}

/* ---- handshake --------------------------------------------------------------------------------
 */

static void say_hello(struct tls *tls)
{
    char hello[TICKET_LEN + NAME_MAX_LEN];
    const size_t len = strlen(tls->sni);
    memcpy(hello, &tls->ticket, TICKET_LEN);
    memcpy(hello + TICKET_LEN, tls->sni, len);
    put_record(tls, HELLO, hello, TICKET_LEN + len);
}

static void on_hello(struct tls *tls, struct bytes payload)
{
    const struct tls_tickets *tickets = tls->server->tickets;
    char answer[1 + NAME_MAX_LEN];
    const size_t len = strlen(tls->server->name);
    uint64_t ticket = 0;
    if (payload.len < TICKET_LEN || tls->doomed) {
        fail(tls, "this handshake was doomed", true);
        return;
    }
    memcpy(&ticket, payload.data, TICKET_LEN);
    copy_name(tls->sni, payload.data + TICKET_LEN, payload.len - TICKET_LEN);
    tls->resumed = tickets != NULL && ticket != 0 &&
                   (ticket == ticket_of(tickets, tls->now) ||
                    ticket == ticket_of(tickets, tls->now - TLS_TICKETS_EPOCH_MS));
    answer[0] = tls->resumed;
    memcpy(answer + 1, tls->server->name, len);
    put_record(tls, ANSWER, answer, 1 + len);
}

static bool has_name(const struct tls *tls)
{
    for (size_t at = 0; at < tls->names_len; at += strlen(tls->names + at) + 1) {
        if (bytes_equal_nocase(bytes_of(tls->names + at), bytes_of(tls->peer_name))) return true;
    }
    return tls->names_len == 0;
}

static void on_answer(struct tls *tls, struct bytes payload)
{
    if (payload.len == 0 || tls->doomed) {
        fail(tls, "this handshake was doomed", true);
        return;
    }
    tls->resumed = payload.data[0] != 0;
    tls->ticket = 0;
    if (!tls->resumed) copy_name(tls->peer_name, payload.data + 1, payload.len - 1);
    tls->has_name = has_name(tls);
    if (tls->verify && !tls->has_name) {
        fail(tls, "certificate verify failed: hostname mismatch", true);
        return;
    }
    put_record(tls, FINISHED, "", 0);
    tls->status = TLS_OPEN;
}

static void on_finished(struct tls *tls)
{
    tls->status = TLS_OPEN;
    if (tls->server->tickets == NULL) return;
    const uint64_t ticket = ticket_of(tls->server->tickets, tls->now);
    put_record(tls, TICKET, (const char *)&ticket, TICKET_LEN);
}

enum tls_status tls_handshake(struct tls *tls)
{
    struct bytes payload;
    if (tls->client != NULL && !tls->begun) say_hello(tls);
    tls->begun = true;
    while (tls->status == TLS_HANDSHAKE) {
        const unsigned type = peek_record(tls, &payload);
        if (type == 0) break;
        if (type == HELLO && tls->server != NULL)
            on_hello(tls, payload);
        else if (type == ANSWER && tls->client != NULL)
            on_answer(tls, payload);
        else if (type == FINISHED && tls->server != NULL)
            on_finished(tls);
        else
            fail(tls, type == ALERT ? "the peer refuses" : "unexpected message", type != ALERT);
        drop_record(tls, payload.len);
    }
    return tls->status;
}

/* ---- plaintext --------------------------------------------------------------------------------
 */

static void on_ticket(struct tls *tls, struct bytes payload)
{
    if (payload.len != TICKET_LEN) return;
    memcpy(&tls->ticket, payload.data, TICKET_LEN);
    tls->fresh = true;
}

/* Makes the record at the front readable, or does what it says. False: nothing more. */
static bool next_record(struct tls *tls)
{
    struct bytes payload;
    const unsigned type = peek_record(tls, &payload);
    if (type == 0) return false;
    if (type == DATA && payload.len > 0) {
        tls->plain_at = HEADER_LEN;
        tls->plain_end = HEADER_LEN + payload.len;
        return true;
    }
    if (type == TICKET)
        on_ticket(tls, payload);
    else if (type == CLOSE)
        tls->status = TLS_CLOSED;
    else
        fail(tls, type == ALERT ? "the peer refuses" : "unexpected message", type != ALERT);
    drop_record(tls, payload.len);
    return true;
}

size_t tls_read(struct tls *tls, char *plain, size_t size)
{
    size_t len = 0;
    while (tls->status == TLS_OPEN && len < size) {
        if (tls->plain_end == 0) {
            if (!next_record(tls)) break;
            continue;
        }
        const size_t part = MIN(size - len, tls->plain_end - tls->plain_at);
        memcpy(plain + len, tls->input + tls->plain_at, part);
        len += part;
        tls->plain_at += part;
        if (tls->plain_at < tls->plain_end) break;
        drop_record(tls, tls->plain_end - HEADER_LEN);
        tls->plain_at = tls->plain_end = 0;
    }
    return len;
}

size_t tls_write(struct tls *tls, const struct bytes *pieces, size_t count, size_t max)
{
    char record[RECORD_MAX];
    size_t done = 0, len = 0;
    if (tls->closing || (tls->status != TLS_OPEN && tls->status != TLS_CLOSED)) return 0;
    for (size_t i = 0; i < count; i++) {
        struct bytes piece = pieces[i];
        while (piece.len > 0 && done + len < max) {
            const size_t part = MIN(MIN(piece.len, RECORD_MAX - len), max - done - len);
            memcpy(record + len, piece.data, part);
            len += part;
            piece = bytes_skip(piece, part);
            if (len < RECORD_MAX) continue;
            put_record(tls, DATA, record, len);
            done += len;
            len = 0;
        }
    }
    if (len > 0) put_record(tls, DATA, record, len);
    return done + len;
}

void tls_close(struct tls *tls)
{
    if (tls->closing || (tls->status != TLS_OPEN && tls->status != TLS_CLOSED)) return;
    tls->closing = true;
    put_record(tls, CLOSE, "", 0);
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

size_t tls_output(const struct tls *tls, struct bytes *pieces, size_t max)
{
    return buf_chain_pieces(&tls->output, pieces, max);
}

size_t tls_output_len(const struct tls *tls)
{
    return tls->output.len;
}

void tls_output_sent(struct tls *tls, size_t len)
{
    buf_chain_consume(&tls->output, len);
}

void tls_get_info(struct tls *tls, struct tls_info *info)
{
    *info = (struct tls_info){
        .version = "TLSv1.3",
        .cipher = "TOY",
        .sni = tls->sni,
        .peer_name = tls->peer_name,
        .verified = tls->client != NULL && tls->has_name,
        .reason = tls->client == NULL ? "no certificate was asked for"
                  : tls->has_name     ? ""
                                      : "hostname mismatch",
        .resumed = tls->resumed,
    };
}

struct tls_session *tls_session_take(struct tls *tls)
{
    if (!tls->fresh) return NULL;
    struct tls_session *session = base_alloc(sizeof(*session));
    session->ticket = tls->ticket;
    memcpy(session->peer_name, tls->peer_name, sizeof(session->peer_name));
    tls->fresh = false;
    return session;
}
