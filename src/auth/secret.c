/* SPDX-License-Identifier: Apache-2.0
 *
 * secret - what is stored of a password: crypt(3) hashes and SCRAM verifiers (RFC 5803)
 */
#include "internal.h"
#include "ringpost/codec/base64.h"
#include <crypt.h>

static_assert(AUTH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt(3) takes it with its NUL");

bool auth_base64_read(struct bytes text, void *out, size_t min, size_t max, size_t *len)
{
    char octets[AUTH_MESSAGE_MAX];
    if (codec_base64_decoded_max(text.len) > sizeof(octets)) return false;
    const struct codec_result result =
        codec_base64_decode(text.data, text.len, octets, CODEC_BASE64_PLAIN);
    if (result.error != CODEC_NO_ERROR || result.written < min || result.written > max)
        return false;
    memcpy(out, octets, result.written);
    if (len != NULL) *len = result.written;
    return true;
}

/* ---- reading
 * --------------------------------------------------------------------------------------
 */

/* Methods of crypt(3) that are worth something. A hash that was cut would just never match, so its
 * length is looked at: of what stands behind the last '$'. */
static const struct {
    const char *prefix, *name;
    uint8_t last_len;
    const char *weak;
} methods[] = {
    {"$y$", "yescrypt", 43, NULL},
    {"$gy$", "gost-yescrypt", 43, NULL},
    {"$7$", "scrypt", 43, NULL},
    {"$2b$", "bcrypt", 53, NULL},
    {"$2y$", "bcrypt", 53, NULL},
    {"$2a$", "bcrypt", 53, NULL},
    {"$6$", "SHA-512", 86, "a SHA-512 hash is quickly guessed at: yescrypt is better"},
    {"$5$", "SHA-256", 43, "a SHA-256 hash is quickly guessed at: yescrypt is better"},
};

static bool starts_with(struct bytes text, const char *prefix)
{
    return text.len >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static struct bytes after_last(struct bytes text, char mark)
{
    const char *last = memrchr(text.data, mark, text.len);
    return bytes_skip(text, last == NULL ? text.len : (size_t)(last - text.data) + 1);
}

/* Of all these methods; '=' stands in "rounds=". */
static bool has_hash_characters(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = ascii_lower(text.data[i]);
        if ((c < 'a' || c > 'z') && (c < '.' || c > '9') && c != '$' && c != '=') return false;
    }
    return true;
}

static const char *read_hash(struct bytes text, struct auth_secret *secret, const char **weak)
{
    if (secret->hash[0] != '\0') return "two hashes";
    if (text.len > AUTH_HASH_MAX) return "a hash that is too long";
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (!starts_with(text, methods[i].prefix)) continue;
        if (after_last(text, '$').len != methods[i].last_len) return "a hash that was cut";
        if (!has_hash_characters(text)) return "a malformed hash";
        memcpy(secret->hash, text.data, text.len);
        secret->hash[text.len] = '\0';
        if (methods[i].weak != NULL) *weak = methods[i].weak;
        return crypt_checksalt(secret->hash) == CRYPT_SALT_INVALID ? "a malformed hash" : NULL;
    }
    return "a secret of no kind that is known and strong (use `ringpost passwd`)";
}

const char *auth_secret_method(const struct auth_secret *secret)
{
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        if (starts_with(bytes_of(secret->hash), methods[i].prefix)) return methods[i].name;
    }
    return NULL;
}

/* The part of text before mark; *text is what follows it. The whole text if there is no mark. */
static struct bytes cut_at(struct bytes *text, char mark)
{
    const char *found = text->len > 0 ? memchr(text->data, mark, text->len) : NULL;
    const struct bytes part = {text->data,
                               found == NULL ? text->len : (size_t)(found - text->data)};
    *text = bytes_skip(*text, part.len + 1);
    return part;
}

#define SCRAM_PREFIX "SCRAM-SHA-256$"

/* SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey */
static const char *read_scram(struct bytes text, struct auth_secret *secret)
{
    uint64_t iterations;
    size_t salt_len;
    if (secret->iterations != 0) return "two SCRAM verifiers";
    text = bytes_skip(text, strlen(SCRAM_PREFIX));
    const struct bytes count = cut_at(&text, ':');
    const struct bytes salt = cut_at(&text, '$');
    const struct bytes stored_key = cut_at(&text, ':');
    if (!bytes_to_u64(count, AUTH_ITERATIONS_MAX, &iterations))
        return "a SCRAM verifier with a wrong number of iterations";
    if (iterations < AUTH_ITERATIONS_MIN)
        return "a SCRAM verifier of fewer than 4096 iterations (RFC 7677)";
    if (!auth_base64_read(salt, secret->salt, 1, sizeof(secret->salt), &salt_len) ||
        !auth_base64_read(stored_key, secret->stored_key, 32, 32, NULL) ||
        !auth_base64_read(text, secret->server_key, 32, 32, NULL))
        return "a malformed SCRAM verifier";
    secret->iterations = (uint32_t)iterations;
    secret->salt_len = (uint8_t)salt_len;
    return NULL;
}

