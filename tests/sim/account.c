/* SPDX-License-Identifier: Apache-2.0
 *
 * account - reads the account files from the simulated disk, and compares
 *
 * The account is not made durable, so a crash may take its last lines; what it says must be true in
 * any case.
 */
#include "account.h"
#include "disk.h"
#include "model.h"
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

struct tally {
    uint16_t received, delivered, failed;
};
static struct tally (*tallies)[MODEL_RECIPIENTS_MAX];

/* What is compared of a record. */
struct record {
    struct bytes type, recipient;
    double queued_ms;
};

static void count(const struct record *record)
{
    uint32_t number, recipient;
    char address[64];
    snprintf(address, sizeof(address), "%.*s", (int)record->recipient.len, record->recipient.data);
    if (sscanf(address, "r%u.%u@", &number, &recipient) != 2) return;
    if (model_message(number) == NULL || recipient >= MODEL_RECIPIENTS_MAX)
        sim_fail(SIM_CHECK_ACCOUNT, "a record of %s, who is nobody", address);
    if (record->queued_ms > (double)sim.now / 1e6 && !(sim.options.faults & SIM_FAULT_CLOCK))
        sim_fail(SIM_CHECK_ACCOUNT, "%s was in the queue for %.0f ms: longer than the run took",
                 address, record->queued_ms);
    struct tally *tally = &tallies[number][recipient];
    tally->received += bytes_equal(record->type, BYTES("Reception"));
    tally->delivered += bytes_equal(record->type, BYTES("Delivery"));
    tally->failed += bytes_equal(record->type, BYTES("Bounce")) ||
                     bytes_equal(record->type, BYTES("Expiration"));
}

/* ---- one line ---------------------------------------------------------------------------------
 *
 * A run has many thousands, most of them of attempts in vain. So jansson reads one in 32, and
 * those that look torn; the others are searched for what is compared, and where both read the same
 * line they must agree.
 */

#define RECORD_BEGIN BYTES("{\"type\":\"")

/* Behind the words; empty data if they are not there. Inside of a string a quote is escaped, so
 * they are the name of a field. */
static struct bytes behind(struct bytes line, struct bytes words)
{
    const char *at = memmem(line.data, line.len, words.data, words.len);
    if (at == NULL) return (struct bytes){"", 0};
    at += words.len;
    return (struct bytes){at, (size_t)(line.data + line.len - at)};
}

static struct bytes until_quote(struct bytes text)
{
    const char *end = text.len > 0 ? memchr(text.data, '"', text.len) : NULL;
    return (struct bytes){text.data, end == NULL ? 0 : (size_t)(end - text.data)};
}

static void search_line(struct bytes line, struct record *record)
{
    record->type = until_quote(bytes_skip(line, RECORD_BEGIN.len));
    record->recipient = until_quote(behind(line, BYTES(",\"recipient\":\"")));
    const struct bytes queued = behind(line, BYTES("{\"queued\":"));
    record->queued_ms = queued.len > 0 ? strtod(queued.data, NULL) : 0;
}

static bool looks_torn(struct bytes line)
{
    if (line.len <= RECORD_BEGIN.len || line.data[line.len - 1] != '}') return true;
    if (memcmp(line.data, RECORD_BEGIN.data, RECORD_BEGIN.len) != 0) return true;
    if (memchr(line.data, '\0', line.len) != NULL) return true;
    return behind(bytes_skip(line, 1), RECORD_BEGIN).len > 0;
}

static struct bytes word(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return bytes_of(text == NULL ? "" : text);
}

