# SPDX-License-Identifier: Apache-2.0
"""DKIM: what three other implementations say of our signatures; who signs what; keys and records."""
import os
import re
import stat
import subprocess

import pytest
from harness import net, verifiers
from harness.actions import reply
from harness.verifiers import DkimKey


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two signatures for one domain, one for all mail."""
    folder = tmp_path_factory.mktemp("keys")
    return [DkimKey(folder, "rsa1", "source.test"), DkimKey(folder, "ed1", "source.test", "ed25519"),
            DkimKey(folder, "plat", "platform.test")]


@pytest.fixture(scope="module")
def records(keys):
    return {key.name: key.record for key in keys}


@pytest.fixture(scope="module")
def key_server(run_module, records):
    return run_module.nsd({domain: verifiers.zone_text(
        {name: text for name, text in records.items() if name.endswith(f".{domain}")})
        for domain in ("source.test", "platform.test")})


@pytest.fixture(scope="module", params=["relaxed/relaxed", "simple/simple", "relaxed/simple",
                                        "simple/relaxed"])
def signing(run_module, keys, request):
    """A relay that signs in one of the canonical forms, and where it sends its mail."""
    hop = run_module.hop()
    config = run_module.config(2).route("*", hop.where)
    config.sign(keys, canonicalization=request.param)
    return run_module.ringpost(config), hop


def hand_in(relay, hop, *contents, chunking=False, **envelope):
    """The messages as they came out, in the order in which they went in."""
    relay.wait_empty()
    seen, ids = len(hop.accepted), []
    with relay.client() as client:
        client.ehlo()
        for content in contents:
            client.envelope(**envelope)
            reply = client.bdat(content) if chunking else client.data(content)
            assert reply.code == 250, reply
            ids.append(reply.text.split()[-1])
    by_id = {re.search(r"\sid\s+(\S+)", message.field("Received")[0]).group(1): message
             for message in hop.wait(seen + len(contents), 40)[seen:]}
    return [by_id[one] for one in ids]


def head(*fields):
    return "".join(f"{field}\r\n" for field in ("From: A <a@source.test>",) + fields).encode()


CORPUS = {
    "plain": head("To: b@dest.test", "Subject: plain") + b"\r\nhello\r\n",
    "folded": head("Subject: one\r\n\ttwo\r\n   three ", "To: b@dest.test,\r\n c@dest.test",
                   "X-Blank: \r\n \t") + b"\r\nfolded\r\n",
    "spaces-at-colons": b"From : a@source.test\r\nSubject \t:x\r\nTO:b@dest.test\r\n\r\nbody\r\n",
    "repeated": head("To: b@dest.test", "To: c@dest.test", "Subject: 1", "Subject: 2",
                     "Received: from x by y; Fri, 27 Nov 2026 10:00:00 +0000") + b"\r\nrepeated\r\n",
    "return-path": head("Return-Path: <x@y.test>\r\n\t(folded)", "To: b@dest.test",
                        "RETURN-PATH: <z@y.test>") + b"\r\nwithout\r\n",
    "empty-body": head("Subject: empty") + b"\r\n",
    "no-empty-line": head("Subject: header only"),
    "blank-lines": head("Subject: blank") + b"\r\n" + b"\r\n" * 3 + b"text\r\n" + b"\r\n" * 50,
    "only-blank-lines": head("Subject: nothing") + b"\r\n" + b"\r\n" * 9,
    "white-space": head("Subject: white") + b"\r\n \t \r\n  one \t two  \r\n\t\r\n \r\nx \r\n",
    "dots": head("Subject: dots") + b"\r\n.\r\n..\r\n...a\r\n",
    "8bit": head("Subject: grüße aus münchen", "Content-Type: text/plain; charset=utf-8",
                 "Content-Transfer-Encoding: 8bit") + "\r\ngrüße\r\n".encode() * 9,
    "long-field": head("X-Long: " + "x" * 900, "References: " + "\r\n ".join(
        f"<{n:0100d}@source.test>" for n in range(300))) + b"\r\nlong\r\n",
    "many-fields": head(*(f"X-Field-{n}: {n}" for n in range(2000))) + b"\r\nmany\r\n",
    "list": head("List-Unsubscribe: <https://source.test/u?1>", "Subject: news",
                 "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
                 "List-Id: <news.source.test>") + b"\r\nnews\r\n",
}
ALL = {"rsa1": "pass", "ed1": "pass", "plat": "pass"}


def verify(message, key_server, records, folder):
    # The obsolete form with a blank there (RFC 5322 section 4.5.1) is known to Mail::DKIM only.
    if not re.search(rb"(?m)^[A-Za-z-]+[ \t]+:", message.data):
        assert verifiers.dkimpy(message.data, key_server) == ALL
        assert verifiers.opendkim(message.data, records, folder) == ALL
    perl = verifiers.mail_dkim(message.data, key_server)
    assert (perl["rsa1"], perl["plat"]) == ("pass", "pass"), perl


def test_corpus(signing, key_server, records, tmp_path):
    relay, hop = signing
    messages = hand_in(relay, hop, *CORPUS.values(), params=" BODY=8BITMIME")
    for name, message in zip(CORPUS, messages):
        print(name)  # which one it was, if it fails
        assert verifiers.selectors(message.data) == ["rsa1", "ed1", "plat"]
        verify(message, key_server, records, tmp_path)


def test_without_a_last_line_end(signing, key_server, records, tmp_path):
    """BDAT brings content that ends anywhere."""
    relay, hop = signing
    contents = [CORPUS["plain"][:-2], CORPUS["white-space"] + b"\t ", head("Subject: x")[:-2],
                head("Subject: x") + b"\r\nends in CR\r\n\r\n" + b"x" * 900]
    for message in hand_in(relay, hop, *contents, chunking=True):
        assert not message.data.endswith(b"\r\n")
        message.data += b"\r\n"  # as DATA would have brought it
        verify(message, key_server, records, tmp_path)


@pytest.mark.heavy
def test_a_very_large_message(signing, key_server, records, tmp_path):
    relay, hop = signing
    lines = b"".join(b"%07d  \t of a  very large message \r\n" % n for n in range(500000))
    references = "References: " + "\r\n ".join(f"<{n:0100d}@source.test>" for n in range(5000))
    message, = hand_in(relay, hop, head(references) + b"\r\nlong header\r\n")
    assert verifiers.dkimpy(message.data, key_server) == ALL
    message, = hand_in(relay, hop, head("Subject: large") + b"\r\n" + lines[:20 << 20])
    assert verifiers.dkimpy(message.data, key_server) == ALL
    assert verifiers.opendkim(message.data, records, tmp_path) == ALL


def test_what_is_signed_cannot_be_changed_or_added_to(signing, key_server):
    relay, hop = signing
    message, = hand_in(relay, hop, CORPUS["list"])
    good = message.data
    for old, new in [(b"Subject: news", b"Subject: old"), (b"\r\nnews\r\n", b"\r\nnews!\r\n"),
                     (b"One-Click", b"Two-Click"), (b"/u?1>", b"/u?2>"),
                     (b"Subject: news", b"Subject: news\r\nSubject: other"),
                     (b"Subject: news", b"Cc: x@y.test\r\nSubject: news"),
                     (b"Subject: news", b"Reply-To: x@y.test\r\nSubject: news"),
                     (b"Subject: news", b"Content-Type: text/html\r\nSubject: news"),
                     (b"Message-ID:", b"Message-ID: <x@y>\r\nX-Was:")]:
        bad = good.replace(old, new)
        assert bad != good
        assert "pass" not in verifiers.dkimpy(bad, key_server).values(), new


def fields_of(message, selector):
    for field in message.field("DKIM-Signature"):
        tags = dict(tag.strip().split("=", 1) for tag in re.sub(r"\s+", "", field).split(";"))
        if tags["s"] == selector:
            return tags
    raise AssertionError(f"no signature {selector}")


@pytest.fixture
def relay_with(run, hop, keys):
    """relay_with(**settings of the blocks) -> a relay with one signer."""
    def start(workers=1, listener=None, key=keys[0], **settings):
        config = run.config(workers).route("*", hop.where).listener(**(listener or {}))
        return run.ringpost(config.sign([key], **settings))
    return start


def test_tags(relay_with, hop, key_server):
    relay = relay_with(expire="1h", headers=["To", "X-One"], oversign=["X-Two"])
    message, = hand_in(relay, hop, head("To: b@dest.test", "X-One: 1") + b"\r\nx\r\n")
    tags = fields_of(message, "rsa1")
    assert (tags["v"], tags["a"], tags["c"], tags["d"]) == (
        "1", "rsa-sha256", "relaxed/relaxed", "source.test")
    assert int(tags["x"]) - int(tags["t"]) == 3600
    assert "l" not in tags
    assert tags["h"].split(":") == ["To", "X-One", "X-Two", "From", "From"] + [
        "List-Unsubscribe", "List-Unsubscribe-Post"]
    assert verifiers.dkimpy(message.data, key_server) == {"rsa1": "pass"}


def test_the_signature_is_on_top_of_what_we_add(relay_with, hop, key_server):
    message, = hand_in(relay_with(), hop, head("Subject: bare") + b"\r\nx\r\n")
    names = re.findall(rb"(?m)^([A-Za-z-]+):", message.data.partition(b"\r\n\r\n")[0])
    assert names == [b"DKIM-Signature", b"Received", b"Date", b"Message-ID", b"From", b"Subject"]
    assert fields_of(message, "rsa1")["h"].lower().split(":").count("date") == 2
    assert verifiers.dkimpy(message.data, key_server) == {"rsa1": "pass"}


UNSIGNED = {
    "two-from": b"From: a@source.test\r\nFrom: b@source.test\r\n\r\nx\r\n",
    "no-from": b"Subject: x\r\n\r\nx\r\n",
    "unreadable-from": b"From: nobody in particular\r\n\r\nx\r\n",
    "no-header": b"hello\r\n\r\nFrom: a@source.test\r\n",
    "no-field": b"From: a@source.test\r\nwhat is this\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_what_nobody_could_rely_on_is_not_signed(relay_with, hop, name):
    relay = relay_with(all=True)
    message, = hand_in(relay, hop, UNSIGNED[name])
    assert b"DKIM-Signature" not in message.data
    assert relay.counter("dkim_unsigned") == 1
    relay.wait_log(r"message \S+ is not signed: it ")


def test_who_signs(relay_with, hop):
    relay = relay_with()
    content = lambda sender: f"From: {sender}\r\n\r\nx\r\n".encode()
    messages = hand_in(relay, hop, content("a@source.test"), content("a@news.SOURCE.test"),
                       content("a@other.test"), content("a@xsource.test"),
                       content("a@source.test, b@other.test"), content("A <a@source.test>"))
    assert [bool(message.field("DKIM-Signature")) for message in messages] == [
        True, True, False, False, False, True]
    assert relay.counter("dkim_signatures") == 3


def test_users_are_not_signed_for_as_somebody_else(run, hop, keys, key_server):
    config = run.config(1).route("*", hop.where).sign(keys)
    config.listener(relay_from=["127.0.0.0/8"], auth=["plain"], auth_clear=True)
    config.top["users"] = os.path.join(os.path.dirname(config.top["control"]), "users")
    relay = run.ringpost(config, start=False)
    relay.passwd("joe", "a pass word", "--domains", "a@source.test,mine.test")
    relay.start()
    content = lambda sender: f"From: {sender}\r\n\r\nx\r\n".encode()
    with relay.client() as client:
        client.ehlo()
        assert client.auth_plain("joe", "a pass word").code == 235
        for sender in ("a@source.test", "boss@source.test", "b@other.test", "x@mine.test",
                       "a@source.test, boss@source.test"):
            client.mail(content(sender))
    messages = {message.field("From")[0]: verifiers.dkimpy(message.data, key_server)
                for message in hop.wait(5)}
    assert messages == {"a@source.test": ALL, "boss@source.test": {}, "b@other.test": {},
                        "x@mine.test": {"plat": "pass"}, "a@source.test, boss@source.test": {}}


def test_our_own_notifications_are_signed(run, hop, tmp_path):
    key = DkimKey(tmp_path, "own", "relay.test", "ed25519")
    server = run.nsd({"relay.test": verifiers.zone_text({key.name: key.record})})
    relay = run.ringpost(run.config(1).route("*", hop.where).sign([key]))
    hop.on("RCPT", reply("550 5.1.1 no such user"), times=1)
    with relay.client() as client:
        client.ehlo()
        client.mail(CORPUS["8bit"], params=" BODY=8BITMIME")
    message = hop.wait(1)[0]
    assert message.field("From") == ["Mail Delivery System <MAILER-DAEMON@relay.test>"]
    assert verifiers.dkimpy(message.data, server) == {"own": "pass"}


def test_a_flood_of_notifications_is_signed_beside_other_mail(run, hop, tmp_path, workers):
    """All that a dead host leaves expires together: each sender is told, nobody else has to wait
    for it."""
    count = 300
    keys = [DkimKey(tmp_path, "own", "relay.test"), DkimKey(tmp_path, "rsa1", "source.test")]
    server = run.nsd({key.domain: verifiers.zone_text({key.name: key.record}) for key in keys})
    config = run.config(workers).route("*", hop.where).sign(keys)
    config.route("dead.test", f"127.0.0.1:{net.free_port()}")
    relay = run.ringpost(config.site(expiry="5s", retry=["1h"]))
    with relay.client() as client:
        client.ehlo()
        for n in range(count):
            client.mail(CORPUS["plain"], f"a{n}@source.test", ["b@dead.test"])
        others = 0
        while others == 0 or len(hop.accepted) < count + others:
            client.mail(CORPUS["plain"])
            others += 1
            hop.wait(others, of=lambda message: message.sender)
    relay.wait_empty()
    notices = [message for message in hop.accepted if message.sender == ""]
    assert {to for message in notices for to in message.recipients} == {
        f"a{n}@source.test" for n in range(count)}
    assert len(notices) == count and len(hop.accepted) == count + others
    for message in hop.accepted:
        assert verifiers.selectors(message.data) == ["rsa1" if message.sender else "own"]
    for message in notices[::30] + notices[-1:]:
        assert verifiers.dkimpy(message.data, server) == {"own": "pass"}
    assert relay.counter("dkim_signatures") == 2 * count + others


def test_a_listener_may_leave_it(relay_with, hop):
    relay = relay_with(listener={"dkim": False})
    message, = hand_in(relay, hop, CORPUS["plain"])
    assert b"DKIM-Signature" not in message.data


def test_reload_brings_other_keys(relay_with, hop, keys, key_server):
    relay = relay_with()
    with relay.client() as client:
        client.ehlo()
        client.envelope()
        relay.config.signers = []
        relay.config.sign([keys[1]])
        relay.reload()
        relay.wait_log("reloaded ")
        client.send("DATA\r\n")
        client.reply()
        client.send(CORPUS["plain"] + b".\r\n")
        assert client.reply().code == 250
    message = hop.wait(1)[0]
    assert verifiers.dkimpy(message.data, key_server) == {"ed1": "pass"}
    relay.config.sign([DkimKey(relay.directory, "weak", "source.test", bits=768)])
    relay.reload()
    relay.wait_log("only 768 bits")
    relay.wait_log("the old configuration stays")
    relay.config.signers.pop()
    relay.write_config()  # for the subcommands
    message, = hand_in(relay, hop, CORPUS["plain"])
    assert verifiers.selectors(message.data) == ["ed1"]


@pytest.mark.heavy
def test_many_sessions_and_workers(run, hop, keys, key_server, workers):
    """Bodies hashed side by side, signatures lent: each message still gets its own."""
    config = run.config(workers).route("*", hop.where).sign(keys)
    relay = run.ringpost(config)
    clients = [relay.client() for _ in range(30)]
    try:
        for client in clients:
            client.ehlo()
        for turn in range(4):
            for client in clients:
                client.envelope()
                client.send("DATA\r\n")
                assert client.reply().code == 354
            for n, client in enumerate(clients):
                body = f"{turn} {n} \t x\r\n".encode() * (n * n * 7 + 1)
                client.send(head(f"Subject: {turn}-{n}") + b"\r\n" + body + b".\r\n")
            for client in clients:
                assert client.reply().code == 250
    finally:
        for client in clients:
            client.close()
    messages = hop.wait(120, 60)
    assert len({message.field("Subject")[0] for message in messages}) == 120
    for message in messages:
        assert verifiers.dkimpy(message.data, key_server) == ALL
    assert relay.counter("dkim_signatures") == 360


# ---- the subcommands -----------------------------------------------------------------------------

@pytest.mark.parametrize("kind, bits", [("rsa", 2048), ("rsa", 4096), ("ed25519", 256)])
def test_keygen_and_check(run, binary, tmp_path, hop, kind, bits):
    key = tmp_path / "new.pem"
    options = ["--bits", str(bits)] if kind == "rsa" else []
    made = subprocess.run([binary, "dkim", "keygen", "--domain", "New.test", "--selector", "s1",
                           "--type", kind, "--out", key, *options], capture_output=True, text=True,
                          timeout=60, check=True)
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    zone = "\n".join(line for line in made.stdout.splitlines() if not line.startswith(";"))
    server = run.nsd({"new.test": zone})
    config = run.config(1).route("*", hop.where)
    config.change("top", resolver=[server.where])
    config.signers.append(("new.test", {"selector": "s1", "key": str(key)}))
    relay = run.ringpost(config)
    told = relay.run("dkim", "check", "-c", relay.file, "new.test")
    assert told.returncode == 0, told.stdout + told.stderr
    message, = hand_in(relay, hop, b"From: a@new.test\r\n\r\nx\r\n")
    record = {"s1._domainkey.new.test": "".join(re.findall('"(.*?)"', zone))}
    assert verifiers.opendkim(message.data, record, tmp_path) == {"s1": "pass"}


def test_check_tells_what_is_wrong(run, keys, binary):
    other = DkimKey(os.path.dirname(keys[0].file), "rsa2", "source.test")
    server = run.nsd({"source.test": verifiers.zone_text(
        {keys[0].name: other.record, keys[1].name: keys[1].record}),
        "platform.test": f'{keys[2].name}. TXT "v=DKIM1; p="'})
    config = run.config(1).change("top", resolver=[server.where]).sign(keys + [other])
    relay = run.ringpost(config, start=False)
    relay.write_config()
    told = relay.run("dkim", "check", "-c", relay.file, check=False)
    assert told.returncode == 1
    assert re.fullmatch(
        r"rsa1\._domainkey\.source\.test is for another key: its p= differs\n"
        r"ed1\._domainkey\.source\.test is the key's \(Ed25519\)\n"
        r"plat\._domainkey\.platform\.test is revoked: its p= is empty\n"
        r"rsa2\._domainkey\.source\.test is not in DNS\n", told.stdout)
    config.change("top", resolver=[f"127.0.0.1:{net.free_port()}"])
    relay.write_config()
    told = relay.run("dkim", "check", "-c", relay.file, "source.test", check=False)
    assert told.returncode == 1 and told.stdout.count("no name server") == 3


def test_keygen_never_overwrites(binary, tmp_path):
    command = [binary, "dkim", "keygen", "--domain", "a.test", "--selector", "s",
               "--type", "ed25519"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert b"s._domainkey.a.test. IN TXT" in first.stdout
    before = (tmp_path / "s.a.test.pem").read_bytes()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=20)
    assert again.returncode == 1 and b"File exists" in again.stderr
    assert (tmp_path / "s.a.test.pem").read_bytes() == before


@pytest.mark.parametrize("arguments", [
    [], ["keygen"], ["keygen", "--domain", "a.test"], ["frobnicate"], ["check", "a.test", "b.test"],
    ["keygen", "--domain", "a.test", "--selector", "s", "--bits", "512"],
    ["keygen", "--domain", "a.test", "--selector", "s", "--type", "dsa"]])
def test_misuse(binary, arguments):
    done = subprocess.run([binary, "dkim", *arguments], capture_output=True, check=False,
                          timeout=20)
    assert done.returncode == 2 and b"--help" in done.stderr
