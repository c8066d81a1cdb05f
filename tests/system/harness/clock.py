# SPDX-License-Identifier: Apache-2.0
"""clock - a wall clock that jumps when a test says so, under one relay; its monotonic one goes on.

A small library in front of libc's clock adds seconds that lie in a file. (libfaketime is no help: it
and jemalloc wait for each other.) Not under sanitizers, whose library has to be the first one.
"""
import mmap
import os
import struct
import subprocess

_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long *ahead; /* seconds */

__attribute__((constructor)) static void find(void)
{
    const char *path = getenv("CLOCK_AHEAD");
    const int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file >= 0 ? mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    if (page != MAP_FAILED) ahead = page;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *ahead;
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Clock:
    """Of a relay that is not yet started; ahead(seconds) at any time."""

    def __init__(self, relay):
        folder = relay.directory
        library, source = os.path.join(folder, "clock.so"), os.path.join(folder, "clock.c")
        script, self.file = os.path.join(folder, "timed"), os.path.join(folder, "ahead")
        with open(source, "w", encoding="ascii") as out:
            out.write(_SOURCE)
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True,
                       timeout=60)
        with open(self.file, "wb") as out:
            out.write(bytes(8))
        with open(script, "w", encoding="utf-8") as out:
            out.write(f"#!/bin/sh\nexport CLOCK_AHEAD={self.file} LD_PRELOAD={library}\n"
                      f"exec {relay.binary} \"$@\"\n")
        os.chmod(script, 0o755)
        relay.binary = script

    def ahead(self, seconds):
        with open(self.file, "r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:] = struct.pack("l", seconds)


def is_sanitized(binary):
    with open(binary, "rb") as file:
        octets = file.read()
    return b"__asan_init" in octets or b"__tsan_init" in octets
