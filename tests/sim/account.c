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
#include <stdlib.h>

struct tally {
    uint16_t received, delivered, failed;
};
static struct tally (*tallies)[MODEL_RECIPIENTS_MAX];

static const char *word(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text == NULL ? "" : text;
}

static void count(const json_t *record)
{
    uint32_t number, recipient;
    const char *type = word(record, "type");
    if (sscanf(word(record, "recipient"), "r%u.%u@", &number, &recipient) != 2) return;
    if (model_message(number) == NULL || recipient >= MODEL_RECIPIENTS_MAX)
        sim_fail(SIM_CHECK_ACCOUNT, "a record of %s, who is nobody", word(record, "recipient"));
    const double queued =
        json_number_value(json_object_get(json_object_get(record, "timings_ms"), "queued"));
    if (queued > (double)sim.now / 1e6 && !(sim.options.faults & SIM_FAULT_CLOCK))
        sim_fail(SIM_CHECK_ACCOUNT, "%s was in the queue for %.0f ms: longer than the run took",
                 word(record, "recipient"), queued);
    struct tally *tally = &tallies[number][recipient];
    tally->received += strcmp(type, "Reception") == 0;
    tally->delivered += strcmp(type, "Delivery") == 0;
    tally->failed += strcmp(type, "Bounce") == 0 || strcmp(type, "Expiration") == 0;
}

static void read_lines(const char *text, size_t len, const char *name, bool complete)
{
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        const size_t line = end == NULL ? len - at : (size_t)(end - text) - at;
        json_t *record = json_loadb(text + at, line, 0, NULL);
        if (record == NULL && complete)
            sim_fail(SIM_CHECK_ACCOUNT, "%s has a line that is not JSON: %.*s", name,
                     (int)MIN(line, (size_t)200), text + at);
        if (record != NULL) count(record);
        json_decref(record);
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
