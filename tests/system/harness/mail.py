# SPDX-License-Identifier: Apache-2.0
"""mail - messages to send, and what to read out of delivery status notifications."""
import email
import email.policy
import random
import re


def message(subject="test", body=b"hello\r\n", headers=()):
    lines = ["From: a@source.test", "To: b@dest.test", f"Subject: {subject}",
             "Date: Sat, 21 Nov 2026 07:00:00 +0000", f"Message-ID: <{subject}@source.test>",
             *headers]
    return "".join(line + "\r\n" for line in lines).encode("utf-8") + b"\r\n" + body


def body_of_size(size, seed=1, line=76):
    """Text of exactly so many octets in CRLF lines, not the same anywhere."""
    source = random.Random(seed)
    pieces, left = [], size
    while left > 0:
        length = left if left < line + 4 else line
        text = "%0*x" % (length - 2, source.getrandbits(4 * (length - 2))) if length > 2 else ""
        pieces.append(text.encode() + b"\r\n" if length >= 2 else b"x")
        left -= length
    return b"".join(pieces)


def without_trace(data):
    """The content below the Received fields that were put on top of it."""
    while data[:9].lower() == b"received:":
        end = re.search(rb"\r\n(?![ \t])", data)
        data = data[end.end():]
    return data


class Dsn:
    """A multipart/report of RFC 3464, taken apart; checks its form on the way."""

    def __init__(self, octets):
        self.octets = octets
        # RFC 5322 section 2.1.1: no line of ours is over 998.
        assert max(map(len, octets.split(b"\r\n"))) <= 998
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        assert not self.message.defects, self.message.defects
        assert self.message.get_content_type() == "multipart/report"
        assert self.message.get_param("report-type") == "delivery-status"
        parts = list(self.message.iter_parts())
        assert len(parts) == 3, [part.get_content_type() for part in parts]
        self.text_part, self.status_part, self.returned_part = parts
        assert self.text_part.get_content_type() == "text/plain"
        assert self.status_part.get_content_type() in ("message/delivery-status",
                                                       "message/global-delivery-status")
        for name in ("From", "To", "Date", "Message-ID", "Subject"):
            assert len(self.message.get_all(name, [])) == 1, f"{name} in {octets[:2000]!r}"
        assert self.message["Auto-Submitted"].startswith("auto-")  # RFC 3834
        blocks = self.status_part.get_payload()
        self.message_fields, self.recipients = blocks[0], [b for b in blocks[1:] if b.keys()]
        assert self.message_fields["Reporting-MTA"].startswith("dns;")
        for block in self.recipients:
            for name in ("Final-Recipient", "Action", "Status"):
                assert len(block.get_all(name, [])) == 1, f"{name} in {block.items()}"
            assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", block["Status"])

    @property
    def text(self):
        return self.text_part.get_content()

    def recipient(self, address):
        for block in self.recipients:
            kind, _, value = block["Final-Recipient"].partition(";")
            if value.strip() == address:
                assert kind.strip().lower() in ("rfc822", "utf-8")
                return block
        raise AssertionError(f"{address} is not in {[b.items() for b in self.recipients]}")

    def returned(self):
        """The original, or its header only."""
        kind = self.returned_part.get_content_type()
        if kind in ("message/rfc822", "message/global"):
            return self.returned_part.get_payload(0)
        assert kind in ("text/rfc822-headers", "message/global-headers"), kind
        return email.message_from_string(self.returned_part.get_payload())

    def returns_all(self):
        return self.returned_part.get_content_type() in ("message/rfc822", "message/global")
