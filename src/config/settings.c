/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - every block and every setting in it: name, kind, field, bounds
 *
 * The only list: the parser's tables, the checks of single values and the guesses at misspelt names
 * come from it. Defaults are not here but with the options' owners (see build.c);
 * docs/ringpost.conf shows them all, and a test compares the two.
 */
#include "config_private.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
/* A list kept elsewhere: pointer and length. */
#define LIST(type, items, length)                                                                  \
    .offset = offsetof(type, items), .size = sizeof(*((type *)0)->items),                          \
    .count_offset = offsetof(type, length), .count_size = sizeof(((type *)0)->length)
/* A list within the struct. */
#define ARRAY(type, items, length)                                                                 \
    .offset = offsetof(type, items), .size = sizeof(((type *)0)->items[0]),                        \
    .count_offset = offsetof(type, length), .count_size = sizeof(((type *)0)->length),             \
    .items_max = ARRAY_COUNT(((type *)0)->items)
#define NS      .unit = 1
#define SECONDS .unit = DURATION_S(1)

enum { DAY_S = 86400, WEEK_S = 7 * DAY_S };

/* ---- top level ------------------------------------------------------------------------------- */

static const struct setting top[] = {
    {"hostname", SETTING_HOST, FIELD(struct config, hostname)},
    {"workers", SETTING_COUNT, FIELD(struct config, workers.workers), .max = WORKERS_MAX},
    {"pin_workers", SETTING_BOOL, FIELD(struct config, workers.pin)},
    {"user", SETTING_TEXT, FIELD(struct config, user)},
    {"group", SETTING_TEXT, FIELD(struct config, group)},
    {"control", SETTING_TEXT, FIELD(struct config, control)},
    {"users", SETTING_TEXT, FIELD(struct config, users)},
    {"resolver", SETTING_ADDRESSES, LIST(struct config, dns.servers, dns.server_count), .unit = 53,
     .items_max = DNS_SERVERS_MAX},
    {"allow_loopback_delivery", SETTING_BOOL, FIELD(struct config, dns.allow_loopback)},
    {"shutdown_timeout", SETTING_DURATION, FIELD(struct config, shutdown_timeout), NS,
     .max = DURATION_S(DAY_S)},
};

static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static const struct setting log_settings[] = {
    {"path", SETTING_TEXT, FIELD(struct config, log.path)},
    {"level", SETTING_WORD, FIELD(struct config, workers.events.level), .words = levels},
    {"rotate_size", SETTING_SIZE, FIELD(struct config, log.rotate_size)},
    {"keep", SETTING_COUNT, FIELD(struct config, log.keep)},
};

static const struct setting account_settings[] = {
    {"path", SETTING_TEXT, FIELD(struct config, account.path)},
    {"rotate_size", SETTING_SIZE, FIELD(struct config, account.rotate_size)},
    {"rotate_age", SETTING_DURATION, FIELD(struct config, account.rotate_age), NS},
    {"keep_size", SETTING_SIZE, FIELD(struct config, account.keep_size)},
    {"keep_age", SETTING_DURATION, FIELD(struct config, account.keep_age), NS},
};

static const char *const durabilities[] = {"commit", "relaxed", NULL};
static const struct setting spool_settings[] = {
    {"path", SETTING_TEXT, FIELD(struct config, spool.path)},
    {"durability", SETTING_WORD, FIELD(struct config, spool.durability), .words = durabilities},
    {"segment_size", SETTING_SIZE, FIELD(struct config, spool.segment_size), .min = 1 << 20,
     .max = 1 << 30},
    {"memory", SETTING_SIZE, FIELD(struct config, spool.memory_max), .min = 16 << 20},
    {"reserve", SETTING_SIZE, FIELD(struct config, spool.reserve)},
    {"disk", SETTING_SIZE, FIELD(struct config, spool.disk_max)},
};

