# SPDX-License-Identifier: Apache-2.0
"""The spool from outside: durability, full disks, small memory, damage, restarts."""
import os
import resource
import shutil
import threading

import pytest
from harness import mail
from harness.actions import reply, until_set
from harness.sender import Sender
from harness.wait import until


def outcome(client, content):
    """The reply that ends a transaction: the first refusal, or that to the content."""
    for command in ("RSET", "MAIL FROM:<a@source.test>", "RCPT TO:<b@dest.test>", "DATA"):
        answer = client.command(command)
        if answer.code not in (250, 354):
            return answer
    client.send(content + b".\r\n")
    return client.reply()


def test_a_250_survives_sigkill(hop, relay_to, workers):
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, workers)
    with relay.session() as client:
        for number in range(50):
            client.mail(mail.message(f"n{number}"))
    relay.kill()
    hop.behave()
    relay.start()
    hop.wait(50, 20)
    relay.wait_empty()
    assert sorted(m.field("Subject")[0] for m in hop.accepted) == sorted(f"n{n}" for n in range(50))


def test_reserve_over_what_is_free(hop, relay_to):
    """A full disk: 452 4.3.1, never 5yz; and deliveries go on so that it empties."""
    hop.on("RCPT", reply("450 4.2.0 later"), times=10)
    relay = relay_to(hop)
    with relay.session() as client:
        for number in range(10):
            client.mail(mail.message(f"n{number}"))
    relay.wait_account(10, type="TransientFailure")
    free = shutil.disk_usage(relay.directory).free
    relay.config.spool["reserve"] = f"{free * 2 >> 20}M"
    relay.restart()
    with relay.session() as client:
        answer = outcome(client, mail.message())
        assert (answer.code, answer.enhanced) == (452, "4.3.1"), answer
    hop.wait(10)
    relay.wait_empty()
    relay.config.spool["reserve"] = "1M"
    relay.restart()
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(11)


def test_limit_of_the_spool(hop, relay_to):
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, 1, spool={"disk": "32M", "segment_size": "4M", "memory": "16M"})
    body = mail.body_of_size(1 << 20)
    accepted = 0
    with relay.session() as client:
        for _ in range(64):
            answer = outcome(client, mail.message(body=body))
            if answer.code != 250:
                assert (answer.code, answer.enhanced) == (452, "4.3.1"), answer
                break
            accepted += 1
    assert 8 <= accepted <= 32
    size = sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(relay.config.spool["path"]) for name in names)
    assert size <= 40 << 20
    hop.behave()
    relay.queue("retry", "--all")
    hop.wait(accepted, 30)
    relay.wait_empty()
    with relay.session() as client:  # the disk is empty again
        until(lambda: outcome(client, mail.message(body=body)).code == 250, 10, "a 250", 0.1)
    hop.wait(accepted + 1)
    assert all(m.body == body for m in hop.accepted)


@pytest.mark.parametrize("reserve", [0, "8M"])
def test_disk_that_is_full(hop, relay_to, small_disk, reserve):
    """Also when writes fail for it: 4yz, what was accepted is kept and delivered, then all is well."""
    gate = threading.Event()
    hop.on("CONNECT", reply("421 4.3.2 not yet"), when=lambda s: not gate.is_set())
    relay = relay_to(hop, 2, spool={"path": str(small_disk.path / "spool"), "reserve": reserve,
                                    "segment_size": "2M"}, site={"expiry": "1h"})
    body = mail.body_of_size(400000)
    accepted, refused = [], set()
    for number in range(200):
        with relay.session() as client:
            answer = outcome(client, mail.message(f"n{number}", body))
        assert answer.code in (250, 451, 452), answer
        if answer.code == 250:
            accepted.append(f"n{number}")
        else:
            refused.add((answer.code, answer.enhanced))
    assert len(accepted) >= 25 and refused and refused <= {(452, "4.3.1"), (451, "4.3.0")}
    relay.kill()
    relay.start()
    gate.set()
    relay.queue("retry", "--all")
    hop.wait(len(accepted), 30)
    relay.wait_empty()
    assert sorted(m.field("Subject")[0] for m in hop.accepted) == sorted(accepted)
    assert all(m.body == body for m in hop.accepted)
    with relay.session() as client:
        until(lambda: outcome(client, mail.message("after", body)).code == 250, 20, "a 250", 0.1)
    hop.wait(len(accepted) + 1)


