/* SPDX-License-Identifier: Apache-2.0
 *
 * process_id - getpid() without a system call, for the whole program
 *
 * OpenSSL's generator asks for it before each random number, to notice a fork: six times in a TLS
 * handshake, which on some virtual machines is a thirtieth of it. The C library kept the number
 * itself until glibc 2.25. A fork is noticed here, too; what is copied by clone() alone would not
 * be, and nothing in this program does that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int known; /* 0: not yet, or a fork's child */

static void forget(void)
{
    atomic_store_explicit(&known, 0, memory_order_relaxed);
}

static __attribute__((constructor)) void notice_forks(void)
{
    pthread_atfork(NULL, NULL, forget);
}

pid_t getpid(void)
{
    pid_t id = atomic_load_explicit(&known, memory_order_relaxed);
    if (id == 0) {
        id = (pid_t)syscall(SYS_getpid);
        atomic_store_explicit(&known, id, memory_order_relaxed);
    }
    return id;
}
