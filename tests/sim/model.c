/* SPDX-License-Identifier: Apache-2.0
 *
 * model - messages and their fates
 */
#include "model.h"
#include "directory.h"
#include "peers.h"
#include "ringpost/codec/base64.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/digest.h"
#include "settings.h"
#include <stdlib.h>

static struct model_message *messages;
static uint32_t made;
static bool anything_goes_missing; /* a bit has flipped: copies of outcomes may be lost */

/* Acceptances not long ago: a crash excuses them. */
enum { RECENT_MAX = 4096 };
static struct recent {
    struct model_arrival arrival;
    instant at;
} recents[RECENT_MAX];
static uint64_t recent_count;

void model_init(void)
{
    messages = base_alloc((sim.options.messages + 1) * sizeof(*messages));
}

bool model_is_short_lived(void)
{
    return sim.options.seed % 7 == 3;
}

bool model_is_signed(void)
{
    return sim.options.seed % 5 < 2;
}

bool model_is_heavy(void)
{
    return sim.options.seed % 10 == 7;
}

bool model_is_relaxed(void)
{
    const uint32_t hard =
        SIM_FAULT_CUT | SIM_FAULT_KILL | SIM_FAULT_DISK | SIM_FAULT_FULL | SIM_FAULT_ROT;
    return sim.options.seed % 11 == 5 && (sim.options.faults & hard) == 0 &&
           sim.options.canary == 0;
}

const char *model_tls_policy(void)
{
    static const char *const policies[] = {"may", "encrypt", "verify", "none"};
    return policies[sim.options.seed % ARRAY_COUNT(policies)];
}

static bool must_be_secure(const struct model_recipient *one)
{
    return one->domain == 2 && sim.options.seed % 4 - 1 < 2;
}

static bool may_expire(const struct model_message *message)
{
    const duration expiry = model_is_short_lived() ? DURATION_S(20 * 60) : DURATION_S(48 * 3600);
    if (sim.options.faults & SIM_FAULT_CLOCK) return model_is_short_lived(); /* jumps count */
    /* An injector may read its answer a good while after it was given, or notice long after that it
     * gets none. */
    const instant durable = message->envelope_durable_at, answered = message->accepted_at;
    const instant begin = durable > 0 ? MIN(durable, answered) : answered;
    return sim.now + DURATION_S(120) > begin + expiry;
}

uint32_t model_count(void)
{
    return made;
}

struct model_message *model_message(uint32_t number)
{
    return number < made ? &messages[number] : NULL;
}

/* What few messages have, in runs with odd settings. */
struct oddity {
    bool stranger; /* From a domain that nobody signs for */
    bool twice;    /* two From fields, two Return-Path fields */
    bool many;     /* a header that does not lie in one piece */
    bool null_mx;
};

static struct oddity oddity_of(uint32_t number)
{
    const uint64_t chance = hash_u64(number * 104729u + sim.options.seed);
    if (!settings_are_odd()) return (struct oddity){0};
    return (struct oddity){
        .stranger = chance % 16 == 1,
        .twice = chance % 16 == 2,
        .many = (chance >> 8) % 8 == 1,
        .null_mx = (chance >> 16) % 16 == 1,
    };
}

uint32_t model_next(void)
{
    if (made == sim.options.messages) return UINT32_MAX;
    struct model_message *message = &messages[made];
    const bool heavy = model_is_heavy(), large = sim_below(SIM_INJECTOR, 20) == 0,
               many = sim_below(SIM_INJECTOR, 60) == 0;
    message->size =
        (uint32_t)sim_skewed(SIM_INJECTOR, 200, heavy || large ? MODEL_SIZE_MAX - 4096 : 8000);
    message->null_sender = sim_below(SIM_INJECTOR, 20) == 0;
    message->forbidden = sim_below(SIM_INJECTOR, 40) == 0;
    message->recipient_count =
        1 + (uint32_t)sim_skewed(SIM_INJECTOR, 0, many ? MODEL_RECIPIENTS_MAX - 1 : 11);
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        struct model_recipient *recipient = &message->recipients[i];
        recipient->domain = (uint32_t)sim_skewed(SIM_INJECTOR, 0, sim.options.domains - 1);
        recipient->dsn_wanted = !message->null_sender;
        const enum domain_kind kind = directory_kind(recipient->domain);
        /* Or its hosts may not know TLS. */
        recipient->may_fail =
            kind == DOMAIN_NULL_MX || kind == DOMAIN_ABSENT || must_be_secure(recipient);
    }
    const struct oddity odd = oddity_of(made);
    if (odd.stranger || odd.twice) message->signing = MODEL_NOT_SIGNED;
    message->null_mx = odd.null_mx && !message->null_sender;
    message->reports_lost = message->null_mx;
    return made++;
}