const char *auth_secret_parse(struct bytes text, struct auth_secret *secret, const char **weak)
{
    const char *wrong = NULL;
    *secret = (struct auth_secret){0};
    *weak = NULL;
    if (text.len == 0 || text.data[text.len - 1] == ',') return "no secret";
    do {
        const struct bytes part = cut_at(&text, ',');
        wrong = starts_with(part, SCRAM_PREFIX) ? read_scram(part, secret)
                                                : read_hash(part, secret, weak);
    } while (wrong == NULL && text.len > 0);
    return wrong;
}

/* ---- making
 * ---------------------------------------------------------------------------------------
 */

bool auth_secret_hash(struct bytes password, const uint8_t random[AUTH_RANDOM_LEN],
                      struct auth_secret *secret)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE], clear[AUTH_PASSWORD_MAX + 1];
    if (password.len > AUTH_PASSWORD_MAX) return false;
    char octets[AUTH_RANDOM_LEN];
    memcpy(octets, random, sizeof(octets));
    if (crypt_gensalt_rn("$y$", 0, octets, sizeof(octets), setting, sizeof(setting)) == NULL)
        return false;
    struct crypt_data *room = base_alloc(sizeof(*room));
    memcpy(clear, password.data, password.len);
    clear[password.len] = '\0';
    const char *hash = crypt_rn(clear, setting, room, sizeof(*room));
    const bool good = hash != NULL && strlen(hash) <= AUTH_HASH_MAX;
    if (good) memcpy(secret->hash, hash, strlen(hash) + 1);
    explicit_bzero(clear, sizeof(clear));
    explicit_bzero(room, sizeof(*room));
    base_free(room);
    return good;
}

static struct bytes octets_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

/* RFC 5802 section 3: StoredKey and ServerKey of the salted password. */
static void derive_keys(struct bytes password, struct bytes salt, uint32_t iterations,
                        uint8_t stored_key[32], uint8_t server_key[32])
{
    uint8_t salted[32], client_key[32];
    digest_pbkdf2_sha256(password, salt, iterations, salted);
    digest_hmac_sha256(octets_of(salted, 32), BYTES("Client Key"), client_key);
    digest_sha256_once(octets_of(client_key, 32), stored_key);
    digest_hmac_sha256(octets_of(salted, 32), BYTES("Server Key"), server_key);
    explicit_bzero(salted, sizeof(salted));
    explicit_bzero(client_key, sizeof(client_key));
}

void auth_secret_scram(struct bytes password, const uint8_t random[AUTH_RANDOM_LEN],
                       uint32_t iterations, struct auth_secret *secret)
{
    ASSERT(iterations >= AUTH_ITERATIONS_MIN && iterations <= AUTH_ITERATIONS_MAX);
    memcpy(secret->salt, random, AUTH_RANDOM_LEN);
    secret->salt_len = AUTH_RANDOM_LEN;
    secret->iterations = iterations;
    derive_keys(password, octets_of(secret->salt, secret->salt_len), iterations, secret->stored_key,
                secret->server_key);
}

static void put_base64(struct text *out, const void *octets, size_t len)
{
    char encoded[(AUTH_SALT_MAX + 2) / 3 * 4];
    ASSERT(len <= AUTH_SALT_MAX);
    text_put(out, octets_of(encoded, codec_base64_encode(octets, len, encoded)));
}

void auth_secret_print(const struct auth_secret *secret, struct text *out)
{
    text_put(out, bytes_of(secret->hash));
    if (secret->iterations == 0) return;
    text_printf(out, "%s" SCRAM_PREFIX "%u:", secret->hash[0] ? "," : "", secret->iterations);
    put_base64(out, secret->salt, secret->salt_len);
    text_put(out, BYTES("$"));
    put_base64(out, secret->stored_key, sizeof(secret->stored_key));
    text_put(out, BYTES(":"));
    put_base64(out, secret->server_key, sizeof(secret->server_key));
}

/* ---- checking
 * -------------------------------------------------------------------------------------
 */

static bool verify_hash(const char *hash, const char *password)
{
    struct crypt_data *room = base_alloc(sizeof(*room));
    const char *again = crypt_rn(password, hash, room, sizeof(*room));
    const bool same =
        again != NULL && strlen(again) == strlen(hash) && digest_equal(again, hash, strlen(hash));
    explicit_bzero(room, sizeof(*room));
    base_free(room);
    return same;
}

static bool verify_scram(const struct auth_secret *secret, struct bytes password)
{
    uint8_t stored_key[32], server_key[32];
    derive_keys(password, octets_of(secret->salt, secret->salt_len), secret->iterations, stored_key,
                server_key);
    const bool same = digest_equal(stored_key, secret->stored_key, 32);
    explicit_bzero(server_key, sizeof(server_key));
    return same;
}

bool auth_secret_verify(const struct auth_secret *secret, struct bytes password)
{
    char clear[AUTH_PASSWORD_MAX + 1];
    if (secret->hash[0] == '\0') return secret->iterations != 0 && verify_scram(secret, password);
    if (password.len > AUTH_PASSWORD_MAX) return false;
    memcpy(clear, password.data, password.len);
    clear[password.len] = '\0';
    const bool same = verify_hash(secret->hash, clear);
    explicit_bzero(clear, sizeof(clear));
    return same;
}
