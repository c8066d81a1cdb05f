# SPDX-License-Identifier: Apache-2.0
"""Twice the message costs twice the instructions, whatever stands in it.

Counted by callgrind, not in seconds, less what the program needs for an empty message.
"""
import re
import subprocess

import pytest

NOT_MUCH_MORE_THAN_TWICE = 2.3


def instructions(ringpost, path):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", ringpost, "mime",
               "show", "--json", str(path)]
    err = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         timeout=300).stderr.decode()
    return int(re.search(r"Collected : (\d+)", err).group(1))


def mixed(boundary):
    return f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'


def nested(levels, boundary="b{}"):
    """Multiparts in multiparts, up to the header of the innermost part."""
    text = ""
    for level in range(levels):
        name = boundary.format(level)
        text += mixed(name) + f"--{name}\r\n"
    return text


def deeper_than_the_limit(n):
    return nested(n)


def messages_in_messages(n):
    return "Content-Type: message/rfc822\r\n\r\n" * n


def many_parts(n):
    return mixed("b") + "--b\r\n\r\nx\r\n" * n + "--b--\r\n"


def empty_parts(n):
    return mixed("b") + "--b\r\n" * n


def lines_with_dashes(n):
    return nested(60) + "\r\n" + "--\r\n--b1x\r\n--b\r\n-\r\n" * n


def lines_like_the_boundaries(n):
    return nested(60, "b{:0100}") + "\r\n" + f"--b{'0' * 99}x\r\n" * n


def boundaries_all_closed(n):
    """Each delimiter ends one level only; all of them come again and again."""
    closing = "".join(f"--b{level}--\r\n" for level in range(60))
    return nested(60) + "\r\n" + closing * n


def reopened_levels(n):
    """The outermost delimiter ends 60 levels that are opened again each time."""
    return mixed("a") + ("--a\r\n" + nested(60)) * n


def dashes_in_one_line(n):
    return mixed("b") + "-" * n


def carriage_returns(n):
    return mixed("b") + "\r" * n


def line_feeds(n):
    return mixed("b") + "\n" * n


def long_field(n):
    return "Subject: " + "x" * n + "\r\n\r\n"


def long_folded_field(n):
    return "Content-Type: text/plain;\r\n" + " x=y;\r\n" * n + "\r\n"


def many_fields(n):
    return "Content-Type: text/plain\r\n" * n + "\r\n"


def line_that_is_no_field(n):
    return "x" * n


def comments(n):
    return "Content-Type: " + "(" * n + "\r\n\r\n"


def quotes(n):
    return "Content-Type: text/plain; x=" + '"\\" ' * n + "\r\n\r\n"


def parameters(n):
    return 'Content-Disposition: attachment; filename="' + "".join(
        f"; filename*{i}*=x" for i in range(n)) + "\r\n\r\n"


def addresses(n):
    return "To: " + "Ann B. <a@b.test>,\r\n " * n + "\r\n\r\n"


def open_angles(n):
    return "To: " + "<a@b," * n + "\r\n\r\n"


def open_quotes(n):
    return "To: " + 'a "<b@' * n + "\r\n\r\n"


def open_comments(n):
    return "To: " + "a@b(" * n + "\r\n\r\n"


def groups(n):
    return "To: " + "g:<@" * n + ";" * n + "\r\n\r\n"


def encoded_words(n):
    return "Subject: " + "=?utf-8?q?a?=\r\n " * n + "=?" * n + "\r\n\r\n"


CASES = {
    deeper_than_the_limit: 3000,
    messages_in_messages: 10000,
    many_parts: 1500,
    empty_parts: 2000,
    lines_with_dashes: 10000,
    lines_like_the_boundaries: 4000,
    boundaries_all_closed: 1000,
    reopened_levels: 20,
    dashes_in_one_line: 1 << 20,
    carriage_returns: 1 << 20,
    line_feeds: 1 << 19,
    long_field: 1 << 20,
    long_folded_field: 4000,
    many_fields: 1000,
    line_that_is_no_field: 1 << 20,
    comments: 30000,
    quotes: 7000,
    parameters: 1500,
    addresses: 3000,
    open_angles: 8000,
    open_quotes: 8000,
    open_comments: 20000,
    groups: 8000,
    encoded_words: 5000,
}


@pytest.fixture(scope="module")
def empty(ringpost, tmp_path_factory):
    path = tmp_path_factory.mktemp("linear") / "empty"
    path.write_bytes(b"")
    return instructions(ringpost, path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_work_grows_with_the_octets(ringpost, empty, tmp_path, case):
    counts = []
    for factor in (1, 2):
        path = tmp_path / str(factor)
        path.write_bytes(case(CASES[case] * factor).encode())
        counts.append(instructions(ringpost, path) - empty)
    assert counts[0] > 100000, "too little work to say anything"
    assert counts[1] < NOT_MUCH_MORE_THAN_TWICE * counts[0]
