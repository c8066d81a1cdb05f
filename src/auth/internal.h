/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of auth share
 */
#pragma once
#include "ringpost/auth.h"
#include "ringpost/digest.h"

/* ---- users -------------------------------------------------------------------------------------
 */

/* Parts of the line in the users' own copy of the file. */
struct auth_user {
    struct bytes name, secrets, paths;
    uint32_t line;
};

/* ---- secrets -----------------------------------------------------------------------------------
 */

/* Of a hash that auth_secret_parse() took; NULL if there is none. */
const char *auth_secret_method(const struct auth_secret *secret);
/* The second column; NULL, or what is wrong. *weak: words for a warning, or NULL. */
const char *auth_secret_parse(struct bytes text, struct auth_secret *secret, const char **weak);
/* The secret of a name that has none of that kind: what the exchange shows of it looks like that of
 * a user, and stays the same as long as the users do. users may be NULL. */
void auth_stranger_secret(const struct auth_users *users, struct bytes name, bool scram,
                          struct auth_secret *secret);

/* base64 (RFC 4648) without white space into out; false: malformed, or not min..max octets. */
bool auth_base64_read(struct bytes text, void *out, size_t min, size_t max, size_t *len);

/* ---- SCRAM, a part of the exchange
 * --------------------------------------------------------------- */

enum auth_step scram_first(struct auth_exchange *exchange, const struct auth_users *users,
                           struct bytes response, struct bytes *challenge);
enum auth_step scram_final(struct auth_exchange *exchange, struct bytes response,
                           struct bytes *challenge);
/* Of the exchange: copies the name and its secret, or a stranger's. */
bool auth_exchange_identify(struct auth_exchange *exchange, const struct auth_users *users,
                            struct bytes name);
enum auth_step auth_exchange_end(struct auth_exchange *exchange, enum auth_step step,
                                 const char *why);

/* ---- the cache of successes, one a worker ------------------------------------------------------
 */

enum { AUTH_KEY_LEN = 16 }; /* of the HMAC of name and password */
struct auth_cache {
    struct auth_cache_entry *entries; /* NULL until there is something to keep */
};
bool auth_cache_has(const struct auth_cache *cache, const uint8_t key[AUTH_KEY_LEN], instant now);
void auth_cache_put(struct auth_cache *cache, const uint8_t key[AUTH_KEY_LEN], instant now,
                    instant until);
void auth_cache_clear(struct auth_cache *cache);

/* ---- what the workers share
 * ---------------------------------------------------------------------- */

/* HMAC of text by a key that nobody outside the process knows. */
void auth_shared_mac(const struct auth_shared *shared, struct bytes text,
                     uint8_t mac[DIGEST_SHA256_LEN]);
bool auth_client_is_limited(struct auth_shared *shared, const struct auth_options *options,
                            const struct address *client, instant now);
/* False for who has authenticated from there lately. */
bool auth_user_is_limited(struct auth_shared *shared, const struct auth_options *options,
                          struct bytes user, const struct address *client, instant now);
/* Returns how many failures the client has now; *user_count likewise. */
uint32_t auth_count_failure(struct auth_shared *shared, const struct auth_options *options,
                            struct bytes user, const struct address *client, instant now,
                            uint32_t *user_count);
void auth_note_success(struct auth_shared *shared, struct bytes user, const struct address *client,
                       instant now);
