/* SPDX-License-Identifier: Apache-2.0
 *
 * toy_driver - drives a session over given pieces of input and writes down what happened
 *
 * Used by the unit tests and the fuzzer. It checks what every driver may rely on: no recipient
 * without a sender, no content without an accepted recipient, one answer a question, an ABORT for
 * whatever came to nothing, nothing behind CLOSE. TLS is a word in the log: the octets go on in
 * clear. Input is cut behind each line that may be STARTTLS, as no client may say more before the
 * handshake; cut_behind_starttls = false leaves that out. What it answers depends on the addresses,
 * and in AUTH on what is said (see toy_auth()):
 *
 *     busy@     452 to MAIL or RCPT        nobody@  550 to RCPT        gone@    421 to either
 *     full@     452 to BEGIN (sender)      broken@  451 to END (sender)
 */
#pragma once
#include "ringpost/smtp_server.h"
#include <stdio.h>
#include <stdlib.h>

enum { TOY_LOG_MAX = 1 << 16 };

struct toy_driver {
    struct smtp_server session;
    struct text log; /* replies ("S: ...") and events, a line each */
    char log_data[TOY_LOG_MAX];
    char *content;
    size_t content_len, content_cap;
    uint32_t recipients;
    bool has_envelope, begun, closed;
    uint32_t replies, last_code;
    uint32_t messages;  /* accepted; content still holds the octets of the last one */
    size_t message_len; /* of the last one */
    uint64_t message_hash;
    char sender[320];
    /* how to drive */
    struct random random;
    size_t piece_max; /* 0 = all at once */
    size_t cut_at;    /* of the input: a piece ends there; 0 = nowhere */
    size_t room_max;
    bool late_answers; /* ask next once more before answering */
    bool cut_behind_starttls;
    /* of AUTH */
    bool in_exchange;
    unsigned challenges;
    char *rest; /* of the input: the beginning of a line of AUTH */
    size_t rest_len;
};

static inline void toy_init(struct toy_driver *toy, const struct smtp_server_options *options,
                            bool relay_allowed, uint64_t seed, size_t piece_max, size_t room_max)
{
    memset(toy, 0, offsetof(struct toy_driver, log_data));
    memset(&toy->content, 0, sizeof(*toy) - offsetof(struct toy_driver, content));
    text_init(&toy->log, toy->log_data, sizeof(toy->log_data));
    random_init(&toy->random, seed);
    toy->piece_max = piece_max;
    toy->room_max = room_max;
    toy->late_answers = seed % 2;
    toy->cut_behind_starttls = true;
    /* Nothing may hang on what the memory held before. */
    memset(&toy->session, 0xa5, sizeof(toy->session));
    smtp_server_init(&toy->session, options, relay_allowed);
}

static inline void toy_deinit(struct toy_driver *toy)
{
    free(toy->content);
    free(toy->rest);
    toy->content = toy->rest = NULL;
}

static inline bool toy_is_for(struct bytes address, const char *local)
{
    return bytes_starts_with_nocase(address, bytes_of(local));
}

static inline void toy_drop(struct toy_driver *toy)
{
    toy->has_envelope = toy->begun = false;
    toy->recipients = 0;
    toy->content_len = 0;
}

static inline void toy_before_answer(struct toy_driver *toy, struct bytes *input)
{
    struct smtp_server_out out;
    if (!toy->late_answers) return;
    const size_t len = input->len;
    ASSERT(smtp_server_next(&toy->session, input, &out) == SMTP_SERVER_WAIT);
    ASSERT(input->len == len);
    ASSERT(smtp_server_deadline_s(&toy->session) == 0);
}

static inline void toy_mail(struct toy_driver *toy, const struct smtp_server_out *out,
                            struct bytes *input)
{
    const struct bytes address = out->path.address;
    ASSERT(!toy->has_envelope);
    text_printf(&toy->log, "MAIL %.*s size=%llu body=%d ret=%d envid=%.*s utf8=%d%s%.*s\n",
                BYTES_FMT(address), (unsigned long long)out->mail.size, out->mail.body,
                out->mail.ret, BYTES_FMT(out->mail.envid), out->mail.smtputf8,
                out->mail.auth.len > 0 ? " auth=" : "", BYTES_FMT(out->mail.auth));
    ASSERT(address.len < sizeof(toy->sender));
    memcpy(toy->sender, address.data, address.len);
    toy->sender[address.len] = '\0';
    toy_before_answer(toy, input);
    if (toy_is_for(bytes_of(toy->sender), "busy@")) {
        smtp_server_refuse(&toy->session, "452 4.3.1 Insufficient system storage");
    } else if (toy_is_for(bytes_of(toy->sender), "gone@")) {
        smtp_server_refuse(&toy->session, "421 4.3.2 Going");
    } else {
        toy->has_envelope = true;
        smtp_server_accept(&toy->session, BYTES(""));
    }
}

