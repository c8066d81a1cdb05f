/* SPDX-License-Identifier: Apache-2.0
 *
 * tool - what the three bench programs share: numbers, addresses, clocks, histogram, ring set-up
 */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *program_name = "bench";

void tool_name_set(const char *program)
{
    program_name = program;
}

_Noreturn void tool_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

uint64_t tool_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || value < min || value > max) {
        tool_die("%s: '%s' is not a number from %llu to %llu", option, text,
                 (unsigned long long)min, (unsigned long long)max);
    }
    return value;
}

double tool_decimal(const char *option, const char *text, double min, double max)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != 0 || !isfinite(value) || value < min || value > max) {
        tool_die("%s: '%s' is not a number from %g to %g", option, text, min, max);
    }
    return value;
}

void tool_address_parse(struct tool_address *address, const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        tool_die("'%s' is not host:port", text);
    }
    size_t length = (size_t)(colon - text);
    const char *start = text;
    if (length >= 2 && start[0] == '[' && start[length - 1] == ']') {
        start += 1;
        length -= 2;
    }
    memcpy(host, start, length);
    host[length] = 0;

    const struct addrinfo hints = {
        .ai_family = length == 0 ? AF_INET : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    const int rc = getaddrinfo(length == 0 ? NULL : host, colon + 1, &hints, &found);
    if (rc != 0) tool_die("'%s': %s", text, gai_strerror(rc));
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->length = found->ai_addrlen;
    freeaddrinfo(found);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * TOOL_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t tool_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t tool_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

void tool_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void *tool_alloc(size_t bytes)
{
    void *block = calloc(1, bytes);
    if (block == NULL) tool_die("no memory for %zu bytes", bytes);
    return block;
}

void *tool_grow(void *block, size_t bytes)
{
    void *grown = realloc(block, bytes);
    if (grown == NULL) tool_die("no memory for %zu bytes", bytes);
    return grown;
}

void tool_list_init(struct tool_link *head)
{
    head->next = head;
    head->previous = head;
}

void tool_list_append(struct tool_link *head, struct tool_link *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

void tool_list_remove(struct tool_link *link)
{
    if (link->next == NULL) return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = NULL;
    link->previous = NULL;
}

/* Values below 64 have a bucket each; above, the top six bits choose the bucket. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 64) return (unsigned)value;
    const unsigned shift = 58u - (unsigned)__builtin_clzll(value);
    return 32u * shift + (unsigned)(value >> shift);
}

static double bucket_middle(unsigned bucket)
{
    if (bucket < 64) return bucket;
    const unsigned shift = bucket / 32 - 1;
    return ldexp((double)(32 + bucket % 32) + 0.5, (int)shift);
}

void tool_histogram_add(struct tool_histogram *histogram, uint64_t value_us)
{
    histogram->buckets[bucket_of(value_us)] += 1;
    histogram->count += 1;
    if (value_us > histogram->max_us) histogram->max_us = value_us;
}

double tool_histogram_ms(const struct tool_histogram *histogram, double percentile)
{
    const double wanted = (double)histogram->count * percentile / 100.0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < TOOL_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            const double middle = bucket_middle(i);
            const double max = (double)histogram->max_us;
            return (middle < max ? middle : max) / 1000.0;
        }
    }
    return 0;
}

void tool_histogram_json(FILE *out, const char *name, const struct tool_histogram *histogram)
{
    fprintf(out,
            "\"%s\": {\"count\": %llu, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}",
            name, (unsigned long long)histogram->count, tool_histogram_ms(histogram, 50),
            tool_histogram_ms(histogram, 90), tool_histogram_ms(histogram, 99),
            (double)histogram->max_us / 1000.0);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void tool_cpu_json(FILE *out)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fprintf(out, "\"cpu_user_s\": %.4f, \"cpu_sys_s\": %.4f", seconds_of(usage.ru_utime),
            seconds_of(usage.ru_stime));
}

void tool_ring_open(struct io_uring *ring, unsigned entries)
{
    /* DEFER_TASKRUN came with Linux 6.1; one thread submits and reaps, as these flags demand. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = entries * 4,
    };
    int rc = io_uring_queue_init_params(entries, ring, &params);
    if (rc == -EINVAL) {
        params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = entries * 4};
        rc = io_uring_queue_init_params(entries, ring, &params);
    }
    if (rc < 0) {
        tool_die("io_uring is not to be had here (%s): is it blocked by seccomp or "
                 "kernel.io_uring_disabled?",
                 strerror(-rc));
    }
    io_uring_register_ring_fd(ring); /* saves a look-up a call; works without */
}

struct io_uring_sqe *tool_ring_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    while (sqe == NULL) {
        const int rc = io_uring_submit(ring);
        if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY) {
            tool_die("io_uring submit: %s", strerror(-rc));
        }
        sqe = io_uring_get_sqe(ring);
    }
    return sqe;
}

void tool_ring_wait(struct io_uring *ring, uint64_t deadline_ns)
{
    struct io_uring_cqe *cqe;
    int rc;
    if (deadline_ns == 0) {
        rc = io_uring_submit_and_wait(ring, 1);
    } else {
        const uint64_t now = tool_now_ns();
        const uint64_t wait = deadline_ns > now ? deadline_ns - now : 0;
        struct __kernel_timespec span = {
            .tv_sec = (long long)(wait / TOOL_NS_PER_S),
            .tv_nsec = (long long)(wait % TOOL_NS_PER_S),
        };
        rc = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &span, NULL);
    }
    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY) {
        tool_die("io_uring wait: %s", strerror(-rc));
    }
}
