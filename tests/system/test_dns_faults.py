# SPDX-License-Identifier: Apache-2.0
"""A name server that lies, truncates or says nothing: never a crash, never a wrong bounce."""
import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from harness import mail
from harness.dns import answer_with
from harness.net import free_port
from harness.wait import until


@pytest.fixture
def asking(run):
    """asking(answer) -> (relay, hop on 127.0.0.2, server); mail for source.test is routed."""
    def start(answer):
        port = free_port(["127.0.0.2"])
        hop = run.hop(address="127.0.0.2", port=port)
        server = run.bad_dns(answer)
        config = run.config(1).site(port=port).change("top", resolver=[server.where])
        config.route("source.test", hop.where)
        return run.ringpost(config), hop, server
    return start


def send(relay, domain="one.test"):
    with relay.session() as client:
        client.mail(mail.message(), recipients=[f"b@{domain}"])


def good(query):
    name = query.question[0].name.to_text()
    if name.startswith("mx."):
        return answer_with(query, f"{name} 60 IN A 127.0.0.2") if query.question[0].rdtype == 1 \
            else answer_with(query)
    return answer_with(query, f"{name} 60 IN MX 10 mx.{name}")


def test_good_answers(asking):
    relay, hop, _ = asking(lambda query, tcp: good(query))
    send(relay)
    hop.wait(1)


def test_truncated_answer_is_asked_again_by_tcp(asking):
    def answer(query, tcp):
        if tcp:
            return good(query)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.TC
        return response.to_wire()
    relay, hop, _ = asking(answer)
    send(relay)
    hop.wait(1)


def test_lost_first_query_is_repeated(asking):
    seen = set()

    def answer(query, tcp):
        key = query.question[0].to_text()
        if key in seen:
            return good(query)
        seen.add(key)
        return None
    relay, hop, _ = asking(answer)
    send(relay)
    hop.wait(1, 30)


def with_answers(query, records, count):
    """An answer with these octets as its records."""
    wire = bytearray(dns.message.make_response(query).to_wire())
    struct.pack_into("!H", wire, 6, count)
    struct.pack_into("!H", wire, 10, 0)
    question_end = 12 + len(query.question[0].name.to_wire()) + 4
    return bytes(wire[:question_end]) + records


def raw_mx(query, rdata, count=1):
    """An answer whose MX data are these octets, right or not."""
    record = b"\xc0\x0c" + struct.pack("!HHIH", 15, 1, 60, len(rdata)) + rdata
    return with_answers(query, record * count, count)


@pytest.mark.parametrize("rdata", [b"", b"\0", b"\0\x0a", b"\0\x0a\xc0", b"\0\x0a\xc0\xff",
                                   b"\0\x0a\x3fshort", b"\0\x0a\xc0\x0c\0\0", b"\0\x0a" + b"\x01a" * 200,
                                   b"\0\x0a\x05a\r\nb \0"])
def test_broken_records(asking, rdata):
    relay, _, _ = asking(lambda query, tcp: raw_mx(query, rdata))
    send(relay)
    until(lambda: relay.account(type="TransientFailure") or relay.account(type="Bounce"), 20,
          "an outcome")
    assert relay.is_running()


@pytest.mark.parametrize("octets", [b"", b"\0" * 5, b"\xff" * 512])
def test_garbage_instead_of_an_answer(asking, octets):
    def answer(query, tcp):
        return struct.pack("!H", query.id) + octets
    relay, hop, _ = asking(answer)
    send(relay)
    relay.wait_account(1, 25, type="TransientFailure")
    assert not hop.accepted


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP,
                                   dns.rcode.FORMERR])
def test_failing_server_never_bounces(asking, rcode):
    relay, hop, _ = asking(lambda query, tcp: answer_with(query, rcode=rcode))
    send(relay)
    relay.wait_account(1, 25, type="TransientFailure")
    assert not hop.accepted and relay.queued() == 1


def test_best_of_thousands_of_mx_records_is_the_last(asking):
    def answer(query, tcp):
        name = query.question[0].name.to_text()
        if name.startswith("mx."):
            return good(query)
        if name != "one.test.":
            return answer_with(query, f"{name} 60 IN A 127.0.0.99") \
                if query.question[0].rdtype == 1 else answer_with(query)
        if not tcp:
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            return response.to_wire()
        names = [b"%d" % n for n in range(2500)] + [b"mx"]
        records = b""
        for place, label in enumerate(names):
            rdata = struct.pack("!HB", 3000 - place, len(label)) + label + b"\xc0\x0c"
            records += b"\xc0\x0c" + struct.pack("!HHIH", 15, 1, 60, len(rdata)) + rdata
        return with_answers(query, records, len(names))
    relay, hop, _ = asking(answer)
    send(relay)
    hop.wait(1, 30)


def test_one_query_for_many_messages(asking):
    relay, hop, server = asking(lambda query, tcp: good(query))
    with relay.session() as client:
        for number in range(50):
            client.mail(mail.message(str(number)), recipients=["b@one.test"])
    hop.wait(50)
    assert len([q for q in server.queries if q[1:] == ("one.test", "MX")]) == 1


def test_silence_about_the_sender_lets_the_mail_in(asking):
    """An outage of DNS must not keep applications from handing in their mail."""
    relay, _, server = asking(lambda query, tcp: None)
    with relay.session() as client:
        for number in range(20):
            client.mail(mail.message(), sender=f"a@sender{number}.test", recipients=["b@one.test"])
    assert any(name == "sender0.test" for _, name, _ in server.queries)


def test_client_leaves_while_dns_is_asked_about_the_sender(asking):
    relay, hop, _ = asking(lambda query, tcp: None)
    for number in range(5):
        with relay.session() as client:
            client.send(f"MAIL FROM:<a@sender{number}.test>\r\n")
    with relay.session() as client:
        client.mail(mail.message(), recipients=["b@source.test"])
    hop.wait(1)