static inline void toy_rcpt(struct toy_driver *toy, const struct smtp_server_out *out,
                            struct bytes *input)
{
    const struct bytes address = out->path.address;
    const bool busy = toy_is_for(address, "busy@"), nobody = toy_is_for(address, "nobody@"),
               gone = toy_is_for(address, "gone@");
    ASSERT(toy->has_envelope && !toy->begun);
    ASSERT(toy->session.relay_allowed || toy->session.authenticated);
    ASSERT(toy->recipients < toy->session.options->max_recipients);
    text_printf(&toy->log, "RCPT %.*s notify=%d orcpt=%.*s\n", BYTES_FMT(address), out->rcpt.notify,
                BYTES_FMT(out->rcpt.orcpt));
    toy_before_answer(toy, input);
    if (busy) {
        smtp_server_refuse(&toy->session, "452 4.2.1 Busy");
    } else if (nobody) {
        smtp_server_refuse(&toy->session, "550 5.1.1 Nobody of that name");
    } else if (gone) {
        smtp_server_refuse(&toy->session, "421 4.3.2 Going");
    } else {
        toy->recipients += 1;
        smtp_server_accept(&toy->session, BYTES(""));
    }
}

static inline void toy_begin(struct toy_driver *toy, struct bytes *input)
{
    ASSERT(toy->has_envelope && toy->recipients > 0 && !toy->begun);
    text_printf(&toy->log, "BEGIN\n");
    toy_before_answer(toy, input);
    if (toy_is_for(bytes_of(toy->sender), "full@")) {
        toy_drop(toy);
        smtp_server_refuse(&toy->session, "452 4.3.1 Insufficient system storage");
    } else {
        toy->begun = true;
        smtp_server_accept(&toy->session, BYTES(""));
    }
}

static inline void toy_content(struct toy_driver *toy, struct bytes *input)
{
    const size_t room =
        toy->room_max == 0 ? input->len + 1 : random_below(&toy->random, toy->room_max) + 1;
    ASSERT(toy->begun && toy->recipients > 0 && input->len > 0);
    if (toy->content_cap - toy->content_len < room) {
        toy->content_cap = toy->content_cap * 2 + room;
        toy->content = realloc(toy->content, toy->content_cap);
        ASSERT(toy->content != NULL);
    }
    char *exact = malloc(room); /* so that a sanitizer sees what is written beyond */
    ASSERT(exact != NULL);
    const size_t written = smtp_server_content(&toy->session, input, exact, room);
    ASSERT(written <= room);
    memcpy(toy->content + toy->content_len, exact, written);
    free(exact);
    toy->content_len += written;
}

static inline void toy_check_content(const struct toy_driver *toy)
{
    const struct smtp_server_options *options = toy->session.options;
    const struct smtp_server_header *header = smtp_server_header(&toy->session);
    ASSERT(smtp_server_content_size(&toy->session) == toy->content_len);
    ASSERT(options->max_message_size == 0 || toy->content_len <= options->max_message_size);
    ASSERT(header->received <= options->max_received);
    ASSERT(header->cut_count <= SMTP_SERVER_CUTS_MAX);
    ASSERT(header->len <= toy->content_len);
    const bool binary = toy->session.transaction.body == SMTP_BODY_BINARYMIME;
    const uint64_t lines = binary ? header->len : toy->content_len; /* octets that must be lines */
    for (size_t i = 0; i < lines; i++) {
        const char c = toy->content[i];
        ASSERT(c != '\0');
        if (c == '\r') ASSERT(i + 1 < toy->content_len && toy->content[i + 1] == '\n');
        if (c == '\n') ASSERT(i > 0 && toy->content[i - 1] == '\r');
    }
    uint64_t end = 0;
    for (uint32_t i = 0; i < header->cut_count; i++) {
        ASSERT(header->cuts[i].offset >= end && header->cuts[i].len > 0);
        end = header->cuts[i].offset + header->cuts[i].len;
        ASSERT(end <= header->len);
    }
}

