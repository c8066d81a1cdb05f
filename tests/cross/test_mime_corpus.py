# SPDX-License-Identifier: Apache-2.0
"""What `ringpost mime` finds in a message against Python's email, GMime and Perl's MIME-tools.

Two sets: the messages that CPython tests its own parser with (libpython3.11-testsuite), many of them
broken on purpose, and messages that Python builds here from a seed, about which all must agree.
Every difference is listed with its reason; one that goes away fails the test as well.
"""
import email.message
import email.policy
import pathlib
import random

import mime_others as others
import pytest

DATA = pathlib.Path("/usr/lib/python3.11/test/test_email/data")
MESSAGES = sorted(DATA.glob("msg_*.txt"))

SAME_BOUNDARY = "inner multipart with the boundary of the outer one: ours gives it the delimiters"
OTHER_MESSAGES = "Python parses message/* of every kind; ours message/rfc822 and message/global"
EMPTY_PARTS = "delimiter behind delimiter: ours sees an empty part, as the grammar says"
NO_CHILDREN = "a multipart that has no parts: the raw body is shown, others have none"
PYTHON = {
    "msg_15": SAME_BOUNDARY,
    "msg_16": OTHER_MESSAGES,
    "msg_36": OTHER_MESSAGES,
    "msg_37": EMPTY_PARTS,
    "msg_39": SAME_BOUNDARY,
    "msg_42": NO_CHILDREN,
    "msg_43": OTHER_MESSAGES,
}
GMIME = {
    "msg_14": "type without subtype: RFC 2045 section 5.2 says text/plain",
    "msg_15": "quoted-printable: white space at the end of a line goes, RFC 2045 section 6.7 (3)",
    "msg_17": NO_CHILDREN,
    "msg_19": "does not take it for a message",
    "msg_25": NO_CHILDREN,
    "msg_31": NO_CHILDREN,
    "msg_35": "no empty line behind the header: GMime loses the text",
    "msg_37": EMPTY_PARTS,
    "msg_38": "delimiters of multiparts that are not open",
    "msg_39": "base64 that is cut off: ours gives what octets there are",
    "msg_41": NO_CHILDREN,
    "msg_42": NO_CHILDREN,
}


def test_there_is_a_corpus():
    assert len(MESSAGES) >= 45


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_python_messages(ringpost, path):
    data = path.read_bytes()
    parts, rows = others.ours(ringpost, data)
    assert (others.python(data) == parts) == (path.stem not in PYTHON), PYTHON.get(path.stem)
    assert (others.gmime(data) == parts) == (path.stem not in GMIME), GMIME.get(path.stem)
    if path.stem not in PYTHON:
        names = [row.get("filename", row.get("name")) for row in rows]
        assert names == others.python_names(data)


# ---- messages made here ---------------------------------------------------------------------------

WORDS = ["alpha", "bêta", "гамма", "--", "=3D", "From here", ".", "日本", "a" * 90, "tab\t", "x " * 40]


def some_text(rng):
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(5))) for _ in range(rng.randrange(12))]
    return "".join(line.rstrip() + "\n" for line in lines)


def leaf(rng):
    part = email.message.EmailMessage(policy=email.policy.SMTP)
    if rng.random() < 0.5:
        part.set_content(some_text(rng), subtype=rng.choice(["plain", "html"]),
                         cte=rng.choice(["quoted-printable", "base64"]))
    else:
        part.set_content(rng.randbytes(rng.randrange(3000)), maintype="application",
                         subtype=rng.choice(["octet-stream", "pdf"]), cte="base64",
                         filename=rng.choice(["a.bin", "a b;c.pdf", "ä\"ö.pdf", "файл" * 20]))
    return part


def entity(rng, depth):
    choice = rng.random()
    if depth == 0 or choice < 0.3:
        return leaf(rng)
    part = email.message.EmailMessage(policy=email.policy.SMTP)
    if choice < 0.5:
        inner = entity(rng, depth - 1)
        inner["Subject"] = "=?x= nested é"
        part.set_content(inner)
        return part
    subtype = rng.choice(["mixed", "alternative", "related"])
    part["Content-Type"] = f'multipart/{subtype}; boundary="{"=" * rng.randrange(3)}b{depth}"'
    part.preamble = rng.choice([None, "preamble\n--b9\n"])
    part.epilogue = rng.choice([None, "", "epilogue\n--b1x\n"])
    part.set_payload([entity(rng, depth - 1) for _ in range(rng.randrange(1, 5))])
    return part


def local_line_ends(parts):
    """MIME-tools gives text with the line ends of its machine."""
    return [(kind, body.replace(b"\r\n", b"\n") if body and kind.startswith("text/") else body)
            for kind, body in parts]


@pytest.mark.parametrize("seed", range(40))
def test_made_messages(ringpost, seed):
    rng = random.Random(seed)
    message = entity(rng, 4)
    message["From"] = "Ann <a@a.test>"
    if "MIME-Version" not in message:
        message["MIME-Version"] = "1.0"
    data = message.as_bytes(policy=email.policy.SMTP)
    parts, rows = others.ours(ringpost, data)
    assert parts == others.python(data)
    assert parts == others.gmime(data)
    assert local_line_ends(parts) == local_line_ends(others.perl(data))
    assert [row.get("filename", row.get("name")) for row in rows] == others.python_names(data)
    assert all(not row["flags"] for row in rows)
