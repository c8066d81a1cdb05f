/* SPDX-License-Identifier: Apache-2.0
 *
 * scram - SCRAM-SHA-256 from the server's side (RFC 5802, 7677), without channel binding
 *
 *     client-first  = gs2-header "n=" name ",r=" nonce [",..."]     n,,n=user,r=abc
 *     server-first  = "r=" nonce own-nonce ",s=" salt ",i=" count
 *     client-final  = "c=" gs2-header in base64 ",r=" both nonces [",..."] ",p=" proof
 *     server-final  = "v=" signature
 *
 * What both sides sign is client-first without its gs2-header, server-first and client-final
 * without the proof, with commas between: it grows in exchange->message.
 */
#include "internal.h"
#include "ringpost/codec/base64.h"

enum { NONCE_MAX = 256 /* of the client, characters */ };
static_assert(2 + NONCE_MAX + AUTH_NONCE_MAX + 3 + (AUTH_SALT_MAX + 2) / 3 * 4 + 3 + 10 <
                  AUTH_CHALLENGE_MAX,
              "server-first-message");
static_assert(2 * AUTH_MESSAGE_MAX + AUTH_CHALLENGE_MAX <= UINT16_MAX, "offsets of 16 bits");

static enum auth_step malformed(struct auth_exchange *exchange, const char *why)
{
    return auth_exchange_end(exchange, AUTH_MALFORMED, why);
}

/* The part up to the next comma; *text is what follows that. false when there is none. */
static bool take_part(struct bytes *text, struct bytes *part)
{
    const char *comma = text->len > 0 ? memchr(text->data, ',', text->len) : NULL;
    if (comma == NULL) return false;
    *part = (struct bytes){text->data, (size_t)(comma - text->data)};
    *text = bytes_skip(*text, part->len + 1);
    return true;
}

/* The same where text may end instead. */
static struct bytes take_last(struct bytes *text)
{
    struct bytes part;
    if (take_part(text, &part)) return part;
    part = *text;
    *text = bytes_skip(*text, text->len);
    return part;
}

static bool has_attribute(struct bytes part, char letter)
{
    return part.len >= 2 && part.data[0] == letter && part.data[1] == '=';
}

/* saslname: '=' stands only in "=2C" and "=3D" (RFC 5802 section 5.1) */
static bool read_name(struct bytes coded, char out[AUTH_NAME_MAX], struct bytes *name)
{
    size_t len = 0;
    while (coded.len > 0) {
        char c = coded.data[0];
        size_t taken = 1;
        if (c == '=') {
            if (coded.len < 3) return false;
            if (memcmp(coded.data, "=2C", 3) == 0)
                c = ',';
            else if (memcmp(coded.data, "=3D", 3) != 0)
                return false;
            taken = 3;
        }
        if (len == AUTH_NAME_MAX) return false;
        out[len++] = c;
        coded = bytes_skip(coded, taken);
    }
    *name = (struct bytes){out, len};
    return true;
}

static bool nonce_is_valid(struct bytes nonce)
{
    if (nonce.len == 0 || nonce.len > NONCE_MAX) return false;
    for (size_t i = 0; i < nonce.len; i++) {
        if (nonce.data[i] < 0x21 || nonce.data[i] > 0x7e || nonce.data[i] == ',') return false;
    }
    return true;
}

/* Optional extensions are for who knows them: we only see to it that they are some. */
static bool extensions_are_valid(struct bytes rest)
{
    while (rest.len > 0) {
        const struct bytes part = take_last(&rest);
        if (part.len < 3 || part.data[1] != '=') return false;
        if (ascii_lower(part.data[0]) < 'a' || ascii_lower(part.data[0]) > 'z') return false;
    }
    return true;
}

/* ---- client-first, server-first
 * ------------------------------------------------------------------ */

/* gs2-header = ("n" / "y" / "p=" name) "," ["a=" name] ","
 * "y" is a client that would bind to the channel, had we offered it: we have not, so all is well.
 */
static enum auth_step read_gs2(struct auth_exchange *exchange, struct bytes *response,
                               struct bytes *other)
{
    const struct bytes whole = *response;
    struct bytes flag;
    if (!take_part(response, &flag) || !take_part(response, other))
        return malformed(exchange, "no gs2-header");
    if (has_attribute(flag, 'p'))
        return auth_exchange_end(exchange, AUTH_FAILED, "wants channel binding");
    if (!bytes_equal(flag, BYTES("n")) && !bytes_equal(flag, BYTES("y")))
        return malformed(exchange, "no gs2-cbind-flag");
    if (other->len > 0 && !has_attribute(*other, 'a')) return malformed(exchange, "no authzid");
    const size_t len = whole.len - response->len;
    if (len > sizeof(exchange->gs2)) return malformed(exchange, "a gs2-header that is too long");
    memcpy(exchange->gs2, whole.data, len);
    exchange->gs2_len = (uint16_t)len;
    return AUTH_CHALLENGE;
}

static void put(struct auth_exchange *exchange, struct bytes octets)
{
    ASSERT(octets.len <= sizeof(exchange->message) - exchange->message_len);
    if (octets.len > 0) memcpy(exchange->message + exchange->message_len, octets.data, octets.len);
    exchange->message_len = (uint16_t)(exchange->message_len + octets.len);
}

