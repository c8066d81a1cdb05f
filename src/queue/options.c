/* SPDX-License-Identifier: Apache-2.0
 *
 * options - defaults, and which settings, route and source apply
 *
 * Looked up when a domain is routed, never for a message, so plain walks over the blocks will do.
 */
#include "ringpost/queue.h"

void queue_site_options_default(struct queue_site_options *options)
{
    /* RFC 5321 section 4.5.4.1: two tries in the first hour, then not faster than every 30
     * minutes, for 4 to 5 days. A pause of 10 minutes first, since greylisting asks for it. */
    static const uint32_t retry_s[] = {600, 1800, 3600, 7200, 14400};
    *options = (struct queue_site_options){
        .connections_max = 20,
        .messages_per_connection = 1000,
        .recipients_per_transaction = 100,
        .message_burst = 1,
        .connect_timeout = DURATION_S(30),
        .idle_timeout = DURATION_S(5),
        .retry_count = ARRAY_COUNT(retry_s),
        .expiry_s = 5 * 86400,
        .delay_notice_s = 4 * 3600,
        .host_pause_s = 60,
        .host_pause_max_s = 3600,
        .port = SMTP_PORT,
        .pipelining = true,
        .chunking = true,
    };
    memcpy(options->retry_s, retry_s, sizeof(retry_s));
}

void queue_tls_default(struct queue_tls *tls)
{
    *tls = (struct queue_tls){.policy = SMTP_TLS_MAY, .fail_memory_s = 3600};
}

void queue_options_default(struct queue_options *options)
{
    *options = (struct queue_options){
        .hostname = "localhost",
        .jobs_max = 20000,
        .gate_jobs_max = 1000,
        .connections_max = 4000,
        .job_bytes_max = 256u << 20,
        .error_bytes_max = 32u << 20,
    };
    queue_site_options_default(&options->defaults);
    queue_tls_default(&options->default_tls);
}

const struct queue_route *queue_options_route(const struct queue_options *options,
                                              struct bytes domain)
{
    const struct queue_route *any = NULL;
    for (size_t i = 0; i < options->route_count; i++) {
        const struct bytes name = bytes_of(options->routes[i].domain);
        if (bytes_equal_nocase(name, domain)) return &options->routes[i];
        if (bytes_equal(name, BYTES("*"))) any = &options->routes[i];
    }
    return any;
}

static bool is_or_is_under(struct bytes host, struct bytes name)
{
    if (host.len < name.len || name.len == 0) return false;
    const size_t before = host.len - name.len;
    if (before > 0 && host.data[before - 1] != '.') return false;
    return bytes_equal_nocase(bytes_skip(host, before), name);
}

const struct queue_site_options *queue_options_site(const struct queue_options *options,
                                                    struct bytes domain, struct bytes site,
                                                    struct bytes host, struct bytes *profile)
{
    const struct queue_site *by_site = NULL, *by_host = NULL;
    for (size_t i = 0; i < options->site_count; i++) {
        const struct queue_site *candidate = &options->sites[i];
        const struct bytes name = bytes_of(candidate->name);
        if (bytes_equal_nocase(name, domain)) {
            *profile = name;
            return &candidate->options;
        }
        if (by_site == NULL && bytes_equal_nocase(name, site)) by_site = candidate;
        if (by_host == NULL && is_or_is_under(host, name)) by_host = candidate;
    }
    if (by_site == NULL) by_site = by_host;
    *profile = by_site == NULL ? BYTES("") : bytes_of(by_site->name);
    return by_site == NULL ? &options->defaults : &by_site->options;
}

const struct queue_tls *queue_options_tls(const struct queue_options *options, struct bytes profile)
{
    for (size_t i = 0; profile.len > 0 && i < options->site_count; i++) {
        const struct queue_site *site = &options->sites[i];
        if (bytes_equal(bytes_of(site->name), profile)) return &site->tls;
    }
    return &options->default_tls;
}

const struct queue_source *queue_options_source(const struct queue_options *options, uint16_t index)
{
    static const struct queue_source anywhere = {.name = "default"};
    return index < options->source_count ? &options->sources[index] : &anywhere;
}
