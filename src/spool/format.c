/* SPDX-License-Identifier: Apache-2.0
 *
 * format - sums and checks of headers and records
 */
#include "format.h"
#include "ringpost/scan.h"

static const char magic[8] = "RPSPOOL";

struct record_key record_key_of(uint64_t log_id)
{
    const uint64_t secret = hash_u64(log_id);
    return (struct record_key){
        .log_id = log_id,
        .magic = (uint32_t)secret | 1, /* never that of an empty page */
        .seed = (uint32_t)(secret >> 32),
    };
}

static uint32_t head_crc(const struct record_key *key, const struct record_head *head)
{
    const size_t skip = offsetof(struct record_head, payload_crc);
    return scan_crc32c(key->seed, (const char *)head + skip, sizeof(*head) - skip);
}

void record_close(const struct record_key *key, struct record_head *head)
{
    head->magic = key->magic;
    head->head_crc = head_crc(key, head);
}

bool record_head_read(const struct record_key *key, uint64_t generation, const char *at,
                      size_t room, struct record_head *head)
{
    if (room < sizeof(*head)) return false;
    memcpy(head, at, sizeof(*head));
    if (head->magic != key->magic || head->generation != generation) return false;
    if (head->length > room - sizeof(*head)) return false;
    return head->head_crc == head_crc(key, head);
}

bool record_payload_is_ok(const struct record_head *head, const char *at)
{
    return scan_crc32c(0, at + sizeof(*head), head->length) == head->payload_crc;
}

static uint32_t header_crc(const struct disk_header *header)
{
    const size_t skip = offsetof(struct disk_header, version);
    return scan_crc32c(0, (const char *)header + skip, sizeof(*header) - skip);
}

void header_write(char *page, const struct disk_header *header)
{
    struct disk_header copy = *header;
    memcpy(copy.magic, magic, sizeof(magic));
    copy.version = FORMAT_VERSION;
    copy.byte_order = FORMAT_BYTE_ORDER;
    copy.crc = header_crc(&copy);
    memset(page, 0, FORMAT_PAGE);
    memcpy(page, &copy, sizeof(copy));
    memcpy(page + FORMAT_HEADER_COPY, &copy, sizeof(copy));
}

static bool header_copy_read(const char *at, struct disk_header *header)
{
    memcpy(header, at, sizeof(*header));
    return memcmp(header->magic, magic, sizeof(magic)) == 0 && header->crc == header_crc(header);
}

bool header_read(const char *page, struct disk_header *header)
{
    return header_copy_read(page, header) || header_copy_read(page + FORMAT_HEADER_COPY, header);
}

static char *put(char *at, const void *data, size_t len)
{
    if (len > 0) memcpy(at, data, len);
    return at + len;
}

char *message_write(char *payload, const struct disk_message *fixed,
                    const struct disk_extent *extents, struct bytes envelope, struct bytes prefix,
                    struct bytes state)
{
    char *at = put(payload, fixed, sizeof(*fixed));
    char *where = put(at, extents, fixed->extent_count * sizeof(*extents));
    at = put(where, envelope.data, envelope.len);
    at = put(at, prefix.data, prefix.len);
    put(at, state.data, state.len);
    return where;
}

bool message_parse(struct bytes payload, struct message_parts *parts)
{
    struct disk_message *fixed = &parts->fixed;
    if (payload.len < sizeof(*fixed)) return false;
    memcpy(fixed, payload.data, sizeof(*fixed));
    const uint64_t extents = (uint64_t)fixed->extent_count * sizeof(struct disk_extent);
    if (message_payload_len(fixed) != payload.len) return false;
    parts->extents = payload.data + sizeof(*fixed);
    parts->envelope = (struct bytes){parts->extents + extents, fixed->envelope_len};
    parts->prefix = (struct bytes){parts->envelope.data + parts->envelope.len, fixed->prefix_len};
    parts->state = (struct bytes){parts->prefix.data + parts->prefix.len, fixed->state_len};

    uint64_t content = fixed->prefix_len;
    for (uint32_t i = 0; i < fixed->extent_count; i++) {
        const struct disk_extent extent = message_extent(parts, i);
        if (extent.length > FORMAT_CONTENT_MAX || extent.from > extent.length ||
            extent.len > extent.length - extent.from || extent.len == 0) {
            return false;
        }
        content += extent.len;
    }
    return content == fixed->content_len;
}
