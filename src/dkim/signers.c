/* SPDX-License-Identifier: Apache-2.0
 *
 * signers - the set of configured signatures, and which of them a message gets
 */
#include "internal.h"
#include "ringpost/dns.h"
#include "ringpost/mime/address.h"
#include <stdatomic.h>

enum { HASH_SEED = 0x646b696d };

/* RFC 6376 section 5.4.1, and what one-click unsubscription needs (RFC 8058 section 4). */
const struct bytes dkim_headers_default[] = {
    {"From", 4},
    {"Sender", 6},
    {"Reply-To", 8},
    {"To", 2},
    {"Cc", 2},
    {"Subject", 7},
    {"Date", 4},
    {"Message-ID", 10},
    {"In-Reply-To", 11},
    {"References", 10},
    {"MIME-Version", 12},
    {"Content-Type", 12},
    {"Content-ID", 10},
    {"Content-Transfer-Encoding", 25},
    {"Resent-From", 11},
    {"Resent-To", 9},
    {"Resent-Cc", 9},
    {"Resent-Date", 11},
    {"Resent-Sender", 13},
    {"Resent-Message-ID", 17},
    {"List-Id", 7},
    {"List-Help", 9},
    {"List-Post", 9},
    {"List-Owner", 10},
    {"List-Archive", 12},
    {"List-Subscribe", 14},
    {"List-Unsubscribe", 16},
    {"List-Unsubscribe-Post", 21},
    {"Feedback-ID", 11},
};
const size_t dkim_headers_default_count = ARRAY_COUNT(dkim_headers_default);

/* What an added field of that name would show or change. */
const struct bytes dkim_oversign_default[] = {
    {"From", 4},
    {"Reply-To", 8},
    {"To", 2},
    {"Cc", 2},
    {"Subject", 7},
    {"Date", 4},
    {"Message-ID", 10},
    {"MIME-Version", 12},
    {"Content-Type", 12},
    {"Content-Transfer-Encoding", 25},
    {"List-Unsubscribe", 16},
    {"List-Unsubscribe-Post", 21},
};
const size_t dkim_oversign_default_count = ARRAY_COUNT(dkim_oversign_default);

static const struct bytes always[] = {
    {"From", 4}, {"List-Unsubscribe", 16}, {"List-Unsubscribe-Post", 21}};

/* RFC 6376 section 5.4: trace fields, and those that others on the way change or take out. */
const char *dkim_header_fault(struct bytes name)
{
    static const char *const changing[] = {"Return-Path",
                                           "Received",
                                           "Comments",
                                           "Keywords",
                                           "Bcc",
                                           "Resent-Bcc",
                                           "DKIM-Signature",
                                           "Authentication-Results",
                                           "ARC-Seal",
                                           "ARC-Message-Signature",
                                           "ARC-Authentication-Results"};
    if (name.len == 0 || name.len > 76) return "is no name of a header field";
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        if (c <= ' ' || c > '~' || c == ':' || c == ';') return "is no name of a header field";
    }
    for (size_t i = 0; i < ARRAY_COUNT(changing); i++) {
        if (bytes_equal_nocase(name, bytes_of(changing[i])))
            return "is a field that changes on its way: it cannot be signed";
    }
    return NULL;
}

/* ---- the set ------------------------------------------------------------------------------------
 */

struct dkim_signers {
    atomic_uint refs;
    size_t count;
    struct table by_domain; /* the first entry of each */
    struct dkim_entry *all;
    struct dkim_entry entries[];
};

static struct bytes copy_bytes(struct bytes from)
{
    char *copy = base_alloc(from.len + 1);
    if (from.len > 0) memcpy(copy, from.data, from.len);
    return (struct bytes){copy, from.len};
}

static bool has_name(const struct bytes *names, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(names[i], name)) return true;
    }
    return false;
}

