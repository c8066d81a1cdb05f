# SPDX-License-Identifier: Apache-2.0
"""Injection: the header fields put on top (RFC 5321 section 4.4) and the loop detection."""
import email.utils
import re
import time

import pytest
from harness import mail


@pytest.fixture(scope="module")
def hop_module(run_module):
    return run_module.hop()


@pytest.fixture(scope="module")
def relay(run_module, hop_module):
    return run_module.ringpost(run_module.config(1).route("*", hop_module.where))


@pytest.fixture
def through(relay, hop_module):
    """through(content, ...) -> (the message as it came out, reply to the injector)."""
    def send(content, hello="EHLO client.test", params="", **envelope):
        relay.wait_empty()
        seen = len(hop_module.accepted)
        with relay.client() as client:
            client.ok(hello)
            reply = client.mail(content, params=params, **envelope)
        return hop_module.wait(seen + 1)[seen], reply
    return send


def test_received_field(through):
    message, reply = through(mail.message())
    assert message.data.startswith(b"Received:")
    received = message.field("Received")
    assert len(received) == 1
    queue_id = reply.text.split()[-1]
    found = re.fullmatch(
        r"from client\.test \((?:\S+ )?\[127\.0\.0\.1\]\)\s+by relay\.test(?: \(.*\))?\s+"
        r"with ESMTP\s+id (\S+)\s+for <b@dest\.test>;\s+(.*)", received[0])
    assert found, received
    assert found.group(1) == queue_id
    when = email.utils.parsedate_to_datetime(found.group(2))
    assert when.tzinfo is not None and abs(when.timestamp() - time.time()) < 60


@pytest.mark.parametrize("hello, params, protocol", [
    ("HELO client.test", "", "SMTP"), ("EHLO client.test", "", "ESMTP"),
    ("EHLO client.test", " SMTPUTF8", "UTF8SMTP")])
def test_protocol_of_received(through, hello, params, protocol):
    message, _ = through(mail.message(), hello, params)
    assert f"with {protocol} id" in re.sub(r"\s+", " ", message.field("Received")[0])


def test_no_recipient_is_named_when_there_are_several(through):
    message, _ = through(mail.message(), recipients=("b@dest.test", "secret@dest.test"))
    assert "for" not in message.field("Received")[0].split()
    assert b"secret" not in message.data


def test_ehlo_name_is_told_as_given(through):
    message, _ = through(mail.message(), "EHLO [127.0.0.9]")
    assert message.field("Received")[0].startswith("from [127.0.0.9] (")


def test_date_and_message_id_are_added(through):
    message, reply = through(b"Subject: bare\r\n\r\nbody\r\n")
    assert len(message.field("Date")) == 1
    when = email.utils.parsedate_to_datetime(message.field("Date")[0])
    assert abs(when.timestamp() - time.time()) < 60
    assert len(message.field("Message-ID")) == 1
    assert re.fullmatch(r"<[^<>@\s]+@relay\.test>", message.field("Message-ID")[0])
    assert reply.code == 250


@pytest.mark.parametrize("names", [("Date", "Message-ID"), ("DATE", "message-id"),
                                   ("date", "Message-Id")])
def test_date_and_message_id_are_kept(through, names):
    content = (f"{names[0]}: Thu, 1 Jan 2026 00:00:00 +0000\r\n{names[1]}:\r\n <x@y.test>\r\n"
               "Subject: kept\r\n\r\nbody\r\n").encode()
    message, _ = through(content)
    assert mail.without_trace(message.data) == content


def test_date_in_the_body_or_folded_is_no_date(through):
    message, _ = through(b"Subject: x\r\n Date: folded\r\n\r\nDate: body\r\nMessage-ID: <b@b>\r\n")
    assert len(message.field("Date")) == 1 and len(message.field("Message-ID")) == 1


def test_adding_can_be_switched_off(run, hop, relay_to):
    relay = relay_to(hop, listener={"add_date": False, "add_message_id": False})
    with relay.session() as client:
        client.mail(b"Subject: bare\r\n\r\nbody\r\n")
    assert mail.without_trace(hop.wait(1)[0].data) == b"Subject: bare\r\n\r\nbody\r\n"


@pytest.mark.parametrize("field", [b"Return-Path: <x@y.test>\r\n", b"RETURN-PATH:\r\n\t<x@y.test>\r\n",
                                   b"return-path: a\r\nReturn-Path: b\r\n"])
@pytest.mark.parametrize("where", ["top", "middle", "end"])
def test_return_path_is_removed(through, field, where):
    lines = [b"From: a@b.test\r\n", b"Date: x\r\n", b"Message-ID: <a@b>\r\n"]
    place = {"top": 0, "middle": 1, "end": 3}[where]
    content = b"".join(lines[:place]) + field + b"".join(lines[place:])
    body = b"\r\nReturn-Path: in the body\r\n"
    message, _ = through(content + body)
    assert mail.without_trace(message.data) == b"".join(lines) + body


def test_no_header_at_all(through):
    message, _ = through(b"just text\r\nmore\r\n")
    assert message.body == b"just text\r\nmore\r\n"
    assert message.data.startswith(b"Received:")


@pytest.mark.parametrize("first", [b"just text\r\n", b" indented\r\n", b"\xe4\xf6: x\r\n", b": x\r\n",
                                   b"From a@b Mon Jan  1 00:00:00 2026\r\n"])
def test_without_a_header_everything_is_body(through, first):
    """Nothing in it is a trace field, and not an octet of it is changed."""
    content = (first + b"Return-Path: <x@y.test>\r\nDate: x\r\n"
               + b"Received: from x by y; z\r\n" * 60 + b"\r\nend\r\n")
    message, _ = through(content, params=" BODY=8BITMIME SMTPUTF8")
    assert message.body == content
    assert len(message.field("Date")) == 1 and "SMTPUTF8" not in message.params


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\r\nbody only\r\n"])
def test_empty_header(through, content):
    message, _ = through(content)
    assert message.body == content[2:]
    assert len(message.field("Received")) == 1


def test_received_fields_are_neither_changed_nor_removed(through):
    old = b"Received: from x by y;\r\n\todd   date\r\nreceived: lower\r\n"
    content = old + mail.message()
    message, _ = through(content)
    assert message.data.endswith(content)
    assert len(message.field("Received")) == 3


@pytest.mark.parametrize("count, code", [(0, 250), (50, 250), (51, 554), (200, 554)])
def test_loops_are_detected(relay, count, code):
    content = b"Received: from x by y; z\r\n" * count + mail.message()
    for way in ("data", "bdat"):
        with relay.session() as client:
            client.envelope()
            reply = getattr(client, way)(content)
            assert reply.code == code, reply
            if code == 554:
                assert reply.enhanced == "5.4.6"
            client.ok("NOOP")


def test_received_in_the_body_does_not_count(relay):
    with relay.session() as client:
        client.mail(mail.message(body=b"Received: from x by y; z\r\n" * 100))


def test_odd_field_names_are_data(through):
    odd = b"__proto__: x\r\nconstructor: y\r\n:empty name\r\nno colon here\r\nX Y: z\r\n"
    content = mail.message().replace(b"\r\n\r\n", b"\r\n" + odd + b"\r\n", 1)
    message, _ = through(content)
    assert mail.without_trace(message.data) == content
