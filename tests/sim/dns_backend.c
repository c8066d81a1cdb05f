/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_backend - the world's DNS behind the seam of dns.h
 *
 * Answers are whole messages, as from a server; late, cut, spoilt or refused ones when faults are
 * on.
 */
#include "directory.h"
#include "ringpost/dns.h"
#include "ringpost/ring.h"
#include <stdlib.h>

static bool has_lied, has_lied_about_senders;

bool directory_has_lied(void)
{
    return has_lied;
}

bool directory_has_lied_about_senders(void)
{
    return has_lied_about_senders;
}

uint32_t directory_sites(void)
{
    return MIN(MAX(sim.options.domains / 3, 1u), (uint32_t)SITES_MAX);
}

uint32_t directory_site(uint32_t domain)
{
    return domain % directory_sites();
}

enum domain_kind directory_kind(uint32_t domain)
{
    const uint64_t chance = hash_u64(sim.options.seed * 1000003 + domain) % 20;
    if (domain < directory_sites()) return DOMAIN_PLAIN;
    return chance == 0   ? DOMAIN_NULL_MX
           : chance == 1 ? DOMAIN_ABSENT
           : chance < 5  ? DOMAIN_ALIAS
                         : DOMAIN_PLAIN;
}

struct address directory_address(uint32_t host)
{
    return (struct address){.family = 4, .prefix = 32, .port = 25, .ip = {10, 0, (uint8_t)host, 1}};
}

bool directory_has_route(void)
{
    return sim.options.seed % 4 == 1 && directory_sites() > 1;
}