static const struct setting dns_settings[] = {
    {"timeout", SETTING_DURATION, FIELD(struct config, dns.timeout), NS, .min = DURATION_MS(50),
     .max = DURATION_S(60)},
    {"tries", SETTING_COUNT, FIELD(struct config, dns.tries), .min = 1, .max = 10},
    {"queries", SETTING_COUNT, FIELD(struct config, dns.queries_max), .min = 1, .max = 10000},
    {"cache", SETTING_COUNT, FIELD(struct config, dns.cache_entries), .min = 100, .max = 10000000},
    {"ttl_max", SETTING_DURATION, FIELD(struct config, dns.ttl_max), NS, .min = DURATION_S(1),
     .max = DURATION_S(DAY_S)},
    {"negative_ttl", SETTING_DURATION, FIELD(struct config, dns.negative_ttl), NS,
     .max = DURATION_S(DAY_S)},
    {"failure_ttl", SETTING_DURATION, FIELD(struct config, dns.failure_ttl), NS,
     .max = DURATION_S(DAY_S)},
    {"refuse_private", SETTING_BOOL, FIELD(struct config, dns.refuse_private)},
    {"ignore_ipv6", SETTING_BOOL, FIELD(struct config, dns.ignore_ipv6)},
    {"ipv4_first", SETTING_BOOL, FIELD(struct config, dns.ipv4_first)},
};

#define AUTH(member) FIELD(struct config, receive.auth.member)
static const struct setting auth_settings[] = {
    {"failures_per_client", SETTING_COUNT, AUTH(failures_per_client_max), .min = 1, .max = 1000},
    {"failures_per_user", SETTING_COUNT, AUTH(failures_per_user_max), .min = 1, .max = 1000},
    {"failure_window", SETTING_DURATION, AUTH(failure_window), NS, .min = DURATION_S(1),
     .max = DURATION_S(DAY_S)},
    {"cache", SETTING_DURATION, AUTH(cache_time), NS, .max = DURATION_S(DAY_S)},
};

static const struct setting delivery_settings[] = {
    {"connections", SETTING_COUNT, FIELD(struct config, queue.connections_max), .min = 1,
     .max = 1000000},
    {"memory", SETTING_SIZE, FIELD(struct config, queue.job_bytes_max), .min = 1 << 20},
    {"error_memory", SETTING_SIZE, FIELD(struct config, queue.error_bytes_max)},
};

/* ---- blocks with a title --------------------------------------------------------------------- */

#define LISTENER(member) FIELD(struct config_listener, options.member)
static const char *const tls_words[] = {"none", "starttls", "implicit", NULL};
static const char *const tls_versions[] = {"default", "1.2", "1.3", NULL}; /* enum tls_version */
static const struct setting listener_settings[] = {
    {"hostname", SETTING_BYTES, LISTENER(smtp.hostname)},
    {"banner", SETTING_BYTES, LISTENER(smtp.banner)},
    {"relay_from", SETTING_NETWORKS,
     LIST(struct config_listener, options.relay_from, options.relay_from_count)},
    {"max_message_size", SETTING_SIZE, LISTENER(smtp.max_message_size), .min = 1024,
     .max = 1u << 31},
    {"max_recipients", SETTING_COUNT, LISTENER(smtp.max_recipients), .min = 1, .max = 100000},
    {"max_command_line", SETTING_COUNT, LISTENER(smtp.max_command_line), .min = 512,
     .max = SMTP_SERVER_LINE_MAX},
    {"max_text_line", SETTING_COUNT, LISTENER(smtp.max_text_line)},
    {"max_bad_commands", SETTING_COUNT, LISTENER(smtp.max_bad_commands), .min = 1},
    {"max_received", SETTING_COUNT, LISTENER(smtp.max_received), .min = 1, .max = 1000},
    {"max_connections", SETTING_COUNT, LISTENER(connections_max), .min = 1, .max = 1000000},
    {"max_connections_per_client", SETTING_COUNT, LISTENER(connections_per_client_max), .min = 1,
     .max = 1000000},
    {"command_timeout", SETTING_DURATION, LISTENER(smtp.command_timeout_s), SECONDS, .min = 1,
     .max = DAY_S},
    {"data_timeout", SETTING_DURATION, LISTENER(smtp.content_timeout_s), SECONDS, .min = 1,
     .max = DAY_S},
    {"add_date", SETTING_BOOL, LISTENER(add_date)},
    {"add_message_id", SETTING_BOOL, LISTENER(add_message_id)},
    {"refuse_null_mx", SETTING_BOOL, LISTENER(refuse_null_mx)},
    {"dkim", SETTING_BOOL, LISTENER(dkim)},
    {"tls", SETTING_WORD, FIELD(struct config_listener, tls), .words = tls_words},
    {"certificate", SETTING_NAMES, LIST(struct config_listener, certificates, certificate_count)},
    {"key", SETTING_NAMES, LIST(struct config_listener, keys, key_count)},
    {"require_tls", SETTING_BOOL, LISTENER(smtp.require_tls)},
    {"tls_version", SETTING_WORD, FIELD(struct config_listener, min_version),
     .words = tls_versions},
    {"ciphers", SETTING_BYTES, FIELD(struct config_listener, ciphers)},
    {"ciphersuites", SETTING_BYTES, FIELD(struct config_listener, ciphersuites)},
    {"client_trust", SETTING_BYTES, FIELD(struct config_listener, client_trust)},
    {"tls_timeout", SETTING_DURATION, LISTENER(smtp.tls_timeout_s), SECONDS, .min = 1, .max = 3600},
    {"auth", SETTING_NAMES, LIST(struct config_listener, auth, auth_count)},
    {"auth_clear", SETTING_BOOL, LISTENER(smtp.auth_clear)},
    {"max_auth_failures", SETTING_COUNT, LISTENER(smtp.max_auth_failures), .min = 1, .max = 1000},
};

