# SPDX-License-Identifier: Apache-2.0
"""8-bit and binary content for receivers that do not take it (RFC 6152, RFC 3030).

Python's email package builds the messages and reads what arrives: same parts, same octets in them.
"""
import email
import email.policy
import random
from email.message import EmailMessage

import pytest
from harness import mail
from harness.actions import reply
from harness.next_hop import EXTENSIONS
from harness.wait import until

BARE = ["PIPELINING", "ENHANCEDSTATUSCODES"]
WITH_CHUNKING = BARE + ["CHUNKING"]
WITH_8BIT = BARE + ["8BITMIME"]
RUSSIAN = "Съешь же ещё этих мягких французских булок\r\n" * 20
FRENCH = "Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis\r\n.\r\n..dot\r\nFrom moi\r\n"


def wide_message(binary=False):
    """Text, HTML, an attachment, a message within: with 8-bit (or binary) transfer encodings."""
    source = random.Random(7)
    parts = []
    for kind, text in (("plain", FRENCH), ("html", "<p>" + RUSSIAN + "</p>\r\n")):
        parts.append(f"Content-Type: text/{kind}; charset=utf-8\r\n"
                     f"Content-Transfer-Encoding: 8bit\r\n\r\n".encode() + text.encode())
    if binary:
        parts.append(b"Content-Type: application/octet-stream\r\n"
                     b"Content-Disposition: attachment; filename=x.bin\r\n"
                     b"Content-Transfer-Encoding: binary\r\n\r\n" + source.randbytes(200000))
        parts.append(b"Content-Type: text/plain\r\n\r\nunix\nlines\n")
    parts.append(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                 b"Subject: inner\r\nMIME-Version: 1.0\r\n"
                 b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" +
                 "Où ça\r\n".encode("latin-1"))
    parts.append(b"\r\nplain ASCII\r\n.\r\n")
    body = b"".join(b"\r\n--=_b\r\n" + part for part in parts) + b"\r\n--=_b--\r\n"
    encoding = "binary" if binary else "8bit"
    return mail.message("wide", b"preamble\r\n" + body, [
        "MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="=_b"',
        f"Content-Transfer-Encoding: {encoding}"])


def leaves(octets):
    message = email.message_from_bytes(octets, policy=email.policy.SMTP)
    return [(part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
            for part in message.walk() if not part.is_multipart()]


def same_leaves(octets, original):
    """The decoded octets of each part are those of the original; base64 may end in a line end."""
    got, wanted = leaves(octets), leaves(original)
    assert [leaf[:2] for leaf in got] == [leaf[:2] for leaf in wanted]
    for (kind, _, one), (_, _, other) in zip(got, wanted):
        assert one == other, (kind, one[:200], other[:200])


def is_lines(octets):
    rest = octets.replace(b"\r\n", b"")
    assert b"\r" not in rest and b"\n" not in rest and b"\0" not in rest
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))


@pytest.mark.parametrize("extensions", [BARE, WITH_CHUNKING, ["SIZE 100000000"], []],
                         ids=["pipelining", "chunking", "size", "nothing"])
def test_8bit_to_7bit(run, relay_to, extensions):
    hop = run.hop(extensions=extensions)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    original = wide_message()
    with relay.session() as client:
        for _ in range(3):
            client.mail(original, params=" BODY=8BITMIME")
    for message in hop.wait(3):
        content = mail.without_trace(message.data)
        assert content.isascii() and "BODY" not in message.params
        is_lines(content)
        same_leaves(content, original)
        sizes = [p for p in message.params.split() if p.startswith("SIZE=")]
        assert sizes in ([], [f"SIZE={len(message.data)}"])
    assert relay.counter("converted") == 3


def test_taken_as_it_is_where_8bitmime_is_offered(hop, relay_to):
    relay = relay_to(hop, site={"eight_bit": "convert"})
    original = wide_message()
    with relay.session() as client:
        client.mail(original, params=" BODY=8BITMIME")
    message = hop.wait(1)[0]
    assert mail.without_trace(message.data) == original and "BODY=8BITMIME" in message.params
    assert relay.counter("converted") == 0


@pytest.mark.parametrize("eight_bit", ["convert", "send"])
@pytest.mark.parametrize("extensions", [WITH_8BIT, BARE, WITH_CHUNKING])
def test_binary_to_lines(run, relay_to, extensions, eight_bit):
    hop = run.hop(extensions=extensions)
    relay = relay_to(hop, site={"eight_bit": eight_bit})
    original = wide_message(binary=True)
    with relay.session() as client:
        client.envelope(params=" BODY=BINARYMIME")
        assert client.bdat(original[:1000], last=False).code == 250
        assert client.bdat(original[1000:]).code == 250
    message = hop.wait(1)[0]
    content = mail.without_trace(message.data)
    is_lines(content)
    same_leaves(content, original)
    if eight_bit == "convert" and "8BITMIME" not in extensions:
        assert content.isascii()
    else:
        assert FRENCH.encode() in content  # what is lines already stays readable


