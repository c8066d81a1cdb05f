/* SPDX-License-Identifier: Apache-2.0
 *
 * buffers - memory that the kernel receives into (provided buffer rings)
 *
 * Idle sockets hold no buffer: the kernel picks one when octets arrive. They are given to the user
 * for the length of a callback and go back right after it, so that no reader can be late. With
 * incremental rings (Linux 6.12) one large buffer serves many receives one after another.
 */
#include "internal.h"
#include <errno.h>
#include <sys/mman.h>

enum { GROUP = 0 };
/* Of Linux 6.12; liburing 2.3 does not name them yet. */
enum { PBUF_RING_INCREMENTAL = 2, CQE_F_BUF_MORE = 1 << 4 };

/* Maps the ring and its buffers and registers them: 0 or -errno. */
static int set_up(struct ring *ring, uint32_t size, uint32_t count, bool incremental)
{
    struct recv_buffers *buffers = &ring->buffers;
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const size_t ring_size = count * sizeof(struct io_uring_buf),
                 memory_size = (size_t)count * size;
    void *places = mmap(NULL, ring_size, protection, flags, -1, 0);
    void *memory = mmap(NULL, memory_size, protection, flags, -1, 0);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)places,
        .ring_entries = count,
        .bgid = GROUP,
        .pad = incremental ? PBUF_RING_INCREMENTAL : 0, /* "flags" since 6.12 */
    };
    int error = places == MAP_FAILED || memory == MAP_FAILED
                    ? -ENOMEM
                    : io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (error < 0) {
        if (places != MAP_FAILED) munmap(places, ring_size);
        if (memory != MAP_FAILED) munmap(memory, memory_size);
        return error;
    }
    *buffers = (struct recv_buffers){places, memory, NULL, size, count, incremental};
    return 0;
}

static void provide(struct recv_buffers *buffers, uint32_t id)
{
    buffers->offsets[id] = 0;
    io_uring_buf_ring_add(buffers->ring, buffers->memory + (size_t)id * buffers->size,
                          buffers->size, (unsigned short)id, io_uring_buf_ring_mask(buffers->count),
                          0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

bool ring_buffers_create(struct ring *ring, const struct ring_options *options)
{
    struct recv_buffers *buffers = &ring->buffers;
    const uint32_t size = options->recv_buffer_size, count = options->recv_buffer_count;
    int error = set_up(ring, size ? size : 256 * 1024, count ? count : 16, true);
    if (error == -EINVAL) {
        error = set_up(ring, size ? size : 32 * 1024, count ? count : 128, false);
    }
    if (error < 0) {
        errno = -error;
        return false;
    }
    buffers->offsets = base_alloc(buffers->count * sizeof(*buffers->offsets));
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t id = 0; id < buffers->count; id++)
        provide(buffers, id);
    return true;
}

void ring_buffers_destroy(struct ring *ring)
{
    struct recv_buffers *buffers = &ring->buffers;
    munmap(buffers->memory, (size_t)buffers->count * buffers->size);
    munmap(buffers->ring, buffers->count * sizeof(struct io_uring_buf));
    base_free(buffers->offsets);
}

struct bytes ring_buffers_data(struct ring *ring, int32_t result, uint32_t flags)
{
    struct recv_buffers *buffers = &ring->buffers;
    const uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
    ASSERT(id < buffers->count && result >= 0);
    const uint32_t at = buffers->offsets[id];
    ASSERT(at + (uint32_t)result <= buffers->size);
    buffers->offsets[id] = at + (uint32_t)result;
    return (struct bytes){buffers->memory + (size_t)id * buffers->size + at, (size_t)result};
}

void ring_buffers_done(struct ring *ring, uint32_t flags)
{
    if (ring->buffers.incremental && (flags & CQE_F_BUF_MORE)) return; /* more to come in it */
    provide(&ring->buffers, flags >> IORING_CQE_BUFFER_SHIFT);
}
