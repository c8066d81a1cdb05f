/* SPDX-License-Identifier: Apache-2.0
 *
 * base - words that every file may use
 *
 * Assertions, bytes (pointer + length), instants and durations, an intrusive list and heap, a pool
 * of equal objects, a table of pointers, hashing and a seeded generator. Nothing here does I/O,
 * reads a clock or takes a lock; nothing here is shared between cores.
 */
#pragma once
#include <assert.h> /* static_assert only */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- the compiler ------------------------------------------------------------------------- */

#define MUST_USE                        __attribute__((warn_unused_result))
#define NORETURN                        __attribute__((noreturn))
#define PRINTF_LIKE(fmt, arg)           __attribute__((format(printf, fmt, arg)))
#define LIKELY(x)                       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                     __builtin_expect(!!(x), 0)
#define ARRAY_COUNT(a)                  (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

/* ---- assertions: our own bugs, never what came from outside; they stay on in release -------- */

NORETURN void base_assert_failed(const char *expression, const char *file, int line);
#define ASSERT(x)        (LIKELY(x) ? (void)0 : base_assert_failed(#x, __FILE__, __LINE__))
#define UNREACHABLE(why) base_assert_failed("unreachable: " why, __FILE__, __LINE__)

/* ---- bytes: somebody else's memory, not terminated ------------------------------------------ */

struct bytes {
    const char *data;
    size_t len;
};
#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
#define BYTES_FMT(b)   (int)(b).len, (b).data /* for "%.*s"; only where len is known to be small */

static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){text, strlen(text)};
}
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* ASCII only; other octets compare as they are. */
bool bytes_equal_nocase(struct bytes a, struct bytes b);
bool bytes_starts_with_nocase(struct bytes text, struct bytes prefix);
struct bytes bytes_trim(struct bytes text); /* spaces, tabs, CR, LF at both ends */
/* The rest after n octets; n is capped at the length. */
static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
    n = MIN(n, b.len);
    return (struct bytes){b.data + n, b.len - n};
}
/* Decimal digits only, whole text, no sign; false if empty, not digits or over max. */
MUST_USE bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *value);
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* ---- text: printing into a fixed buffer; what does not fit is cut and remembered --------------
 */

