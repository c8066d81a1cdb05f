/* SPDX-License-Identifier: Apache-2.0
 *
 * auth - who may send: users and their secrets, SASL exchanges, hashing off the workers, limits
 *
 * Job     three layers. *Users*: the users file as an immutable snapshot. *Exchange*: one SASL
 *         conversation (RFC 4422) as a pure machine. *Dialog*: an exchange in the hands of a
 *         worker, which looks into the cache, has passwords hashed by the background threads
 *         (worker_offload), slows failures down and limits them.
 * Drive   whoever talks SMTP needs users and dialogs only: see "dialog".
 * Owner   users belong to who loaded them. A dialog copies what it needs of them, so that they may
 *         be replaced while it runs. Clear passwords live in dialogs only and are wiped there.
 * Errors  wrong credentials and malformed responses are data. Users files: see auth_users_load().
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/smtp.h"
#include "ringpost/worker.h"

enum {
    AUTH_NAME_MAX = 255,        /* octets (RFC 4616 section 2: at least 255) */
    AUTH_PASSWORD_MAX = 511,    /* octets: what crypt(3) takes */
    AUTH_HASH_MAX = 255,        /* octets of a crypt(3) hash */
    AUTH_SALT_MAX = 64,         /* of SCRAM, decoded */
    AUTH_MESSAGE_MAX = 2048,    /* a longer response is malformed */
    AUTH_CHALLENGE_MAX = 512,   /* of any mechanism, decoded */
    AUTH_NONCE_LEN = 18,        /* random octets of ours in SCRAM */
    AUTH_NONCE_MAX = 32,        /* the same as characters */
    AUTH_ITERATIONS_MIN = 4096, /* RFC 7677 section 4 */
    AUTH_ITERATIONS_MAX = 10000000,
    AUTH_USERS_FILE_MAX = 64 << 20, /* octets */
};

/* ---- users -------------------------------------------------------------------------------------
 *
 * A line a user; lines that are empty or begin with '#' are skipped:
 *
 *     name:secret[,secret]:reverse-path[,reverse-path...]
 *
 * name     printable ASCII without ':' and ',', or any other valid UTF-8 without controls. Compared
 *          octet by octet: for ASCII that is what SASLprep (RFC 4013) gives, and no more is done.
 * secret   a crypt(3) hash of yescrypt ("$y$..."), gost-yescrypt, scrypt, bcrypt, or SHA-512 or
 *          SHA-256 (these two with a warning), and/or a SCRAM verifier (RFC 5803)
 *          "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey". PLAIN and LOGIN are checked
 *          against the hash if there is one, else against the verifier; SCRAM needs the verifier.
 * reverse-path  what the user may give in MAIL FROM: "*" everything, also the null reverse-path;
 *          "example.org" that domain; ".example.org" domains below it; "news@example.org" one
 *          address; "<>" the null reverse-path (no domain implies it).
 */
struct auth_users;
struct auth_user;
struct auth_secret {
    char hash[AUTH_HASH_MAX + 1]; /* empty: none */
    uint32_t iterations;          /* 0: no SCRAM verifier */
    uint8_t salt_len, salt[AUTH_SALT_MAX];
    uint8_t stored_key[32], server_key[32];
};
/* Called for each message: "file:line: text"; a warning's text begins with "warning: ". */
struct auth_report {
    void (*message)(void *context, bool error, const char *text);
    void *context;
};
/* Blocks. NULL: there were errors, all of them reported. A file that others may read is warned
 * about. */
struct auth_users *auth_users_load(const char *path, const struct auth_report *report);
/* The same from memory; name stands in the messages. */
struct auth_users *auth_users_parse(struct bytes text, const char *name,
                                    const struct auth_report *report);