def test_full_disk_drains_by_bounces(run, hop, relay_to, small_disk):
    """Nothing but refusals: the notices find room where mail does not, and make room."""
    back = run.hop()
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, 2, started=False, site={"expiry": "1h"},
                     spool={"path": str(small_disk.path / "spool"), "reserve": "12M",
                            "segment_size": "2M"})
    relay.config.route("source.test", back.where)
    relay.start()
    accepted, refused = 0, 0
    while refused < 20:
        with relay.session() as client:
            answer = outcome(client, mail.message(f"n{accepted}", mail.body_of_size(400000)))
        accepted += answer.code == 250
        refused += answer.code == 452
    hop.behave()
    hop.on("RCPT", reply("550 5.1.1 nobody"))
    relay.queue("retry", "--all")
    back.wait(accepted, 30)
    relay.wait_empty()
    assert len(back.accepted) == accepted and not hop.accepted
    assert "could not be stored" not in relay.log()


@pytest.mark.parametrize("count", [1, 4], ids=lambda count: f"workers{count}")
def test_receiver_that_stalls_does_not_stop_accepting(hop, relay_to, count):
    """Mail on its way to slow receivers may not take all the memory that new mail needs."""
    go = threading.Event()
    hop.on("DOT", until_set(go))
    relay = relay_to(hop, count, spool={"memory": "64M"}, listener={"max_message_size": "2M"},
                     site={"dot_timeout": "60s", "connections": 100})
    body = mail.body_of_size(1 << 20)
    with relay.session() as client:
        for number in range(150):
            client.mail(mail.message(f"n{number}", body))
    go.set()
    hop.wait(150, 40)
    relay.wait_empty()
    assert len(hop.accepted) == 150


@pytest.mark.parametrize("way", ["data", "bdat"])
def test_message_larger_than_the_memory_budget(hop, relay_to, way):
    """It is a budget, not a limit of size: refused with 452 it would be tried for ever."""
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, spool={"memory": "16M"})
    contents = [mail.message(f"n{n}", mail.body_of_size(30 << 20, seed=n)) for n in range(2)]
    contents.append(mail.message("small"))

    def taken(content):
        """While an attempt holds the one before in memory, 452 is right."""
        with relay.session() as client:
            if client.command("MAIL FROM:<a@source.test>").code == 452:
                return False
            client.ok("RCPT TO:<b@dest.test>")
            return getattr(client, way)(content).code == 250
    for content in contents:
        until(lambda content=content: taken(content), 20, "a message taken")
    hop.behave()
    relay.queue("retry", "--all")
    assert sorted(mail.without_trace(m.data) for m in hop.wait(3, 60)) == sorted(contents)


@pytest.mark.heavy
def test_backlog_over_the_memory_budget(hop, relay_to, workers):
    """100 MB queued with 16 MB of memory: what is read back from disk is what came in."""
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, workers, spool={"memory": "16M"},
                     site={"connections": 4, "expiry": "1h", "retry": ["30m"]})
    bodies = {f"n{n}": mail.body_of_size(200000, seed=n) for n in range(500)}
    with relay.session() as client:
        for name, body in bodies.items():
            client.mail(mail.message(name, body))
    assert relay.counter("message_bytes") <= 24 << 20
    hop.behave()
    relay.queue("retry", "--all")
    hop.wait(500, 60)
    relay.wait_empty()
    assert len(hop.accepted) == 500
    for message in hop.accepted:
        assert message.body == bodies[message.field("Subject")[0]]
    assert relay.counter("spool_read_back") >= 300


def test_backlog_after_a_restart(hop, relay_to):
    """After a restart all content is on disk only."""
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, 2)
    bodies = {f"n{n}": mail.body_of_size(n * 997, seed=n) for n in range(100)}
    with relay.session() as client:
        for name, body in bodies.items():
            client.mail(mail.message(name, body))
    relay.stop()
    hop.behave()
    relay.start()
    hop.wait(100, 30)
    assert {m.field("Subject")[0]: m.body for m in hop.accepted} == bodies


def test_message_larger_than_a_segment(hop, relay_to):
    relay = relay_to(hop, 1, spool={"segment_size": "1M"})
    body = mail.body_of_size(5 << 20)
    with relay.session() as client:
        for number in range(4):
            client.mail(mail.message(f"n{number}", body))
    hop.wait(4, 20)
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    for session in hop.sessions:
        session.drop()
    with relay.session() as client:
        client.mail(mail.message("again", body))
    relay.kill()
    hop.behave()
    relay.start()
    hop.wait(5, 20)
    assert all(m.body == body for m in hop.accepted)