/* The names of both lists once, and those that are signed always. */
static struct bytes *union_of(const struct bytes *a, size_t a_count, const struct bytes *b,
                              size_t b_count, size_t *count)
{
    struct bytes *all = base_alloc((a_count + b_count + ARRAY_COUNT(always)) * sizeof(*all));
    const struct bytes *const lists[] = {a, b, always};
    const size_t counts[] = {a_count, b_count, ARRAY_COUNT(always)};
    *count = 0;
    for (size_t list = 0; list < ARRAY_COUNT(lists); list++) {
        for (size_t i = 0; i < counts[list]; i++) {
            if (!has_name(all, *count, lists[list][i]))
                all[(*count)++] = copy_bytes(lists[list][i]);
        }
    }
    return all;
}

static void mark_oversigned(struct dkim_entry *entry)
{
    const struct dkim_signer *signer = &entry->signer;
    entry->oversigned = base_alloc(signer->header_count * sizeof(bool));
    for (size_t i = 0; i < signer->header_count; i++) {
        entry->oversigned[i] =
            has_name(signer->oversign, signer->oversign_count, signer->headers[i]);
    }
}

static void free_names(const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        base_free((void *)(uintptr_t)names[i].data);
    base_free((void *)(uintptr_t)names);
}

static bool entry_is_of(const void *item, const void *domain)
{
    return bytes_equal(((const struct dkim_entry *)item)->signer.domain,
                       *(const struct bytes *)domain);
}

static struct dkim_entry *find(const struct dkim_signers *signers, struct bytes domain)
{
    return table_find(&signers->by_domain, hash_bytes(HASH_SEED, domain), entry_is_of, &domain);
}

static void link_entry(struct dkim_signers *signers, struct dkim_entry *entry,
                       struct dkim_entry ***all_end)
{
    struct dkim_entry *same = find(signers, entry->signer.domain);
    if (same == NULL) {
        table_add(&signers->by_domain, hash_bytes(HASH_SEED, entry->signer.domain), entry);
    } else {
        while (same->next != NULL)
            same = same->next;
        same->next = entry;
    }
    if (!entry->signer.all) return;
    **all_end = entry;
    *all_end = &entry->next_all;
}

struct dkim_signers *dkim_signers_create(const struct dkim_signer *signers, size_t count)
{
    struct dkim_signers *set = base_alloc(sizeof(*set) + count * sizeof(struct dkim_entry));
    struct dkim_entry **all_end = &set->all;
    atomic_init(&set->refs, 1);
    set->count = count;
    table_init(&set->by_domain);
    for (size_t i = 0; i < count; i++) {
        struct dkim_signer *signer = &set->entries[i].signer;
        const struct dkim_signer *given = &signers[i];
        *signer = *given;
        signer->domain = copy_bytes(given->domain);
        signer->selector = copy_bytes(given->selector);
        signer->key = dkim_key_ref(given->key);
        signer->headers = union_of(given->headers, given->header_count, given->oversign,
                                   given->oversign_count, &signer->header_count);
        signer->oversign =
            union_of(given->oversign, given->oversign_count, NULL, 0, &signer->oversign_count);
        mark_oversigned(&set->entries[i]);
        link_entry(set, &set->entries[i], &all_end);
    }
    return set;
}

struct dkim_signers *dkim_signers_ref(struct dkim_signers *signers)
{
    atomic_fetch_add_explicit(&signers->refs, 1, memory_order_relaxed);
    return signers;
}

void dkim_signers_unref(struct dkim_signers *signers)
{
    if (signers == NULL) return;
    if (atomic_fetch_sub_explicit(&signers->refs, 1, memory_order_acq_rel) > 1) return;
    for (size_t i = 0; i < signers->count; i++) {
        const struct dkim_signer *signer = &signers->entries[i].signer;
        free_names(signer->headers, signer->header_count);
        free_names(signer->oversign, signer->oversign_count);
        base_free((void *)(uintptr_t)signer->domain.data);
        base_free((void *)(uintptr_t)signer->selector.data);
        base_free(signers->entries[i].oversigned);
        dkim_key_unref(signer->key);
    }
    table_deinit(&signers->by_domain);
    base_free(signers);
}

