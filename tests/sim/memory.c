/* SPDX-License-Identifier: Apache-2.0
 *
 * memory - what a process maps: its pages serve the next life, for new ones are dear
 *
 * A life that is cut off gives nothing back, so all is taken back at its end. Octets of the last
 * life are still there: who needs zeros has to write them. With a sanitizer nothing is kept, for it
 * knows what of a stack or a buffer may be touched.
 */
#include "kernel.h"
#include <sys/mman.h>

enum { AREAS_MAX = 256, HUGE_PAGE = 2 << 20, ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS };

struct area {
    void *at;
    size_t size;
    bool used;
};
static struct area areas[AREAS_MAX];
static uint32_t area_count;

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

void *__real_mmap64(void *wanted, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
void *__wrap_mmap64(void *wanted, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);

/* Large ones begin at a huge page, and are made of them. */
static void *map(size_t size)
{
    const size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *at = __real_mmap64(NULL, size + slack, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || slack == 0) return at;
    at += -(uintptr_t)at % HUGE_PAGE;
    (void)madvise(at, size, MADV_HUGEPAGE);
    return at;
}

void *__wrap_mmap64(void *wanted, size_t size, int protection, int flags, int fd, off_t offset)
{
    struct area *area = areas;
    if (!KEEPS || flags != ANONYMOUS)
        return __real_mmap64(wanted, size, protection, flags, fd, offset);
    while (area < areas + area_count && (area->used || area->size != size))
        area += 1;
    if (area == areas + area_count) {
        void *at = area_count < AREAS_MAX ? map(size) : MAP_FAILED;
        if (at == MAP_FAILED) return MAP_FAILED;
        *area = (struct area){at, size, true};
        area_count += 1;
    }
    area->used = true;
    return area->at;
}

int __wrap_munmap(void *at, size_t size)
{
    for (uint32_t i = 0; i < area_count; i++) {
        if (areas[i].at != at) continue;
        areas[i].used = false;
        return 0;
    }
    return __real_munmap(at, size);
}

void kernel_memory_gone(void)
{
    for (uint32_t i = 0; i < area_count; i++)
        areas[i].used = false;
}