/* snprintf() is too slow for every line of every message. */
static char *put_word(char *out, const char *word)
{
    const size_t len = strlen(word);
    memcpy(out, word, len);
    return out + len;
}

static char *put_number(char *out, uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

/* A field, or a line, of which the number is the value. */
static char *put_tag(char *out, const char *name, uint32_t number)
{
    out = put_number(put_word(out, name), number);
    return put_word(out, ";\r\n");
}

static const char filler[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static char *put_line(char *out, uint32_t number, uint32_t line, uint64_t dice)
{
    if (dice % 16 == 0) out = put_word(out, ".");
    if (dice % 64 == 1) out = put_word(out, "...");
    *out++ = 'm';
    out = put_number(out, number);
    *out++ = ';';
    out = put_number(out, line);
    *out++ = ' ';
    memcpy(out, filler, sizeof(filler)); /* there is room, and it is quicker than a part */
    out = put_word(out + dice % 60, "\r\n");
    if (dice % 128 == 2) out = put_word(out, ".\r\n");
    if (dice % 128 == 3) out[-3] = (char)0xe4;
    return out;
}

struct bytes model_text(uint32_t number, bool handed_in)
{
    static char text[MODEL_SIZE_MAX];
    const struct model_message *message = &messages[number];
    const uint64_t chance = hash_u64(number * 7919u + sim.options.seed);
    const struct oddity odd = oddity_of(number);
    const char *trace = !handed_in        ? ""
                        : odd.twice       ? "Return-Path: <old@s.test>\r\nReturn-Path: <>\r\n"
                        : chance % 8 == 4 ? "Return-Path: <old@s.test>\r\n"
                                          : "";
    char *out = put_number(put_word(text, "From: <f"), number);
    out = put_word(out, odd.stranger ? "@other.test>\r\n" : "@s.test>\r\n");
    out = put_word(out, "To: undisclosed-recipients:;\r\n");
    out = put_word(out, trace);
    out = put_tag(out, "X-Sim: ", number);
    out = put_tag(out, "X-Sim: ", number);
    if (chance & 1) out = put_word(out, "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n");
    if (chance & 2) out = put_word(out, "Message-ID: <a@s.test>\r\n");
    if (odd.twice) out = put_word(out, "From: <b@s.test>\r\n");
    for (uint32_t i = 0; odd.many && i < 300; i++) {
        out = put_number(put_word(out, "X-Many: "), i);
        *out++ = ' ';
        out = put_word(put_word(out, filler), "\r\n");
    }
    out = put_word(out, "\r\n");
    const char *end = text + strlen(trace) + message->size - 200;
    for (uint32_t line = 0; out < end; line++)
        out = put_line(out, number, line, hash_u64(chance + line));
    if (message->forbidden) {
        out = put_number(put_word(out, "m"), number);
        *out++ = '\n';
    }
    out = put_tag(out, "X-End: ", number);
    out = put_tag(out, "X-End: ", number);
    ASSERT(out <= text + sizeof(text));
    return (struct bytes){text, (size_t)(out - text)};
}

void model_sender(uint32_t number, char out[64])
{
    out[0] = '\0';
    if (messages[number].null_sender) return;
    snprintf(out, 64, "f%u@%s.test", number, messages[number].null_mx ? "null" : "s");
}

void model_from_user(uint32_t number, bool few)
{
    uint8_t *signing = &messages[number].signing;
    if (few) *signing = MODEL_NOT_SIGNED; /* if it is taken at all: From is not this user's */
    /* A reload may take the user away meanwhile. */
    if (settings_are_odd()) *signing = MAX(*signing, (uint8_t)MODEL_PERHAPS_SIGNED);
}

void model_address(uint32_t number, uint32_t recipient, char out[64])
{
    snprintf(out, 64, "r%u.%u@d%u.test", number, recipient,
             messages[number].recipients[recipient].domain);
}

/* ---- injectors ---------------------------------------------------------------------------------
 */

/* On a disk that takes nothing a refusal cannot be made durable either: what of the message has
 * reached the disk all the same comes alive with the next start. Such an answer may be read late.
 */
static bool may_be_revoked(uint32_t code)
{
    return code >= 400 && code < 500 && (sim.options.faults & SIM_FAULT_DISK);
}

void model_answered(uint32_t number, uint32_t code, bool late)
{
    struct model_message *message = &messages[number];
    SIM_TRACE("model: message %u is answered %u", number, code);
    if (code >= 200 && code < 300) {
        if (message->forbidden)
            sim_fail(SIM_CHECK_REFUSED, "message %u has a bare LF and was accepted", number);
        if (!model_is_relaxed() && (!message->header_durable || !message->end_durable ||
                                    message->envelope_durable_at == 0))
            sim_fail(SIM_CHECK_DURABLE,
                     "message %u was answered %u, and is not on disk (header %s, end %s, envelope "
                     "%s)",
                     number, code, message->header_durable ? "yes" : "no",
                     message->end_durable ? "yes" : "no",
                     message->envelope_durable_at > 0 ? "yes" : "no");
        message->state = MODEL_ACCEPTED;
        message->accepted_at = sim.now;
        if (sim.options.canary == SIM_CANARY_REFUSED_KEPT && number % 5 == 0)
            message->state = MODEL_REFUSED;
        return;
    }
    message->state = code == 0 || (late && may_be_revoked(code)) ? MODEL_UNKNOWN : MODEL_REFUSED;
    message->accepted_at = sim.now;
}

bool model_all_answered(void)
{
    if (made < sim.options.messages) return false;
    for (uint32_t i = 0; i < made; i++) {
        if (messages[i].state == MODEL_NEW) return false;
    }
    return true;
}

/* ---- what becomes durable ----------------------------------------------------------------------
 */

static uint32_t number_at(const char *text, const char *end, char stop)
{
    uint64_t value = 0;
    const char *at = text;
    while (at < end && *at >= '0' && *at <= '9' && value < UINT32_MAX)
        value = value * 10 + (uint64_t)(*at++ - '0');
    return at > text && at < end && *at == stop ? (uint32_t)value : UINT32_MAX;
}

/* Calls found for each number that stands between the word and stop. The word's first octet is a
 * rare one: memmem() would look at each. */
static void scan(const char *data, size_t len, const char *word, char stop,
                 void (*found)(uint32_t number))
{
    const size_t word_len = strlen(word);
    const char *end = data + len;
    for (const char *at = data; (at = memchr(at, word[0], (size_t)(end - at))) != NULL;) {
        const bool equal = (size_t)(end - at) >= word_len && memcmp(at, word, word_len) == 0;
        at += equal ? word_len : 1;
        const uint32_t number = equal ? number_at(at, end, stop) : UINT32_MAX;
        if (number < made) found(number);
    }
}

static void header_found(uint32_t number)
{
    messages[number].header_durable = true;
}

static void end_found(uint32_t number)
{
    messages[number].end_durable = true;
}

static void envelope_found(uint32_t number)
{
    if (messages[number].envelope_durable_at == 0) messages[number].envelope_durable_at = sim.now;
}

/* A tag may lie across two pieces that become durable one after the other: the end of the last
 * piece of a file is put before the next one. Where a record is split a tag is torn for good, but
 * each is there twice. */
void model_on_durable(void *context, const char *path, uint64_t offset, const char *data,
                      size_t len)
{
    enum { TAIL = 64, PATHS = 16 };
    static char joined[TAIL + 2 * MODEL_SIZE_MAX];
    static struct tail {
        char path[160], text[TAIL];
        size_t len;
        uint64_t end;
    } tails[PATHS];
    if (strncmp(path, "/spool/", 7) != 0) return;
    struct tail *tail = &tails[hash_bytes(0, bytes_of(path)) % PATHS];
    if (strcmp(path, tail->path) != 0 || tail->end != offset) tail->len = 0;
    for (; len > sizeof(joined) - TAIL;
         offset += MODEL_SIZE_MAX, data += MODEL_SIZE_MAX, len -= MODEL_SIZE_MAX)
        model_on_durable(context, path, offset, data, MODEL_SIZE_MAX);
    memcpy(joined, tail->text, tail->len);
    memcpy(joined + tail->len, data, len);
    const size_t all = tail->len + len;
    scan(joined, all, "X-Sim: ", ';', header_found);
    scan(joined, all, "X-End: ", ';', end_found);
    scan(joined, all, "r", '.', envelope_found);
    tail->len = MIN(all, (size_t)TAIL - 1);
    memcpy(tail->text, joined + all - tail->len, tail->len);
    tail->end = offset + len;
    snprintf(tail->path, sizeof(tail->path), "%s", path);
}

static void damaged(uint32_t number)
{
    for (uint32_t i = 0; i < messages[number].recipient_count; i++)
        messages[number].recipients[i].may_fail = true;
    messages[number].accepted_at = 0;
    if (messages[number].state == MODEL_ACCEPTED) messages[number].state = MODEL_UNKNOWN;
}

void model_rot(const char *page, size_t len)
{
    anything_goes_missing = true;
    scan(page, len, "X-Sim: ", ';', damaged);
    scan(page, len, "X-End: ", ';', damaged);
    scan(page, len, "m", ';', damaged);
    scan(page, len, "r", '.', damaged);
}

/* ---- receivers ---------------------------------------------------------------------------------
 */

static bool parse_address(const char *address, uint32_t *number, uint32_t *recipient)
{
    uint32_t domain;
    int used = 0;
    if (sscanf(address, "r%u.%u@d%u.test%n", number, recipient, &domain, &used) != 3) return false;
    return address[used] == '\0' && *number < made &&
           *recipient < messages[*number].recipient_count &&
           messages[*number].recipients[*recipient].domain == domain;
}

static const char *describe(uint32_t number, uint32_t recipient)
{
    static char out[64];
    model_address(number, recipient, out);
    return out;
}

/* Octets that carry another message's number: each line does, perhaps behind dots. */
static void check_unmixed(uint32_t number, struct bytes content)
{
    const char *end = content.data + content.len;
    for (const char *at = content.data; at != NULL && at < end;) {
        while (at < end && *at == '.')
            at += 1;
        const uint32_t other = at < end && *at == 'm' ? number_at(at + 1, end, ';') : UINT32_MAX;
        if (other != UINT32_MAX && other != number)
            sim_fail(SIM_CHECK_MIXED, "octets of message %u in message %u", other, number);
        at = memchr(at, '\n', (size_t)(end - at));
        if (at != NULL) at += 1;
    }
}

/* -1 if it is no digit of quoted-printable. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A receiver without 8BITMIME gets the text in quoted-printable, and fields that say so: this takes
 * it back, with a decoder of its own. */
static struct bytes unconverted(struct bytes content)
{
    static const char fields[] = "MIME-Version: 1.0\r\nContent-Type: text/plain; "
                                 "charset=unknown-8bit\r\nContent-Transfer-Encoding: "
                                 "quoted-printable\r\n\r\n";
    static char original[MODEL_SIZE_MAX + 8192];
    const size_t fields_len = sizeof(fields) - 1;
    const char *at = memmem(content.data, content.len, fields, fields_len);
    if (at == NULL) return content;
    size_t len = (size_t)(at - content.data);
    const char *end = content.data + content.len;
    ASSERT(content.len < sizeof(original));
    memcpy(original, content.data, len);
    original[len++] = '\r';
    original[len++] = '\n';
    for (at += fields_len; at < end; at++) {
        if (*at != '=') {
            original[len++] = *at;
        } else if (end - at > 2 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            original[len++] = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
            at += 2;
        } else {
            at += 2; /* a soft break: CRLF */
        }
    }
    return (struct bytes){original, len};
}

/* Each signature's bh= is that of the body that arrived. What the fields are worth, other tests ask
 * of other programs. */
static void check_signatures(uint32_t number, struct bytes arrived)
{
    static char canonical[MODEL_SIZE_MAX + 8192];
    const char *body = memmem(arrived.data, arrived.len, "\r\n\r\n", 4);
    ASSERT(body != NULL && arrived.len < sizeof(canonical) - 2);
    body += 4;
    const size_t len = (size_t)(arrived.data + arrived.len - body);
    struct bytes rest = arrived;
    for (int i = 0; i < 2; i++) {
        char wanted[64];
        uint8_t hash[DIGEST_SHA256_LEN];
        const enum codec_dkim_mode mode = i == 0 ? CODEC_DKIM_RELAXED : CODEC_DKIM_SIMPLE;
        const size_t size = codec_dkim_canonical(body, len, canonical, mode);
        digest_sha256_once((struct bytes){canonical, size}, hash);
        const size_t wanted_len = codec_base64_encode(hash, sizeof(hash), wanted);
        const char *at = memmem(rest.data, rest.len, "bh=", 3);
        if (!bytes_starts_with_nocase(rest, BYTES("DKIM-Signature: ")) || at == NULL ||
            memcmp(at + 3, wanted, wanted_len) != 0)
            sim_fail(SIM_CHECK_OCTETS, "message %u arrived without its signature %d", number, i);
        const char *next = memmem(at, (size_t)(rest.data + rest.len - at), "\r\nDKIM", 6);
        if (i == 1) break;
        if (next == NULL)
            sim_fail(SIM_CHECK_OCTETS, "message %u arrived with one signature only", number);
        rest = bytes_skip(rest, (size_t)(next + 2 - rest.data));
    }
}

/* Is it to have one? Where that cannot be known: has it one? */
static bool has_signature(uint32_t number, struct bytes arrived)
{
    const enum model_signing signing = messages[number].signing;
    if (signing != MODEL_PERHAPS_SIGNED) return signing == MODEL_SIGNED;
    return bytes_starts_with_nocase(arrived, BYTES("DKIM-Signature: "));
}

/* Only fields that may be added stand before the original. */
static void check_octets(uint32_t number, struct bytes arrived)
{
    const struct bytes text = model_text(number, false), content = unconverted(arrived);
    check_unmixed(number, content);
    if (content.len < text.len ||
        memcmp(content.data + content.len - text.len, text.data, text.len) != 0) {
        sim_fail(SIM_CHECK_OCTETS, "message %u arrived changed: %zu octets, of which %zu were sent",
                 number, content.len, text.len);
    }
    const uint64_t chance = hash_u64(number * 7919u + sim.options.seed);
    const char *at = content.data, *end = content.data + content.len - text.len;
    bool received = false;
    const bool is_signed = model_is_signed() && has_signature(number, arrived);
    if (is_signed && content.data == arrived.data) check_signatures(number, arrived);
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const struct bytes rest = {at, (size_t)(end - at)};
        const bool fold = *at == ' ' || *at == '\t',
                   trace = bytes_starts_with_nocase(rest, BYTES("Received: ")),
                   signature = bytes_starts_with_nocase(rest, BYTES("DKIM-Signature: ")) &&
                               is_signed && !received,
                   date = bytes_starts_with_nocase(rest, BYTES("Date: ")) && !(chance & 1),
                   id = bytes_starts_with_nocase(rest, BYTES("Message-ID: ")) && !(chance & 2);
        if (line == NULL || (!fold && !trace && !signature && !date && !id))
            sim_fail(SIM_CHECK_OCTETS, "message %u arrived with more than trace fields", number);
        received |= trace;
        at = line + 1;
    }
    if (!received) sim_fail(SIM_CHECK_OCTETS, "message %u arrived without a trace field", number);
}

static void remember(const struct model_arrival *arrival)
{
    recents[recent_count++ % RECENT_MAX] = (struct recent){*arrival, sim.now};
}

static void check_delivery(uint32_t number, uint32_t recipient)
{
    struct model_message *message = &messages[number];
    struct model_recipient *one = &message->recipients[recipient];
    if (message->state == MODEL_REFUSED)
        sim_fail(SIM_CHECK_REFUSED, "message %u was refused, and arrives for %s", number,
                 describe(number, recipient));
    if (one->reported > one->reports_excused && !one->may_fail)
        sim_fail(SIM_CHECK_OUTCOME, "%s was reported as failed, and is delivered",
                 describe(number, recipient));
    one->arrived += 1;
    if (one->arrived > one->excused + 1) receivers_excuse();
    if (one->arrived > one->excused + 1 && !anything_goes_missing && !one->unreliable)
        sim_fail(SIM_CHECK_OUTCOME, "%s gets message %u %u times, of which %u are explained",
                 describe(number, recipient), number, one->arrived, one->excused);
}

static bool find_field(struct bytes content, size_t *from, const char *name, char *out, size_t size)
{
    const char *at = memmem(content.data + *from, content.len - *from, name, strlen(name));
    if (at == NULL) return false;
    at += strlen(name);
    size_t len = 0;
    const char *end = content.data + content.len;
    while (at + len < end && at[len] != '\r' && len + 1 < size)
        len += 1;
    memcpy(out, at, len);
    out[len] = '\0';
    *from = (size_t)(at - content.data);
    return true;
}

/* A recipient of a hostile session: anything goes. */
static bool is_of_hostile(const char *address)
{
    return *address == 'x' || *address == '"' || strncasecmp(address, "postmaster@", 11) == 0;
}

static size_t report_arrived(struct bytes content, struct model_arrival *arrivals, size_t max)
{
    char address[128], action[64];
    size_t from = 0, count = 0;
    if (model_is_signed() && !keys_have_failed() &&
        !bytes_starts_with_nocase(content, BYTES("DKIM-Signature: ")))
        sim_fail(SIM_CHECK_OCTETS, "a report arrived without its signature");
    while (find_field(content, &from, "\r\nFinal-Recipient: rfc822;", address, sizeof(address))) {
        uint32_t number, recipient;
        size_t next = from;
        if (is_of_hostile(address + (address[0] == ' '))) continue;
        if (!parse_address(address + (address[0] == ' '), &number, &recipient))
            sim_fail(SIM_CHECK_OUTCOME, "a report about %s, who is nobody", address);
        if (!find_field(content, &next, "\r\nAction: ", action, sizeof(action)))
            sim_fail(SIM_CHECK_OUTCOME, "a report about %s without an action", address);
        if (strcmp(action, "failed") != 0) continue;
        struct model_message *message = &messages[number];
        struct model_recipient *one = &message->recipients[recipient];
        SIM_TRACE("model: %s is reported as failed", describe(number, recipient));
        if (message->state == MODEL_REFUSED)
            sim_fail(SIM_CHECK_REFUSED, "message %u was refused, and is reported", number);
        if (!one->may_fail && !directory_has_lied() && !may_expire(message))
            sim_fail(SIM_CHECK_OUTCOME, "%s is reported as failed without a reason",
                     describe(number, recipient));
        if (one->arrived > one->excused) receivers_excuse();
        if (one->arrived > one->excused + one->reports_excused && !one->unreliable)
            sim_fail(SIM_CHECK_OUTCOME, "%s got message %u, and is reported as failed",
                     describe(number, recipient), number);
        if (!one->dsn_wanted)
            sim_fail(SIM_CHECK_OUTCOME, "a report about %s that nobody wanted",
                     describe(number, recipient));
        one->reported += 1;
        if (one->reported > one->reports_excused + 1) receivers_excuse();
        if (one->reported > one->reports_excused + 1 && !anything_goes_missing &&
            !message->reports_lost)
            sim_fail(SIM_CHECK_OUTCOME, "%s is reported %u times, of which %u are explained",
                     describe(number, recipient), one->reported, one->reports_excused);
        if (count == max) break;
        arrivals[count] = (struct model_arrival){number, recipient, true};
        remember(&arrivals[count++]);
    }
    return count;
}

size_t model_arrived(const char *sender, char (*recipients)[64], size_t count, struct bytes content,
                     struct model_arrival *arrivals, size_t max)
{
    size_t arrived = 0;
    if (strstr(recipients[0], "@s.test") != NULL || strstr(recipients[0], "@null.test") != NULL)
        return report_arrived(content, arrivals, max);
    for (size_t i = 0; i < count && arrived < max; i++) {
        uint32_t number, recipient;
        char expected[64];
        if (is_of_hostile(recipients[i])) continue;
        if (!parse_address(recipients[i], &number, &recipient))
            sim_fail(SIM_CHECK_OUTCOME, "mail for %s, who is nobody", recipients[i]);
        model_sender(number, expected);
        if (strcmp(expected, sender) != 0)
            sim_fail(SIM_CHECK_OCTETS, "message %u arrives from <%s>", number, sender);
        if (i == 0) check_octets(number, content);
        SIM_TRACE("model: message %u arrives for %s", number, recipients[i]);
        check_delivery(number, recipient);
        arrivals[arrived] = (struct model_arrival){number, recipient, false};
        remember(&arrivals[arrived++]);
    }
    return arrived;
}

void model_excuse(const struct model_arrival *arrival, const char *why)
{
    struct model_recipient *one = &messages[arrival->number].recipients[arrival->recipient];
    SIM_TRACE("model: the arrival at %s is not known to the sender: %s",
              describe(arrival->number, arrival->recipient), why);
    if (arrival->report) {
        one->reports_excused += 1;
    } else {
        one->excused += 1;
        one->may_fail |= true; /* not known to have arrived: it may expire */
    }
}

void model_unreliable(uint32_t domain)
{
    for (uint32_t number = 0; number < made; number++) {
        for (uint32_t i = 0; i < messages[number].recipient_count; i++) {
            struct model_recipient *one = &messages[number].recipients[i];
            if (one->domain == domain) one->may_fail = one->unreliable = true;
        }
    }
}

/* The report to that sender may never arrive: for reports there are none. */
static void lose_reports(const char *address)
{
    uint32_t number;
    if (sscanf(address, "f%u@", &number) == 1 && number < made)
        messages[number].reports_lost = true;
}

void model_refused(const char *address)
{
    lose_reports(address);
    uint32_t number, recipient;
    if (!parse_address(address, &number, &recipient)) return;
    messages[number].recipients[recipient].may_fail = true;
    messages[number].recipients[recipient].reason_at = sim.now;
}

void model_came_by(const char *address, bool secure, bool right_name)
{
    uint32_t number, recipient;
    if (!parse_address(address, &number, &recipient)) return;
    if (!must_be_secure(&messages[number].recipients[recipient])) return;
    if (!secure) sim_fail(SIM_CHECK_OCTETS, "in clear to a site with tls = %s", model_tls_policy());
    if (!right_name && strcmp(model_tls_policy(), "verify") == 0)
        sim_fail(SIM_CHECK_OCTETS, "to a host with another's certificate, tls = verify");
}

void model_lied_to(const char *address)
{
    uint32_t number, recipient;
    lose_reports(address);
    if (!parse_address(address, &number, &recipient)) return;
    messages[number].recipients[recipient].may_fail = true;
    messages[number].recipients[recipient].reason_at = sim.now;
    messages[number].recipients[recipient].unreliable = true;
}

/* ---- how long it may take until something is written --------------------------------------- */

enum { TROUBLES_MAX = 256 };
static struct trouble {
    instant from, until;
} troubles[TROUBLES_MAX];
static uint32_t trouble_count;

void model_trouble(instant until)
{
    struct trouble *last = trouble_count > 0 ? &troubles[trouble_count - 1] : NULL;
    if (last != NULL && last->until >= sim.now) {
        last->until = MAX(last->until, until);
        return;
    }
    if (trouble_count == TROUBLES_MAX) { /* of the two oldest one */
        troubles[0].until = troubles[1].until;
        memmove(troubles + 1, troubles + 2, (--trouble_count - 1) * sizeof(*troubles));
    }
    troubles[trouble_count++] = (struct trouble){sim.now, until};
}

/* What happened then has been recorded durably by now: two seconds, and as long as there is
 * trouble. The intervals are in order. */
static bool is_written_since(instant then)
{
    static const duration USUAL = DURATION_S(2);
    instant by = then + USUAL;
    for (uint32_t i = 0; i < trouble_count; i++) {
        if (troubles[i].from <= by && troubles[i].until + USUAL > by)
            by = troubles[i].until + USUAL;
    }
    return by < sim.now;
}

/* A report is durable before its recipient is marked: a crash in between costs a second one. */
static void excuse_reports(struct model_message *message)
{
    /* It is made when the whole attempt is over, for which another receiver may let it wait; and
     * made again, a minute later, when the disk did not take it, or said so. */
    const bool later =
        sim.options.faults & (SIM_FAULT_RECEIVER | SIM_FAULT_NET | SIM_FAULT_DISK | SIM_FAULT_FULL);
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        struct model_recipient *one = &message->recipients[i];
        const instant reason_at = MAX(one->reason_at, message->accepted_at);
        if ((one->may_fail && (later || !is_written_since(reason_at))) || directory_has_lied() ||
            may_expire(message))
            one->reports_excused += 1;
    }
}