static inline void toy_end(struct toy_driver *toy, struct bytes *input)
{
    const struct smtp_server_header *header = smtp_server_header(&toy->session);
    const uint64_t hash =
        hash_bytes(1, (struct bytes){toy->content ? toy->content : "", toy->content_len});
    ASSERT(toy->begun && toy->recipients > 0);
    toy_check_content(toy);
    text_printf(&toy->log, "END size=%zu hash=%016llx flags=%d protocol=%s\n", toy->content_len,
                (unsigned long long)hash, smtp_server_content_flags(&toy->session),
                smtp_protocol_name(smtp_server_protocol(&toy->session)));
    text_printf(&toy->log, "HEADER len=%llu received=%u cuts=%u date=%d id=%d from=%d none=%d\n",
                (unsigned long long)header->len, header->received, header->cut_count,
                header->has_date, header->has_message_id, header->has_from, header->no_header);
    toy_before_answer(toy, input);
    if (toy_is_for(bytes_of(toy->sender), "broken@")) {
        smtp_server_refuse(&toy->session, "451 4.3.0 Write error");
    } else {
        smtp_server_accept(&toy->session, BYTES("0A1B"));
        toy->messages += 1;
        toy->message_len = toy->content_len;
        toy->message_hash = hash;
    }
    toy_drop(toy);
}

/* One user, "user" with "pass", by PLAIN or LOGIN. SCRAM-SHA-256 lets in whoever answers three long
 * challenges with anything but "no". "busy" gets 454. */
static inline void toy_auth(struct toy_driver *toy, struct smtp_server_out *out,
                            struct bytes *input)
{
    static const char large[SMTP_SERVER_CHALLENGE_MAX];
    const struct bytes response = out->auth.response;
    const bool login = out->auth.mechanism == SMTP_MECHANISM_LOGIN,
               scram = out->auth.mechanism == SMTP_MECHANISM_SCRAM_SHA_256;
    ASSERT(toy->session.options->auth & out->auth.mechanism);
    ASSERT(!toy->has_envelope && !toy->session.authenticated);
    ASSERT(out->auth.first != toy->in_exchange && response.len <= SMTP_SERVER_RESPONSE_MAX);
    ASSERT(out->auth.first || out->auth.has_response);
    ASSERT(out->auth.has_response || response.len == 0);
    text_printf(&toy->log, "AUTH %s first=%d has=%d len=%zu hash=%016llx\n",
                smtp_mechanism_name(out->auth.mechanism), out->auth.first, out->auth.has_response,
                response.len, (unsigned long long)hash_bytes(1, response));
    const bool plain_ok = bytes_equal(response, BYTES("\0user\0pass"));
    const bool busy = bytes_equal(response, BYTES("busy")), no = bytes_equal(response, BYTES("no"));
    const bool pass_ok = bytes_equal(response, BYTES("pass"));
    const bool empty = !out->auth.has_response;
    smtp_server_wipe(out);
    toy_before_answer(toy, input);
    if (out->auth.first) toy->challenges = 0;
    const unsigned step = toy->challenges++;
    toy->in_exchange = true;
    if (step == 0 && empty) {
        smtp_server_challenge(&toy->session, login ? BYTES("Username:") : BYTES(""));
    } else if (!busy && !no && scram && step < 3) {
        smtp_server_challenge(&toy->session, (struct bytes){large, sizeof(large)});
    } else if (login && step < 2 && !busy && !pass_ok) {
        smtp_server_challenge(&toy->session, BYTES("Password:"));
    } else {
        toy->in_exchange = false;
        if (busy) {
            smtp_server_refuse(&toy->session, "454 4.7.0 Temporary authentication failure");
        } else if (login ? pass_ok : scram ? !no : plain_ok) {
            smtp_server_authenticated(&toy->session);
        } else {
            smtp_server_refuse(&toy->session, "535 5.7.8 Authentication failed");
        }
    }
}

static inline void toy_tls(struct toy_driver *toy, struct bytes input)
{
    struct smtp_server_out out;
    ASSERT(!toy->has_envelope && !toy->in_exchange && input.len == 0);
    text_printf(&toy->log, "TLS\n");
    ASSERT(smtp_server_deadline_s(&toy->session) == toy->session.options->tls_timeout_s);
    if (toy->late_answers) {
        ASSERT(smtp_server_next(&toy->session, &input, &out) == SMTP_SERVER_WAIT);
    }
    smtp_server_secured(&toy->session);
}

/* The beginning of a line of AUTH may stay where it is. */
static inline void toy_keep(struct toy_driver *toy, struct bytes input)
{
    ASSERT(input.len == 0 || toy->session.options->auth != 0);
    ASSERT(input.len < SMTP_AUTH_LINE_MAX);
    ASSERT(input.len == 0 || memmem(input.data, input.len, "\r\n", 2) == NULL);
    toy->rest_len = input.len;
    if (input.len == 0) return;
    toy->rest = realloc(toy->rest, input.len);
    ASSERT(toy->rest != NULL);
    memcpy(toy->rest, input.data, input.len);
}

