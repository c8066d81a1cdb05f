# SPDX-License-Identifier: Apache-2.0
"""Twice the field costs twice the instructions, whatever stands in it.

Counted by callgrind, not in seconds, less what the program needs for an empty input.
"""
import re
import shutil
import subprocess

import pytest

NOT_MUCH_MORE_THAN_TWICE = 2.3
A_FEW = 20000  # instructions: by so many the program's own beginning and end may vary
CHARSETS = ["koi8-r", "iso-8859-2", "big5", "euc-jp", "euc-kr", "gb18030", "windows-1251"]

FIELDS = {
    "words": "=?utf-8?q?=C3=A9_a?= ",
    "words without space": "=?utf-8?b?w6k=?=",
    "one charset after the other": " ".join(f"=?{name}?q?a?=" for name in CHARSETS) + " ",
    "unknown charsets": "=?x-nobody?q?a?= ",
    "beginnings": "=?",
    "beginnings of words": "=?utf-8?q?",
    "beginnings with text": "=?utf-8?q?abc?",
    "ends": "?=",
    "question marks": "?",
    "spaces": " ",
    "folds": "\r\n ",
    "split characters": "=?utf-8?q?=C3?= =?utf-8?q?=A9?= ",
    "bad characters": "=?utf-8?q?=C3=FF=E2=82?= ",
    "bad characters in Japanese": "=?iso-2022-jp?q?=1B$B=FF=80=1B?= ",
}


def instructions(binary, octets, *arguments):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(binary),
               "codec", *arguments]
    err = subprocess.run(command, check=False, input=octets, capture_output=True,
                         timeout=300).stderr.decode()
    return int(re.search(r"Collected : (\d+)", err).group(1))


@pytest.fixture(name="assert_linear")
def assert_linear_fixture(binary):
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind")

    def check(piece, *arguments, before=b""):
        idle = instructions(binary, before, *arguments)
        counts = [instructions(binary, before + piece * n, *arguments) - idle
                  for n in (20000 // len(piece), 40000 // len(piece))]
        assert counts[1] < NOT_MUCH_MORE_THAN_TWICE * counts[0] + A_FEW, counts
    return check


@pytest.mark.parametrize("field", FIELDS)
def test_words(assert_linear, field):
    assert_linear(FIELDS[field].encode(), "words", "--decode")


@pytest.mark.parametrize("text", ["\u00e9", "a\u00e9", "\U0001f600", "=?"])
def test_encode_words(assert_linear, text):
    assert_linear(text.encode(), "words")


@pytest.mark.parametrize("line", [b"M" + b"a" * 60 + b"\n", b"M" + b"A" * 60 + b"\r\n", b"!0P\n",
                                  b"_\n", b"#0V%T\r\n", b"begin 644\n", b"begin 644 x\n"])
def test_uuencode(assert_linear, line):
    assert_linear(line, "uuencode", "--decode")
    assert_linear(line, "uuencode", "--decode", before=b"begin 644 x\n")