void model_process_died(void)
{
    const uint64_t first = recent_count > RECENT_MAX ? recent_count - RECENT_MAX : 0;
    for (uint64_t i = recent_count; i-- > first;) {
        const struct recent *recent = &recents[i % RECENT_MAX];
        if (is_written_since(recent->at)) continue;
        model_excuse(&recent->arrival, "the process died soon after");
    }
    recent_count = 0;
    for (uint32_t number = 0; number < made; number++) {
        struct model_message *message = &messages[number];
        excuse_reports(message);
        /* As in may_be_revoked(). */
        if (message->state == MODEL_REFUSED && (sim.options.faults & SIM_FAULT_DISK) &&
            !is_written_since(message->accepted_at))
            message->state = MODEL_UNKNOWN;
    }
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static bool is_settled(const struct model_message *message, const struct model_recipient *one)
{
    if (one->unreliable) return true;
    if (message->reports_lost && (one->may_fail || directory_has_lied())) return true;
    if (directory_has_lied_about_senders() || may_expire(message)) return true;
    if (!one->taken || one->arrived > 0 || one->reported > 0) return true;
    return (one->may_fail || directory_has_lied()) && (!one->dsn_wanted || message->null_sender);
}

bool model_all_settled(char *what, size_t size)
{
    for (uint32_t number = 0; number < made; number++) {
        const struct model_message *message = &messages[number];
        for (uint32_t i = 0; i < message->recipient_count; i++) {
            const struct model_recipient *one = &message->recipients[i];
            if (message->state != MODEL_ACCEPTED || is_settled(message, one)) continue;
            snprintf(what, size, "message %u for %s, accepted at %.3f s", number,
                     describe(number, i), (double)message->accepted_at / 1e9);
            return false;
        }
    }
    return true;
}

void model_check_end(void)
{
    char what[200];
    for (uint32_t number = 0; number < made; number++) {
        const struct model_message *message = &messages[number];
        for (uint32_t i = 0; i < message->recipient_count; i++) {
            if (message->state == MODEL_ACCEPTED && message->recipients[i].arrived > 0 &&
                !message->recipients[i].taken)
                sim_fail(SIM_CHECK_REFUSED,
                         "%s was refused as a recipient of message %u, and got it",
                         describe(number, i), number);
        }
    }
    if (!model_all_settled(what, sizeof(what)))
        sim_fail(SIM_CHECK_OUTCOME, "%s: neither delivered nor reported", what);
}
