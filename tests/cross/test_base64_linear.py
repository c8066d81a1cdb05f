# SPDX-License-Identifier: Apache-2.0
"""Twice the lines cost twice the instructions, though some of them are not as the kernels want them.

With AVX-512 emulated in plain C, which valgrind can run: a kernel that looks at what is left each time
it is called behind such a line would take four times as many.
"""
import re
import shutil
import subprocess

import pytest

NOT_MUCH_MORE_THAN_TWICE = 2.3


@pytest.fixture(name="instructions")
def instructions_fixture(binary):
    program = binary.parents[2] / "tests/prop/prop_base64_emulated"
    if shutil.which("valgrind") is None or not program.exists():
        pytest.skip("no valgrind, or a build without the emulated kernels")

    def count(test):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program),
                   test]
        done = subprocess.run(command, check=True, capture_output=True, timeout=300)
        return int(re.search(r"Collected : (\d+)", done.stderr.decode()).group(1))
    return count


def test_broken_lines(instructions):
    idle = instructions("none")
    once, twice = (instructions(name) - idle for name in ("broken_lines", "twice_the_broken_lines"))
    assert twice < NOT_MUCH_MORE_THAN_TWICE * once
