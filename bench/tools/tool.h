/* SPDX-License-Identifier: Apache-2.0
 *
 * tool - what the three bench programs share: numbers, addresses, clocks, histogram, ring set-up
 *
 * The bench programs are independent test peers: they link liburing and nothing of Ringpost, so
 * that a defect there cannot hide itself here.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include <liburing.h>

#define TOOL_NS_PER_S  1000000000ull
#define TOOL_NS_PER_MS 1000000ull

/* Prints "PROGRAM: text" on standard error and exits with 2: wrong use, or a machine that cannot.
 */
_Noreturn void tool_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tool_name_set(const char *program);

/* Option values; anything but a whole number within [min, max] ends the program with a message. */
uint64_t tool_number(const char *option, const char *text, uint64_t min, uint64_t max);
double tool_decimal(const char *option, const char *text, double min, double max);

struct tool_address {
    struct sockaddr_storage storage;
    socklen_t length;
};
/* "host:port", "[v6]:port" or ":port" (all IPv4 addresses); resolves names, blocking. */
void tool_address_parse(struct tool_address *address, const char *text);

uint64_t tool_now_ns(void);     /* CLOCK_MONOTONIC */
uint64_t tool_wall_ns(void);    /* CLOCK_REALTIME */
void tool_files_raise(void);    /* RLIMIT_NOFILE up to its hard limit */
void *tool_alloc(size_t bytes); /* zeroed; ends the program when there is no memory */
void *tool_grow(void *block, size_t bytes);

/* Doubly linked list with its head in the ring; an element is in one list at most. */
struct tool_link {
    struct tool_link *next;
    struct tool_link *previous;
};
void tool_list_init(struct tool_link *head);
void tool_list_append(struct tool_link *head, struct tool_link *link);
void tool_list_remove(struct tool_link *link); /* harmless when not in a list */

/* Log-linear buckets of microseconds, 32 for each power of two: 3 % wide, any range, O(1). */
#define TOOL_HISTOGRAM_BUCKETS 1920
struct tool_histogram {
    uint64_t count;
    uint64_t max_us;
    uint64_t buckets[TOOL_HISTOGRAM_BUCKETS];
};
void tool_histogram_add(struct tool_histogram *histogram, uint64_t value_us);
double tool_histogram_ms(const struct tool_histogram *histogram, double percentile);
/* Writes "name": {"count":…, "p50":…, "p90":…, "p99":…, "max":…} in milliseconds. */
void tool_histogram_json(FILE *out, const char *name, const struct tool_histogram *histogram);

void tool_cpu_json(FILE *out); /* "cpu_user_s": …, "cpu_sys_s": … of this process */

/* A ring with the cheapest completion mode the kernel has; ends the program where io_uring is off.
 */
void tool_ring_open(struct io_uring *ring, unsigned entries);
struct io_uring_sqe *tool_ring_sqe(struct io_uring *ring); /* never NULL: submits when full */
/* Submits, then waits for one completion until deadline_ns (0: for ever). */
void tool_ring_wait(struct io_uring *ring, uint64_t deadline_ns);