def test_binary_as_it_is(run, relay_to):
    hop = run.hop(extensions=WITH_8BIT + ["CHUNKING", "BINARYMIME"])
    relay = relay_to(hop, site={"eight_bit": "convert"})
    original = wide_message(binary=True)
    with relay.session() as client:
        client.envelope(params=" BODY=BINARYMIME")
        assert client.bdat(original).code == 250
    message = hop.wait(1)[0]
    assert mail.without_trace(message.data) == original and "BODY=BINARYMIME" in message.params


@pytest.mark.parametrize("kind", ["signed", "encrypted"])
def test_sealed_mail_is_returned(run, relay_to, kind):
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    original = wide_message().replace(b"multipart/mixed", b"multipart/" + kind.encode())
    with relay.session() as client:
        client.mail(original, params=" BODY=8BITMIME")
    dsn = mail.Dsn(hop.wait_dsn(1)[0].data)
    recipient = dsn.recipient("b@dest.test")
    assert recipient["Status"] == "5.6.1" and recipient["Action"] == "failed"
    assert len(hop.accepted) == 1  # the notification


def test_bounce_and_send(run, relay_to):
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "bounce"})
    with relay.session() as client:
        client.mail(wide_message())
    assert mail.Dsn(hop.wait_dsn(1)[0].data).recipient("b@dest.test")["Status"] == "5.6.3"
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "send"})
    with relay.session() as client:
        client.mail(wide_message())
    assert mail.without_trace(hop.wait(1)[0].data) == wide_message()


def test_the_next_receiver_gets_the_original(run, relay_to):
    """A conversion belongs to one attempt: what is in the spool stays as it came."""
    hop = run.hop(extensions=BARE)
    hop.on("DOT", reply("451 4.3.0 later"), times=1)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    original = wide_message()
    with relay.session() as client:
        client.mail(original)
    until(lambda: relay.counter("transient_failures") == 1)
    hop.extensions = EXTENSIONS
    hop.drop_all()
    message = hop.wait(1)[0]
    assert mail.without_trace(message.data) == original


def test_text_that_is_not_mime(run, relay_to):
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    with relay.session() as client:
        client.mail(mail.message("plain", FRENCH.encode()))
        client.mail(mail.message("old", FRENCH.encode("utf-8").replace(b"\xc3", b"\xe9")))
    texts = {}
    for message in hop.wait(2):
        assert message.data.isascii()
        parsed = email.message_from_bytes(message.data, policy=email.policy.SMTP)
        assert parsed["MIME-Version"] == "1.0"
        texts[parsed["Subject"]] = (parsed.get_content_charset(), parsed.get_payload(decode=True))
    assert texts["plain"] == ("utf-8", FRENCH.encode())
    assert texts["old"] == ("unknown-8bit", FRENCH.encode("utf-8").replace(b"\xc3", b"\xe9"))


def test_large_message_in_little_memory(run, relay_to):
    """20 MB: what is sent is made while it is sent, and not kept."""
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    body = ("é" * 30 + " ligne\r\n").encode() * 300000
    with relay.session() as client:
        client.mail(mail.message("large", body))
    parsed = email.message_from_bytes(hop.wait(1, seconds=60)[0].data)
    assert parsed.get_payload(decode=True) == body


def test_attachments_made_by_python(run, relay_to):
    """Whatever the email package makes with 8-bit encodings comes through."""
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    message = EmailMessage(policy=email.policy.SMTP.clone(cte_type="8bit"))
    message["From"], message["To"], message["Subject"] = "a@source.test", "b@dest.test", "x"
    message.set_content(FRENCH, cte="8bit")
    message.add_alternative("<p>" + FRENCH, subtype="html", cte="8bit")
    message.add_attachment(bytes(range(256)) * 40, "image", "png", filename="été.png")
    original = message.as_bytes()
    with relay.session() as client:
        client.mail(original)
    content = mail.without_trace(hop.wait(1)[0].data)
    assert content.isascii()
    same_leaves(content, original)


def test_header_fields_that_nobody_announced(run, relay_to):
    """UTF-8 in a header without SMTPUTF8: told in 7 bit where that is possible."""
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop, site={"eight_bit": "convert"})
    content = ('From: "Jörg Müller" <a@source.test>\r\nTo: b@dest.test, Zoë <z@dest.test>\r\n'
               "Subject: Grüße aus dem Wald, und noch viel mehr davon, damit gefaltet wird\r\n"
               "MIME-Version: 1.0\r\nContent-Type: application/pdf\r\n"
               'Content-Disposition: attachment; filename="Übersicht.pdf"\r\n'
               "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n").encode()
    with relay.session() as client:
        client.mail(content)
    message = hop.wait(1)[0]
    assert message.data.isascii()
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    assert parsed["Subject"] == "Grüße aus dem Wald, und noch viel mehr davon, damit gefaltet wird"
    assert [a.display_name for a in parsed["From"].addresses] == ["Jörg Müller"]
    assert [str(a) for a in parsed["To"].addresses] == ["b@dest.test", "Zoë <z@dest.test>"]
    assert parsed.get_filename() == "Übersicht.pdf" and parsed.get_content() == b"%PDF"