/* Also what is shown to the client: it stays in the message. */
static struct bytes write_server_first(struct auth_exchange *exchange, struct bytes nonce)
{
    char salt[(AUTH_SALT_MAX + 2) / 3 * 4];
    struct text text;
    const size_t salt_len =
        codec_base64_encode(exchange->secret.salt, exchange->secret.salt_len, salt);
    text_init(&text, exchange->challenge, sizeof(exchange->challenge));
    text_put(&text, BYTES("r="));
    text_put(&text, nonce);
    text_put(&text, bytes_of(exchange->nonce));
    exchange->nonce_len = (uint16_t)(text.len - 2);
    text_put(&text, BYTES(",s="));
    text_put(&text, (struct bytes){salt, salt_len});
    text_printf(&text, ",i=%u", exchange->secret.iterations);
    ASSERT(!text.cut);
    put(exchange, BYTES(","));
    exchange->nonce_at = (uint16_t)(exchange->message_len + 2);
    put(exchange, text_bytes(&text));
    return text_bytes(&text);
}

enum auth_step scram_first(struct auth_exchange *exchange, const struct auth_users *users,
                           struct bytes response, struct bytes *challenge)
{
    char room[AUTH_NAME_MAX], other_room[AUTH_NAME_MAX];
    struct bytes coded_other = {0}, part, name, other = {0};
    const enum auth_step step = read_gs2(exchange, &response, &coded_other);
    if (step != AUTH_CHALLENGE) return step;
    put(exchange, response);
    if (has_attribute(response, 'm'))
        return auth_exchange_end(exchange, AUTH_FAILED, "demands an extension");
    if (!take_part(&response, &part) || !has_attribute(part, 'n') ||
        !read_name(bytes_skip(part, 2), room, &name))
        return malformed(exchange, "no username");
    part = take_last(&response);
    const struct bytes nonce = bytes_skip(part, 2);
    if (!has_attribute(part, 'r') || !nonce_is_valid(nonce)) return malformed(exchange, "no nonce");
    if (!extensions_are_valid(response)) return malformed(exchange, "something behind the nonce");
    if (!read_name(bytes_skip(coded_other, 2), other_room, &other))
        return malformed(exchange, "no authzid");
    if (!auth_exchange_identify(exchange, users, name))
        return malformed(exchange, "a name that is none");
    if (other.len > 0 && !bytes_equal(other, name))
        return auth_exchange_end(exchange, AUTH_FAILED, "wants to act for another user");
    *challenge = write_server_first(exchange, nonce);
    return AUTH_CHALLENGE;
}

/* ---- client-final, server-final
 * ------------------------------------------------------------------- */

/* Cuts ",p=" and the proof off; it is the last attribute. */
static bool take_proof(struct bytes *response, uint8_t proof[32])
{
    const char *comma = response->len > 0 ? memrchr(response->data, ',', response->len) : NULL;
    if (comma == NULL) return false;
    const size_t len = (size_t)(comma - response->data);
    const struct bytes part = bytes_skip(*response, len + 1);
    if (!has_attribute(part, 'p') || !auth_base64_read(bytes_skip(part, 2), proof, 32, 32, NULL))
        return false;
    response->len = len;
    return true;
}

/* The client repeats the gs2-header and the nonces: nobody in between has changed them. */
static enum auth_step check_repeated(struct auth_exchange *exchange, struct bytes response)
{
    char gs2[sizeof(exchange->gs2)];
    size_t gs2_len;
    const struct bytes binding = take_last(&response), nonce = take_last(&response);
    if (!has_attribute(binding, 'c') ||
        !auth_base64_read(bytes_skip(binding, 2), gs2, 0, sizeof(gs2), &gs2_len))
        return malformed(exchange, "no channel-binding");
    if (!has_attribute(nonce, 'r')) return malformed(exchange, "no nonce");
    if (!extensions_are_valid(response)) return malformed(exchange, "something behind the nonce");
    if (!bytes_equal((struct bytes){gs2, gs2_len},
                     (struct bytes){exchange->gs2, exchange->gs2_len}))
        return auth_exchange_end(exchange, AUTH_FAILED, "another gs2-header than at first");
    if (!bytes_equal(bytes_skip(nonce, 2),
                     (struct bytes){exchange->message + exchange->nonce_at, exchange->nonce_len}))
        return auth_exchange_end(exchange, AUTH_FAILED, "another nonce than at first");
    return AUTH_CHALLENGE;
}

static struct bytes octets_of(const uint8_t octets[32])
{
    return (struct bytes){(const char *)octets, 32};
}

/* RFC 5802 section 3: the proof gives ClientKey, of which StoredKey is the hash. */
static bool proves(const struct auth_exchange *exchange, const uint8_t proof[32])
{
    const struct bytes message = {exchange->message, exchange->message_len};
    uint8_t signature[32], client_key[32], stored_key[32];
    digest_hmac_sha256(octets_of(exchange->secret.stored_key), message, signature);
    for (size_t i = 0; i < sizeof(client_key); i++)
        client_key[i] = proof[i] ^ signature[i];
    digest_sha256_once(octets_of(client_key), stored_key);
    return digest_equal(stored_key, exchange->secret.stored_key, sizeof(stored_key));
}

static struct bytes write_server_final(struct auth_exchange *exchange)
{
    const struct bytes message = {exchange->message, exchange->message_len};
    uint8_t signature[32];
    digest_hmac_sha256(octets_of(exchange->secret.server_key), message, signature);
    memcpy(exchange->challenge, "v=", 2);
    return (struct bytes){exchange->challenge,
                          2 + codec_base64_encode(signature, 32, exchange->challenge + 2)};
}

enum auth_step scram_final(struct auth_exchange *exchange, struct bytes response,
                           struct bytes *challenge)
{
    uint8_t proof[32];
    if (!take_proof(&response, proof)) return malformed(exchange, "no proof");
    const enum auth_step step = check_repeated(exchange, response);
    if (step != AUTH_CHALLENGE) return step;
    put(exchange, BYTES(","));
    put(exchange, response);
    if (!proves(exchange, proof) || !exchange->known) return AUTH_FAILED;
    *challenge = write_server_final(exchange);
    return AUTH_CHALLENGE;
}