#define SOURCE(member) FIELD(struct queue_source, member)
static const struct setting source_settings[] = {
    {"address", SETTING_IPV4, SOURCE(address4)},
    {"address6", SETTING_IPV6, SOURCE(address6)},
    {"ehlo", SETTING_HOST, SOURCE(ehlo)},
};

#define SITE(member)     FIELD(struct config_site, options.member)
#define SITE_TLS(member) FIELD(struct config_site, member)
static const char *const tls_policies[] = {"none", "may", "encrypt", "verify", NULL};
static const char *const eight_bit_words[] = {"convert", "send", "bounce", NULL};
static const struct setting site_settings[] = {
    {"connections", SETTING_COUNT, SITE(connections_max), .min = 1, .max = QUEUE_CONNECTIONS_MAX},
    {"messages_per_connection", SETTING_COUNT, SITE(messages_per_connection)},
    {"recipients_per_transaction", SETTING_COUNT, SITE(recipients_per_transaction), .min = 1,
     .max = QUEUE_RECIPIENTS_MAX},
    {"messages_per_second", SETTING_RATE, SITE(message_interval)},
    {"burst", SETTING_COUNT, SITE(message_burst), .min = 1, .max = 1000000},
    {"connect_timeout", SETTING_DURATION, SITE(connect_timeout), NS, .min = DURATION_MS(10),
     .max = DURATION_S(3600)},
    {"idle_timeout", SETTING_DURATION, SITE(idle_timeout), NS, .max = DURATION_S(3600)},
    {"greeting_timeout", SETTING_DURATION, SITE(timeouts.greeting), SECONDS, .min = 1,
     .max = DAY_S},
    {"command_timeout", SETTING_DURATION, FIELD(struct config_site, command_timeout_s), SECONDS,
     .min = 1, .max = DAY_S},
    {"data_timeout", SETTING_DURATION, SITE(timeouts.data), SECONDS, .min = 1, .max = DAY_S},
    {"block_timeout", SETTING_DURATION, SITE(timeouts.block), SECONDS, .min = 1, .max = DAY_S},
    {"dot_timeout", SETTING_DURATION, SITE(timeouts.content), SECONDS, .min = 1, .max = DAY_S},
    {"retry", SETTING_DURATIONS, ARRAY(struct config_site, options.retry_s, options.retry_count),
     SECONDS, .min = 1, .max = WEEK_S},
    {"expiry", SETTING_DURATION, SITE(expiry_s), SECONDS, .min = 1, .max = 365 * DAY_S},
    {"delay_notice", SETTING_DURATION, SITE(delay_notice_s), SECONDS, .max = 365 * DAY_S},
    {"host_pause", SETTING_DURATION, SITE(host_pause_s), SECONDS, .max = DAY_S},
    {"host_pause_max", SETTING_DURATION, SITE(host_pause_max_s), SECONDS, .max = DAY_S},
    {"port", SETTING_COUNT, SITE(port), .min = 1, .max = UINT16_MAX},
    {"source", SETTING_TEXT, FIELD(struct config_site, source)},
    {"window", SETTING_COUNT, SITE(window_max), .max = UINT8_MAX},
    {"pipelining", SETTING_BOOL, SITE(pipelining)},
    {"chunking", SETTING_BOOL, SITE(chunking)},
    {"eight_bit", SETTING_WORD, SITE(eight_bit), .words = eight_bit_words},
    {"tls", SETTING_WORD, SITE_TLS(tls.policy), .words = tls_policies},
    {"tls_names", SETTING_NAMES, LIST(struct config_site, tls_names, tls_name_count)},
    {"tls_trust", SETTING_BYTES, SITE_TLS(tls_files.trust)},
    {"tls_certificate", SETTING_BYTES, SITE_TLS(tls_files.certificate)},
    {"tls_key", SETTING_BYTES, SITE_TLS(tls_files.key)},
    {"tls_version", SETTING_WORD, SITE_TLS(tls_files.min_version), .words = tls_versions},
    {"tls_ciphers", SETTING_BYTES, SITE_TLS(tls_files.ciphers)},
    {"tls_ciphersuites", SETTING_BYTES, SITE_TLS(tls_files.ciphersuites)},
    {"tls_timeout", SETTING_DURATION, SITE(timeouts.tls), SECONDS, .min = 1, .max = DAY_S},
    {"tls_fail_memory", SETTING_DURATION, SITE_TLS(tls.fail_memory_s), SECONDS, .min = 1,
     .max = WEEK_S},
};

