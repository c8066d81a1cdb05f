/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver - a simulated receiver, and the driver between it and the client under test
 *
 * The receiver reads what the client sends, in order, and owes a reply to each command. What it
 * replies is a choice: an honest one chooses among the replies that the RFCs allow in its state and
 * keeps books of what it accepted; a liar replies anything. Every choice comes from a chooser, so
 * that a test can walk through all of them.
 *
 * Addresses say whose they are: transaction 3 is from s3@a.example to r3.0@b.example and so on.
 */
#pragma once
#include "ringpost/smtp_client.h"

enum { TRANSACTIONS_MAX = 4, RECIPIENTS_MAX = 4, CHOICES_MAX = 160, PENDING_MAX = 256 };

/* ---- choices: an odometer over a tree ----------------------------------------------------------
 */

struct chooser {
    uint8_t taken[CHOICES_MAX], bound[CHOICES_MAX];
    unsigned depth, known; /* the first known choices are given, the others start with 0 */
    struct random *random; /* not NULL: random choices instead */
};
unsigned choose(struct chooser *chooser, unsigned bound);
bool chooser_next(struct chooser *chooser); /* false: all were walked */

/* ---- what to play ------------------------------------------------------------------------------
 */

enum manner {
    MANNER_HONEST, /* replies as the RFCs allow */
    MANNER_LIAR,   /* any of a list of replies to any command */
};
enum { LOST = 0, GARBAGE = 1, SILENT = 2 }; /* beside codes, in a list of replies */

struct play {
    enum manner manner;
    bool pipelining, chunking; /* announced */
    bool may_lose;             /* honest, but the connection may break at any command */
    bool by_octet;             /* replies come octet by octet */
    bool batched;              /* all replies owed come at once, else one at a time */
    unsigned transactions, recipients;
    unsigned window;
    const uint16_t *lies; /* of LIAR, ended by 0xffff */
};
struct fate {       /* of one recipient, as the receiver knows it */
    bool accepted;  /* got 2yz to its RCPT (liar: whatever came before) */
    unsigned taken; /* how many contents the receiver took for it, with this sender */
    uint16_t rcpt_code;
};
struct outcome {
    struct smtp_verdict verdicts[TRANSACTIONS_MAX][RECIPIENTS_MAX];
    struct fate fates[TRANSACTIONS_MAX][RECIPIENTS_MAX];
    uint16_t mail_code[TRANSACTIONS_MAX], go_code[TRANSACTIONS_MAX], end_code[TRANSACTIONS_MAX];
    bool content_sent[TRANSACTIONS_MAX];
    bool offered[TRANSACTIONS_MAX], done[TRANSACTIONS_MAX];
    bool lost, desynced; /* lost or garbage by choice of the receiver */
    bool misbehaved;
    enum smtp_client_end end;
    unsigned commands;
    char transcript[8192];
};
/* Plays to the end and checks what must hold always; the rest is the caller's. */
void receiver_play(const struct play *play, struct chooser *chooser, struct outcome *outcome);