static void read_line(struct bytes line, const char *name, bool complete, bool thoroughly)
{
    struct record record, found;
    const bool torn = looks_torn(line);
    if (!torn) search_line(line, &found);
    if (!torn && !thoroughly) {
        count(&found);
        return;
    }
    json_t *json = json_loadb(line.data, line.len, 0, NULL);
    if (json == NULL && complete)
        sim_fail(SIM_CHECK_ACCOUNT, "%s has a line that is not JSON: %.*s", name,
                 (int)MIN(line.len, (size_t)200), line.data);
    if (json == NULL) return;
    record.type = word(json, "type");
    record.recipient = word(json, "recipient");
    record.queued_ms =
        json_number_value(json_object_get(json_object_get(json, "timings_ms"), "queued"));
    const bool escaped = memchr(line.data, '\\', line.len) != NULL;
    if (!torn && !escaped &&
        (!bytes_equal(record.type, found.type) || !bytes_equal(record.recipient, found.recipient) ||
         fabs(record.queued_ms - found.queued_ms) > 0.5))
        sim_fail(SIM_CHECK_ACCOUNT, "%s has a line that is read in two ways: %.*s", name,
                 (int)MIN(line.len, (size_t)200), line.data);
    count(&record);
    json_decref(json);
}

static void read_lines(const char *text, size_t len, const char *name, bool complete)
{
    for (size_t at = 0, lines = 0; at < len; lines++) {
        const char *end = memchr(text + at, '\n', len - at);
        const size_t line = end == NULL ? len - at : (size_t)(end - text) - at;
        read_line((struct bytes){text + at, line}, name, complete, lines % 32 == 0);
        at += line + 1;
    }
}

struct reading {
    bool complete;
};

static bool read_file(const char *name, void *context)
{
    const struct reading *reading = context;
    struct disk_file *file;
    char path[300];
    snprintf(path, sizeof(path), "/account/%s", name);
    if (disk_open(sim.disk, path, O_RDONLY, &file) < 0) return true;
    const size_t size = (size_t)disk_size(file);
    char *text = base_alloc(size + 1);
    const int64_t got = disk_read(file, text, size, 0);
    read_lines(text, (size_t)MAX(got, 0), name, reading->complete);
    base_free(text);
    disk_close(file);
    return true;
}

static void compare(uint32_t number, uint32_t i, bool complete)
{
    const struct model_message *message = model_message(number);
    const struct model_recipient *one = &message->recipients[i];
    const struct tally *tally = &tallies[number][i];
    const bool accepted = message->state == MODEL_ACCEPTED && one->taken;
    char address[64];
    model_address(number, i, address);
    if (message->state == MODEL_REFUSED && tally->received + tally->delivered > 0)
        sim_fail(SIM_CHECK_ACCOUNT, "the account knows message %u, which was refused", number);
    if (one->unreliable) return; /* its receiver told both sides different things */
    if (tally->delivered > one->arrived)
        sim_fail(SIM_CHECK_ACCOUNT, "message %u for %s: %u deliveries in the account, %u arrivals",
                 number, address, tally->delivered, one->arrived);
    if (!complete || !accepted) return;
    if (tally->received != 1)
        sim_fail(SIM_CHECK_ACCOUNT, "message %u for %s: %u receptions in the account", number,
                 address, tally->received);
    if (tally->delivered + one->excused < one->arrived)
        sim_fail(SIM_CHECK_ACCOUNT, "message %u for %s: %u deliveries in the account, %u arrivals",
                 number, address, tally->delivered, one->arrived);
    if (tally->delivered + tally->failed != 1)
        sim_fail(SIM_CHECK_ACCOUNT,
                 "message %u for %s: %u deliveries and %u failures in the account", number, address,
                 tally->delivered, tally->failed);
}

void account_check(bool complete)
{
    struct reading reading = {complete};
    tallies = base_alloc((model_count() + 1) * sizeof(*tallies));
    if (disk_list(sim.disk, "/account", read_file, &reading) < 0)
        sim_fail(SIM_CHECK_ACCOUNT, "there is no account");
    for (uint32_t number = 0; number < model_count(); number++) {
        for (uint32_t i = 0; i < model_message(number)->recipient_count; i++)
            compare(number, i, complete);
    }
    base_free(tallies);
}
