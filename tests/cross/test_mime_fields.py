# SPDX-License-Identifier: Apache-2.0
"""Subjects, addresses and dates as `ringpost mime` reads them against Python's email package."""
import datetime
import email.header
import email.headerregistry
import email.message
import email.policy
import email.utils
import pathlib
import random

import mime_others as others
import pytest

DATA = pathlib.Path("/usr/lib/python3.11/test/test_email/data")


def plain(text):
    return str(email.header.make_header(email.header.decode_header(text)))


def ours(ringpost, data, field):
    _, rows = others.ours(ringpost, data)
    return [(row.get("name", ""), row["address"]) for row in rows[0].get(field, [])
            if "address" in row]


@pytest.mark.parametrize("path", sorted(DATA.glob("msg_*.txt")), ids=lambda path: path.stem)
def test_python_messages(ringpost, path):
    data = path.read_bytes()
    message = email.message_from_bytes(data, policy=email.policy.default)
    raw = email.message_from_bytes(data)
    for field in ("from", "to", "cc"):
        # What has no domain is no address for us.
        pairs = email.utils.getaddresses([raw[field]] if raw[field] else [])
        assert ours(ringpost, data, field) == [(plain(name), address) for name, address in pairs
                                               if "@" in address]
    _, rows = others.ours(ringpost, data)
    assert rows[0].get("subject", "").strip() == str(message["subject"] or "").strip()
    date = message["date"] and message["date"].datetime
    assert rows[0].get("date") == (int(date.timestamp()) if date else None)


# One word where it is not ASCII: EmailMessage loses the spaces between words that it folds.
NAMES = ["", "Ann", "Ann Bee", "Bee, Ann", 'Ann "A" Bee', "Ann (B)", "René", "Толстой",
         "日本語の名前", "a@b", "back\\slash", "J. R. R. Tolkien", ":;<>"]
LOCALS = ["a", "first.last", "a+b=c", "o'neil", "x" * 60, "a b", 'q"uote', "a,b"]
DOMAINS = ["b.test", "some.where.example", "[192.0.2.1]", "xn--bcher-kva.example"]


def some_address(rng):
    local = rng.choice(LOCALS)
    if any(c in local for c in ' ",'):
        local = '"' + local.replace('"', '\\"') + '"'
    return email.headerregistry.Address(rng.choice(NAMES).strip(),
                                        addr_spec=f"{local}@{rng.choice(DOMAINS)}")


@pytest.mark.parametrize("seed", range(30))
def test_made_lists(ringpost, seed):
    """Python folds, quotes and encodes; ours reads."""
    rng = random.Random(seed)
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    expected = []
    items = []
    for number in range(rng.randrange(1, 12)):
        members = [some_address(rng) for _ in range(rng.randrange(3))]
        if rng.random() < 0.3:
            items.append(email.headerregistry.Group(f"Group {number}", members))
        else:
            members = [some_address(rng)]
            items += members
        expected += members
    message["To"] = items
    zone = datetime.timezone(datetime.timedelta(minutes=rng.randrange(-720, 840)))
    date = datetime.datetime.fromtimestamp(rng.randrange(1 << 32), zone)
    message["Date"] = email.utils.format_datetime(date)
    message.set_content("x")
    data = message.as_bytes()
    assert ours(ringpost, data, "to") == [(address.display_name, address.addr_spec)
                                          for address in expected]
    _, rows = others.ours(ringpost, data)
    assert rows[0]["date"] == int(date.timestamp())


@pytest.mark.parametrize("seed", range(30))
def test_made_long_texts(ringpost, seed):
    """As email.header splits a long text into encoded-words, of several charsets. (Between texts of
    one charset it puts a space.)"""
    rng = random.Random(seed)
    subject = email.header.Header(header_name="Subject")
    texts = []
    for _ in range(rng.randrange(1, 6)):
        charset, alphabet = rng.choice([("utf-8", "aé日😀 "), ("iso-8859-1", "aéß "),
                                        ("koi8-r", "лев "), ("shift_jis", "日本語")])
        texts.append("".join(rng.choices(alphabet, k=rng.randrange(1, 80))).strip() or "x")
        subject.append(texts[-1], charset)
    name = email.header.Header(texts[0], "utf-8", header_name="To")
    data = f"Subject: {subject.encode()}\nTo: {name.encode()} <a@b.test>\n\n".encode()
    _, rows = others.ours(ringpost, data)
    assert rows[0]["subject"] == str(subject) == plain(subject.encode())
    assert rows[0]["to"] == [{"name": texts[0], "address": "a@b.test"}]