struct text {
    char *data;
    size_t len, cap; /* len < cap always: data[len] is a NUL */
    bool cut;
};
void text_init(struct text *text, char *data, size_t cap); /* cap > 0 */
void text_put(struct text *text, struct bytes bytes);
void text_printf(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
static inline struct bytes text_bytes(const struct text *text)
{
    return (struct bytes){text->data, text->len};
}

/* ---- one character of UTF-8 (RFC 3629 section 4) ----------------------------------------------
 *
 *   00..7F
 *   C2..DF 80..BF
 *   E0     A0..BF 80..BF          E1..EC, EE..EF 80..BF 80..BF     ED 80..9F 80..BF
 *   F0     90..BF 80..BF 80..BF   F1..F3 80..BF 80..BF 80..BF      F4 80..8F 80..BF 80..BF
 *
 * This is the specification of what is well-formed; whole texts are scan's business. */

struct utf8_char {
    size_t len;  /* of the whole character; 0: none begins so */
    size_t good; /* octets that are well-formed as far as they go; len if it is whole */
};
/* len > 0 octets are there; more than four do not matter. */
static inline struct utf8_char utf8_char(const char *data, size_t len)
{
    const unsigned char *octets = (const unsigned char *)data;
    const unsigned char first = octets[0];
    const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    struct utf8_char found = {first < 0x80 ? 1 : first < 0xc2 ? 0 : 2, 1};
    if (first >= 0xe0) found.len = first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (found.len == 0) return (struct utf8_char){0, 0};
    while (found.good < MIN(found.len, len)) {
        const unsigned char octet = octets[found.good];
        if (octet < (found.good == 1 ? low : 0x80)) break;
        if (octet > (found.good == 1 ? high : 0xbf)) break;
        found.good += 1;
    }
    return found;
}
/* Octets of the first character; 0 if it is not well-formed or cut off. len > 0 */
static inline size_t utf8_char_len(const char *data, size_t len)
{
    const struct utf8_char found = utf8_char(data, len);
    return found.good == found.len ? found.len : 0;
}
/* The code point of a whole character of len octets. */
static inline uint32_t utf8_char_value(const char *data, size_t len)
{
    uint32_t value = len == 1 ? (unsigned char)data[0] : (unsigned char)data[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        value = value << 6 | ((unsigned char)data[i] & 0x3f);
    return value;
}

/* ---- time ------------------------------------------------------------------------------------ */

typedef uint64_t instant;  /* monotonic nanoseconds; origin is the ring's business. 0 = never */
typedef uint64_t duration; /* nanoseconds */
typedef int64_t wall_ms;   /* milliseconds since 1970-01-01 UTC; survives restarts, may jump */
#define DURATION_US(n)  ((duration)(n)*1000u)
#define DURATION_MS(n)  ((duration)(n)*1000000u)
#define DURATION_S(n)   ((duration)(n)*1000000000u)
#define INSTANT_FOREVER UINT64_MAX

/* ---- addresses ------------------------------------------------------------------------------- */

struct address {
    uint8_t family; /* 4, 6; 0 = none */
    uint8_t prefix; /* of a network (CIDR); 32 or 128 for one host */
    uint16_t port;  /* host order */
    uint8_t ip[16]; /* network order; the first 4 for family 4 */
};
enum { ADDRESS_TEXT_MAX = 64 };
/* "192.0.2.1", "2001:db8::1": no port, no brackets. */
MUST_USE bool address_parse_ip(struct bytes text, struct address *address);
/* "192.0.2.1:25", "[2001:db8::1]:25"; the port may be left out when default_port is not 0. */
MUST_USE bool address_parse(struct bytes text, uint16_t default_port, struct address *address);
/* "10.0.0.0/8", "::1/128", "192.0.2.1" (one host); false also when host bits are set. */
MUST_USE bool address_parse_network(struct bytes text, struct address *network);
bool address_equal(const struct address *a, const struct address *b);   /* with port */
bool address_same_ip(const struct address *a, const struct address *b); /* without port */
/* An IPv4-mapped IPv6 address matches IPv4 networks. */
bool address_in_network(const struct address *address, const struct address *network);
bool address_is_loopback(const struct address *address);
bool address_is_unspecified(const struct address *address);
uint64_t address_hash_ip(const struct address *address);
/* out has ADDRESS_TEXT_MAX octets; returns out. */
const char *address_print_ip(const struct address *address, char *out);
const char *address_print(const struct address *address, char *out); /* with port */

/* ---- list: intrusive, doubly linked, circular -------------------------------------------------
 */

struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}
static inline void list_push_back(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
static inline void list_push_front(struct list *head, struct list *node)
{
    list_push_back(head->next, node);
}
/* The node is left linked to itself, so removing it once more does no harm. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
static inline struct list *list_pop_front(struct list *head)
{
    if (list_is_empty(head)) return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}
/* All nodes of from go to the end of to; from is empty then. */
static inline void list_append_all(struct list *to, struct list *from)
{
    if (list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
#define LIST_FOR_EACH(node, head)                                                                  \
    for (struct list *node = (head)->next; node != (head); node = node->next)
/* The body may remove (and free) node itself, nothing else. */
#define LIST_FOR_EACH_SAFE(node, head)                                                             \
    for (struct list *node = (head)->next, *node##_next_ = node->next; node != (head);             \
         node = node##_next_, node##_next_ = node->next)

/* ---- heap: smallest key first; 4 children a node; the element keeps its own place -------------
 */

struct heap_node {
    uint32_t place; /* index + 1; 0 = not in a heap */
};
struct heap {
    struct heap_slot {
        uint64_t key;
        struct heap_node *node;
    } * slots;
    uint32_t count, cap;
};
void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap);
void heap_put(struct heap *heap, struct heap_node *node, uint64_t key); /* or move it */
void heap_remove(struct heap *heap, struct heap_node *node);            /* no-op when not in it */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->slots[0].node : NULL;
}
static inline uint64_t heap_first_key(const struct heap *heap) /* UINT64_MAX when empty */
{
    return heap->count ? heap->slots[0].key : UINT64_MAX;
}

/* ---- pool: equal objects from slabs, for one core; memory goes back at deinit only ------------
 */

struct pool {
    void *free;
    struct pool_slab *slabs;
    size_t object_size;
    uint32_t objects_per_slab;
    uint64_t in_use;
};
void pool_init(struct pool *pool, size_t object_size, uint32_t objects_per_slab);
void pool_deinit(struct pool *pool); /* ASSERTs that nothing is in use */
void *pool_get(struct pool *pool);   /* zeroed; never NULL (out of memory ends the process) */
void pool_put(struct pool *pool, void *object);

/* Out of memory ends the process with a message: limits in bytes come before it (DESIGN 1.4). */
void *base_alloc(size_t size); /* zeroed */
void *base_realloc(void *ptr, size_t size);
void base_free(void *ptr);
void base_free_secret(void *ptr, size_t size); /* wiped first */

/* ---- hash and table ---------------------------------------------------------------------------
 */

/* 64 bits, seeded against chosen collisions; the same seed gives the same value everywhere. */
uint64_t hash_bytes(uint64_t seed, struct bytes bytes);
uint64_t hash_bytes_nocase(uint64_t seed, struct bytes bytes); /* ASCII letters folded */
uint64_t hash_u64(uint64_t value);

/* Pointers by hash, open addressing; the element keeps its hash. One core. */
struct table {
    struct table_slot {
        uint64_t hash;
        void *item;
    } * slots;
    uint32_t count, cap; /* cap is 0 or a power of two */
};
void table_init(struct table *table);
void table_deinit(struct table *table);
/* The first item of that hash for which equal(item, key) holds; NULL if there is none. */
void *table_find(const struct table *table, uint64_t hash,
                 bool (*equal)(const void *item, const void *key), const void *key);
void table_add(struct table *table, uint64_t hash, void *item);
void table_remove(struct table *table, uint64_t hash, const void *item); /* must be in it */
/* Next item at or after *cursor (start with 0); NULL at the end. Do not change it meanwhile. */
void *table_next(const struct table *table, uint32_t *cursor);

/* ---- random: seeded, not for secrets ----------------------------------------------------------
 */

struct random {
    uint64_t state[4];
};
void random_init(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* bound > 0; without bias */
