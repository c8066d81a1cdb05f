/* SPDX-License-Identifier: Apache-2.0
 *
 * dialog - what a worker's part and its dialogs share
 */
#pragma once
#include "internal.h"

struct auth {
    struct worker *worker;
    struct auth_shared *shared;
    struct auth_options options;
    struct auth_cache cache;
    struct list checks; /* hashing now, or waiting for it */
    uint32_t dialogs;
    uint64_t generation; /* of the users: part of every key */
    uint64_t nonces;
};

/* One password to be compared, for all dialogs that brought it meanwhile: whoever opens a hundred
 * connections at once has it hashed once on each worker. */
struct auth_check {
    struct worker_task task;
    struct list link;    /* auth->checks */
    struct list waiting; /* dialogs */
    struct auth *auth;
    uint64_t generation;
    uint8_t key[AUTH_KEY_LEN];
    struct auth_secret secret;
    uint16_t password_len;
    char password[AUTH_PASSWORD_MAX];
    bool known, matches;
};

enum dialog_state {
    DIALOG_TALKING = 0, /* the client's turn */
    DIALOG_CHECKING,    /* in check->waiting */
    DIALOG_DELAYED,     /* it failed; the timer runs */
    DIALOG_ANSWERED,
    DIALOG_STATE_COUNT,
};
struct auth_dialog {
    struct auth *auth;
    struct list link; /* check->waiting */
    struct ring_timer timer;
    struct address client;
    void (*on_answer)(void *context, enum auth_verdict verdict, const struct auth_answer *answer);
    void *context;
    uint8_t state;
    struct auth_exchange exchange;
};

/* false: too many wait already. */
bool auth_check_begin(struct auth_dialog *dialog);
/* The check has an answer; never from inside auth_check_begin(). */
void auth_dialog_checked(struct auth_dialog *dialog, bool matches);
/* Was this very password right lately? */
bool auth_check_is_cached(const struct auth_dialog *dialog);
