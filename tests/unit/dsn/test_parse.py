# SPDX-License-Identifier: Apache-2.0
"""Reads reports with Python's email package: what we mean must be what another program sees."""
import email
import email.policy
import email.utils
import subprocess
import sys

SAMPLE = sys.argv[1]
ORIGINAL = (b"Received: from a by relay.example; Sat, 21 Nov 2026 07:05:39 +0000\r\n"
            b"Subject: hello\r\nFrom: alice@a.example\r\n\r\n.first line\r\nlast line\r\n")


def raw(name):
    return subprocess.run([SAMPLE, name], check=True, capture_output=True, timeout=20).stdout


def parse(name, utf8=False):
    data = raw(name)
    assert data.endswith(b"\r\n")
    assert b"\r" not in data.replace(b"\r\n", b"") and b"\n" not in data.replace(b"\r\n", b"")
    assert b"\0" not in data
    head = data[: data.index(b"\r\n\r\n")]
    assert utf8 or head.isascii(), "the header is ASCII unless the sender's address is not"
    for line in data.split(b"\r\n"):
        assert len(line) <= 998, line
    message = email.message_from_bytes(data)
    assert not message.defects, message.defects
    for part in message.get_payload():  # what is wrong inside the original is not ours
        assert not part.defects, (part.get_content_type(), part.defects)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["MIME-Version"] == "1.0"
    for field in ("From", "To", "Date", "Message-ID", "Subject"):
        assert len(message.get_all(field)) == 1, field
    assert message["Message-ID"] == "<4aF.0001-dsn@relay.example>"
    assert email.utils.parsedate_to_datetime(message["Date"]).timestamp() == 1795244740
    parts = message.get_payload()
    assert len(parts) == 3, [p.get_content_type() for p in parts]
    assert parts[0].get_content_type() == "text/plain"
    status = parts[1].get_payload() if not utf8 else None
    return message, parts, status, data


def test_failed():
    message, parts, status, _ = parse("failed")
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@relay.example>"
    assert message["To"] == "<alice@a.example>"
    text = parts[0].get_payload()
    assert "<bob@b.example>" in text and "mx.b.example said: 550 5.1.1 The email" in text
    assert parts[1].get_content_type() == "message/delivery-status"
    assert len(status) == 2
    assert status[0]["Reporting-MTA"] == "dns; relay.example"
    assert status[0]["Original-Envelope-Id"] == "QQ+314"
    assert email.utils.parsedate_to_datetime(status[0]["Arrival-Date"]).timestamp() == 1795244700
    rcpt = status[1]
    assert rcpt["Original-Recipient"] == "rfc822; Bob+Original@b.example"
    assert rcpt["Final-Recipient"] == "rfc822; bob@b.example"
    assert rcpt["Action"] == "failed" and rcpt["Status"] == "5.1.1"
    assert rcpt["Remote-MTA"] == "dns; mx.b.example"
    diagnostic = " ".join(rcpt["Diagnostic-Code"].split())
    assert diagnostic == ("smtp; 550 5.1.1 The email account that you tried to reach does not "
                          "exist. Please try double-checking the recipient's address for typos "
                          "or unnecessary spaces.")
    assert email.utils.parsedate_to_datetime(rcpt["Last-Attempt-Date"]).timestamp() == 1795244739
    assert rcpt["Will-Retry-Until"] is None
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert parts[2].get_payload().encode() == ORIGINAL[: ORIGINAL.index(b"\r\n\r\n") + 2]


def test_full():
    _, parts, _, data = parse("full")
    assert parts[2].get_content_type() == "message/rfc822"
    assert parts[2].get_payload()[0]["Subject"] == "hello"
    assert b"\r\n\r\n" + ORIGINAL + b"\r\n--" in data


def test_mixed():
    message, parts, status, _ = parse("mixed")
    assert len(status) == 4
    assert [s["Action"] for s in status[1:]] == ["failed", "delayed", "failed"]
    assert [s["Status"] for s in status[1:]] == ["5.1.1", "4.2.2", "4.4.1"]
    assert status[2]["Will-Retry-Until"] == "Thu, 26 Nov 2026 08:00:00 +0000"
    assert status[2]["Original-Recipient"] is None
    assert status[3]["Original-Recipient"] == "x400; /S=/D"
    assert status[3]["Remote-MTA"] is None
    assert status[3]["Diagnostic-Code"] == "X-Ringpost; connection to mx.c.example timed out"
    text = parts[0].get_payload()
    assert "time for delivery has run out" in text and "Attempts go on until" in text
    assert "failed" in message["Subject"]


def hostile(name, kind):
    message, parts, status, data = parse(name)
    assert len(message.get_all("To")) == 1 and message["Bcc"] is None
    assert len(status) == 2, "no group of fields more than we wrote"
    for fields in status:
        assert fields["X"] is None
    assert status[1].get_all("Action") == ["failed"]
    assert status[1].get_all("Status") == ["5.1.1"]
    assert status[0]["Original-Envelope-Id"] is None
    assert parts[2].get_content_type() == kind
    boundary = message.get_boundary()
    assert boundary == "=_4aF.0001-dsn_2", "those in the original are avoided"
    assert data.isascii()


def test_hostile():
    hostile("hostile", "text/rfc822-headers")


def test_hostile_full():
    hostile("hostile-full", "message/rfc822")


def test_utf8_recipient():
    _, parts, status, data = parse("utf8-recipient")
    assert data.isascii(), "a sender with an ASCII address may be unable to take UTF-8"
    assert status[1]["Final-Recipient"] == r"utf-8; j\x{FC}rgen@b.example"
    assert status[1]["Original-Recipient"] == r"utf-8; j\x{FC}rgen@b.example"
    assert parts[2]["Content-Transfer-Encoding"] == "quoted-printable"
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert "Subject: gr\u00fc\u00dfe".encode() in parts[2].get_payload(decode=True)


def test_utf8_recipient_full():
    message, parts, _, data = parse("utf8-recipient-full")
    assert parts[2].get_content_type() == "message/global"
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert "Subject: gr\u00fc\u00dfe\r\n\r\n.first line\r\n".encode() in data


def test_utf8_sender():
    for name, kind in (("utf8-sender", "message/global-headers"),
                       ("utf8-sender-full", "message/global")):
        message, parts, _, data = parse(name, utf8=True)
        assert parts[1].get_content_type() == "message/global-delivery-status"
        assert parts[2].get_content_type() == kind
        text = data.decode("utf-8")
        assert "To: <\u4e2d@a.example>" in text
        assert "Final-Recipient: utf-8; j\u00fcrgen@b.example\r\n" in text
        assert "J\u00fcrgen is unknown" in text
        assert "Original-Recipient: utf-8; j\u00fcrgen@b.example\r\n" in text
        assert message["Content-Transfer-Encoding"] == "8bit"


def test_long_header():
    _, parts, _, data = parse("long-header")
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert parts[2]["Content-Transfer-Encoding"] == "quoted-printable"
    decoded = parts[2].get_payload(decode=True)
    assert decoded == (b"Subject: " + b"x" * 1500 + b" " + b"x" * 1499 +
                       b"\r\nX: trailing \r\nY: a=b\xff\r\n")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]
for test in TESTS:
    test()
    print("ok", test.__name__)