struct address directory_address6(uint32_t host)
{
    struct address address = {.family = 6, .prefix = 128, .port = 25, .ip = {0xfd, 0x53}};
    if (host % 4 != 3) return (struct address){0};
    address.ip[15] = (uint8_t)(host + 1);
    return address;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

struct message {
    unsigned char data[60000];
    size_t len;
    uint16_t answers;
};

static void put16(struct message *message, unsigned value)
{
    message->data[message->len++] = (unsigned char)(value >> 8);
    message->data[message->len++] = (unsigned char)value;
}

static void put_name(struct message *message, const char *name)
{
    while (*name != '\0') {
        const size_t len = strcspn(name, ".");
        message->data[message->len++] = (unsigned char)len;
        memcpy(message->data + message->len, name, len);
        message->len += len;
        name += len + (name[len] == '.');
    }
    message->data[message->len++] = 0;
}

/* Returns where the length of the data stands. */
static size_t begin_record(struct message *message, const char *name, unsigned type)
{
    put_name(message, name);
    put16(message, type);
    put16(message, 1);
    put16(message, 0);
    put16(message, 300);
    put16(message, 0);
    message->answers += 1;
    return message->len - 2;
}

static void end_record(struct message *message, size_t at)
{
    const size_t len = message->len - at - 2;
    message->data[at] = (unsigned char)(len >> 8);
    message->data[at + 1] = (unsigned char)len;
}

static void put_mx(struct message *message, const char *name, unsigned preference, const char *host)
{
    const size_t at = begin_record(message, name, DNS_TYPE_MX);
    put16(message, preference);
    put_name(message, host);
    end_record(message, at);
}

static void put_mail_hosts(struct message *message, const char *name, uint32_t site)
{
    const bool equal = hash_u64(site) % 2 == 0;
    for (uint32_t i = 0; i < 2; i++) {
        char host[32];
        snprintf(host, sizeof(host), "h%u.mx.test", 2 * site + i);
        put_mx(message, name, equal ? 10 : 10 + 10 * i, host);
    }
}

/* Returns the response code. */
static unsigned answer_mx(struct message *message, const char *name)
{
    char target[32];
    uint32_t domain;
    if (strcmp(name, "s.test") == 0) {
        put_mail_hosts(message, name, SENDER_SITE);
        return 0;
    }
    if (strcmp(name, "null.test") == 0) {
        put_mx(message, name, 0, "");
        return 0;
    }
    if (sscanf(name, "d%u.test", &domain) != 1) return 3;
    switch (directory_kind(domain)) {
    case DOMAIN_PLAIN:
        put_mail_hosts(message, name, directory_site(domain));
        return 0;
    case DOMAIN_ALIAS:
        snprintf(target, sizeof(target), "a%u.test", domain);
        const size_t at = begin_record(message, name, DNS_TYPE_CNAME);
        put_name(message, target);
        end_record(message, at);
        put_mail_hosts(message, target, directory_site(domain));
        return 0;
    case DOMAIN_NULL_MX:
        put_mx(message, name, 0, "");
        return 0;
    case DOMAIN_ABSENT:
        break;
    }
    return 3;
}

static unsigned answer_address(struct message *message, const char *name)
{
    uint32_t host;
    if (sscanf(name, "h%u.mx.test", &host) != 1 || host >= HOSTS_MAX) {
        uint32_t domain;
        const bool known =
            strcmp(name, "s.test") == 0 || sscanf(name, "a%u.test", &domain) == 1 ||
            (sscanf(name, "d%u.test", &domain) == 1 && directory_kind(domain) != DOMAIN_ABSENT);
        return known ? 0 : 3;
    }
    const struct address address = directory_address(host);
    const size_t at = begin_record(message, name, DNS_TYPE_A);
    memcpy(message->data + message->len, address.ip, 4);
    message->len += 4;
    end_record(message, at);
    return 0;
}

static unsigned answer_address6(struct message *message, const char *name)
{
    struct message other = {.len = 12};
    const unsigned code = answer_address(&other, name);
    uint32_t host = 0;
    if (code != 0 || sscanf(name, "h%u.mx.test", &host) != 1) return code;
    const struct address address = directory_address6(host);
    if (address.family == 0) return 0; /* no such data */
    const size_t at = begin_record(message, name, DNS_TYPE_AAAA);
    memcpy(message->data + message->len, address.ip, 16);
    message->len += 16;
    end_record(message, at);
    return 0;
}

static void make_answer(struct message *message, const char *name, enum dns_type type)
{
    *message = (struct message){.len = 12};
    put_name(message, name);
    put16(message, type);
    put16(message, 1);
    unsigned code = 0;
    if (type == DNS_TYPE_MX) code = answer_mx(message, name);
    if (type == DNS_TYPE_A) code = answer_address(message, name);
    if (type == DNS_TYPE_AAAA) {
        code = answer_address6(message, name);
    }
    message->data[2] = 0x81;
    message->data[3] = (unsigned char)(0x80 | code);
    message->data[5] = 1;
    message->data[6] = (unsigned char)(message->answers >> 8);
    message->data[7] = (unsigned char)message->answers;
}

/* Thousands of records, or octets that are not what was sent. */
static void spoil(struct message *message, const char *name, enum dns_type type)
{
    uint32_t host = 0;
    has_lied = true;
    (void)sscanf(name, "h%u.", &host);
    has_lied_about_senders |= strcmp(name, "s.test") == 0 || host >= 2 * SENDER_SITE;
    switch (sim_below(SIM_DNS, 5)) {
    case 0:
        message->len = sim_below(SIM_DNS, message->len + 1);
        break;
    case 1:
        for (uint64_t i = sim_below(SIM_DNS, 5); message->len > 0; i--) {
            message->data[sim_below(SIM_DNS, message->len)] ^=
                (unsigned char)(1u << sim_below(SIM_DNS, 8));
            if (i == 0) break;
        }
        break;
    case 2:
        while (type == DNS_TYPE_MX && message->len < sizeof(message->data) - 200)
            put_mx(message, name, 5, "none.test");
        message->data[6] = (unsigned char)(message->answers >> 8);
        message->data[7] = (unsigned char)message->answers;
        break;
    case 3: /* another set of hosts than a moment ago; they take the mail too */
        if (type != DNS_TYPE_MX) break;
        message->len = 12;
        message->answers = 0;
        put_name(message, name);
        put16(message, type);
        put16(message, 1);
        put_mail_hosts(message, name, (uint32_t)sim_below(SIM_DNS, directory_sites()));
        message->data[3] = 0x80;
        message->data[6] = 0;
        message->data[7] = (unsigned char)message->answers;
        break;
    default:
        message->data[3] = (unsigned char)(0x80 | sim_below(SIM_DNS, 16));
        break;
    }
}

/* ---- the backend -------------------------------------------------------------------------------
 */

struct dns_backend {
    struct ring *ring;
    struct list questions;
    duration timeout;
};

struct question {
    struct list link;
    struct ring_timer timer;
    struct dns_backend_query *query;
    enum dns_error error;
    size_t len;
    char answer[];
};

static void answered(struct ring_timer *timer)
{
    struct question *question = CONTAINER_OF(timer, struct question, timer);
    struct bytes answer = {question->answer, question->len};
    list_remove(&question->link);
    if (question->error != DNS_ERROR_NONE) answer.len = 0;
    question->query->on_answer(question->query, question->error, answer);
    base_free(question);
}

struct dns_backend *dns_backend_create(struct ring *ring, const struct dns_backend_options *options,
                                       char *why, size_t why_size)
{
    struct dns_backend *backend = base_alloc(sizeof(*backend));
    (void)why, (void)why_size;
    backend->ring = ring;
    backend->timeout = options->timeout * options->tries;
    list_init(&backend->questions);
    return backend;
}

void dns_backend_ask(struct dns_backend *backend, struct dns_backend_query *query, const char *name,
                     enum dns_type type)
{
    static struct message message;
    enum dns_error error = DNS_ERROR_NONE;
    duration delay = DURATION_US(100 + sim_skewed(SIM_DNS, 0, 20000));
    make_answer(&message, name, type);
    if (sim_fault(SIM_FAULT_DNS, SIM_DNS, 20)) delay = DURATION_MS(sim_skewed(SIM_DNS, 1, 30000));
    if (sim_fault(SIM_FAULT_DNS, SIM_DNS, 20)) {
        error = (enum dns_error)(DNS_ERROR_TIMEOUT + sim_below(SIM_DNS, 4));
    } else if (sim_fault(SIM_FAULT_DNS, SIM_DNS, 30)) {
        spoil(&message, name, type);
    }
    if (delay > backend->timeout) {
        delay = backend->timeout;
        error = DNS_ERROR_TIMEOUT;
    }
    struct question *question = base_alloc(sizeof(*question) + message.len);
    question->query = query;
    question->error = error;
    question->len = message.len;
    memcpy(question->answer, message.data, message.len);
    ring_timer_init(&question->timer, answered);
    ring_timer_arm(backend->ring, &question->timer, ring_now(backend->ring) + delay);
    list_push_back(&backend->questions, &question->link);
}

void dns_backend_destroy(struct dns_backend **backend)
{
    struct dns_backend *mine = *backend;
    *backend = NULL;
    if (mine == NULL) return;
    struct list *node;
    while ((node = list_pop_front(&mine->questions)) != NULL) {
        struct question *question = CONTAINER_OF(node, struct question, link);
        ring_timer_disarm(mine->ring, &question->timer);
        base_free(question);
    }
    base_free(mine);
}
