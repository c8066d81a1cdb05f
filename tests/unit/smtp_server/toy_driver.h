/* SPDX-License-Identifier: Apache-2.0
 *
 * toy_driver - drives a session over given pieces of input and writes down what happened
 *
 * Used by the unit tests and the fuzzer. It checks what every driver may rely on: no recipient
 * without a sender, no content without an accepted recipient, one answer a question, an ABORT for
 * whatever came to nothing, nothing behind CLOSE. What it answers depends on the addresses:
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
    size_t room_max;
    bool late_answers; /* ask next once more before answering */
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
    /* Nothing may hang on what the memory held before. */
    memset(&toy->session, 0xa5, sizeof(toy->session));
    smtp_server_init(&toy->session, options, relay_allowed);
}

static inline void toy_deinit(struct toy_driver *toy)
{
    free(toy->content);
    toy->content = NULL;
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
    text_printf(&toy->log, "MAIL %.*s size=%llu body=%d ret=%d envid=%.*s utf8=%d\n",
                BYTES_FMT(address), (unsigned long long)out->mail.size, out->mail.body,
                out->mail.ret, BYTES_FMT(out->mail.envid), out->mail.smtputf8);
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
    ASSERT(toy->session.relay_allowed);
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
            ASSERT(input.len == 0);
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

/* Feeds the input in pieces, each in memory of its own. */
static inline void toy_run(struct toy_driver *toy, struct bytes input)
{
    bool open = toy_run_piece(toy, (struct bytes){NULL, 0});
    while (open && input.len > 0) {
        const size_t wish =
            toy->piece_max == 0 ? input.len : random_below(&toy->random, toy->piece_max) + 1;
        const size_t len = MIN(wish, input.len);
        char *piece = malloc(len);
        ASSERT(piece != NULL);
        memcpy(piece, input.data, len);
        open = toy_run_piece(toy, (struct bytes){piece, len});
        free(piece);
        input = bytes_skip(input, len);
    }
}