void auth_users_free(struct auth_users **users);
size_t auth_users_count(const struct auth_users *users);
/* What can be offered: bits of enum smtp_mechanism. 0 when there is no user. */
uint32_t auth_users_mechanisms(const struct auth_users *users);
/* NULL: unknown. Lives as long as users. */
const struct auth_user *auth_users_find(const struct auth_users *users, struct bytes name);
void auth_user_secret(const struct auth_user *user, struct auth_secret *secret);
/* For lists: the index-th in the order of the file. */
struct auth_user_view {
    struct bytes name, paths; /* paths as in the file */
    const char *method;       /* of the hash: "yescrypt"; NULL: none */
    uint32_t iterations;      /* of the SCRAM verifier; 0: none */
};
struct auth_user_view auth_users_view(const struct auth_users *users, size_t index);
/* Could it be a name, could these be reverse-paths of a users file? NULL, or what is wrong. */
const char *auth_name_check(struct bytes name);
const char *auth_paths_check(struct bytes paths);
/* May the user give this reverse-path (without <>; empty: the null one)? Domains are compared
 * without case, local parts with. */
bool auth_user_may_send(const struct auth_user *user, struct bytes reverse_path);

/* Does the password belong to the secret? Takes tens of milliseconds and memory by the megabyte:
 * never on a worker. An empty secret takes no time and is false. */
bool auth_secret_verify(const struct auth_secret *secret, struct bytes password);
/* New secrets, for `ringpost passwd`. random: fresh octets; false: the system's crypt(3) cannot. */
enum { AUTH_RANDOM_LEN = 16, AUTH_ITERATIONS_DEFAULT = 10000 };
MUST_USE bool auth_secret_hash(struct bytes password, const uint8_t random[AUTH_RANDOM_LEN],
                               struct auth_secret *secret);
void auth_secret_scram(struct bytes password, const uint8_t random[AUTH_RANDOM_LEN],
                       uint32_t iterations, struct auth_secret *secret);
void auth_secret_print(const struct auth_secret *secret, struct text *out); /* as in the file */

/* ---- exchange ----------------------------------------------------------------------------------
 *
 * PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 5802, 7677). An authorization identity must be empty
 * or the user's own name. Without channel binding: "n" and "y" are fine, "p=" is refused.
 *
 * An unknown user, and one without the secret that is needed, fails late and alike: the exchange
 * runs with a stranger's secret, derived from the name by a key from the users file, so that
 * salts and iterations stay the same from one attempt to the next.
 */
enum auth_step {
    AUTH_CHALLENGE = 0, /* send *challenge and feed the response */
    AUTH_CHECK,         /* is ->password that of ->secret? Then auth_exchange_checked() */
    AUTH_OK,            /* ->name is who it is */
    AUTH_FAILED,        /* ->failure says why, for the log only */
    AUTH_MALFORMED,     /* not what the mechanism allows: 501 5.5.2; ->failure says what */
};
struct auth_exchange {
    enum smtp_mechanism mechanism;
    uint8_t state; /* private */
    bool known;    /* the name is a user's with the secret that is needed */
    uint16_t name_len, password_len;
    const char *failure;
    char name[AUTH_NAME_MAX + 1];         /* valid from CHECK, in SCRAM from the first response */
    char password[AUTH_PASSWORD_MAX + 1]; /* valid in CHECK */
    struct auth_secret secret;
    char nonce[AUTH_NONCE_MAX + 1]; /* our part, characters */
    /* SCRAM: the AuthMessage as it grows (RFC 5802 section 3). */
    uint16_t gs2_len, message_len, nonce_at, nonce_len; /* nonces: place in the message */
    char gs2[AUTH_NAME_MAX * 3 + 8];
    char message[2 * AUTH_MESSAGE_MAX + AUTH_CHALLENGE_MAX];
    char challenge[AUTH_CHALLENGE_MAX];
};
/* random: from a cryptographic source. */
void auth_exchange_init(struct auth_exchange *exchange, enum smtp_mechanism mechanism,
                        const uint8_t random[AUTH_NONCE_LEN]);
/* AUTH came without an initial response: *challenge is what to send (may be empty). */
void auth_exchange_ask(struct auth_exchange *exchange, struct bytes *challenge);
/* The response (or initial response), decoded. users: the present ones, may be NULL; not kept.
 * After OK, FAILED, MALFORMED nothing more. */
enum auth_step auth_exchange_feed(struct auth_exchange *exchange, const struct auth_users *users,
                                  struct bytes response, struct bytes *challenge);
