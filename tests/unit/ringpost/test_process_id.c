/* SPDX-License-Identifier: Apache-2.0
 *
 * test_process_id - the number that is kept is right, also behind a fork
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* after those above, as it wants */
#include <cmocka.h>

static pid_t asked(void)
{
    return (pid_t)syscall(SYS_getpid);
}

static int status_of(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void it_is_the_kernels(void **state)
{
    (void)state;
    assert_int_equal(getpid(), asked());
    assert_int_equal(getpid(), asked());
}

static void a_child_has_its_own(void **state)
{
    (void)state;
    const pid_t before = getpid(), child = fork();
    if (child == 0) {
        const pid_t grandchild = fork();
        if (grandchild == 0) _exit(getpid() == asked() ? 0 : 1);
        int status = 1;
        (void)waitpid(grandchild, &status, 0);
        _exit(getpid() == asked() && getpid() != before ? status != 0 : 1);
    }
    assert_int_equal(status_of(child), 0);
    assert_int_equal(getpid(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_kernels),
        cmocka_unit_test(a_child_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
