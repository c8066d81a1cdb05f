/* SPDX-License-Identifier: Apache-2.0
 *
 * keys - signing keys, which may fail when they are used, and hashes of passwords
 *
 * The linker puts these before the product's and before the libraries'. What is dear and gives the
 * same for the same each time, a key from its text and the hash of a password, is made once a run.
 */
#include "peers.h"
#include "ringpost/dkim.h"
#include <crypt.h>

static bool have_failed;

bool keys_have_failed(void)
{
    return have_failed;
}

bool __real_dkim_field_sign(struct dkim_field *field, uint32_t slot);
bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot);

bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot)
{
    if (!sim_fault(SIM_FAULT_KEYS, SIM_KEYS, 20)) return __real_dkim_field_sign(field, slot);
    SIM_TRACE("keys: a key fails");
    have_failed = true;
    return false;
}

/* ---- keys from their text ---------------------------------------------------------------------
 */

struct dkim_key *__real_dkim_key_read(struct dkim_key_reader *reader, struct bytes pem, char *why,
                                      size_t why_size);
struct dkim_key *__wrap_dkim_key_read(struct dkim_key_reader *reader, struct bytes pem, char *why,
                                      size_t why_size);

struct dkim_key *__wrap_dkim_key_read(struct dkim_key_reader *reader, struct bytes pem, char *why,
                                      size_t why_size)
{
    static struct {
        uint64_t text;
        struct dkim_key *key;
    } known[16];
    const uint64_t hash = hash_bytes(1, pem);
    const size_t at = hash % ARRAY_COUNT(known);
    if (known[at].text != hash) {
        struct dkim_key *key = __real_dkim_key_read(reader, pem, why, why_size);
        if (key == NULL || known[at].key != NULL) return key;
        known[at].text = hash;
        known[at].key = key;
    }
    return dkim_key_ref(known[at].key);
}

/* ---- passwords --------------------------------------------------------------------------------
 */

char *__wrap_crypt_rn(const char *phrase, const char *setting, void *data, int size);
char *__real_crypt_rn(const char *phrase, const char *setting, void *data, int size);

char *__wrap_crypt_rn(const char *phrase, const char *setting, void *data, int size)
{
    static struct {
        uint64_t question;
        char hash[CRYPT_OUTPUT_SIZE];
    } known[64];
    threads_sleep(sim.now + DURATION_MS(1 + sim_skewed(SIM_AUTH, 2, 400)));
    const uint64_t question = hash_bytes(hash_bytes(1, bytes_of(phrase)), bytes_of(setting));
    const size_t at = question % ARRAY_COUNT(known);
    if (known[at].question != question) {
        char *hash = __real_crypt_rn(phrase, setting, data, size);
        if (hash == NULL || known[at].question != 0) return hash;
        known[at].question = question;
        snprintf(known[at].hash, sizeof(known[at].hash), "%s", hash);
    }
    struct crypt_data *out = data;
    ASSERT((size_t)size >= sizeof(*out));
    memcpy(out->output, known[at].hash, sizeof(known[at].hash));
    return out->output;
}
