/* SPDX-License-Identifier: Apache-2.0
 *
 * model - what was handed in, acknowledged, delivered and reported; the checkers
 *
 * Every message has a number, and its octets follow from it: so both ends can be compared without
 * keeping them. Every line of it carries the number, hence octets in the wrong place are seen.
 */
#pragma once
#include "sim.h"

enum { MODEL_RECIPIENTS_MAX = 150, MODEL_SIZE_MAX = 300 * 1024 };

enum model_state { /* of a message */
                   MODEL_NEW = 0,
                   MODEL_REFUSED,  /* 4xx, 5xx, or its end was never sent */
                   MODEL_UNKNOWN,  /* its end was sent, and no answer came */
                   MODEL_ACCEPTED, /* 250 */
};

/* In a run with signatures. */
enum model_signing { MODEL_SIGNED = 0, MODEL_PERHAPS_SIGNED, MODEL_NOT_SIGNED };

struct model_recipient {
    uint32_t domain;
    bool taken;        /* RCPT was answered 250 */
    bool may_fail;     /* somebody gave a reason to give up */
    bool unreliable;   /* a receiver said what was not so */
    bool dsn_wanted;   /* of a failure */
    instant reason_at; /* when the last one was given */
    uint16_t arrived;  /* accepted by a receiver */
    uint16_t excused;  /* of these: nobody need know */
    uint16_t reported, reports_excused;
};
struct model_message {
    uint8_t state;
    bool null_sender, forbidden /* has octets that must be refused */;
    bool null_mx;      /* the sender's domain accepts no mail */
    uint8_t signing;   /* enum model_signing */
    bool reports_lost; /* the sender's receiver refuses reports, or lies about them */
    bool header_durable, end_durable;
    uint32_t size, recipient_count;
    instant accepted_at;         /* or answered otherwise; a lost answer is noticed late */
    instant envelope_durable_at; /* 0: not yet */
    struct model_recipient recipients[MODEL_RECIPIENTS_MAX];
};

void model_init(void);
bool model_is_signed(void);         /* with DKIM, by two signers of the domain of all messages */
bool model_is_heavy(void);          /* large messages, little memory */
bool model_is_relaxed(void);        /* durability = relaxed: a 250 promises nothing */
const char *model_tls_policy(void); /* of the site with settings of its own, d2.test */
bool model_is_short_lived(void);    /* mail expires after 20 minutes, else after two days */
uint32_t model_count(void);
struct model_message *model_message(uint32_t number); /* NULL: no such number */
/* Makes up the next message; its number, or UINT32_MAX when there are enough. */
uint32_t model_next(void);
/* The octets as they must arrive; or as they are handed in, with a Return-Path field that has to go
 * (RFC 5321 section 4.4). Static, until the next call. */
struct bytes model_text(uint32_t number, bool handed_in);
void model_sender(uint32_t number, char out[64]);
/* It is handed in by an authenticated user; few: by one who may only send from <> and few.test. */
void model_from_user(uint32_t number, bool few);
void model_address(uint32_t number, uint32_t recipient, char out[64]);

/* From injectors: the answer to the whole message; 0: none came although its end was sent. late: it
 * is of a process that has ended since. */
void model_answered(uint32_t number, uint32_t code, bool late);
/* From receivers. The acceptance is excused later with model_excuse(), or at once. */
struct model_arrival {
    uint32_t number, recipient;
    bool report; /* a DSN about that recipient */
};
/* One transaction was accepted. Fills arrivals; returns how many. */
size_t model_arrived(const char *sender, char (*recipients)[64], size_t count, struct bytes content,
                     struct model_arrival *arrivals, size_t max);
void model_excuse(const struct model_arrival *arrival, const char *why);
/* The operator has deleted what waits for that domain, or nobody knows what its hosts said. */
void model_unreliable(uint32_t domain);
/* A receiver refused for good (recipient: its address) or the whole session (NULL). */
void model_refused(const char *recipient);
/* Replies were out of step while that recipient was in a transaction. */
void model_lied_to(const char *recipient);
/* Content has come over a connection: with TLS, with the right certificate. */
void model_came_by(const char *recipient, bool secure, bool right_name);
/* See disk_on_durable(). */
void model_on_durable(void *context, const char *path, uint64_t offset, const char *data,
                      size_t len);
/* Disk or clock misbehave from now until then: what is being written waits. */
void model_trouble(instant until);
void model_process_died(void); /* after a cut or kill */
void model_rot(const char *page, size_t len);
bool model_all_answered(void);
bool model_all_settled(char *what, size_t size); /* what: the first that is not */
void model_check_end(void);
