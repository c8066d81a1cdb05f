# SPDX-License-Identifier: Apache-2.0
"""`ringpost mime show`: the parts of a message for people and for programs, and one part decoded."""
import json
import subprocess

import pytest

MESSAGE = b"""Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= und\r
 mehr\r
From: "Ann, B." <a@b.test>\r
Date: Sat, 21 Nov 2026 08:05:39 +0100\r
To: g: =?iso-8859-1?Q?Ren=E9?= <r@x.test>, q@y.test;, z@w.test, nobody\r
Content-Type: multipart/mixed; boundary=b\r
\r
preamble\r
--b\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
a =3D=\r
b \r
c\r
--b\r
Content-Type: application/pdf; name="x.pdf"\r
Content-Disposition: attachment; filename*=utf-8''%c3%a4%1b.pdf\r
Content-Transfer-Encoding: base64\r
\r
AP8K\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: inner \x1b[31m\r
\r
hi\r
--b--\r
"""


@pytest.fixture
def mime(binary, tmp_path):
    """Runs `ringpost mime show` on a file of that content."""
    def run(*arguments, content=MESSAGE, status=0):
        path = tmp_path / "message"
        path.write_bytes(content)
        result = subprocess.run([binary, "mime", "show", *arguments, str(path)], check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert result.returncode == status, result.stderr
        assert bool(result.stderr) == bool(status)
        return result.stdout
    return run


def test_tree(mime):
    assert mime().decode().splitlines() == [
        f"1 multipart/mixed, 7bit, {len(MESSAGE) - MESSAGE.index(b'preamble')} octets",
        "    Subject: Grüße und mehr",
        "    From: Ann, B. <a@b.test>",
        "    To: g: René <r@x.test>, q@y.test;, z@w.test, nobody",
        "  2 text/plain utf-8, quoted-printable, 13 octets",
        '  3 application/pdf, base64, 4 octets, attachment "ä?.pdf"',
        "  4 message/rfc822, 7bit, 26 octets",
        "    5 text/plain, 7bit, 2 octets",
        "        Subject: inner ?[31m",
    ]


def test_parts(mime):
    assert mime("--part", "2") == b"a =b\r\nc"
    assert mime("--part", "3") == b"\x00\xff\n"
    assert mime("--part", "4") == b"Subject: inner \x1b[31m\r\n\r\nhi"
    assert mime("--part", "5") == b"hi"
    assert mime("--part", "1").startswith(b"preamble\r\n--b\r\n")
    assert mime("--part", "6", status=1) == b""


def test_json(mime):
    rows = [json.loads(line) for line in mime("--json").splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row.get("parent") for row in rows] == [None, 1, 1, 1, 4]
    assert rows[2]["filename"] == "ä\x1b.pdf" and rows[2]["disposition"] == "attachment"
    assert rows[0]["subject"] == "Grüße und mehr" and rows[4]["subject"] == "inner \x1b[31m"
    assert rows[0]["from"] == [{"name": "Ann, B.", "address": "a@b.test"}]
    assert rows[0]["to"] == [{"name": "René", "address": "r@x.test", "group": "g"},
                             {"address": "q@y.test", "group": "g"}, {"address": "z@w.test"},
                             {"invalid": "nobody"}]
    assert (rows[0]["date"], rows[0]["zone"]) == (1795244739, 60)
    begin, end = rows[4]["body"]
    assert MESSAGE[begin:end] == b"hi"


def test_oddities_are_said(mime):
    assert b"[no boundary]" in mime(content=b"Content-Type: multipart/mixed\r\n\r\nx\r\n")
    text = mime(content=b"From x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nx\0y\xff\n")
    assert b'"From " line before the header; not closed' in text
    assert b"[no empty line behind the header; 8-bit octets; NUL octets; bare LF]" in text
    header = b"X: " + b"x" * (1 << 20) + b"\r\n\r\n"
    text = mime(content=header)
    assert b"header too long" in text and b"beyond a limit" in text
    assert mime(content=b"").startswith(b"1 text/plain, 7bit, 0 octets")


def test_large_message(mime):
    """Parts without number, base64 of some size: all of it comes out, nothing beyond the limit."""
    body = b"QUJD" * 19 + b"\r\n"
    content = b"Content-Transfer-Encoding: base64\r\n\r\n" + body * 20000
    assert mime("--part", "1", content=content) == b"ABC" * 19 * 20000
    many = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 20000
    text = mime(content=many)
    assert b"\n  10000 text/plain" in text and b"10001" not in text and b"beyond a limit" in text


def test_standard_input_and_output(binary):
    command = [binary, "mime", "show", "--part", "5", "-"]
    assert subprocess.run(command, input=MESSAGE, check=True, stdout=subprocess.PIPE,
                          timeout=60).stdout == b"hi"
    with open("/dev/full", "wb") as full:
        result = subprocess.run(command, input=MESSAGE, check=False, stdout=full,
                                stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and b"standard output" in result.stderr


@pytest.mark.parametrize("arguments, status, said", [
    (["show", "/nonexistent/file"], 1, b"/nonexistent/file: No such file"),
    (["show", "/"], 1, b"/: Is a directory"),
    (["show"], 2, b"--help"),
    (["show", "a", "b"], 2, b"--help"),
    (["tree", "a"], 2, b"--help"),
    (["show", "--part", "0", "a"], 2, b"--part"),
    (["show", "--part", "x", "a"], 2, b"--part"),
    (["show", "--part"], 2, b"needs a value"),
    (["show", "--nonsense", "a"], 2, b"--nonsense"),
    ([], 2, b"--help"),
])
def test_what_goes_wrong_is_said(binary, arguments, status, said):
    result = subprocess.run([binary, "mime", *arguments], check=False, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == status and said in result.stderr and result.stdout == b""


def test_help(binary):
    text = subprocess.run([binary, "mime", "--help"], check=True, stdout=subprocess.PIPE,
                          timeout=60).stdout
    assert b"usage: ringpost mime show" in text