def segments(relay):
    found = []
    for folder, _, names in os.walk(relay.config.spool["path"]):
        found += [os.path.join(folder, name) for name in names]
    return sorted(name for name in found if name.endswith(".seg"))


def test_segments_are_recycled(hop, relay_to):
    """Far more mail than disk: the log does not grow with what was delivered."""
    relay = relay_to(hop, 1, spool={"segment_size": "1M"})
    body = mail.body_of_size(100000)
    sizes = []
    for number in range(4):
        sender = Sender(relay.port, prefix=f"r{number}-", threads=4, total=150, body=body)
        assert len(sender.start().join().acknowledged) == 150
        hop.wait(150 * (number + 1), 30)
        relay.wait_empty()
        sizes.append(sum(map(os.path.getsize, segments(relay))))
    assert sizes[-1] <= max(20 << 20, max(sizes[:2])), sizes  # 60 MB went through


def test_old_mail_is_moved_out_of_the_way(hop, relay_to):
    """Compaction: one message in each segment waits; the segments are not kept for them."""
    hop.on("RCPT", reply("450 4.2.0 later"), when=lambda s: s.candidate.startswith("old"))
    relay = relay_to(hop, 1, spool={"segment_size": "1M"}, site={"retry": ["600s"]})
    body = mail.body_of_size(50000)
    with relay.session() as client:
        for number in range(600):
            kind = "old" if number % 60 == 0 else "new"
            client.mail(mail.message(f"{kind}{number}", body), recipients=[f"{kind}@dest.test"])
    hop.wait(590, 40)
    until(lambda: relay.queued() == 10, 10, "the old ones only")
    until(lambda: sum(map(os.path.getsize, segments(relay))) < 24 << 20, 10,
          lambda: f"{len(segments(relay))} segments")
    relay.wait_quiet()
    relay.kill()
    hop.behave()
    relay.start()
    relay.queue("retry", "--all")
    hop.wait(600, 20)
    assert all(m.body == body for m in hop.accepted)
    relay.wait_empty()
    assert len(hop.accepted) == 600


def test_damage_in_the_middle_is_told_and_costs_only_what_it_hit(hop, relay_to):
    hop.on("CONNECT", reply("421 4.3.2 not yet"))
    relay = relay_to(hop, 1)
    with relay.session() as client:
        for number in range(100):
            client.mail(mail.message(f"n{number}", b"y" * 900 + b"\r\n"))
    relay.kill()
    hits = 0
    for path in segments(relay):
        with open(path, "r+b") as file:
            at = file.read().find(b"Subject: n50\r\n")
            if at >= 0:
                file.seek(at)
                file.write(b"\xff" * 40)
                hits += 1
    assert hits == 1
    hop.behave()
    relay.start()
    hop.wait(99, 30)
    until(lambda: relay.queued() <= 1, 10, "the others to be done")
    got = {m.field("Subject")[0] for m in hop.accepted if m.field("Subject")}
    assert {f"n{n}" for n in range(100)} - got == {"n50"}
    relay.wait_log("(?i)damage|corrupt|cannot be read|checksum|CRC")


def test_empty_and_foreign_files_in_the_spool(hop, relay_to):
    relay = relay_to(hop, 1)
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(1)
    relay.stop()
    path = os.path.dirname(segments(relay)[0])
    for name in ("README", "x.tmp", "core"):
        with open(os.path.join(path, name), "wb") as out:
            out.write(b"what is this")
    relay.start()
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(2)


def test_relaxed_durability(hop, relay_to):
    relay = relay_to(hop, spool={"durability": "relaxed"})
    Sender(relay.port, threads=4, total=200).start().join()
    hop.wait(200)
    relay.wait_log("relaxed")
    relay.stop()
    relay.start()
    relay.wait_empty()
    assert len(hop.accepted) == 200


def test_few_file_descriptors(run, hop, relay_to):
    """At its limit of descriptors the server goes on with what it has."""
    relay = relay_to(hop, 1, started=False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64) if before[1] < 64 else (64, before[1]))
    try:
        relay.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    clients = []
    try:
        for _ in range(100):
            clients.append(relay.client(timeout=1))
    except (OSError, EOFError):
        pass
    for client in clients:
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 10, "all sessions to end")
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(1)


def test_group_commit(hop, relay_to):
    """One sync covers many messages when many come at once, and each one waits for its own."""
    relay = relay_to(hop, 1)
    Sender(relay.port, threads=1, total=100).start().join()
    alone = relay.counter("spool_commits")
    assert alone >= 100
