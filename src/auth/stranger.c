/* SPDX-License-Identifier: Apache-2.0
 *
 * stranger - the secret of who has none, so that asking does not tell who is a user
 *
 * A password takes as long to check as that of some user. In SCRAM, salt and iterations are shown
 * before anything is proved, so they must look like a user's and be the same at the next attempt,
 * also after a restart: they are derived from the name by a key that comes from the first user's
 * secret. When that one changes, so do the strangers' salts; nothing needs to be stored for them.
 */
#include "internal.h"
#include "users.h"

static uint64_t derive(const struct auth_users *users, const char *purpose, struct bytes name,
                       uint8_t out[DIGEST_SHA256_LEN])
{
    char data[AUTH_NAME_MAX + 32];
    struct text text;
    uint64_t number;
    text_init(&text, data, sizeof(data));
    text_printf(&text, "%s ", purpose);
    text_put(&text, name);
    digest_hmac_sha256((struct bytes){(const char *)users->stranger_key, DIGEST_SHA256_LEN},
                       text_bytes(&text), out);
    memcpy(&number, out, sizeof(number));
    return number;
}

/* The n-th of those with a verifier: which user is imitated hangs on the name. */
static const struct auth_user *scram_user(const struct auth_users *users, uint64_t number)
{
    if (users->scram_count == 0) return NULL;
    return &users->all[users->scram[number % users->scram_count]];
}

void auth_stranger_secret(const struct auth_users *users, struct bytes name, bool scram,
                          struct auth_secret *secret)
{
    uint8_t octets[DIGEST_SHA256_LEN];
    *secret = (struct auth_secret){.salt_len = AUTH_RANDOM_LEN};
    if (scram) secret->iterations = AUTH_ITERATIONS_DEFAULT;
    if (users == NULL || users->count == 0) return; /* nothing to imitate: nobody is a user */
    const uint64_t number = derive(users, "user", name, octets);
    const struct auth_user *like =
        scram ? scram_user(users, number) : &users->all[number % users->count];
    if (like != NULL) auth_user_secret(like, secret);
    if (!scram) return;
    static_assert(sizeof(secret->salt) == 2 * sizeof(octets), "two pieces");
    derive(users, "salt", name, secret->salt);
    derive(users, "more salt", name, secret->salt + sizeof(octets));
    derive(users, "stored key", name, secret->stored_key);
    derive(users, "server key", name, secret->server_key);
}