size_t dkim_signers_count(const struct dkim_signers *signers)
{
    return signers->count;
}

const struct dkim_signer *dkim_signers_at(const struct dkim_signers *signers, size_t index)
{
    ASSERT(index < signers->count);
    return &signers->entries[index].signer;
}

/* ---- the choice ---------------------------------------------------------------------------------
 */

/* The one domain of all its mailboxes, normalised. NULL, or what is wrong. */
static const char *from_domain(struct bytes body, struct text *domain)
{
    char spec_room[1024], one_room[DNS_NAME_MAX + 3];
    struct mime_address_reader reader;
    struct mime_address address;
    bool any = false;
    mime_address_reader_init(&reader, body);
    while (mime_address_next(&reader, &address)) {
        struct text spec, one;
        if (address.kind == MIME_ADDRESS_INVALID) return "has a From field that cannot be read";
        if (address.kind != MIME_ADDRESS_MAILBOX) continue;
        text_init(&spec, spec_room, sizeof(spec_room));
        text_init(&one, one_room, sizeof(one_room));
        mime_address_spec(&address, &spec);
        const char *at = memrchr(spec.data, '@', spec.len);
        if (at == NULL || spec.cut ||
            !dns_name_normalise(bytes_skip(text_bytes(&spec), (size_t)(at - spec.data) + 1), &one))
            return "has a From field that cannot be read";
        if (any && !bytes_equal(text_bytes(domain), text_bytes(&one)))
            return "is From several domains";
        if (!any) text_put(domain, text_bytes(&one));
        any = true;
    }
    return any ? NULL : "has a From field that cannot be read";
}

static void take(struct dkim_choice *choice, const struct dkim_signer *signer)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->signers[i] == signer) return;
    }
    if (choice->count == DKIM_SIGNATURES_MAX) return;
    choice->signers[choice->count++] = signer;
    choice->body_modes |= (uint8_t)(1 << signer->body_mode);
}

/* The signers of the domain itself; else of the nearest domain above it that has any for it. */
static void take_domain(const struct dkim_signers *signers, struct bytes domain,
                        struct dkim_choice *choice)
{
    bool exact = true;
    while (domain.len > 0 && choice->count == 0) {
        for (const struct dkim_entry *entry = find(signers, domain); entry != NULL;
             entry = entry->next) {
            if (exact || entry->signer.subdomains) take(choice, &entry->signer);
        }
        const char *dot = memchr(domain.data, '.', domain.len);
        domain = bytes_skip(domain, dot ? (size_t)(dot - domain.data) + 1 : domain.len);
        exact = false;
    }
}

/* RFC 6376 section 8.15: with more than one From field, what is shown may not be what was signed.
 */
void dkim_choose(const struct dkim_signers *signers, const struct dkim_header *header,
                 struct dkim_choice *choice)
{
    const struct mime_field *from = NULL;
    char room[DNS_NAME_MAX + 3];
    struct text domain;
    *choice = (struct dkim_choice){.why = header->why};
    for (uint32_t i = 0; i < header->count && choice->why == NULL; i++) {
        const struct mime_field *field = &header->fields[i];
        if (field->name.len != 4 || !bytes_equal_nocase(field->name, BYTES("From"))) continue;
        if (from != NULL) choice->why = "has several From fields";
        from = field;
    }
    if (choice->why != NULL) return;
    if (from == NULL) {
        choice->why = "has no From field";
        return;
    }
    text_init(&domain, room, sizeof(room));
    choice->why = from_domain(from->body, &domain);
    if (choice->why == NULL) {
        take_domain(signers, text_bytes(&domain), choice);
    } else if (domain.len == 0) {
        return;
    }
    for (const struct dkim_entry *entry = signers->all; entry != NULL; entry = entry->next_all)
        take(choice, &entry->signer);
}