static inline void toy_reply(struct toy_driver *toy, struct bytes reply)
{
    ASSERT(reply.len > 5 && reply.len <= SMTP_SERVER_REPLY_MAX);
    ASSERT(reply.data[reply.len - 1] == '\n');
    ASSERT(reply.data[0] >= '2' && reply.data[0] <= '5');
    toy->replies += 1;
    toy->last_code = (uint32_t)strtoul(reply.data, NULL, 10);
    text_put(&toy->log, BYTES("S: "));
    text_put(&toy->log, reply);
}

/* Runs the session over one piece; false when it is closed. */
static inline bool toy_run_piece(struct toy_driver *toy, struct bytes input)
{
    uint64_t steps = 0;
    const uint64_t steps_max = 4 * (uint64_t)input.len + 16;
    for (;;) {
        struct smtp_server_out out;
        ASSERT(steps++ <= steps_max); /* each octet leads to a bounded number of steps */
        switch (smtp_server_next(&toy->session, &input, &out)) {
        case SMTP_SERVER_NEED_INPUT:
            toy_keep(toy, input);
            return true;
        case SMTP_SERVER_WAIT:
            UNREACHABLE("every question was answered");
        case SMTP_SERVER_REPLY:
            toy_reply(toy, out.reply);
            break;
        case SMTP_SERVER_MAIL:
            toy_mail(toy, &out, &input);
            break;
        case SMTP_SERVER_RCPT:
            toy_rcpt(toy, &out, &input);
            break;
        case SMTP_SERVER_BEGIN:
            toy_begin(toy, &input);
            break;
        case SMTP_SERVER_CONTENT:
            toy_content(toy, &input);
            break;
        case SMTP_SERVER_END:
            toy_end(toy, &input);
            break;
        case SMTP_SERVER_STARTTLS:
            toy_tls(toy, input);
            break;
        case SMTP_SERVER_AUTH:
            toy_auth(toy, &out, &input);
            break;
        case SMTP_SERVER_AUTH_OVER:
            ASSERT(toy->in_exchange);
            toy->in_exchange = false;
            text_printf(&toy->log, "AUTH OVER\n");
            break;
        case SMTP_SERVER_ABORT:
            ASSERT(toy->has_envelope);
            toy_drop(toy);
            text_printf(&toy->log, "ABORT\n");
            break;
        case SMTP_SERVER_CLOSE:
            ASSERT(!toy->has_envelope);
            text_printf(&toy->log, "CLOSE\n");
            toy->closed = true;
            ASSERT(smtp_server_next(&toy->session, &input, &out) == SMTP_SERVER_CLOSE);
            return false;
        }
    }
}

/* Octets up to the end of the first line that may be STARTTLS, or all. */
static inline size_t toy_flight(const struct toy_driver *toy, struct bytes input)
{
    const struct bytes verb = BYTES("STARTTLS");
    for (size_t i = 0; toy->cut_behind_starttls && i + verb.len <= input.len; i++) {
        if (!bytes_starts_with_nocase(bytes_skip(input, i), verb)) continue;
        size_t end = i + verb.len;
        while (end < input.len && (input.data[end] == ' ' || input.data[end] == '\t'))
            end += 1;
        if (end + 1 < input.len && memcmp(input.data + end, "\r\n", 2) == 0) return end + 2;
    }
    return input.len;
}

/* Feeds the input in pieces, each in memory of its own. */
static inline void toy_run(struct toy_driver *toy, struct bytes input)
{
    bool open = toy->rest_len > 0 || toy_run_piece(toy, (struct bytes){NULL, 0});
    size_t flight = 0, said = 0;
    while (open && input.len > 0) {
        if (flight == 0) flight = toy_flight(toy, input);
        const size_t wish =
            toy->piece_max == 0 ? flight : random_below(&toy->random, toy->piece_max) + 1;
        size_t len = MIN(wish, flight);
        if (toy->cut_at > said) len = MIN(len, toy->cut_at - said);
        char *piece = malloc(toy->rest_len + len);
        ASSERT(piece != NULL);
        if (toy->rest_len > 0) memcpy(piece, toy->rest, toy->rest_len);
        memcpy(piece + toy->rest_len, input.data, len);
        open = toy_run_piece(toy, (struct bytes){piece, toy->rest_len + len});
        free(piece);
        input = bytes_skip(input, len);
        flight -= len;
        said += len;
    }
}
