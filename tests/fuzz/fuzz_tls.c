/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_tls - two ends of a TLS connection in random splits, with what an attacker does in between
 *
 * The octets of the input are decisions: how many octets cross next and in which direction, what is
 * said, when one end closes, which octet is spoilt, what is slipped in. What arrives is always the
 * beginning of what was said; nothing untouched fails, and all of it arrives in the end.
 */
#include "../unit/tls/authority.h"
#include "choices.h"
#include "ringpost/tls.h"
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SAID_MAX = 200 * 1000, STEPS_MAX = 300 };

struct end {
    struct tls *tls;
    size_t said, heard; /* octets of plaintext, ever */
    bool closing;
};

static struct tls_server *server;
static struct tls_client *client;
static struct tls_tickets *tickets;
static struct tls_session *session;
static char speech[SAID_MAX + 256]; /* what either end says, from the beginning */

static void start(void)
{
    static const uint8_t seed[TLS_TICKETS_SEED_LEN] = {1};
    const char *option;
    char why[256];
    authority_begin();
    authority_make(&(struct authority_wish){.file = "mx", .names = "DNS:mx.test"});
    const struct tls_certificate certificate = {authority_path("mx", ".pem"), NULL};
    tickets = tls_tickets_create(seed, 1);
    server = tls_server_create(&(struct tls_server_options){.certificates = &certificate,
                                                            .certificate_count = 1,
                                                            .tickets = tickets},
                               &option, why, sizeof(why));
    client = tls_client_create(
        &(struct tls_client_options){.trust_file = authority_path("mx", "-cert.pem")}, why,
        sizeof(why));
    ASSERT(server != NULL && client != NULL);
    authority_end();
    for (size_t i = 0; i < sizeof(speech); i++)
        speech[i] = (char)(i * 31 + i / 256);
}

/* Octets for one end: it reads what it can. */
static void feed(struct end *to, const struct end *from, struct bytes octets)
{
    char plain[5000];
    char *copy = base_alloc(octets.len); /* of exact size: a sanitizer sees who reads on */
    if (octets.len > 0) memcpy(copy, octets.data, octets.len);
    tls_feed(to->tls, (struct bytes){copy, octets.len});
    tls_handshake(to->tls);
    for (size_t len; (len = tls_read(to->tls, plain, sizeof(plain))) > 0; to->heard += len) {
        ASSERT(to->heard + len <= from->said);
        ASSERT(memcmp(plain, speech + to->heard, len) == 0);
    }
    base_free(copy);
}

/* Up to max octets of ciphertext cross; one of them is spoilt. Returns how many. */
static size_t carry(struct end *from, struct end *to, size_t max, bool spoil)
{
    struct bytes piece;
    char octets[5000];
    if (tls_output(from->tls, &piece, 1) == 0) return 0;
    piece.len = MIN(piece.len, max);
    ASSERT(piece.len <= sizeof(octets));
    memcpy(octets, piece.data, piece.len);
    if (spoil) octets[piece.len / 2] ^= 4;
    tls_output_sent(from->tls, piece.len);
    feed(to, from, (struct bytes){octets, piece.len});
    return piece.len;
}

static void say(struct end *end, struct choices *choices)
{
    struct bytes pieces[8];
    size_t at = end->said, count = 1 + choose_below(choices, ARRAY_COUNT(pieces));
    for (size_t i = 0; i < count; i++) {
        const unsigned scale = choose_octet(choices);
        const size_t len = MIN((size_t)scale << (scale % 8), SAID_MAX - at);
        pieces[i] = (struct bytes){speech + at, len};
        at += len;
    }
    end->said += tls_write(end->tls, pieces, count, SIZE_MAX);
    ASSERT(end->said == at || end->closing || tls_status(end->tls) == TLS_HANDSHAKE ||
           tls_status(end->tls) == TLS_FAILED);
}

/* Whatever has happened: all that is left crosses, and an untouched connection is whole. */
static void settle(struct end *ends, bool touched)
{
    while (carry(&ends[0], &ends[1], 4096, false) > 0 ||
           carry(&ends[1], &ends[0], 4096, false) > 0) {
    }
    for (size_t i = 0; i < 2 && !touched; i++) {
        const enum tls_status status = tls_status(ends[i].tls);
        ASSERT(status == (ends[!i].closing ? TLS_CLOSED : TLS_OPEN));
        ASSERT(ends[i].heard == ends[!i].said || ends[!i].closing);
    }
    struct tls_session *fresh = touched ? NULL : tls_session_take(ends[0].tls);
    if (fresh == NULL) return;
    tls_session_free(&session);
    session = fresh;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {data, size};
    if (server == NULL) start();
    static const char *const names[] = {"mx.test"};
    const wall_ms now = (wall_ms)time(NULL) * 1000;
    const struct tls_connect_options options = {
        .sni = choose_one_in(&choices, 4) ? "other.test" : "mx.test",
        .names = names,
        .name_count = 1,
        .verify = choose_one_in(&choices, 2),
        .session = choose_one_in(&choices, 2) ? session : NULL,
        .now = now,
    };
    struct end ends[2] = {{.tls = tls_connect(client, &options)}, {.tls = tls_accept(server, now)}};
    bool touched = false;
    tls_handshake(ends[0].tls);
    for (int steps = 0; choices_left(&choices) && steps < STEPS_MAX; steps++) {
        const unsigned what = choose_octet(&choices), side = what & 1;
        struct end *from = &ends[side], *to = &ends[!side];
        switch (what / 2 % 8) {
        case 0:
        case 1:
        case 2:
            carry(from, to, 1 + choose_octet(&choices), false);
            break;
        case 3:
            while (carry(from, to, 4096, false) > 0) {
            }
            break;
        case 4:
            say(from, &choices);
            break;
        case 5:
            if (tls_status(from->tls) == TLS_HANDSHAKE) break;
            from->closing = true;
            tls_close(from->tls);
            break;
        case 6:
            if (!choose_one_in(&choices, 4)) break;
            touched |= carry(from, to, 1 + choose_octet(&choices), true) > 0;
            break;
        case 7:
            if (!choose_one_in(&choices, 4)) break;
            touched = true;
            feed(to, from, choose_text(&choices, choose_octet(&choices)));
            break;
        }
    }
    settle(ends, touched);
    tls_free(&ends[0].tls);
    tls_free(&ends[1].tls);
    return 0;
}
