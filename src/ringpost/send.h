/* SPDX-License-Identifier: Apache-2.0
 *
 * send - what the files of `ringpost send` share
 *
 * A user agent, not a part of the relay: one thread, a blocking socket, the message in memory. The
 * exit statuses are those of sysexits.h, as of sendmail.
 */
#pragma once
#include "ringpost/mime/address.h"
#include "ringpost/mime/build.h"
#include <stdlib.h>
#include <sysexits.h>

/* ---- send_input.c: the command line becomes a message ---------------------------------------- */

struct send_list {
    void *items;
    size_t count, cap;
};
/* Room for one more of that size, zeroed. */
void *send_list_add(struct send_list *list, size_t size);

struct send_input {
    struct send_list from, to, cc, bcc, reply_to; /* struct mime_mailbox */
    struct send_list extra;                       /* struct mime_extra */
    struct send_list owned;                       /* pointers: memory to free */
    struct send_list images, attachments;         /* struct mime_build_part */
    struct mime_message message;                  /* without lists, until send_input_message() */
    bool stdin_used;
    const char *via;
    uint64_t count;
    unsigned timeout_s;
    bool dump, eight_bit;
};
/* All return EX_OK, or the exit status; what is wrong was said to stderr. */
int send_add_mailboxes(struct send_input *input, struct send_list *list,
                       const char *text); /* a list as in a header */
int send_add_header(struct send_input *input, const char *text);
int send_add_image(struct send_input *input, const char *text);      /* CID=FILE[:TYPE] */
int send_add_attachment(struct send_input *input, const char *text); /* FILE[:TYPE] */
int send_read_file(struct send_input *input, const char *path, struct bytes *content);
/* Joins the lists to the message. */
void send_input_message(struct send_input *input);
void send_input_deinit(struct send_input *input);
/* A new date and new random numbers. */
void send_refresh(struct mime_message *message);
int send_complain(int status, const char *format, ...) PRINTF_LIKE(2, 3);
/* What mime_build_init() refused. */
int send_explain(enum mime_build_result result, struct bytes culprit);

/* ---- send_smtp.c: hands it in ---------------------------------------------------------------- */

int send_over_smtp(struct send_input *input);