static const char *const route_tls[] = {"starttls", "implicit", NULL};
static const struct setting route_settings[] = {
    {"to", SETTING_NAMES, LIST(struct config_route, to, to_count)},
    {"tls", SETTING_WORD, FIELD(struct config_route, tls), .words = route_tls},
    {"user", SETTING_BYTES, FIELD(struct config_route, user)},
    {"password", SETTING_BYTES, FIELD(struct config_route, password)},
    {"password_file", SETTING_BYTES, FIELD(struct config_route, password_file)},
    {"auth_clear", SETTING_BOOL, FIELD(struct config_route, auth_clear)},
};

#define DKIM(member) FIELD(struct config_dkim, member)
static const char *const canonicalizations[] = {"simple/simple", "simple/relaxed", "relaxed/simple",
                                                "relaxed/relaxed", NULL};
static const struct setting dkim_settings[] = {
    {"selector", SETTING_TEXT, DKIM(selector)},
    {"key", SETTING_TEXT, DKIM(key)},
    {"canonicalization", SETTING_WORD, DKIM(canonicalization), .words = canonicalizations},
    {"headers", SETTING_NAMES, LIST(struct config_dkim, headers, header_count)},
    {"oversign", SETTING_NAMES, LIST(struct config_dkim, oversign, oversign_count)},
    {"expire", SETTING_DURATION, DKIM(expire_s), SECONDS, .max = 365 * DAY_S},
    {"all", SETTING_BOOL, DKIM(all)},
    {"subdomains", SETTING_BOOL, DKIM(subdomains)},
};

#define BLOCK(name, title, list)                                                                   \
    {                                                                                              \
        name, title, list, ARRAY_COUNT(list)                                                       \
    }
const struct block config_blocks[BLOCK_COUNT] = {
    [BLOCK_TOP] = BLOCK(NULL, NULL, top),
    [BLOCK_LOG] = BLOCK("log", NULL, log_settings),
    [BLOCK_ACCOUNT] = BLOCK("account", NULL, account_settings),
    [BLOCK_SPOOL] = BLOCK("spool", NULL, spool_settings),
    [BLOCK_DNS] = BLOCK("dns", NULL, dns_settings),
    [BLOCK_AUTH] = BLOCK("auth", NULL, auth_settings),
    [BLOCK_DELIVERY] = BLOCK("delivery", NULL, delivery_settings),
    [BLOCK_LISTENER] = BLOCK("listener", "an address and port", listener_settings),
    [BLOCK_SOURCE] = BLOCK("source", "a name", source_settings),
    [BLOCK_SITE] = BLOCK("site", "\"default\", a domain or a mail host", site_settings),
    [BLOCK_ROUTE] = BLOCK("route", "a domain or \"*\"", route_settings),
    [BLOCK_DKIM] = BLOCK("dkim", "a domain", dkim_settings),
};