/* The answer to CHECK; wipes the password. */
enum auth_step auth_exchange_checked(struct auth_exchange *exchange, bool matches);
static inline struct bytes auth_exchange_name(const struct auth_exchange *exchange)
{
    return (struct bytes){exchange->name, exchange->name_len};
}
void auth_exchange_wipe(struct auth_exchange *exchange);

/* ---- what the workers share --------------------------------------------------------------------
 *
 * Failures are counted by client (an IPv6 client is its /64) and by user, over all workers and
 * without locks. Each count leaks: it goes down by one every window / max. A failure is answered
 * after 1, 2, 4, 8 and so on seconds, by the client's count. A client at its maximum gets 421
 * without its password being looked at. A user at its maximum gets 454, except from an address
 * that has authenticated as this user during the last day, so that strangers cannot lock it out.
 */
struct auth_shared;
struct auth_shared *auth_shared_create(struct ring *ring); /* for its randomness; once a process */
void auth_shared_destroy(struct auth_shared **shared);

struct auth_options {
    const struct auth_users *users;   /* NULL: nobody can authenticate */
    uint32_t failures_per_client_max; /* 1..1000 */
    uint32_t failures_per_user_max;   /* 1..1000 */
    duration failure_window;
    duration cache_time; /* a password that was right need not be hashed again so long; 0 = never */
};
struct auth_options auth_options_default(void); /* the manual's; without users */

/* ---- one worker's part -------------------------------------------------------------------------
 */

struct auth;
/* options are copied; users stay until auth_configure() has given others, or the end. */
struct auth *auth_create(struct worker *worker, struct auth_shared *shared,
                         const struct auth_options *options);
/* Reload: forgets all cached successes. Dialogs go on with what they have. */
void auth_configure(struct auth *auth, const struct auth_options *options);
const struct auth_users *auth_current_users(const struct auth *auth); /* may be NULL */
/* No dialog, and no hashing that an ended dialog has left behind: auth_destroy() is allowed. It
 * gets there by itself within the time of one hash when all dialogs have ended. */
bool auth_is_idle(const struct auth *auth);
void auth_destroy(struct auth **auth);

/* ---- dialog: one AUTH command ------------------------------------------------------------------
 *
 *     dialog = auth_dialog_begin(auth, mechanism, &client, on_answer, context);
 *     verdict = auth_dialog_ask(dialog, &answer)  or  auth_dialog_feed(dialog, initial, &answer)
 *     SAY:       334 answer.text in base64, feed the next response (decoded), and so on
 *     WAIT:      on_answer(context, verdict, &answer) will be called, later, never from inside;
 *                send nothing and read nothing until then. Not later than about half a minute,
 *                delays for failures included: no deadline of your own is needed
 *     ACCEPTED:  235 2.7.0; answer.text is the name: keep a copy, and ask auth_users_find() and
 *                auth_user_may_send() anew for each MAIL, so that a reload takes effect
 *     REFUSED:   answer.text is the whole reply, "535 5.7.8 ..."; answer.close: it is a 421, end
 *                the session
 *     auth_dialog_end(&dialog) after ACCEPTED or REFUSED, or at any time when the client goes,
 *                cancels ("*") or sent bad base64.
 */
enum auth_verdict { AUTH_WAIT = 0, AUTH_SAY, AUTH_ACCEPTED, AUTH_REFUSED };
struct auth_answer {
    struct bytes text; /* lives until the next call for this dialog */
    bool close;
};
struct auth_dialog;
struct auth_dialog *auth_dialog_begin(struct auth *auth, enum smtp_mechanism mechanism,
                                      const struct address *client,
                                      void (*on_answer)(void *context, enum auth_verdict verdict,
                                                        const struct auth_answer *answer),
                                      void *context);
enum auth_verdict auth_dialog_ask(struct auth_dialog *dialog, struct auth_answer *answer);
enum auth_verdict auth_dialog_feed(struct auth_dialog *dialog, struct bytes response,
                                   struct auth_answer *answer);
void auth_dialog_end(struct auth_dialog **dialog); /* on_answer is not called any more */
